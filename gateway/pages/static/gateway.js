/** What the pages ask the gateway. */

import { settings } from "./config.js";

/** Something that did not work, in words that people are told: `key` names the text. */
export class Failure extends Error {
  /**
   * @param {string} key of the text
   * @param {number} waitS seconds after which it may work; 0 where that is not known
   */
  constructor(key, waitS = 0) {
    super(key);
    this.key = key;
    this.waitS = waitS;
  }
}

const BY_STATUS = { 401: "refused", 403: "not_allowed", 409: "refused", 503: "unavailable" };
const BAD = { email: "bad_email", phone: "bad_phone" };
const BY_CODE = { nonce_refused: "refused", nonce_required: "refused", cross_site: "wrong_address" };

/** @param {Response} answer a problem document (RFC 9457), or what a proxy in front says instead */
async function failure(answer) {
  const waitS = Number(answer.headers.get("Retry-After")) || 0;
  if (answer.status === 429) return new Failure("throttled", waitS || 60);
  const { code } = await answer.json().catch(() => ({}));
  return new Failure(BY_CODE[code] ?? BY_STATUS[answer.status] ?? "failed", waitS);
}

/** Whether others had set cookies in our name: the answer has cleared those, and did nothing else. */
async function cleared(answer) {
  if (answer.status !== 400) return false;
  const { code } = await answer.clone().json().catch(() => ({}));
  return code === "ambiguous_credentials";
}

/**
 * @param {string} method
 * @param {string} path below the gateway's prefix
 * @returns {Promise<Response>} whatever its status
 */
export async function ask(method, path, { headers = {}, json } = {}) {
  const body = json && JSON.stringify(json);
  const fields = { Accept: "application/json", ...headers };
  if (body) fields["Content-Type"] = "application/json";
  try {
    const init = { method, headers: fields, body, credentials: "same-origin", cache: "no-store" };
    const answer = await fetch(settings.prefix + path, init);
    return (await cleared(answer)) ? await fetch(settings.prefix + path, init) : answer;
  } catch {
    throw new Failure("gateway_unreachable");
  }
}

/**
 * Ask to be let try: many tries cost the one who tries.
 *
 * @param {Record<string, string>} who `email` or `phone`
 * @returns {Promise<string>} a nonce for the token to bear; empty where the gateway wants none
 */
export async function attempt(who) {
  const answer = await ask("POST", "/login/attempt", { json: who });
  if (answer.ok) return (await answer.json()).nonce ?? "";
  if (answer.status === 404 || answer.status === 405) return "";
  if (answer.status === 400 && !(await cleared(answer))) throw new Failure(BAD[Object.keys(who)[0]] ?? "failed");
  throw await failure(answer);
}

/**
 * Exchange a DID token for a session; the browser keeps its cookie, no script sees it. With
 * `isRenewal` the session before is ended a moment later, for requests that are under way.
 */
export async function exchange(token, nonce, isRenewal = false) {
  const answer = await ask("POST", isRenewal ? "/session?renewal=true" : "/session", {
    headers: { Authorization: `Bearer ${token}` },
    json: nonce ? { nonce } : undefined,
  });
  if (!answer.ok) throw await failure(answer);
  return answer.json();
}

/**
 * The session, and how long it lasts by the clock of the gateway: the one of a browser may be wrong.
 *
 * @returns {Promise<{email: string | null, expires_at: string, leftMs: number} | null>} null if not
 *     signed in
 */
export async function whoAmI() {
  const answer = await ask("GET", "/session");
  if (answer.status === 401) return null;
  if (!answer.ok) throw await failure(answer);
  const session = await answer.json();
  const now = Date.parse(answer.headers.get("Date")) || Date.now();
  return { ...session, leftMs: Date.parse(session.expires_at) - now };
}

/** End one of one's own sessions; one that has ended already is no failure. */
export async function endSession(id) {
  const answer = await ask("DELETE", `/sessions/${encodeURIComponent(id)}`);
  if (!answer.ok && answer.status !== 404) throw await failure(answer);
}
