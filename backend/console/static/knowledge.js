// The editors' pages: rows for sources, and the spoken answer read aloud by the browser's own voice.
"use strict";

const find = (id) => document.getElementById(id);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-add-source]")) {
    find("sources").append(find("source-template").content.cloneNode(true));
    find("sources").lastElementChild.querySelector("input").focus();
  }
  const remove = event.target.closest("[data-remove-source]");
  if (remove) {
    const form = remove.form;
    remove.closest("[data-source-row]").remove();
    form.dispatchEvent(new Event("input", { bubbles: true })); // so that the preview follows
  }
});

// What was told of a field was about what stood there before.
document.addEventListener("input", (event) => {
  const { name } = event.target;
  const told = name && find(`told-${name.startsWith("source_") ? "sources" : name}`);
  if (!told) return;
  told.hidden = true;
  event.target.removeAttribute("aria-invalid");
});

// --- how it sounds --------------------------------------------------------------------------------------------------

const play = find("play");
const spoken = () => find("spoken")?.textContent.trim() ?? "";

const read = (text) => {
  const voice = globalThis.speechSynthesis?.getVoices().find((one) => one.lang.replace("_", "-").startsWith("zh"));
  if (!voice) {
    play.textContent = play.dataset.none;
    play.disabled = true;
    return;
  }
  const begun = performance.now();
  const words = new SpeechSynthesisUtterance(text);
  words.voice = voice;
  words.lang = voice.lang;
  words.onend = () => {
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    find("length").textContent = find("length").dataset.say.replace("{seconds}", seconds);
  };
  speechSynthesis.cancel();
  speechSynthesis.speak(words);
};

play?.addEventListener("click", () => read(spoken()));
globalThis.speechSynthesis?.getVoices(); // asked once, so that the list is there when the button is pressed
