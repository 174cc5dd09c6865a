/** What the pages show: one line that says how it goes, one that says what went wrong. */

import { texts } from "./config.js";
import { Failure } from "./gateway.js";

export const element = (id) => document.getElementById(id);

/** The text `key`, with `values` in place of its braces. */
export function text(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

let counting;

/** Say how it goes; whatever went wrong before is over. */
export function say(key, values) {
  clearInterval(counting);
  element("countdown")?.replaceChildren();
  element("alert").textContent = "";
  element("status").textContent = key ? text(key, values) : "";
}

/**
 * Say what went wrong. Where it helps to wait, the seconds are counted down in sight, but not aloud:
 * a screen reader says how long it takes, and when it is over.
 *
 * @param {unknown} error
 * @param {() => void} whenOver is called when the wait is over
 */
export function complain(error, whenOver = () => {}) {
  if (!(error instanceof Failure)) console.error(error);
  const { key, waitS } = error instanceof Failure ? error : new Failure("failed");
  say("");
  element("alert").textContent = text(key, { wait: duration(waitS) });
  if (!waitS) return whenOver();
  const over = Date.now() + waitS * 1000;
  const show = () => {
    const leftS = Math.ceil((over - Date.now()) / 1000);
    element("countdown").textContent = `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, "0")}`;
    if (leftS > 0) return;
    say("try_again_now");
    whenOver();
  };
  show();
  counting = setInterval(show, 250);
}

/** Such as "1 minute" or "12 seconds", in the language of the page. */
function duration(seconds) {
  const inMinutes = seconds >= 60;
  return new Intl.NumberFormat(document.documentElement.lang, {
    style: "unit",
    unit: inMinutes ? "minute" : "second",
    unitDisplay: "long",
  }).format(inMinutes ? Math.ceil(seconds / 60) : seconds);
}
