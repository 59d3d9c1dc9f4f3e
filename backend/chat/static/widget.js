// The chat on the city's own sites: <script src="https://…/widget.js" data-lang="zh" async></script>
// A button in the corner opens /chat in a panel. Nothing is loaded before that, the site's styles and the panel's don't
// reach each other, and no global name is taken. A panel that was open is open again on the site's next page.
(() => {
  "use strict";
  const script = document.currentScript || document.querySelector('script[src*="/widget.js"]');
  const origin = new URL(script.src, location.href).origin;
  const lang = script.dataset.lang === "en" ? "en" : "zh";
  const words = {
    zh: { open: "12345 在线服务", close: "关闭", title: "12345 政务服务热线在线对话",
      down: "在线服务暂时连不上。急事请直接拨打 12345，或稍后再试。", call: "拨打 12345", again: "再试一次" },
    en: { open: "Ask 12345", close: "Close", title: "Chat with the 12345 civic line",
      down: "The chat can't be reached just now. Please call 12345, or try again later.", call: "Call 12345", again: "Try again" },
  }[lang];
  const PATIENCE = 15000; // milliseconds in which the chat page must have said that it is there
  const [OPEN, CHAT] = ["line-chat-open", "line-chat"]; // in the site's session storage, for this tab

  const STYLE = `
    :host { all: initial; }
    * { box-sizing: border-box; }
    button { font: 600 16px/1.2 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; cursor: pointer; border: 0; }
    button:focus-visible { outline: 3px solid #fff; outline-offset: -5px; box-shadow: 0 0 0 3px #0b5cad; }
    svg { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
    .open, .panel { position: fixed; right: 20px; bottom: 20px; z-index: 2147483000; }
    .open { display: flex; align-items: center; gap: 10px; min-height: 52px; padding: 14px 22px 14px 18px;
      border-radius: 999px; background: #0b5cad; color: #fff; box-shadow: 0 6px 24px rgb(10 30 60 / 35%); }
    .open:hover { background: #094c90; }
    .panel { display: flex; flex-direction: column; overflow: hidden; width: 400px; height: min(680px, calc(100vh - 40px));
      border-radius: 16px; background: #0b5cad; box-shadow: 0 12px 48px rgb(10 30 60 / 40%); }
    .bar { display: flex; align-items: center; justify-content: space-between; padding: 4px 4px 4px 16px; color: #fff;
      font: 600 15px/1.2 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
    .close { display: grid; place-items: center; width: 44px; height: 44px; border-radius: 12px; background: none; color: #fff; }
    .close:hover { background: rgb(255 255 255 / 15%); }
    .down { flex: 1; display: grid; place-content: center; gap: 16px; padding: 32px; background: #fff; color: #16202b; text-align: center;
      font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", sans-serif; }
    .down p { margin: 0; }
    .down a, .down button { display: block; padding: 12px 20px; border: 1.5px solid #0b5cad; border-radius: 12px; background: #fff; color: #0b5cad;
      font: inherit; font-weight: 600; text-decoration: none; }
    .down a { background: #0b5cad; color: #fff; }
    .down button:focus-visible, .down a:focus-visible { outline: 3px solid #0b5cad; outline-offset: 2px; box-shadow: none; }
    iframe { flex: 1; width: 100%; border: 0; background: #fff; }
    [hidden] { display: none; }
    @media (max-width: 520px) {
      .panel { inset: 0; width: 100%; height: 100%; border-radius: 0; }
    }
    @media print { .open, .panel { display: none; } }`;

  function element(tag, properties, children = []) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function icon(path) {
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    drawing.setAttribute("viewBox", "0 0 24 24");
    drawing.setAttribute("aria-hidden", "true");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    drawing.append(line);
    return drawing;
  }

  function dress(root) {
    try {
      const style = new CSSStyleSheet(); // not a <style>, which the site's own policy may forbid
      style.replaceSync(STYLE);
      root.adoptedStyleSheets = [style];
    } catch { // Safari before 16.4
      root.append(element("style", { textContent: STYLE }));
    }
  }

  function kept(name, value) {
    try { // a browser may forbid it
      if (value !== undefined) sessionStorage.setItem(name, value);
      return sessionStorage.getItem(name) || "";
    } catch {
      return ""; // then the panel is closed on the next page, and a new chat begins
    }
  }

  function build() {
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "open" });
    dress(root);

    const open = element("button", { className: "open", type: "button" }, [
      icon("M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z"),
      words.open,
    ]);
    const close = element("button", { className: "close", type: "button" }, [icon("M6 6l12 12M18 6L6 18")]);
    const bar = element("div", { className: "bar" }, [element("span", { textContent: words.open }), close]);
    const panel = element("div", { className: "panel", hidden: true }, [bar]);
    const frame = element("iframe", { title: words.title, allow: "microphone" });
    const again = element("button", { type: "button", textContent: words.again });
    const call = element("a", { href: "tel:12345", textContent: words.call });
    const down = element("div", { className: "down", hidden: true }, [element("p", { textContent: words.down }), call, again]);
    let alarm = 0;
    open.setAttribute("aria-haspopup", "dialog");
    open.setAttribute("aria-expanded", "false");
    close.setAttribute("aria-label", words.close);
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", words.title);

    function load() {
      frame.src = `${origin}/chat?lang=${lang}`;
      panel.append(frame, down);
      tellDown(false);
      alarm = setTimeout(tellDown, PATIENCE, true); // a frame that could not be loaded tells nobody so
    }

    function tellDown(isDown) {
      clearTimeout(alarm);
      down.hidden = !isDown;
      frame.hidden = isDown;
      if (isDown) down.setAttribute("role", "alert");
    }

    function show(shown, focus = true) {
      if (shown && !frame.isConnected) load();
      panel.hidden = !shown;
      open.hidden = shown;
      open.setAttribute("aria-expanded", String(shown));
      kept(OPEN, shown ? "yes" : "");
      if (focus) (shown ? frame : open).focus();
    }

    function hide() {
      if (!panel.hidden) show(false);
    }

    open.addEventListener("click", () => show(true));
    close.addEventListener("click", hide);
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    window.addEventListener("message", (event) => {
      // Escape inside the frame isn't seen out here; the chat page tells of it.
      const ours = event.origin === origin && event.source === frame.contentWindow;
      if (ours && event.data === "line-chat:close") hide();
      if (ours && event.data === "line-chat:ready") {
        tellDown(false);
        frame.contentWindow.postMessage({ keep: CHAT, kept: kept(CHAT) }, origin);
      }
      if (ours && event.data?.keep === CHAT) kept(CHAT, event.data.kept); // where the frame may keep nothing itself
    });
    again.addEventListener("click", load);
    root.append(open, panel);
    document.body.append(host);
    if (kept(OPEN)) show(true, false); // without taking the focus from the page
  }

  if (document.body) build();
  else document.addEventListener("DOMContentLoaded", build, { once: true });
})();
