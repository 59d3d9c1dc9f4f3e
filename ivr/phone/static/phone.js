// The practice phone's page: a window of the practice exchange, where the calls live. This shows what happens and sends what
// the person does. One act at a time; between acts it looks whether the other side has done something.
"use strict";

const texts = JSON.parse(document.getElementById("texts").textContent);
const { windows, session: sessionUrl, noise: noiseUrl, address: ownAddress } = document.getElementById("phone").dataset;
const find = (id) => document.getElementById(id);

const MUSIC_SECONDS = 5; // how long a round of waiting music is taken to last
const LOOK_SECONDS = 1; // how often the window looks for what the other side did
const NOISY_SHARE = 0.25; // of what is said and sent, when noise is on

const call = { address: ownAddress, last: 0, status: "new", position: null, shown: undefined, listenSeconds: 5, since: 0 };
let steps = Promise.resolve(); // the acts under way, one after the other
let timer = null; // of what happens when the person does nothing
let keysEntry = null; // the transcript's entry that collects keys

// ---- acts

function step(input) {
  clearTimeout(timer);
  steps = steps.then(() => send(input)).catch(fail);
  return steps;
}

function fail(error) {
  note(fill(texts.failed, { message: error.message }), "fault");
}

async function send(input) {
  const answer = await ask(`${windows}${encodeURIComponent(call.address)}`, { ...input, after: call.last });
  if (answer.repeated !== undefined) {
    find("repeated").textContent = `${texts.repeat_done}\n${answer.repeated}`;
    find("repeated").hidden = false;
  }
  take(answer, true);
}

async function ask(url, body) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(url, body === undefined ? {} : post);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message || `HTTP ${response.status}`);
  return answer;
}

// What was heard since the last time, and when to go on if the person does nothing.
function take(answer, acted) {
  call.last = answer.last;
  call.position = answer.queue_position;
  answer.events.forEach(show);
  setStatus(answer.status);
  if (!acted && answer.events.length === 0) return;
  clearTimeout(timer);
  timer = setTimeout(goOn, nextAfter(answer.events) * 1000, nextInput());
}

function look() {
  steps = steps.then(async () => {
    take(await ask(`${windows}${encodeURIComponent(call.address)}?after=${call.last}`), false);
  }).catch(() => {}); // the next look may succeed
  return steps;
}

// What happens by itself: pauses end, music goes on, keys are taken after a silence.
function nextInput() {
  if (call.status === "listening" && keysEntry !== null) return "silence";
  if (call.status === "listening") return call.position !== null ? "wait" : null;
  return ["paused", "queued"].includes(call.status) ? "wait" : null;
}

function nextAfter(events) {
  if (call.status === "listening") return call.listenSeconds;
  const pauses = events.filter((event) => event.type === "pause");
  return pauses.length ? pauses.at(-1).seconds : MUSIC_SECONDS;
}

function goOn(type) {
  if (type === null) return;
  if (speech() && speech().speaking) {
    timer = setTimeout(goOn, 500, type);
  } else {
    step({ type });
  }
}

// What the caller does breaks off what is being read aloud, as on the line.
function act(input) {
  if (speech()) speech().cancel();
  return step(input);
}

// ---- what happens

function show(event) {
  if (event.type !== "keys") keysEntry = null;
  switch (event.type) {
    case "say": entry("line", event.text); readAloud(event); break;
    case "play": note(`♪ ${event.digits || texts.music}`); break;
    case "pause": if (event.seconds > 1) note(fill(texts.pause, event)); break;
    case "listening": call.listenSeconds = event.timeout; break;
    case "recording": call.since = Date.now(); note(`● ${texts.beep}`); break;
    case "dialling": note(fill(texts.dialling_to, event)); break;
    case "connected": note(texts.connected); break;
    case "ringing": begin(); note(fill(texts.ringing_from, event)); break;
    case "heard": entry("line", fill(texts.heard, event) + event.text); break;
    case "heard_keys": note(fill(texts.heard_keys, event)); break;
    case "message": note(fill(texts.message, event)); break;
    case "on_hold": note(texts.on_hold); break;
    case "off_hold": note(texts.off_hold); break;
    case "not_heard": note(texts.not_heard); break;
    case "hung_up": note(texts.hung_up[event.reason]); break;
    case "error": note(fill(texts.error, event), "fault"); break;
  }
}

function setStatus(status) {
  if (status === call.status && call.position === call.shown) return; // so that nothing is read aloud twice
  call.status = status;
  call.shown = call.position;
  const over = status === "ended" || status === "new";
  const shown = call.position !== null && status === "listening" ? "queued" : status;
  find("status").textContent = fill(texts.status[shown], { position: call.position });
  find("status").dataset.status = shown;
  const rings = status === "ringing";
  find("call").hidden = !over || find("caller") === null;
  find("hangup").hidden = over || rings;
  find("answer").hidden = find("decline").hidden = !rings;
  find("finish-recording").hidden = status !== "recording";
  if (find("caller")) find("caller").disabled = !over;
  for (const id of ["words", "send", "microphone", "silence"]) find(id).disabled = over || rings;
  for (const key of document.querySelectorAll(".key")) key.disabled = over || rings;
  find("repeat").disabled = over || rings;
}

function entry(who, text) {
  const item = document.createElement("li");
  item.className = who;
  if (who === "me" || who === "line") {
    const name = document.createElement("span");
    name.className = "unseen";
    name.textContent = `${who === "me" ? texts.you : texts.line}: `;
    item.append(name);
  }
  item.append(text);
  find("empty").hidden = true;
  find("lines").append(item);
  find("transcript").scrollTop = find("transcript").scrollHeight;
  return item;
}

function note(text, kind = "") {
  entry(`note ${kind}`.trim(), text);
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// ---- reading aloud and the microphone, where the browser has them

function speech() {
  return window.speechSynthesis;
}

function browserLanguage(language) {
  return !language || language.startsWith("cmn") ? "zh-CN" : language;
}

function readAloud(event) {
  if (!speech() || find("read-aloud").getAttribute("aria-pressed") !== "true") return;
  const utterance = new SpeechSynthesisUtterance(event.text);
  utterance.lang = browserLanguage(event.language);
  speech().speak(utterance);
}

function makeMicrophone() {
  const Recognition = window.SpeechRecognition || window.webkitSpeechRecognition;
  if (!Recognition) return;
  const button = find("microphone");
  const recognition = new Recognition();
  recognition.lang = "zh-CN";
  const listen = (on) => {
    button.setAttribute("aria-pressed", String(on));
    find("words").placeholder = on ? texts.microphone_listening : texts.say_hint;
  };
  recognition.onstart = () => listen(true);
  recognition.onend = () => listen(false);
  recognition.onresult = (event) => {
    const { transcript, confidence } = event.results[0][0];
    say(transcript, confidence || 0.9);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-pressed") === "true") return recognition.stop();
    if (speech()) speech().cancel(); // or it would hear the line's own voice
    recognition.start();
  });
}

// ---- what the caller does

function say(text, confidence = 0.9) {
  keysEntry = null;
  entry("me", text);
  act({ type: "speak", text, confidence });
}

// A call begins: what was said in the last one is put away.
function begin() {
  find("lines").replaceChildren();
  find("repeated").hidden = true;
}

find("call").addEventListener("click", async () => {
  if (call.address !== find("caller").value.trim()) {
    call.address = find("caller").value.trim();
    await catchUp();
  }
  begin();
  act({ type: "dial" });
  if (matchMedia("(pointer: fine)").matches) find("words").focus();
});

find("answer").addEventListener("click", () => act({ type: "answer" }));
find("decline").addEventListener("click", () => act({ type: "decline" }));

find("hangup").addEventListener("click", async () => {
  await act({ type: "hang_up" });
  find("call").focus();
});

find("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("words").value.trim();
  if (!text) return;
  find("words").value = "";
  say(text);
});

find("silence").addEventListener("click", () => {
  note(texts.silent);
  act({ type: "silence" });
});

find("finish-recording").addEventListener("click", () => {
  const seconds = Math.min(300, Math.max(1, Math.round((Date.now() - call.since) / 1000)));
  note(fill(texts.recorded, { seconds }));
  act({ type: "finish_recording", seconds });
});

find("noise").addEventListener("change", () => {
  const share = find("noise").checked ? NOISY_SHARE : 0;
  fetch(noiseUrl, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ seed: Math.floor(Math.random() * 1e6), share }),
  }).catch(fail);
});

find("session").addEventListener("change", async () => {
  const [file] = find("session").files;
  if (!file) return;
  const body = await file.text();
  begin();
  await fetch(sessionUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body })
    .then((response) => { if (!response.ok) throw new Error(`HTTP ${response.status}`); })
    .catch(fail);
  find("session").value = "";
});

find("repeat").addEventListener("click", () => step({ type: "repeat" }));

for (const key of document.querySelectorAll(".key")) {
  key.addEventListener("click", () => {
    keysEntry ??= entry("me", `${texts.pressed} `);
    keysEntry.append(key.dataset.key);
    act({ type: "press", digits: key.dataset.key });
  });
}

if (speech()) {
  find("read-aloud").hidden = false;
  find("read-aloud").addEventListener("click", () => {
    const on = find("read-aloud").getAttribute("aria-pressed") !== "true";
    find("read-aloud").setAttribute("aria-pressed", String(on));
    if (!on) speech().cancel();
  });
}

// A window that is opened again shows the call under way, not those before it.
async function catchUp() {
  const answer = await ask(`${windows}${encodeURIComponent(call.address)}`);
  if (["new", "ended"].includes(answer.status)) answer.events = [];
  take(answer, false);
}

makeMicrophone();
setStatus("new");
steps = catchUp().catch(fail).then(() => { setInterval(look, LOOK_SECONDS * 1000); });
