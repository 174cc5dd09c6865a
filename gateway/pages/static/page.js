/** What the pages show: one line that says how it goes, one that says what went wrong. */

import { clock, countDown, duration } from "./countdown.js";
import { Failure } from "./gateway.js";

const { texts } = await import(`./texts.${document.documentElement.lang}.js`);

const SET_UP_MS = 5_000;

export const element = (id) => document.getElementById(id);

/** The text `key`, with `values` in place of its braces. */
export function text(key, values = {}) {
  return texts[key].replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** Ends the countdown that is shown. */
let stopCounting = () => {};

/** Say how it goes; whatever went wrong before is over. */
export function say(key, values) {
  stopCounting();
  element("countdown")?.replaceChildren();
  element("alert").textContent = "";
  element("status").textContent = key ? text(key, values) : "";
}

/** Where what a first login sets up was not ready in time, say so for a moment. */
export async function setUp(made) {
  if (made.first_login !== "pending") return;
  say("setting_up");
  await new Promise((resolve) => {
    setTimeout(resolve, SET_UP_MS);
  });
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
  stopCounting = countDown(waitS, (leftS) => {
    element("countdown").textContent = clock(leftS);
    if (leftS) return;
    say("try_again_now");
    whenOver();
  });
}
