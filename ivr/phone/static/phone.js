// The practice phone's page. The call itself runs on the server; this shows what happens and sends what the
// caller does. One step at a time: each answer brings the state that the next step needs.
"use strict";

const texts = JSON.parse(document.getElementById("texts").textContent);
const stepUrl = document.getElementById("phone").dataset.step;
const find = (id) => document.getElementById(id);

const MUSIC_SECONDS = 5; // how long a round of waiting music is taken to last
const RING_SECONDS = 2; // how long another phone rings before it is answered

const call = { state: null, status: "new", position: null, listenSeconds: 5, since: 0 };
let steps = Promise.resolve(); // the steps under way, one after the other
let timer = null; // of what happens when the caller does nothing
let keysEntry = null; // the transcript's entry that collects keys

// ---- steps

function step(input) {
  clearTimeout(timer);
  steps = steps.then(() => send(input)).catch((error) => {
    note(fill(texts.failed, { message: error.message }), "fault");
    setStatus("ended");
  });
  return steps;
}

async function send(input) {
  if (call.state === null && input.type !== "start") return;
  const response = await fetch(stepUrl, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ state: call.state, input }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message || `HTTP ${response.status}`);
  call.state = answer.state;
  call.position = answer.call.queue_position;
  if (answer.repeated !== undefined) {
    find("answer").textContent = `${texts.repeat_done}\n${answer.repeated}`;
    find("answer").hidden = false;
  }
  answer.events.forEach(show);
  setStatus(answer.call.status);
  timer = setTimeout(goOn, nextAfter(answer.events) * 1000, nextInput());
}

// What happens by itself: pauses end, music goes on, phones are answered, keys are taken after a silence.
function nextInput() {
  if (call.status === "listening" && keysEntry !== null) return "silence";
  if (call.status === "listening") return call.position !== null ? "wait" : null;
  return ["paused", "queued", "dialling"].includes(call.status) ? "wait" : null;
}

function nextAfter(events) {
  if (call.status === "listening") return call.listenSeconds;
  if (call.status === "dialling") return RING_SECONDS;
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
    case "not_heard": note(texts.not_heard); break;
    case "hung_up": note(texts.hung_up[event.reason]); break;
    case "error": note(fill(texts.error, event), "fault"); break;
  }
}

function setStatus(status) {
  call.status = status;
  const over = status === "ended" || status === "new";
  const shown = call.position !== null && status === "listening" ? "queued" : status;
  find("status").textContent = fill(texts.status[shown], { position: call.position });
  find("status").dataset.status = shown;
  find("call").hidden = !over;
  find("hangup").hidden = over;
  find("finish-recording").hidden = status !== "recording";
  find("other-hangs-up").hidden = status !== "connected";
  find("caller").disabled = !over;
  for (const id of ["words", "send", "microphone", "silence"]) find(id).disabled = over;
  for (const key of document.querySelectorAll(".key")) key.disabled = over;
  find("repeat").disabled = call.state === null;
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
  find("transcript").append(item);
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

find("call").addEventListener("click", () => {
  call.state = null;
  call.position = null;
  find("transcript").replaceChildren();
  find("answer").hidden = true;
  setStatus("ringing");
  act({ type: "start", from: find("caller").value.trim() });
  if (matchMedia("(pointer: fine)").matches) find("words").focus();
});

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

find("other-hangs-up").addEventListener("click", () => act({ type: "other_side_hangs_up" }));
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

makeMicrophone();
setStatus("new");
