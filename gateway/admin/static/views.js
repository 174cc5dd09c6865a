// Config and hooks: the config is read when the page opens and when it has changed, hooks every few seconds.

import { button, byId, count, dated, element, listed, tag } from "./elements.js";
import { dialog, read, send } from "./server.js";

export async function config() {
  const found = await read("api/config");
  byId("config-view").replaceChildren(
    element("p", {}, element("code", {}, found.file), " ", element("span", { class: "quiet" }, `sha256 ${found.sha256.slice(0, 12)}`)),
    element("h3", {}, "Findings"),
    listed("Findings", [
      ["Code", (each) => tag(each.code, each.severity === "error" ? "bad" : "warn")],
      ["Where", (each) => element("span", {}, element("code", {}, each.key), each.line ? element("span", { class: "quiet" }, ` line ${each.line}`) : "")],
      ["Finding", (each) => element("span", {}, each.message, each.remedy ? element("span", { class: "remedy" }, each.remedy) : "")],
    ], found.findings, "Nothing is odd about the file."),
    element("h3", {}, "Reloads"),
    listed("Reloads", [
      ["When", (each) => dated(each.time)],
      ["Why", (each) => each.why],
      ["Outcome", (each) => tag(each.outcome, each.outcome === "applied" ? "good" : "bad")],
      ["Problems", (each) => each.problems.join("; ") || "–"],
    ], found.reloads, "not reloaded since the start"),
  );
}

export async function hooks(mayChange) {
  const found = await read("api/hooks");
  byId("hooks-view").replaceChildren(
    listed("Endpoints", [
      ["Endpoint", (each) => element("strong", {}, each.endpoint)],
      ["Waiting", (each) => count(each.waiting), true],
      ["Dead", (each) => element("span", { class: each.dead ? "bad" : "" }, count(each.dead)), true],
      ["", (each) => (each.dead && mayChange() ? button("Replay all", () => replay(each.endpoint, null, mayChange)) : "")],
    ], found.endpoints, "The config has no endpoints."),
    element("h3", {}, "Dead letters"),
    listed("Dead letters", [
      ["Given up", (each) => dated(each.at)],
      ["Endpoint", (each) => each.endpoint],
      ["Event", (each) => element("code", {}, each.event_id)],
      ["Attempts", (each) => each.attempts, true],
      ["Last", (each) => each.last],
      ["", (each) => (mayChange() ? button("Replay", () => replay(each.endpoint, each.event_id, mayChange)) : "")],
    ], found.letters, "No event was given up."),
  );
}

function replay(endpoint, event_id, mayChange) {
  const what = event_id === null ? "All dead letters" : `Event ${event_id}`;
  dialog(`Replay to ${endpoint}?`, [element("p", {}, `${what} will be sent again.`)], "Replay", async () => {
    const done = await send("api/actions/replay", event_id === null ? { endpoint } : { endpoint, event_id });
    await hooks(mayChange);
    return `${done.moved} queued again, ${done.kept} left`;
  });
}
