// Draws the charts of the analyst's page from the tables beside them, so that both always say the same.
"use strict";

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const number = (cell) => Number(cell.textContent.replace(/[^\d.-]/g, "")) || 0;

const read = (table) => {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells]);
  return { heads, rows };
};

const lines = ({ heads, rows }) => ({
  xAxis: { type: "category", data: rows.map((row) => row[0].textContent.trim()), axisLabel: { color: colour("--ink-soft") } },
  yAxis: { type: "value", minInterval: 1, axisLabel: { color: colour("--ink-soft") }, splitLine: { lineStyle: { color: colour("--line") } } },
  legend: { top: 0, textStyle: { color: colour("--ink") } },
  series: heads.slice(1).map((name, place) => ({
    name, type: "line", showSymbol: rows.length < 32, data: rows.map((row) => number(row[place + 1])),
    lineStyle: { type: place === 2 ? "dashed" : "solid", width: 2 },
  })),
});

const bars = ({ heads, rows }) => {
  const shown = rows.slice(0, 15).reverse();
  return {
    xAxis: { type: "value", minInterval: 1, axisLabel: { color: colour("--ink-soft") }, splitLine: { lineStyle: { color: colour("--line") } } },
    yAxis: { type: "category", data: shown.map((row) => row[0].textContent.trim()), axisLabel: { color: colour("--ink"), width: 150, overflow: "truncate" } },
    series: [{ name: heads[1], type: "bar", data: shown.map((row) => number(row[1])), barMaxWidth: 28, label: { show: true, position: "right", color: colour("--ink") } }],
  };
};

const dark = matchMedia("(prefers-color-scheme: dark)");
for (const place of document.querySelectorAll("[data-chart]")) {
  const chart = echarts.init(place, null, { renderer: "canvas" });
  const optionsOf = place.dataset.chart === "lines" ? lines : bars;
  const draw = () => chart.setOption({
    color: [colour("--accent"), colour("--good"), colour("--ink-soft")],
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 40, top: 36, bottom: 8, containLabel: true },
    tooltip: { trigger: "axis", renderMode: "richText" }, // the html one would need inline styles
    animation: false,
    ...optionsOf(read(document.getElementById(place.dataset.table))),
  });
  draw();
  dark.addEventListener("change", draw); // evening comes while the page is open
  new ResizeObserver(() => chart.resize()).observe(place);
}
