// What has changed reaches this page by a stream of server-sent events (backend/events.py). Each topic becomes an event on
// <body>; parts of the page that show it ask for themselves anew (hx-trigger="mine from:body"). The queue comes with the stream.
// While there is no stream, every topic comes every 1.5 seconds instead.
"use strict";

const ALL = ["conversation", "queue", "mine", "floor", "offer", "presence"];
const POLL_EVERY = 1500; // ms, without a stream
const LOOK_EVERY = 120_000; // ms, with one: should anything have been missed
const SILENT_FOR = 25_000; // ms after which a stream that should have given a beat every 10 s is cut off, whatever it says itself
const AGAIN_AFTER = 5_000; // ms, when the stream was refused: its process is being started, or a proxy knows nothing of it

const page = document.body.dataset;
let stream = null;
let after = page.after;
let heardAt = 0;

const changed = (topics) => {
  for (const topic of topics.includes("all") ? ALL : topics) htmx.trigger(document.body, topic);
};
// `pressing` (console.js): what is renewed while a button is held down would swallow the click.
const show = (id, html) => {
  if (pressing) setTimeout(() => show(id, html), 100);
  else htmx.swap(`#${id}`, html, { swapStyle: "innerHTML" });
};
const isOpen = () => stream?.readyState === EventSource.OPEN;

// A sign of life, given when the server asks: timers of a hidden page hardly run.
const beat = () => {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  fetch(page.beat, { method: "POST", headers: { "X-CSRFToken": token }, keepalive: true }).catch(() => {});
};

const hear = (event) => {
  after = event.lastEventId || after;
  heardAt = performance.now();
  return event;
};

const open = () => {
  const address = new URL(page.events, location);
  address.searchParams.set("after", after);
  for (const name of ["conversation", "floor", "desk"]) if (page[name]) address.searchParams.set(name, page[name]);
  stream = new EventSource(address, { withCredentials: true });
  stream.addEventListener("topics", (event) => changed(JSON.parse(hear(event).data)));
  stream.addEventListener("queue", (event) => show("queue", JSON.parse(hear(event).data)));
  stream.addEventListener("beat", (event) => { hear(event); beat(); });
  stream.addEventListener("open", () => { page.live = "yes"; heardAt = performance.now(); });
  stream.addEventListener("error", () => {
    page.live = "no";
    if (stream.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_AFTER);
  });
};

if (page.events) {
  open();
  setInterval(() => {
    if (isOpen() && performance.now() - heardAt > SILENT_FOR) {
      stream.close();
      open();
    }
    if (!isOpen()) changed(["all"]);
  }, POLL_EVERY);
  setInterval(() => { if (isOpen()) changed(["all"]); }, LOOK_EVERY);
  // What was told but couldn't be fetched is asked for until it can.
  let again = 0;
  for (const failure of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(failure, (event) => {
      if (event.detail.xhr.status >= 400 && event.detail.xhr.status < 500) return;
      clearTimeout(again);
      again = setTimeout(() => changed(["all"]), POLL_EVERY);
    });
  }
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
}

// --- times that go on -----------------------------------------------------------------------------------------------

// <span class="wait" data-waited="83" data-warn="60" data-bad="180">: seconds so far, and from when on they are coloured.
const tick = () => {
  for (const shown of document.querySelectorAll("[data-waited]")) {
    shown.since ??= performance.now() - 1000 * Number(shown.dataset.waited);
    const seconds = Math.floor((performance.now() - shown.since) / 1000);
    const text = shown.querySelector("[data-clock]");
    text.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    shown.classList.toggle("bad", seconds >= Number(shown.dataset.bad));
    shown.classList.toggle("warn", seconds >= Number(shown.dataset.warn) && seconds < Number(shown.dataset.bad));
  }
};

// <span data-left="18">: seconds that are left. The server has the last word; this only shows them going.
const countDown = () => {
  for (const shown of document.querySelectorAll("[data-left]")) {
    shown.until ??= performance.now() + 1000 * Number(shown.dataset.left);
    shown.textContent = Math.max(0, Math.ceil((shown.until - performance.now()) / 1000));
  }
};
setInterval(() => { tick(); countDown(); }, 1000);
