// The operator's telephone in the browser: Twilio's Voice SDK with four buttons.
"use strict";

const shown = document.getElementById("softphone");
const button = Object.fromEntries(
  ["start", "answer", "mute", "hang-up"].map((name) => [name, document.getElementById(`softphone-${name}`)]),
);
let device = null;
let call = null;

const show = (state) => {
  shown.textContent = shown.dataset[state];
  shown.dataset.state = state;
  const inCall = state === "talking" || state === "muted";
  button.start.hidden = state !== "off" && state !== "failed";
  button.answer.hidden = state !== "ringing";
  button.mute.hidden = !inCall;
  button["hang-up"].hidden = !inCall && state !== "ringing";
  button.mute.setAttribute("aria-pressed", String(state === "muted"));
};

const token = async () => {
  const response = await fetch(shown.dataset.token, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(response.status);
  return (await response.json()).token;
};

const over = () => {
  call = null;
  show(device?.state === "registered" ? "ready" : "off");
};

const ring = (incoming) => {
  call = incoming;
  for (const event of ["cancel", "disconnect", "reject", "error"]) call.on(event, over);
  call.on("accept", () => show("talking"));
  call.on("mute", (muted) => show(muted ? "muted" : "talking"));
  show("ringing");
};

button.start.addEventListener("click", async () => {
  try {
    device?.destroy();
    device = new Twilio.Device(await token(), { closeProtection: true });
    device.on("registered", () => { if (!call) show("ready"); });
    device.on("unregistered", () => { if (!call) show("off"); });
    device.on("error", () => { if (!call) show("failed"); });
    device.on("incoming", ring);
    device.on("tokenWillExpire", async () => device.updateToken(await token()));
    await device.register();
  } catch {
    show("failed");
  }
});
button.answer.addEventListener("click", () => call?.accept());
button.mute.addEventListener("click", () => call?.mute(!call.isMuted()));
button["hang-up"].addEventListener("click", () => {
  if (shown.dataset.state === "ringing") call?.reject();
  else call?.disconnect();
});
