/** From a DID token to a session, and what one window tells the others of it. */

import { settings } from "./config.js";
import { exchange } from "./gateway.js";

const NAME = "gateway-session";
const PENDING = "gateway-login";
const PENDING_MS = 20 * 60_000; // links in emails live for less

/** Do `work` in one window at a time; over plain http, where there are no locks, at once. */
export const inTurn = (work) => (navigator.locks ? navigator.locks.request(NAME, work) : work());

/** Remember, for the page that the link in the email opens, what was asked for here. */
export function remember(nonce, returnTo) {
  localStorage.setItem(PENDING, JSON.stringify({ nonce, returnTo, at: Date.now() }));
}

/** What was remembered in this browser, once; null where nothing was, or too long ago. */
export function remembered() {
  const said = localStorage.getItem(PENDING);
  localStorage.removeItem(PENDING);
  try {
    const pending = JSON.parse(said);
    return pending && Date.now() - pending.at < PENDING_MS ? pending : null;
  } catch {
    return null;
  }
}

/**
 * Make a session with the token that `prove` gets, tell the other windows, and return it.
 *
 * @param {() => Promise<{token: string, nonce: string}>} prove
 */
export function arrive(prove) {
  return inTurn(async () => {
    const { token, nonce } = await prove();
    const made = await exchange(token, nonce);
    const others = new BroadcastChannel(NAME);
    others.postMessage("arrived");
    others.close();
    return made;
  });
}

/** Call `then` once another window of this browser has arrived; the result calls it off. */
export function whenOthersArrive(then) {
  const others = new BroadcastChannel(NAME);
  others.onmessage = () => then();
  return () => others.close();
}

/** The login page leads those who are signed in on to `returnTo`, once it has judged it. */
export function placeToGo(returnTo) {
  return `${settings.prefix}/login?return_to=${encodeURIComponent(returnTo)}`;
}
