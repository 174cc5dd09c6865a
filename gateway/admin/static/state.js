// The state in one look: a sentence, and tiles with their last minutes.

import { byId, count, drawing, element, pairs, say, when } from "./elements.js";
import { total } from "./rates.js";

const SPARK = { width: 100, height: 28, points: 90 };
const WORDS = { good: "", warn: "worth a look", bad: "too high" };

export function headline({ level, troubles }, requests) {
  const section = byId("state");
  section.dataset.level = level;
  const sentences = troubles.map(({ text, since_s }) => `${text} since ${when(since_s * 1000)}`);
  const first = sentences[0] ?? "All is well";
  say(byId("headline"), first);
  document.title = level === "good" ? "Gateway" : `${troubles[0].text} · Gateway`;
  const rest = sentences.slice(1).map((text, at) => element("li", { class: troubles[at + 1].level }, text));
  const list = byId("troubles");
  if (rest.map((each) => each.textContent).join() !== [...list.children].map((each) => each.textContent).join()) {
    list.replaceChildren(...rest);
  }
  list.hidden = !rest.length;
  // Without figures that move: screen readers are told of a change, not of every second.
  say(byId("said"), troubles.length ? troubles.map((each) => each.text.replace(/\d+ % /, "many ").replace(/: p95 of .*/, "")).join(". ") : "All is well");
  pairs(byId("totals"), requests);
}

export function totals({ requests, open, restarts }) {
  return [
    ["Requests in all", count(total(requests))],
    ["Under way", count(open.requests)],
    ["Connections", count(open.connections)],
    ["Tunnels", count(open.tunnels)],
    ...(restarts ? [["Workers restarted", count(restarts)]] : []),
  ];
}

// Below the first bound all is well, from the second on something is wrong.
export function levelOf(value, bounds) {
  if (value === null || value === undefined || !bounds) return "good";
  return value >= bounds[1] ? "bad" : value >= bounds[0] ? "warn" : "good";
}

export class Tiles {
  constructor() {
    this.tiles = new Map();
  }

  show(points, entries) {
    for (const { title, text, level = "good", read } of entries) {
      const tile = this.tiles.get(title) ?? this.made(title);
      tile.place.dataset.level = level;
      say(tile.value, text);
      say(tile.word, WORDS[level]);
      draw(tile, points.slice(-SPARK.points).map(read));
    }
  }

  made(title) {
    const value = element("span", { class: "value" });
    const word = element("span", { class: "word" });
    const area = drawing("polygon", { class: "area" });
    const line = drawing("polyline", { class: "line" });
    const spark = drawing("svg", { class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
    const place = element("div", {}, element("dt", {}, title), element("dd", {}, value, " ", word, spark));
    byId("tiles").append(place);
    const tile = { place, value, word, area, line };
    this.tiles.set(title, tile);
    return tile;
  }
}

function draw({ area, line }, values) {
  const high = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const step = SPARK.width / Math.max(values.length - 1, 1);
  const y = (value) => (SPARK.height - 2 - ((value ?? 0) / high) * (SPARK.height - 5)).toFixed(1);
  const path = values.map((value, at) => `${(at * step).toFixed(1)},${y(value)}`).join(" ");
  line.setAttribute("points", path);
  area.setAttribute("points", `0,${SPARK.height} ${path} ${SPARK.width},${SPARK.height}`);
}
