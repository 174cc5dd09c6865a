/** Magic's SDK: started when it is needed, and its errors in our words. */

import { settings } from "./config.js";
import { Failure } from "./gateway.js";

const READY_MS = 15_000; // the frame says that it is there within a second, on slow lines in five
const ANSWER_MS = 20_000;

/** The SDK's codes of errors (RPCErrorCode, SDKErrorCode) that mean something of their own here. */
const BY_CODE = {
  [-32602]: "bad_email",
  [-10000]: "link_failed",
  [-10001]: "link_expired",
  [-10002]: "throttled",
  [-10006]: "magic_not_set_up",
  [-10010]: "not_deliverable",
  [-10011]: "not_allowed",
  [-10012]: "cancelled",
  [-10014]: "cancelled",
  [-10015]: "signed_in_elsewhere",
  [-10018]: "bad_email",
  [-10031]: "too_many_codes",
  [-10035]: "throttled",
  MODAL_NOT_READY: "magic_unreachable",
  CONNECTION_WAS_LOST: "magic_unreachable",
};
const ALREADY_LOGGED_IN = -10003;
const THROTTLED_S = 60; // Magic does not say for how long

/** Any error of the SDK as a `Failure`. */
export function inOurWords(error) {
  if (error instanceof Failure) return error;
  const key = BY_CODE[error?.code] ?? "magic_failed";
  return new Failure(key, key === "throttled" ? THROTTLED_S : 0);
}

/** `promise`, or the failure named `key` where it takes longer than `limitMs`. */
export function within(limitMs, promise, key = "magic_unreachable") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure(key)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

let made;
let whenReady;

/** The SDK, once its frame has said that it is there. A later call tries again what failed. */
export function magic() {
  whenReady ??= start().catch((error) => {
    whenReady = undefined;
    throw inOurWords(error);
  });
  return whenReady;
}

async function start() {
  if (!globalThis.Magic) await within(READY_MS, script(new URL("vendor/magic-sdk.js", import.meta.url)));
  if (made) {
    made.overlay.reloadRelayer();
  } else {
    const { publishableKey, endpoint } = settings;
    const lang = document.documentElement.dataset.gatewayLang ?? settings.lang; // apps have no such field
    const locale = lang.replace("-", "_");
    made = new globalThis.Magic(publishableKey, { endpoint, locale, deferPreload: true });
  }
  await within(READY_MS, made.preload());
  return made;
}

function script(url) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = url.href;
    element.onload = resolve;
    element.onerror = () => reject(new Failure("magic_unreachable"));
    document.head.append(element);
  });
}

/**
 * Log in with Magic; `begin` makes the SDK's request. A user may be logged in there from before,
 * and it need not be the same person: they are logged out first.
 */
export async function logIn(sdk, begin) {
  try {
    return await begin(sdk);
  } catch (error) {
    if (error?.code !== ALREADY_LOGGED_IN) throw inOurWords(error);
    await within(ANSWER_MS, sdk.user.logout());
    return await begin(sdk).catch((again) => {
      throw inOurWords(again);
    });
  }
}

/** What is exchanged for a session: `token`, or where the gateway has given a nonce, one bound to it. */
export async function bound(sdk, token, nonce) {
  if (!nonce) return { token, nonce };
  return { token: await newToken(sdk, nonce), nonce };
}

/** A new token for the user who is logged in with Magic, bound to `nonce` where there is one. */
export async function newToken(sdk, nonce) {
  const { lifespanS: lifespan } = settings;
  const asked = nonce
    ? sdk.user.generateIdToken({ lifespan, attachment: nonce })
    : sdk.user.getIdToken({ lifespan });
  try {
    return await within(ANSWER_MS, asked);
  } catch (error) {
    throw inOurWords(error);
  }
}
