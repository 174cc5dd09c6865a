/** From a DID token to a session, once, whichever window is first; and what outlives a window. */

import { settings } from "./config.js";
import { exchange, whoAmI } from "./gateway.js";

const PENDING = "gateway-login";
const PENDING_MS = 20 * 60_000; // links in emails live for less

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
 * Make a session with the token that `prove` gets, unless another window has.
 *
 * @param {() => Promise<{token: string, nonce: string}>} prove
 */
export function arrive(prove) {
  return navigator.locks.request("gateway-session", async () => {
    if (await whoAmI()) return;
    const { token, nonce } = await prove();
    await exchange(token, nonce);
  });
}

/** The login page leads those who are signed in on to `returnTo`, once it has judged it. */
export function placeToGo(returnTo) {
  return `${settings.prefix}/login?return_to=${encodeURIComponent(returnTo)}`;
}
