// Elements of the page. All that clients and servers have sent is put there as text.

export function element(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

export function drawing(name, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);
}

function filled(made, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map(node));
  return made;
}

function node(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export const byId = (id) => document.getElementById(id);

export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

// Fill a table; a column is [title, (row) => cell, isNumber]. What has not changed is left alone,
// so that a button keeps the focus, and a text that is selected stays so.
export function fill(table, columns, rows, empty = "nothing yet") {
  const cells = rows.map((row) => columns.map(([title, cell, isNumber]) =>
    element("td", { class: isNumber && "number", "data-title": title || false }, cell(row))));
  if (!rows.length) cells.push([element("td", { colspan: columns.length, class: "empty" }, empty)]);
  if (!table.tHead) {
    const titles = columns.map(([title, , isNumber]) => element(title ? "th" : "td", { scope: title ? "col" : false, class: isNumber && "number" }, title));
    table.append(element("thead", {}, element("tr", {}, ...titles)), element("tbody"));
  }
  const body = table.tBodies[0];
  while (body.rows.length > cells.length) body.deleteRow(-1);
  cells.forEach((row, at) => {
    const known = body.rows[at];
    if (!known || known.cells.length !== row.length) {
      const made = element("tr", {}, ...row);
      if (known) known.replaceWith(made);
      else body.append(made);
      return;
    }
    row.forEach((cell, column) => {
      if (!known.cells[column].isEqualNode(cell)) known.cells[column].replaceWith(cell);
    });
  });
}

// A table of its own, which a keyboard can scroll.
export function listed(label, columns, rows, empty) {
  const table = element("table");
  fill(table, columns, rows, empty);
  return element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": label }, table);
}

// Fill a list of terms; an entry is [term, text or element, class].
export function pairs(list, entries) {
  const made = entries.flatMap(([term, said, kind]) => [
    element("dt", {}, term),
    element("dd", { class: kind || false }, said),
  ]);
  if (made.length !== list.children.length) {
    list.replaceChildren(...made);
    return list;
  }
  made.forEach((each, at) => {
    if (!list.children[at].isEqualNode(each)) list.children[at].replaceWith(each);
  });
  return list;
}

export const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", onclick, ...properties }, text);

// A bar from 0 to 1; what it says is written beside it.
function bar(value, level = "") {
  const width = Math.round(Math.max(0, Math.min(1, value || 0)) * 100);
  return drawing("svg", { class: `bar ${level}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    drawing("rect", { class: "rest", width: 100, height: 6 }),
    drawing("rect", { class: "part", width, height: 6 }));
}

export const measured = (text, value, level) => element("span", { class: "measured" }, element("span", {}, text), bar(value, level));

export const tag = (text, level = "") => element("span", { class: `tag ${level}` }, text);

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const many = (value) => (value < 10000 ? plain.format(value) : compact.format(value));
export const count = (value) => (value === null || value === undefined ? "–" : many(value));
export const share = (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : `${plain.format(value * 100)} %`);
export const bytes = (value) => (value === null ? "–" : `${plain.format(value / 1048576)} MiB`);
export const plural = (number, one, more = `${one}s`) => `${many(number)} ${number === 1 ? one : more}`;

const two = (number) => String(number).padStart(2, "0");
export const minute = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
export const clock = (at) => (at ? (at = new Date(at), `${minute(at)}:${two(at.getSeconds())}`) : "–");
const day = (at) =>
  at ? (at = new Date(at), `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${minute(at)}`) : "–";
// The same, on one line of a table.
export const dated = (at) => element("span", { class: "date" }, day(at));
// The time, with the day where that is not today.
export const when = (at) => (new Date(at).toDateString() === new Date().toDateString() ? minute(new Date(at)) : day(at));

export function time(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const ms = seconds * 1000;
  return ms < 10 ? `${ms.toFixed(2)} ms` : ms < 1000 ? `${ms.toFixed(0)} ms` : `${seconds.toFixed(1)} s`;
}

// A length of time in its largest unit that says enough.
export function lasting(seconds) {
  const [length, name] = [[86400, "day"], [3600, "hour"], [60, "minute"]].find(([each]) => seconds >= each) ?? [1, "second"];
  const number = Math.ceil(seconds / length);
  return `${number} ${name}${number === 1 ? "" : "s"}`;
}
