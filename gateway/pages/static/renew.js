/**
 * Keeps a session alive while one of its pages is open: shortly before the end, Magic is asked for a
 * new DID token, which is exchanged. Include it in a page of the app:
 *
 *     <script type="module" src="/_gateway/static/renew.js"></script>
 *
 * Events on `window`: `gateway:session-renewed` with `detail.expiresAt`, and, once for each end,
 * `gateway:session-ending` with `detail.expiresAt` and `detail.reason` where it could not be done.
 */

import { inTurn } from "./arrival.js";
import { settings } from "./config.js";
import { attempt, exchange, Failure, whoAmI } from "./gateway.js";
import { magic, newToken } from "./magic.js";

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 20_000;
/** What may be over by the next try. Each try is counted: one that cannot succeed is not made. */
const PASSING = new Set(["failed", "gateway_unreachable", "magic_unreachable", "throttled", "unavailable"]);
/** A fifth of what the session has left when it is first seen, and five minutes at most. */
const early = (leftMs) => Math.min(leftMs / 5, 5 * 60_000);

let expiresAt = 0;
/** The same by the clock of the browser. */
let endsAt = 0;
let timer;

function tell(name, detail = {}) {
  window.dispatchEvent(new CustomEvent(name, { detail: { expiresAt: new Date(expiresAt), ...detail } }));
}

/** Look when the session ends, and come back in time. */
async function watch() {
  const session = await whoAmI();
  if (!session) return; // not signed in: nothing to keep
  const { expires_at: end, leftMs } = session;
  expiresAt = Date.parse(end);
  endsAt = Date.now() + leftMs;
  wait(leftMs - early(leftMs));
}

function wait(delayMs) {
  clearTimeout(timer);
  timer = setTimeout(renew, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
}

async function renew() {
  try {
    // One window at a time; those that come later see that it was done.
    await inTurn(renewOnce);
    await watch();
  } catch (error) {
    const laterMs = Math.max(RETRY_MS, (error.waitS ?? 0) * 1000);
    if (PASSING.has(error.key) && Date.now() + laterMs < endsAt) return wait(laterMs);
    tell("gateway:session-ending", { reason: error.key ?? "failed" });
  }
}

async function renewOnce() {
  const session = await whoAmI();
  if (!session) throw new Failure("session_over");
  if (Date.parse(session.expires_at) > expiresAt) return;
  const sdk = await magic();
  const nonce = await attempt({}); // the gateway knows who asks
  await exchange(await newToken(sdk, nonce), nonce, true);
  expiresAt = Date.parse((await whoAmI())?.expires_at ?? 0);
  tell("gateway:session-renewed");
}

/** A machine that slept has missed its timer. */
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && expiresAt) watch().catch(() => {});
});

if (!settings.isDevelopment) watch().catch(() => wait(RETRY_MS));
