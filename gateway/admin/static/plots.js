// Plots of the last fifteen minutes, by uPlot: one crosshair for all of them.

import { byId, clock, element, minute, say } from "./elements.js";
import { KEPT_S } from "./rates.js";

const HEIGHT = 168;
const SHORTEST_S = 120;
const SYNC = "dashboard";

const rate = (value) => (value === null ? "–" : `${short(value)}/s`);
const coarse = (value) => (value === null ? "–" : `${value >= 10 ? value.toFixed(0) : Number(value.toFixed(1))}/s`);
const ms = (value) => (value === null ? "–" : value >= 1000 ? `${short(value / 1000)} s` : `${short(value)} ms`);
const short = (value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2))));

class Plot {
  constructor(id, { title, series, write, tell = write, empty, isStacked = false }) {
    this.series = series;
    this.write = write;
    this.told = tell;
    this.isStacked = isStacked;
    this.points = [];
    this.at = element("span", { class: "quiet" });
    this.values = series.map(() => element("b"));
    const legend = element("ul", { class: "legend" }, ...series.map(({ name, label = name, colour, dash }, at) =>
      element("li", {}, element("i", { class: `key ${colour} ${dash ? "dashed" : ""}` }), `${label} `, this.values[at])));
    this.place = element("div", { class: "plot", role: "img", "aria-label": `${title}, the last 15 minutes` });
    this.empty = element("p", { class: "nothing quiet" }, empty);
    byId(id).append(element("figcaption", {}, element("span", {}, title), this.at), legend, this.place, this.empty);
    this.draw();
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: colour("quiet"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
      gap: 6,
    };
    const line = ({ name, colour: own, dash, isFilled = false }) => ({
      label: name,
      stroke: colour(own),
      width: this.isStacked ? 0 : 1.75,
      dash,
      fill: this.isStacked || isFilled ? `${colour(own)}${this.isStacked ? "c0" : "2b"}` : undefined,
      points: { show: false },
    });
    this.plot?.destroy();
    this.plot = new uPlot(
      {
        width: this.width,
        height: HEIGHT,
        padding: [8, 16, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: SYNC, scales: ["x", null] }, drag: { x: false, y: false }, y: false, points: { size: this.isStacked ? 0 : 7 } },
        bands: this.isStacked ? this.series.slice(1).map((_, at) => ({ series: [at + 2, at + 1] })) : [],
        scales: {
          x: { range: (_, low, high) => [Math.max(Math.min(low, high - SHORTEST_S), high - KEPT_S), high] },
          y: { range: (_, __, high) => [0, Math.max(high * 1.15, 1)] },
        },
        axes: [
          { ...axis, size: 26, space: 56, incrs: [60, 120, 180, 300, 600], values: (_, splits) => splits.map((at) => minute(new Date(at * 1000))) },
          { ...axis, space: 34, size: (_, values) => 12 + 6.4 * Math.max(4, ...(values ?? []).map((text) => text.length)), values: (_, splits) => splits.map(this.write) },
        ],
        series: [{}, ...this.series.map(line)],
        hooks: { setCursor: [() => this.tell()] },
      },
      this.data(),
      this.place,
    );
    this.tell();
  }

  data() {
    const values = this.series.map(({ name }) => this.points.map((point) => point[name] ?? null));
    if (this.isStacked) {
      for (let at = 1; at < values.length; at++) values[at] = values[at].map((value, x) => (value ?? 0) + (values[at - 1][x] ?? 0));
    }
    return [this.points.map((point) => point.time_s), ...values];
  }

  // The values under the crosshair; without one, the last.
  tell() {
    const index = this.plot?.cursor.idx;
    const point = this.points[index ?? this.points.length - 1];
    say(this.at, point && index !== null && index !== undefined ? clock(point.time_s * 1000) : "");
    this.series.forEach(({ name }, at) => say(this.values[at], point ? this.told(point[name] ?? null) : "–"));
  }

  show(points) {
    this.points = points;
    this.plot.setData(this.data());
    this.empty.hidden = points.some((point) => this.series.some(({ name }) => point[name]));
    this.tell();
  }

  get width() {
    return Math.max(this.place.clientWidth, 160);
  }

  fit() {
    if (this.plot.width !== this.width) this.plot.setSize({ width: this.width, height: HEIGHT });
  }
}

export class Plots {
  constructor() {
    this.all = [
      new Plot("plot-requests", {
        title: "Requests by status", write: rate, tell: coarse, isStacked: true, empty: "No request came in this time.",
        series: [{ name: "2xx", colour: "c1" }, { name: "3xx", colour: "c2" }, { name: "4xx", colour: "c3" }, { name: "5xx", colour: "c4" }],
      }),
      new Plot("plot-total", {
        title: "Time of an answer", write: ms, empty: "No answer was sent in this time.",
        series: [{ name: "p50", colour: "c1", isFilled: true }, { name: "p95", colour: "c3" }, { name: "p99", colour: "c4", dash: [5, 4] }],
      }),
      new Plot("plot-split", {
        title: "Gateway and app, p95", write: ms, empty: "No answer was sent in this time.",
        series: [{ name: "app", colour: "c1", isFilled: true }, { name: "gateway", colour: "c3", isFilled: true }],
      }),
      new Plot("plot-refusals", {
        title: "Refusals", write: rate, tell: coarse, empty: "Nothing was refused in this time.",
        series: [{ name: "refusals", label: "by the gateway", colour: "c4", isFilled: true }],
      }),
    ];
    new ResizeObserver(() => this.all.forEach((plot) => plot.fit())).observe(document.body);
    for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
      matchMedia(query).addEventListener("change", () => this.all.forEach((plot) => plot.draw()));
    }
  }

  show(points) {
    this.all.forEach((plot) => plot.show(points));
    // The crosshair stays where the pointer is: the others follow it to the time that is there now.
    const pointed = this.all.find(({ plot }) => plot.over.matches(":hover"))?.plot;
    if (pointed) pointed.setCursor({ left: pointed.cursor.left, top: pointed.cursor.top }, true, true);
  }
}
