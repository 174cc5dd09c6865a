// Limits: who is near, who is over; and a caller that begins from zero.

import { button, element, lasting, listed, measured, plural, tag } from "./elements.js";
import { dialog, loading, read, send } from "./server.js";

export function near(limit, mayChange) {
  const title = `Callers of ${limit}`;
  return loading(title, [], async () => {
    const found = await read(`api/limits/callers?${new URLSearchParams({ limit })}`);
    const more = found.is_partial ? " The store has more keys than were read: others may have used more." : "";
    return [
      element("p", { class: "quiet" }, `${plural(found.counted, "caller")} counted now; the store has what all gateways count.${more}`),
      listed(title, [
        ["Caller", (each) => element("code", {}, each.caller)],
        ["Used", (each) => measured(`${each.used} of ${each.rate}`, each.share, level(each)), true],
        ["Left", (each) => each.left, true],
        ["", (each) => (each.refuses ? tag("over", "bad") : each.share >= 0.8 ? tag("near", "warn") : tag("below", "good"))],
        ["Full again", (each) => (each.resets_in_s === null ? "–" : `in ${lasting(each.resets_in_s)}`)],
        ["", (each) => (mayChange() && each.can_reset
          ? button("Reset", () => reset(limit, each.caller), { "aria-label": `Reset ${each.caller}` }) : "")],
      ], found.callers, "No caller has used any of this limit in its window."),
    ];
  });
}

const level = (each) => (each.refuses ? "bad" : each.share >= 0.8 ? "warn" : "");

export function reset(limit, client) {
  const caller = element("input", { id: "caller", value: client, autocomplete: "off", spellcheck: "false" });
  dialog(`Reset ${limit}?`, [
    element("label", { for: "caller" }, "Caller, as the limit counts: an address, an issuer or an email address"),
    caller,
  ], "Begin from zero", async () => {
    const done = await send("api/actions/reset-limit", { limit, caller: caller.value });
    return done.was_counted ? `${done.caller} begins from zero` : `nothing was counted of ${done.caller}`;
  });
}
