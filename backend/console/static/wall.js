// Keeps the screen in the hall up to date: asks for everything every few seconds and puts it where it belongs. It makes no more
// nodes than are shown, waits longer after failures, and says since when what it shows is old. It never needs a reload. The
// time is the server's: a screen's own clock may be wrong, or be set while it runs, so between answers only time that has
// passed is added.
"use strict";

const EVERY = 10_000; // ms
const LONGEST = 60_000; // ms between tries while the line can't be reached
const GIVE_UP = 20_000; // ms for one answer
const STALE = 60_000; // ms after which what is shown is called old
const COUNTED_EVERY = 120_000; // ms; the counts are brought up to date every minute
const REFUSED = [401, 403]; // the screen's link was ended, or nobody is logged in any more

const english = document.documentElement.lang === "en";
const zone = { timeZone: "Asia/Shanghai", hour12: false };
const time = new Intl.DateTimeFormat(english ? "en-GB" : "zh-CN", { ...zone, month: "numeric", day: "numeric", weekday: "short", hour: "2-digit", minute: "2-digit" });
const trend = document.getElementById("trend");
const chart = echarts.init(trend, null, { renderer: "canvas" });
let ahead = Date.now() - performance.now(); // ms from the page's own counting to the server's time
let freshest = 0; // ms, the server's time of what is shown
let failures = 0;
const now = () => performance.now() + ahead;

const whole = new Intl.NumberFormat("en-US");
const shown = (value, as) => {
  if (value === null || value === undefined) return "—";
  if (as === "percent") return `${(value * 100).toFixed(value >= 0.9995 ? 0 : 1)}%`;
  if (as === "share") return `${Math.round(value * 100)}%`;
  if (as === "days" && value === 0) return "<1";
  return typeof value === "number" ? whole.format(value) : value;
};
const at = (data, path) => path.split(".").reduce((part, name) => part?.[name], data);

const fillRows = (name, rows) => {
  const list = document.querySelector(`[data-rows="${name}"]`);
  const template = document.querySelector(`template[data-row="${name}"]`);
  const none = document.querySelector(`[data-none="${name}"]`);
  if (none) none.hidden = rows.length > 0;
  while (list.children.length > rows.length) list.lastElementChild.remove();
  while (list.children.length < rows.length) list.append(template.content.firstElementChild.cloneNode(true));
  rows.forEach((row, place) => {
    const item = list.children[place];
    for (const cell of [item, ...item.querySelectorAll("[data-cell]")]) {
      if (!cell.dataset.cell) continue;
      if (cell.dataset.as === "meter") {
        cell.max = rows[0].share || 1;
        cell.value = row.share || 0;
      } else cell.textContent = shown(row[cell.dataset.cell], cell.dataset.as);
    }
  });
};

const heat = (districts) => {
  const most = Math.max(1, ...districts.map((one) => one.filed));
  [...document.querySelectorAll('[data-rows="districts"] li')].forEach((item, place) => {
    const share = districts[place].filed / most;
    item.className = share > 0.66 ? "heat-2" : share > 0.33 ? "heat-1" : "";
  });
};

const draw = (days) => {
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const text = { color: "#a8bccf", fontSize: size * 1.15, margin: size / 2 };
  const line = (name, key, color) => ({ name, type: "line", showSymbol: false, color, lineStyle: { width: size / 5 }, data: days.map((one) => one[key]) });
  chart.setOption({
    animation: false,
    grid: { left: size / 2, right: size, top: size * 2, bottom: 0, containLabel: true },
    legend: { top: 0, right: 0, itemWidth: size * 1.5, itemHeight: size * 0.8, textStyle: { ...text, color: "#eef4fa" } },
    xAxis: { type: "category", data: days.map((one) => one.day.slice(5)), axisLabel: text },
    yAxis: { type: "value", axisLabel: text, splitLine: { lineStyle: { color: "#26394d" } }, splitNumber: 3 },
    series: [line(trend.dataset.filed, "filed", "#6fb6ff"), line(trend.dataset.ended, "ended", "#5fd39a")],
  });
};

const show = (data) => {
  for (const cell of document.querySelectorAll("[data-of]")) cell.textContent = shown(at(data, cell.dataset.of), cell.dataset.as);
  for (const name of ["issues", "districts", "agencies", "overdue", "words", "alerts"]) fillRows(name, data[name]);
  heat(data.districts);
  draw(data.trend);
  const note = document.getElementById("rebuilding");
  note.hidden = !data.rebuilding;
  note.querySelector("b").textContent = data.rebuilding;
};

const ask = async () => {
  try {
    const answer = await fetch(document.body.dataset.source, { signal: AbortSignal.timeout(GIVE_UP), cache: "no-store" });
    document.getElementById("refused").hidden = !REFUSED.includes(answer.status);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const data = await answer.json();
    ahead = Date.parse(data.at) - performance.now();
    freshest = Math.min(Date.parse(data.at), Date.parse(data.counted_at ?? data.at) + COUNTED_EVERY);
    show(data);
    tick();
    failures = 0;
    document.body.dataset.shown = "yes";
  } catch (fault) {
    console.warn(fault);
    failures += 1;
  }
  setTimeout(ask, failures ? Math.min(EVERY * 2 ** (failures - 1), LONGEST) : EVERY);
};

const tick = () => {
  document.getElementById("clock").textContent = time.format(now());
  const stale = document.getElementById("stale");
  stale.hidden = !freshest || now() - freshest < STALE;
  if (!stale.hidden) stale.querySelector("b").textContent = time.format(freshest);
};

addEventListener("resize", () => chart.resize());
setInterval(tick, 1000);
tick();
ask();
