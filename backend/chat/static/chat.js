// The chat page. What is shown is the server's record of turns: this script sends, asks what is new, and draws it.
// An operator's words, a reload and the bot's reply therefore all take the same way.
"use strict";

const page = document.getElementById("chat");
const words = JSON.parse(document.getElementById("words").textContent);
const parts = Object.fromEntries(
  ["again", "ask", "down", "ended", "file", "form", "language", "large", "leave", "left", "outbox", "person", "photo", "queue",
    "restart", "said", "shortcuts", "status", "stay", "text", "trouble", "turns", "typing", "voice"].map((id) => [id, document.getElementById(id)]),
);
const LOCALE = page.dataset.locale;
const OTHER_LOCALE = LOCALE === "en" ? "zh" : "en";
const FRAMED = window.parent !== window; // inside the panel of widget.js
const WATCHFUL = 2000; // milliseconds between two looks while a person may be writing
const RELAXED = 10000; // … while only the bot could say something, which it does at once
const AGAIN = 3000; // … while the line can't be reached
const PATIENCE = 30000; // milliseconds after which a request counts as lost
const PHOTO_PATIENCE = 180000; // … with a photo, on a slow line
const BORROWING = 1000; // milliseconds in which the page around says what it keeps
const TYPING_EVERY = 3000; // milliseconds between two notes that the citizen is typing; each counts for 6 s
const EMERGENCY_NUMBERS = ["110", "119", "120", "12356"];
const COUNT_FROM = 200; // characters left from which on they are counted

let conversation = null; // {id, token, locale, state}
let lastNumber = 0; // of the turns that are drawn
let lastSpeaker = "";
let state = "bot";
let timer = 0;
let looking = Promise.resolve();
let delivering = false;
let following = true; // whether the end of what was said is in view, and is to stay there
let outbox = []; // what was said and isn't on the record yet: {text, photo, key, item, stage: waiting | sending | sent | failed}
let operatorTypes = false;
let toldTyping = 0; // when the operator was last told that the citizen is typing

// ---- what this tab remembers: one conversation for each language ----

function storage(name) {
  try {
    return window[name]; // a browser may forbid it to a framed page
  } catch {
    return null;
  }
}

// Where it is forbidden, the page around keeps what this tab must remember, as long as widget.js is there to do so.
const lent = { kept: {}, origin: "" };
const atParent = {
  getItem: (key) => lent.kept[key] ?? null,
  setItem: (key, value) => lend({ ...lent.kept, [key]: value }),
  removeItem: (key) => lend({ ...lent.kept, [key]: undefined }),
};

function lend(kept) {
  lent.kept = kept;
  if (lent.origin) window.parent.postMessage({ keep: "line-chat", kept: JSON.stringify(kept) }, lent.origin);
}

function borrow() {
  return new Promise((done) => {
    if (tab !== atParent || !FRAMED) return done();
    setTimeout(done, BORROWING);
    window.addEventListener("message", (event) => {
      if (event.source !== window.parent || event.data?.keep !== "line-chat") return;
      lent.origin = event.origin;
      try {
        lent.kept = JSON.parse(event.data.kept) || {};
      } catch { /* then there is nothing to resume */ }
      done();
    }, { once: true });
  });
}

const tab = storage("sessionStorage") || atParent;
const browser = storage("localStorage") || atParent;
const slot = (locale) => `line-chat-${locale}`;

function recall(locale) {
  try {
    return JSON.parse(tab.getItem(slot(locale)));
  } catch {
    return null;
  }
}

function remembered() {
  // A person who is waited for or is there isn't left because the page's language was switched.
  const [own, other] = [recall(LOCALE), recall(OTHER_LOCALE)];
  return withPerson(other) && !withPerson(own) ? other : own;
}

function withPerson(one) {
  return one !== null && ["waiting", "operator"].includes(one.state);
}

function remember() {
  tab.setItem(slot(conversation.locale), JSON.stringify(conversation));
}

// ---- the API ----

async function call(path, body, token = conversation?.token) {
  const form = body instanceof FormData;
  const headers = { "X-Locale": LOCALE };
  if (!form) headers["Content-Type"] = "application/json"; // a form's has its boundary, which the browser adds
  if (token) headers["X-Conversation-Token"] = token;
  const patience = new AbortController();
  const alarm = setTimeout(() => patience.abort(), form ? PHOTO_PATIENCE : PATIENCE);
  try {
    const response = await fetch(`/api/v1/conversations${path}`, {
      method: body ? "POST" : "GET",
      body: form ? body : body && JSON.stringify(body),
      headers,
      signal: patience.signal,
    });
    const answer = response.status === 204 ? null : await response.json();
    if (!response.ok) throw Object.assign(new Error(answer.message), { status: response.status, told: answer.message });
    return answer;
  } finally {
    clearTimeout(alarm);
  }
}

async function begin(left = null) {
  try {
    const { id, token } = await call("", { locale: LOCALE, leaving: left?.id }, left?.token);
    conversation = { id, token, locale: LOCALE, state: "bot" };
    remember();
    await look();
  } catch {
    showTrouble(true);
    timer = setTimeout(begin, AGAIN, left);
  }
}

function startOver() {
  clearTimeout(timer);
  const left = conversation; // ended by the server, so that nobody stands in the queue twice
  if (left) tab.removeItem(slot(left.locale));
  conversation = null;
  operatorTypes = false;
  lastNumber = 0;
  lastSpeaker = "";
  outbox = [];
  parts.turns.replaceChildren();
  parts.outbox.replaceChildren();
  showState("bot", null);
  parts.text.focus();
  return begin(left);
}

function look() {
  looking = looking.then(lookNow); // one after the other, so that no older state overwrites a newer one
  return looking;
}

async function lookNow() {
  clearTimeout(timer);
  if (!conversation) return;
  const asked = conversation;
  const sent = outbox.filter((message) => message.stage === "sent");
  let pause = RELAXED;
  try {
    const seen = await call(`/${asked.id}/turns?after=${lastNumber}`);
    if (asked !== conversation) return;
    operatorTypes = seen.typing && seen.state === "operator";
    showState(seen.state, seen.position, seen.minutes); // first, as it changes how much room there is for what was said
    showTrouble(false);
    drawAll(seen.turns);
    sent.forEach(drop);
    showTyping();
    if (seen.state !== "bot") pause = WATCHFUL;
    deliver();
  } catch (error) {
    if (asked !== conversation) return;
    if (error.status === 403 || error.status === 404) { // the record no longer has it
      startOver();
      return;
    }
    showTrouble(true);
    pause = AGAIN;
  }
  clearTimeout(timer);
  if (state !== "closed" && !document.hidden) timer = setTimeout(look, pause);
}

// ---- saying something ----

function say(text, photo = null) {
  const message = { text, photo, key: newKey(), stage: "waiting", item: drawOutgoing(text) };
  outbox.push(message);
  scrollDown();
  deliver();
}

function sendPhotos(files) {
  for (const file of files) say(words.photo_sending.replace("{name}", file.name), file);
}

function photoForm(message) {
  const form = new FormData();
  form.append("photo", message.photo);
  form.append("key", message.key);
  return form;
}

function tellTyping() {
  const now = performance.now();
  if (!conversation || !withPerson(conversation) || !parts.text.value.trim() || now - toldTyping < TYPING_EVERY) return;
  toldTyping = now;
  call(`/${conversation.id}/typing`, {}).catch(() => {}); // nothing is lost without it
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (number) => number.toString(36)).join("-");
}

async function deliver() {
  if (delivering) return;
  delivering = true;
  let message;
  while (conversation && (message = outbox.find((one) => one.stage === "waiting"))) await post(message);
  delivering = false;
  showSending();
}

async function post(message) {
  const asked = conversation;
  message.stage = "sending";
  showSending();
  try {
    if (message.photo) await call(`/${asked.id}/photos`, photoForm(message));
    else await call(`/${asked.id}/messages`, { text: message.text, key: message.key });
    message.stage = "sent";
  } catch (error) {
    message.stage = "failed";
    if (outbox.includes(message)) showUndelivered(message, error);
  }
  if (asked === conversation) await look();
}

function showUndelivered(message, error) {
  const note = element("p", "undelivered", words.undelivered);
  note.setAttribute("role", "alert");
  const refused = error.status >= 400 && error.status < 500 && error.status !== 429;
  if (refused) {
    note.append(` ${error.told}`);
  } else {
    const retry = button("retry", words.retry, () => {
      note.remove();
      message.stage = "waiting"; // with the same key: what did arrive isn't said twice
      deliver();
    });
    retry.dataset.testid = "retry";
    note.append(" ", retry);
  }
  message.item.append(note);
  scrollDown();
}

function drop(message) {
  message.item.remove();
  outbox = outbox.filter((one) => one !== message);
}

// ---- drawing ----

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function button(className, label, press) {
  const made = element("button", className, label);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

function anchor(className, label, address) {
  const made = element("a", className, label);
  made.href = address;
  if (!address.startsWith("tel:")) {
    made.target = "_blank";
    made.rel = "noopener";
  }
  return made;
}

function drawAll(turns) {
  const fresh = turns.filter((turn) => turn.number > lastNumber);
  const items = fresh.map(draw);
  if (!items.length || lastNumber === 1) return follow(); // the greeting is read from its beginning
  const answer = fresh.findIndex((turn) => turn.speaker !== "citizen");
  if (following && fresh[0].number > 1 && answer >= 0) showFrom(items[answer]);
  else if (following || fresh[0].number === 1) scrollDown();
  follow();
}

function draw(turn) {
  lastNumber = turn.number;
  if (turn.speaker === "citizen") {
    const arrived = outbox.find((message) => (turn.photos.length ? message.photo : message.text === turn.text));
    if (arrived) drop(arrived);
  }
  for (const past of parts.turns.querySelectorAll(".choices")) past.remove();
  const item = turnItem(turn);
  parts.turns.append(item);
  lastSpeaker = turn.speaker;
  return item;
}

function turnItem(turn) {
  const item = element("li", `turn ${turn.speaker}`);
  item.dataset.testid = `turn-${turn.speaker}`;
  item.dataset.act = turn.act;
  if (words.speakers[turn.speaker]) item.append(nameLine(turn));
  const bubble = element("div", "bubble");
  if (turn.act === "danger") fillDanger(bubble, turn);
  else if (turn.act === "filed" || turn.act === "state") fillCase(bubble, turn);
  else if (turn.photos.length) fillPhotos(bubble, turn);
  else bubble.append(element("p", "words", turn.text));
  if (turn.sources.length) bubble.append(sourceList(turn.sources));
  item.append(bubble);
  if (turn.choices.length) item.append(choiceList(turn.choices.map((choice) => choice.label), "choice"));
  if (turn.number === 1 && words.examples.length) item.append(examples());
  return item;
}

function nameLine(turn) {
  const line = element("p", turn.speaker === lastSpeaker ? "who unseen" : "who");
  line.append(element("span", "speaker", words.speakers[turn.speaker]), " ");
  const time = element("time", "", CLOCK.format(new Date(turn.said_at)));
  time.dateTime = turn.said_at;
  line.append(time);
  return line;
}

const CLOCK = new Intl.DateTimeFormat("zh-CN", { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: "Asia/Shanghai" });

function fillDanger(bubble, turn) {
  bubble.classList.add("danger");
  bubble.append(element("p", "headline", words.danger), element("p", "words", turn.text));
  const calls = element("p", "pair");
  const numbers = (turn.text.match(/\d+/g) || []).filter((number) => EMERGENCY_NUMBERS.includes(number));
  for (const number of new Set(numbers)) {
    calls.append(anchor("emergency-call", words.call.replace("{number}", number), `tel:${number}`));
  }
  bubble.append(calls);
}

function fillCase(bubble, turn) {
  const [number] = turn.text.match(/\d{5}-\d{5}/) || [];
  if (number) {
    bubble.classList.add("filed");
    const line = element("p", "case");
    line.append(element("span", "soft", words.case_number), element("strong", "number", number));
    line.lastChild.dataset.testid = "case-number";
    bubble.append(line);
  }
  bubble.append(element("p", "words", turn.text));
  if (number) {
    const link = anchor("case-link", words.case_link, `/cases/${number}?lang=${LOCALE}`);
    link.dataset.testid = "case-link";
    bubble.append(link);
  }
}

function fillPhotos(bubble, turn) {
  bubble.classList.add("photos");
  for (const { name, url } of turn.photos) {
    const link = anchor("", "", url);
    const picture = element("img");
    Object.assign(picture, { src: url, alt: words.photo_alt.replace("{name}", name) });
    picture.dataset.testid = "photo";
    picture.addEventListener("load", () => following && scrollDown());
    link.append(picture);
    bubble.append(link);
  }
}

function sourceList(sources) {
  const box = element("div", "sources");
  box.dataset.testid = "sources";
  const list = element("ul");
  for (const source of sources) {
    const item = element("li");
    const web = /^https?:\/\//i.test(source.url || "");
    item.append(web ? anchor("", source.title, source.url) : element("span", "", source.title));
    item.append(element("span", "soft", [source.issuer, source.number].filter(Boolean).join(" · ")));
    list.append(item);
  }
  box.append(element("p", "soft", words.sources), list);
  return box;
}

function choiceList(labels, testid) {
  const list = element("div", "choices");
  for (const label of labels) {
    const choice = button("choice", label, () => {
      say(label);
      if (matchMedia("(hover: hover)").matches) parts.text.focus(); // where that opens no keyboard
    });
    choice.dataset.testid = testid;
    list.append(choice);
  }
  return list;
}

function examples() {
  const box = choiceList(words.examples, "example");
  box.classList.add("examples");
  box.prepend(element("p", "soft", words.examples_title));
  return box;
}

function drawOutgoing(text) {
  const item = element("li", "turn citizen outgoing");
  item.dataset.testid = "turn-outgoing";
  const bubble = element("div", "bubble");
  bubble.append(element("p", "words", text));
  item.append(bubble);
  parts.outbox.append(item);
  return item;
}

function showSending() {
  const sending = outbox.some((message) => message.stage !== "failed");
  page.classList.toggle("sending", sending || delivering);
  showTyping();
}

function showTyping() {
  const shown = (delivering && state === "bot") || operatorTypes;
  if (shown === !parts.typing.hidden) return;
  parts.typing.hidden = !shown;
  if (shown && following) scrollDown();
}

function queueWords(position, minutes) {
  const place = words.queue.replace("{position}", position);
  return [place, minutes ? words.wait.replace("{minutes}", minutes) : "", words.meanwhile].filter(Boolean).join(LOCALE === "en" ? " " : "");
}

function showState(now, position, minutes) {
  state = now;
  page.dataset.state = now;
  parts.status.textContent = words.states[now];
  parts.queue.hidden = now !== "waiting";
  parts.queue.textContent = now === "waiting" ? queueWords(position, minutes) : "";
  parts.ended.hidden = now !== "closed";
  parts.form.hidden = parts.shortcuts.hidden = now === "closed";
  parts.person.disabled = now !== "bot";
  if (conversation && conversation.state !== now) {
    conversation.state = now;
    remember();
  }
}

function showTrouble(there) {
  parts.trouble.hidden = !there;
}

function follow() {
  following = parts.said.scrollHeight - parts.said.scrollTop - parts.said.clientHeight < 60;
  parts.down.hidden = following;
}

function scrollDown() {
  parts.said.scrollTop = parts.said.scrollHeight;
}

function showFrom(item) {
  // A long answer is read from its beginning; a short one is at the end of the view anyway.
  parts.said.scrollTop += item.getBoundingClientRect().top - parts.said.getBoundingClientRect().top - 12;
}

// ---- speaking instead of typing, where the browser can put speech into words ----

const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
let listening = null;

function listen() {
  if (listening) {
    listening.stop();
    return;
  }
  const before = parts.text.value;
  listening = new Recognition();
  listening.lang = LOCALE === "en" ? "en-US" : "zh-CN";
  listening.interimResults = true;
  listening.addEventListener("result", (event) => {
    const heard = Array.from(event.results, (result) => result[0].transcript).join("");
    parts.text.value = (before + heard).slice(0, parts.text.maxLength); // to be read over, corrected and sent
    fieldChanged();
    tellTyping();
  });
  listening.addEventListener("error", (event) => {
    if (["not-allowed", "service-not-allowed", "audio-capture"].includes(event.error)) parts.voice.hidden = true;
  });
  listening.addEventListener("end", () => showListening(false));
  showListening(true);
  try {
    listening.start();
  } catch {
    showListening(false);
  }
}

function showListening(now) {
  if (!now) listening = null;
  parts.voice.setAttribute("aria-pressed", String(now));
  parts.voice.title = now ? words.voice_stop : words.voice;
  parts.voice.setAttribute("aria-label", parts.voice.title);
  if (!now) parts.text.focus();
}

// ---- the field and the buttons ----

function fieldChanged() {
  parts.text.style.height = "auto";
  parts.text.style.height = `${parts.text.scrollHeight + 3}px`; // its borders; the style sheet says how high at most
  const left = parts.text.maxLength - parts.text.value.length;
  parts.left.textContent = left <= COUNT_FROM ? words.left.replace("{count}", left) : "";
}

function sendField() {
  const text = parts.text.value.trim();
  if (!text) return;
  listening?.abort();
  parts.text.value = "";
  fieldChanged();
  say(text);
}

function enlarge(large) {
  document.documentElement.classList.toggle("large", large);
  parts.large.setAttribute("aria-pressed", String(large));
  browser.setItem("line-large", large ? "yes" : "");
  fieldChanged();
  if (following && lastNumber > 1) scrollDown();
}

function fitToKeyboard() {
  // Safari lays its keyboard over the page and scrolls it away; other browsers make the page itself lower.
  const view = window.visualViewport;
  if (view.scale > 1) return; // the reader has zoomed in
  page.style.setProperty("--seen", `${view.height}px`);
  window.scrollTo(0, 0);
}

parts.form.addEventListener("submit", (event) => {
  event.preventDefault();
  sendField();
});
parts.text.addEventListener("input", fieldChanged);
parts.text.addEventListener("input", tellTyping);
parts.text.addEventListener("paste", (event) => {
  const pictures = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return;
  event.preventDefault();
  sendPhotos(pictures);
});
parts.photo.addEventListener("click", () => parts.file.click());
parts.file.addEventListener("change", () => {
  sendPhotos(parts.file.files);
  parts.file.value = ""; // so that the same one can be chosen again
});
parts.voice.hidden = !Recognition;
parts.voice.addEventListener("click", listen);
parts.text.addEventListener("keydown", (event) => {
  const composing = event.isComposing || event.keyCode === 229; // Enter that ends a word of a Chinese keyboard
  if (event.key !== "Enter" || event.shiftKey || composing) return;
  event.preventDefault();
  sendField();
});
parts.said.addEventListener("scroll", follow);
parts.down.addEventListener("click", scrollDown);
new ResizeObserver(() => following && scrollDown()).observe(parts.said);
parts.person.addEventListener("click", () => say(words.person));
parts.large.addEventListener("click", () => enlarge(parts.large.getAttribute("aria-pressed") !== "true"));
parts.restart.addEventListener("click", () => (withPerson(conversation) ? parts.ask.showModal() : startOver()));
parts.again.addEventListener("click", startOver);
parts.stay.addEventListener("click", () => parts.ask.close());
parts.leave.addEventListener("click", () => {
  parts.ask.close();
  startOver();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
window.addEventListener("online", look);
if (window.visualViewport) window.visualViewport.addEventListener("resize", fitToKeyboard);
if (FRAMED) {
  document.documentElement.classList.add("framed");
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !parts.ask.open) window.parent.postMessage("line-chat:close", "*");
  });
}

async function start() {
  const borrowed = borrow();
  if (FRAMED) window.parent.postMessage("line-chat:ready", "*");
  await borrowed;
  enlarge(browser.getItem("line-large") === "yes");
  conversation = remembered();
  if (conversation) look();
  else begin();
}

start();
