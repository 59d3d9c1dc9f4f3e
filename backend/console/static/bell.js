// That somebody is offered is heard, where the operator wants it, and seen on the tab. A browser lets a page make a sound only once
// somebody has touched it: until then the button says so.
"use strict";

const AGAIN = 5000; // ms, for as long as nobody has answered
const button = document.getElementById("bell");
const key = `bell ${document.body.dataset.me}`; // each person's own, at a desk that several share
const isOn = () => localStorage.getItem(key) === "on";

let audio = null;
const wake = () => {
  if (!isOn()) return;
  audio ??= new AudioContext();
  audio.resume().then(showBell);
};
const showBell = () => {
  if (!button) return;
  button.setAttribute("aria-pressed", String(isOn()));
  button.textContent = isOn() && audio?.state !== "running" ? button.dataset.asleep : button.dataset.words;
};

// Two falling notes, half a second.
const ring = () => {
  if (!isOn() || audio?.state !== "running") return;
  for (const [note, frequency] of [880, 660].entries()) {
    const tone = new OscillatorNode(audio, { frequency });
    const loudness = new GainNode(audio, { gain: 0.2 });
    const begins = audio.currentTime + 0.25 * note;
    loudness.gain.setTargetAtTime(0, begins + 0.05, 0.06);
    tone.connect(loudness).connect(audio.destination);
    tone.start(begins);
    tone.stop(begins + 0.25);
  }
};

button?.addEventListener("click", () => {
  localStorage.setItem(key, isOn() ? "off" : "on");
  wake();
  ring();
  showBell();
});
for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, wake);
wake();
showBell();

// --- the tab --------------------------------------------------------------------------------------------------------

const offers = document.getElementById("offers");
const icon = document.querySelector('link[rel="icon"]');
let rung = 0;
const tell = () => {
  const offered = offers.querySelectorAll("[data-testid=offer]").length;
  icon.href = offered ? icon.dataset.offered : icon.dataset.calm;
  tellTitle(offered ? `(${offered}) ${offers.dataset.title}` : "");
  if (offered && !rung) {
    ring();
    rung = setInterval(ring, AGAIN);
  } else if (!offered) {
    clearInterval(rung);
    rung = 0;
  }
};
new MutationObserver(tell).observe(offers, { childList: true, subtree: true });
tell();
