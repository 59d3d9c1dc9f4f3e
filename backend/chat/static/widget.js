// The chat on the city's own sites: <script src="https://…/widget.js" data-lang="zh" async></script>
// A button in the corner opens /chat in a panel. Nothing is loaded before that, and the site's styles and the panel's
// don't reach each other.
(() => {
  "use strict";
  const script = document.currentScript || document.querySelector('script[src*="/widget.js"]');
  const origin = new URL(script.src, location.href).origin;
  const lang = script.dataset.lang === "en" ? "en" : "zh";
  const words = {
    zh: { open: "12345 在线服务", close: "关闭", title: "12345 政务服务热线在线对话" },
    en: { open: "Ask 12345", close: "Close", title: "Chat with the 12345 civic line" },
  }[lang];

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

  function build() {
    const host = document.createElement("div");
    const root = host.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet(); // not a <style>, which the site's own policy may forbid
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];

    const open = element("button", { className: "open", type: "button" }, [
      icon("M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z"),
      words.open,
    ]);
    const close = element("button", { className: "close", type: "button" }, [icon("M6 6l12 12M18 6L6 18")]);
    const bar = element("div", { className: "bar" }, [element("span", { textContent: words.open }), close]);
    const panel = element("div", { className: "panel", hidden: true }, [bar]);
    const frame = element("iframe", { title: words.title });
    open.setAttribute("aria-haspopup", "dialog");
    open.setAttribute("aria-expanded", "false");
    close.setAttribute("aria-label", words.close);
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", words.title);

    function show(shown) {
      if (shown && !frame.isConnected) {
        frame.src = `${origin}/chat?lang=${lang}`;
        panel.append(frame);
      }
      panel.hidden = !shown;
      open.hidden = shown;
      open.setAttribute("aria-expanded", String(shown));
      (shown ? frame : open).focus();
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
    });
    root.append(open, panel);
    document.body.append(host);
  }

  if (document.body) build();
  else document.addEventListener("DOMContentLoaded", build, { once: true });
})();
