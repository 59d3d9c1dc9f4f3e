// The console's behaviour: tokens for htmx, keys, a transcript that stays at its end, forms that are sent once.
"use strict";

const byId = (id) => document.getElementById(id);
const csrf = document.querySelector('meta[name="csrf-token"]');

// --- what htmx sends and gets ---------------------------------------------------------------------------------------

document.addEventListener("htmx:configRequest", (event) => {
  if (csrf) event.detail.headers["X-CSRFToken"] = csrf.content;
});

const trouble = (shown) => {
  byId("trouble").hidden = !shown;
};
for (const failure of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
  document.addEventListener(failure, () => trouble(true));
}
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (event.detail.xhr.status < 400) trouble(false);
});

// A list that is renewed while a button is held down would swallow the click.
let pressing = false;
document.addEventListener("pointerdown", () => { pressing = true; });
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => { pressing = false; }, 50));
}
document.addEventListener("htmx:beforeSwap", (event) => {
  const { id } = event.detail.target;
  if (pressing && ["queue", "mine", "offers", "floor"].includes(id)) event.detail.shouldSwap = false;
  if (["presence", "floor"].includes(id) && event.detail.target.querySelector("details[open]")) event.detail.shouldSwap = false;
});

// --- the queue ------------------------------------------------------------------------------------------------------

const title = document.title;
let offered = ""; // what the tab says first of all (bell.js)
let inQueue = "";
const tellTitle = (words = offered) => {
  offered = words;
  document.title = [offered, `${inQueue}${title}`].filter(Boolean).join(" · ");
};
const tellQueue = () => {
  const queue = document.querySelector('[data-testid="queue"]');
  if (!queue) return;
  const { count } = queue.dataset;
  inQueue = count === "0" ? "" : `(${count}) `;
  tellTitle();
  const status = byId("queue-status");
  const sentence = status.dataset.say.replace("{count}", count);
  if (status.textContent !== sentence) status.textContent = sentence; // read out only when the number changes
};

// --- the transcript -------------------------------------------------------------------------------------------------

const transcript = byId("transcript");
const toEnd = () => { transcript.scrollTop = transcript.scrollHeight; };
let atEnd = true;
if (transcript) {
  toEnd();
  transcript.addEventListener("scroll", () => {
    atEnd = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 60;
  });
  transcript.addEventListener("load", () => { if (atEnd) toEnd(); }, true); // a photo has its height now
  for (const moment of ["load", "resize"]) addEventListener(moment, () => { if (atEnd) toEnd(); });
}
document.addEventListener("htmx:afterSettle", () => {
  if (transcript && atEnd) toEnd();
  tellQueue();
});
tellQueue();

// --- answering ------------------------------------------------------------------------------------------------------

// What is sent is what stood in the box at that moment: the words go into an outbox, and from there one by one, in order.
// Those that don't arrive come back into the box.
const outbox = []; // {text, key}: what comes again with the same key, because the reply was lost, is said once
let undelivered = null; // what came back into the box
let sending = false;

const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("-");

const send = async (form) => {
  const body = new URLSearchParams(outbox[0]);
  const headers = { "HX-Request": "true", "X-CSRFToken": csrf.content };
  const response = await fetch(form.action, { method: "POST", body, headers, redirect: "error" });
  if (response.status === 204) return "";
  if (response.status === 409 || response.status === 422) return response.text();
  throw new Error(response.status);
};

const sendAll = async (form) => {
  if (sending) return;
  sending = true;
  let refusal = "";
  try {
    while (outbox.length && !refusal) {
      refusal = await send(form);
      if (refusal) break;
      outbox.shift();
      htmx.trigger(document.body, "said");
    }
  } catch {
    trouble(true);
  }
  sending = false;
  const box = byId("say-text");
  undelivered = outbox[0] ?? null;
  if (box && outbox.length) box.value = [...outbox.map(({ text }) => text), box.value].filter(Boolean).join("\n");
  outbox.length = 0;
  if (byId("say-refusal")) byId("say-refusal").textContent = refusal;
};

document.addEventListener("submit", (event) => {
  if (event.target.id !== "say") return;
  event.preventDefault();
  const box = byId("say-text");
  if (!box.value.trim()) return;
  const again = undelivered?.text === box.value;
  outbox.push({ text: box.value, key: again ? undelivered.key : newKey() });
  box.value = "";
  atEnd = true;
  sendAll(event.target);
});

// The citizen sees that somebody is typing: told every 3 seconds, and it counts for 6 (conversations/service.py).
let toldTyping = 0;
document.addEventListener("input", (event) => {
  const address = event.target.dataset?.typing;
  if (!address || !event.target.value.trim() || performance.now() - toldTyping < 3000) return;
  toldTyping = performance.now();
  fetch(address, { method: "POST", headers: { "X-CSRFToken": csrf.content } }).catch(() => {});
});

document.addEventListener("keydown", (event) => {
  if (event.target.id !== "say-text" || event.key !== "Enter") return;
  if (event.shiftKey || event.isComposing || event.keyCode === 229) return; // 229: an input method is choosing characters
  event.preventDefault();
  if (event.target.value.trim() && !event.repeat) event.target.form.requestSubmit();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fill]");
  const box = byId(button?.dataset.fillTo ?? "say-text");
  if (!button || !box) return;
  box.value = box.value.trim() ? `${box.value.trim()}\n${button.dataset.fill}` : button.dataset.fill;
  box.focus();
});

// Alt+1 to Alt+9 put a canned phrase into the box.
document.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || event.metaKey) return;
  const phrase = document.querySelector(`[data-digit="${event.code.replace("Digit", "")}"]`);
  if (!phrase) return;
  event.preventDefault();
  phrase.click();
});

// --- looking up while typing ----------------------------------------------------------------------------------------

// Arrow keys go from the search box through what was found; Enter in the box takes the first. What the operator searches for
// stays in view: news of the conversation don't replace it.
const uses = () => {
  const buttons = document.querySelectorAll("#found [data-fill]");
  return [...(buttons.length ? buttons : document.querySelectorAll("#found summary"))];
};
document.addEventListener("keydown", (event) => {
  const inBox = event.target.id === "assist";
  if (event.isComposing || event.keyCode === 229 || !(inBox || event.target.closest("#found"))) return;
  const found = uses();
  const at = found.indexOf(event.target);
  if (inBox && event.key === "Enter") {
    event.preventDefault();
    found[0]?.click();
  }
  if (event.key === "Escape" && byId("say-text")) byId("say-text").focus();
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  event.preventDefault();
  const next = found[at + (event.key === "ArrowDown" ? 1 : -1)];
  (next ?? (event.key === "ArrowUp" ? byId("assist") : null))?.focus();
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id === "found" && byId("assist")?.value.trim()) event.preventDefault();
});

// --- forms that are sent once ---------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  form.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.removeAttribute("aria-busy");
  }
});

// --- keys -----------------------------------------------------------------------------------------------------------

const step = (by) => {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by;
  rows[next]?.focus();
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select")) return;
  if (event.key === "?" && byId("keys") && !byId("keys").open) {
    byId("keys").showModal();
    return;
  }
  const named = [...document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)].find((one) => one.offsetParent);
  if (named) {
    event.preventDefault();
    named.click();
    return;
  }
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
  if (event.key === "/") {
    const field = [...document.querySelectorAll("[data-slash]")].find((one) => one.offsetParent);
    if (!field) return;
    event.preventDefault();
    field.focus();
  }
});

// --- choosing all ---------------------------------------------------------------------------------------------------

document.addEventListener("change", (event) => {
  if (!event.target.hasAttribute("data-check-all")) return;
  for (const box of event.target.form.querySelectorAll('input[name="version"]')) box.checked = event.target.checked;
});
