// The dashboard: figures come once a second; the rest is read when it is asked for.

import { button, byId, bytes, clock, count, element, fill, many, measured, pairs, say, share, tag, time, when } from "./elements.js";
import { Events } from "./events.js";
import { explain } from "./explain.js";
import { near, reset } from "./limits.js";
import { people } from "./people.js";
import { Plots } from "./plots.js";
import { History, KEPT_S, total } from "./rates.js";
import { dialog, send } from "./server.js";
import { headline, levelOf, Tiles, totals } from "./state.js";
import { config, hooks } from "./views.js";

const MAX_RECENT = 100;
const STALE_MS = 5000; // a connection that is made anew takes three seconds
const HOOKS_S = 5; // what waits is read from the store
const LOADED = "gateway-dashboard"; // the versions for which the page was loaded again
const CLASSES = ["2xx", "3xx", "4xx", "5xx"];

const history = new History();
const plots = new Plots();
const tiles = new Tiles();
let latest = null;
let since_s = null;
let recent = [];
let isReadOnly = false;
let thresholds = {};
let reloads = "";
let waiting = [];
let stale;
let hooksAgain_s = 0;
const mayChange = () => !isReadOnly;

function show(figures) {
  latest = figures;
  history.add(figures);
  if (history.seconds) history.keep(pointOf(figures));
  showStatus(figures);
  headline(figures.state, totals(figures)); // also the title, which a hidden tab shows
  draw();
}

// A tab that is hidden keeps what comes, and draws it when it is shown.
function draw() {
  if (document.hidden || !latest) return;
  showTiles();
  plots.show(history.points);
  const isShort = since_s !== null && latest.time_s - since_s < KEPT_S; // both by the clock of the gateway
  say(byId("since"), isShort ? `This gateway remembers since ${when(since_s * 1000)}: plots are full after 15 minutes.` : "");
  if (waiting.length) refuse([]);
  tables(latest);
}

// What the plots show of this second.
function pointOf(figures) {
  const ms = (name, part) => {
    const seconds = history.percentile(name, part);
    return seconds === null ? null : seconds * 1000;
  };
  return {
    time_s: figures.time_s,
    ...Object.fromEntries(CLASSES.map((name) => [name, history.rate((each) => each.requests[name])])),
    p50: ms("total", 0.5), p95: ms("total", 0.95), p99: ms("total", 0.99),
    gateway: ms("gateway", 0.95), app: ms("app", 0.95),
    refusals: history.rate((each) => total(each.refusals)),
  };
}

function showStatus(figures) {
  const status = byId("status");
  say(status, figures.status);
  status.className = `pill ${figures.status === "ok" ? "good" : "bad"}`;
  say(byId("live"), `live ${clock(figures.time_s * 1000)}`);
  byId("live").className = "live on";
}

function showTiles() {
  const requests = history.rate((each) => total(each.requests));
  const refused = history.rate((each) => total(each.refusals));
  const failing = requests ? history.rate((each) => each.requests["5xx"]) / requests : null;
  const sum = (point) => CLASSES.reduce((all, name) => all + (point[name] ?? 0), 0);
  const slow = (title, name, read) => {
    const p95 = history.percentile(name, 0.95);
    return { title, text: time(p95), read, level: levelOf(p95, thresholds[`${name}_s`]) };
  };
  tiles.show(history.points, [
    { title: "Requests a second", text: count(requests), read: sum },
    { title: "Failed (5xx)", text: share(failing), read: (point) => point["5xx"], level: levelOf(failing, thresholds.failed) },
    { title: "Refusals a second", text: count(refused), read: (point) => point.refusals, level: levelOf(requests ? refused / requests : null, thresholds.refused) },
    slow("Answer p95", "total", (point) => point.p95),
    slow("Gateway p95", "gateway", (point) => point.gateway),
    slow("App p95", "app", (point) => point.app),
  ]);
}

function tables(figures) {
  percentiles();
  reasons(figures);
  limits(figures);
  routes(figures);
  upstreams(figures);
  workers(figures.workers);
  services(figures);
  readAgain(figures);
}

// The config after a reload; hooks every few seconds.
function readAgain(figures) {
  const state = JSON.stringify(figures.reloads);
  if (state !== reloads) {
    reloads = state;
    renew(config, "config-view");
  }
  // A button that is about to be pressed stays where it is.
  if (figures.time_s >= hooksAgain_s && !isInUse("hooks-view")) {
    hooksAgain_s = figures.time_s + HOOKS_S;
    renew(hooks, "hooks-view");
  }
}

function percentiles() {
  fill(byId("percentiles"), [
    ["Part of an answer", ([part]) => part],
    ...[0.5, 0.95, 0.99].map((part) => [`p${part * 100}`, ([, name]) => time(history.percentile(name, part)), true]),
  ], [["all of it", "total"], ["gateway and client", "gateway"], ["app, until its head", "app"]]);
}

function reasons(figures) {
  const most = Math.max(1, ...Object.values(figures.refusals));
  fill(byId("reasons"), [
    ["Kind", ([, , key]) => element("span", { class: "quiet" }, key === "refusals" ? "answer" : "reason")],
    ["Name", ([name]) => element("strong", {}, name)],
    ["A second", ([name, , key]) => count(history.rate((each) => each[key][name])), true],
    ["In all", ([, value]) => measured(many(value), value / most), true],
  ], [
    ...Object.entries(figures.refusals).map(([name, value]) => [name, value, "refusals"]),
    ...Object.entries(figures.reasons).map(([name, value]) => [name, value, "reasons"]),
  ].filter(([, value]) => value), "Nothing was refused since the start.");
}

function limits(figures) {
  fill(byId("limits"), [
    ["Limit", (each) => element("strong", {}, each.limit)],
    ["Refuses now", refusing, true],
    ["Refused", (each) => many(each.refused ?? 0), true],
    ["Shadowed", (each) => many(each.shadowed ?? 0), true],
    ["Over now", over],
    ["", ({ limit }) => button("Who is near", () => near(limit, mayChange), { "data-of": limit })],
  ], figures.limits, "No request was charged to a limit since the start.");
}

function upstreams(figures) {
  fill(byId("upstreams"), [
    ["Upstream", (each) => element("strong", {}, each.upstream)],
    ["Servers", (each) => element("ul", { class: "plain" }, ...each.servers.map((server) =>
      element("li", {}, health(each, server), " ", element("code", {}, server[0]))))],
    ["Breaker", ({ circuit_open: isOpen }) => (isOpen === null ? "–" : tag(isOpen ? "open" : "closed", isOpen ? "bad" : "good"))],
    ["In use", (each) => count(each.busy), true],
    ["Idle", (each) => count(each.idle), true],
    ["Retries", (each) => many(each.retries), true],
    ["Ejected", (each) => many(each.ejections), true],
  ], figures.upstreams, "The config has no upstreams.");
}

// An only server is never taken out, whether it answers or not.
function health({ servers }, [, isUp]) {
  if (isUp && servers.length === 1) return tag("always used");
  return tag(isUp ? "up" : "out", isUp ? "good" : "bad");
}

const routeOf = (figures, name) => figures.routes.find((each) => each.route === name);

function routes(figures) {
  const all = total(figures.requests) || 1;
  fill(byId("routes"), [
    ["Route", (each) => (each.route === "-" ? element("span", { class: "quiet" }, "no route") : element("strong", {}, each.route))],
    ["A second", ({ route }) => count(history.rate((each) => routeOf(each, route)?.requests)), true],
    ["In all", (each) => measured(many(each.requests), each.requests / all), true],
    ["Failed", (each) => failedShare(each), true],
    ["Gateway p95", ({ route }) => time(history.percentileOf((each) => routeOf(each, route)?.gateway, "gateway", 0.95)), true],
    ["App p95", ({ route }) => time(history.percentileOf((each) => routeOf(each, route)?.app, "app", 0.95)), true],
  ], figures.routes, "No request came since the start.");
}

function failedShare({ requests, failed }) {
  const value = requests ? failed / requests : 0;
  return element("span", { class: levelOf(value, thresholds.failed) }, share(value));
}

function workers(found) {
  const most = Math.max(1, ...found.map((each) => each.memory_bytes ?? 0));
  fill(byId("workers"), [
    ["Process", (each) => element("strong", {}, each.worker)],
    ["State", (each) => tag(each.up ? "up" : "down", each.up ? "good" : "bad")],
    ["CPU", ({ worker }) => {
      const used = history.rate((each) => each.workers.find((one) => one.worker === worker)?.cpu_s);
      return measured(share(used), used, levelOf(used, [0.7, 0.9]));
    }, true],
    ["Memory", (each) => measured(bytes(each.memory_bytes), (each.memory_bytes ?? 0) / most), true],
    ["Requests", (each) => many(each.requests), true],
  ], found, "No process serves.");
}

function services(figures) {
  const { store, magic } = figures;
  const up = (value, name) => [name, value === null ? "none" : tag(value ? "up" : "down", value ? "good" : "bad")];
  pairs(byId("services"), [
    up(store.up, "Store"),
    ["Errors of the store", many(store.errors)],
    ["Requests on grace", many(store.grace)],
    up(magic.up, "Magic"),
    ["Errors of Magic", many(magic.errors)],
    ["Clock of Magic", magic.skew_s === null ? "–" : `${magic.skew_s.toFixed(1)} s ahead`],
    ["Sessions", `${many(figures.sessions.created)} created, ${many(figures.sessions.ended)} ended`],
    ...figures.checks.map((check) => [check.name, element("span", { class: check.ok ? "" : "bad" }, check.detail || (check.ok ? "ok" : "failing"))]),
  ]);
}

// The share that a limit refuses, of what it has decided within the last seconds.
function refusing({ limit }) {
  const grown = (name) => history.rate((figures) => figures.limits.find((each) => each.limit === limit)?.[name]) ?? 0;
  const refused = grown("refused");
  const decided = refused + grown("allowed") + grown("shadowed");
  const value = decided ? refused / decided : 0;
  return measured(decided ? share(value) : "–", value, levelOf(value, thresholds.limit));
}

// Callers that the limit has refused within the last minute, as far as refusals are told.
function over({ limit }) {
  const since = new Date(history.latest.time_s * 1000 - 60_000).toISOString();
  const callers = recent
    .filter((each) => each.reason === `limit ${limit}` && each.time >= since)
    .map((each) => each.issuer || each.client);
  return wrapped([...new Set(callers)].slice(0, 5).join(", ") || "–");
}

const wrapped = (text) => element("span", { class: "wrapped" }, text);

// Rows do not move under a pointer or a focus, nor while a dialog is open, which gives the focus back:
// new ones are shown afterwards.
const isInUse = (place) => byId(place).matches(":hover, :focus-within") || byId("dialog").open;

function refuse(found) {
  waiting = [...waiting, ...found].slice(-MAX_RECENT);
  if (!document.hidden && !isInUse("recent")) settle();
}

function settle() {
  const found = waiting;
  waiting = [];
  recent = [...found.reverse(), ...recent].slice(0, MAX_RECENT);
  const key = (each) => ({ "data-of": `${each.time} ${each.id} ${each.path}` });
  fill(byId("recent"), [
    ["Time", (each) => clock(each.time), true],
    ["Status", (each) => tag(each.status, each.status >= 500 ? "bad" : "warn")],
    ["Why", (each) => element("span", { class: "wrapped" }, element("strong", {}, each.refusal), each.reason ? `: ${each.reason}` : "")],
    ["Request", (each) => element("code", { class: "request" }, `${each.method} ${each.path}`)],
    ["Route", (each) => wrapped(each.route || "–")],
    ["Client", (each) => wrapped(each.client)],
    ["Issuer", (each) => wrapped(each.issuer || "–")],
    ["", (each) => element("span", { class: "row" },
      button("Explain", () => explain(each), key(each)),
      each.reason.startsWith("limit ") && mayChange()
        ? button("Reset", () => reset(each.reason.slice("limit ".length), each.client), key(each)) : null)],
  ], recent, "Nothing was refused since the start.");
}

function renew(view, place) {
  view(mayChange).catch((error) => byId(place).replaceChildren(element("p", { class: "quiet" }, error.message)));
}

byId("reload").addEventListener("click", () =>
  dialog("Reload the config?", [element("p", {}, "The file is read again; a file with errors changes nothing.")], "Reload", async () => {
    const { outcome, problems } = await send("api/actions/reload", {});
    if (outcome !== "applied") throw new Error(problems.join("; ") || outcome);
    return "the config was applied";
  }),
);
byId("drain").addEventListener("click", () =>
  dialog("Drain this gateway?", [element("p", {}, "It takes no more connections, and ends when those under way are done.")], "Drain", async () => {
    await send("api/actions/drain", {});
    return "it drains";
  }),
);

people(mayChange);
settle();
document.addEventListener("visibilitychange", draw);
const events = new Events("api/events");
const on = (name, take) => events.addEventListener(name, (sent) => take(JSON.parse(sent.data)));
on("hello", (hello) => {
  loadAgain(hello.version);
  history.bounds = hello.bounds;
  thresholds = hello.thresholds;
  isReadOnly = hello.is_read_only;
  byId("controls").hidden = isReadOnly;
  byId("sign-out").hidden = !hello.has_token;
  byId("operator").hidden = !hello.email;
  say(byId("operator"), hello.email ?? "");
  recent = [];
  waiting = [];
});
on("history", (past) => {
  history.recall(past);
  since_s = past.since_s;
});
on("figures", (figures) => {
  clearTimeout(stale);
  stale = undefined;
  show(figures);
});
on("refusals", refuse);
events.addEventListener("error", () => {
  say(byId("live"), "not connected; trying again");
  byId("live").className = "live off";
  byId("status").className = "pill warn";
  stale ??= setTimeout(lost, STALE_MS);
});

// An older page would misread the figures of a newer gateway. It is loaded again once for each version,
// as gateways of several may take turns behind one address; and not while a dialog is open.
function loadAgain(version) {
  const own = new URL(import.meta.url).pathname.split("/").at(-2);
  const loaded = (sessionStorage.getItem(LOADED) ?? "").split(" ");
  if (!version || version === own || loaded.includes(version)) return;
  sessionStorage.setItem(LOADED, [...loaded, version].join(" ").trim());
  if (byId("dialog").open) byId("dialog").addEventListener("close", () => location.reload(), { once: true });
  else location.reload();
}

// What was well may not be so any more.
function lost() {
  const since_s = history.latest?.time_s ?? Date.now() / 1000;
  headline(
    { level: "bad", troubles: [{ level: "bad", text: "No figures come from the gateway", since_s }] },
    history.latest ? totals(history.latest) : [],
  );
  say(byId("status"), "unknown");
}
