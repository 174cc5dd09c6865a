// Trusts only X-Gateway-Assertion. Answers every GET with the verified claims, as JSON.
import { createHash, createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";

const { ISSUER, AUDIENCE, PORT = "3000" } = process.env; // server.public_url; this app's name
const JWKS_URL = process.env.JWKS_URL ?? `${ISSUER}/_gateway/jwks.json`;
const LEEWAY_S = 5;

// A list of your own: never trust the header of the token.
const ALGORITHMS = {
  EdDSA: (data, key, signature) => verify(null, data, key, signature),
  ES256: (data, key, signature) =>
    verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature),
};

const KEEP_MS = 60_000;
const COOLDOWN_MS = 1_000;
let keys = new Map();
let readAt = -Infinity;

// Fetches the key set again when it is old, or when the key is unknown: keys are rotated.
async function keyOf(kid) {
  const age = performance.now() - readAt;
  if (age > KEEP_MS || (!keys.has(kid) && age > COOLDOWN_MS)) {
    const answer = await fetch(JWKS_URL, { signal: AbortSignal.timeout(5_000) });
    if (!answer.ok) throw new Error(`key set: ${answer.status}`);
    const published = (await answer.json()).keys;
    keys = new Map(published.map((jwk) => [jwk.kid, jwk]));
    readAt = performance.now();
  }
  const jwk = keys.get(kid);
  if (!jwk) throw new Error("unknown key");
  return jwk;
}

const decoded = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));

async function verified(token) {
  const parts = token.split(".");
  if (parts.length !== 3) throw new Error("no JWT");
  const [head, body, signature] = parts;
  const { alg, kid } = decoded(head);
  const jwk = await keyOf(kid);
  if (!Object.hasOwn(ALGORITHMS, alg) || jwk.alg !== alg) throw new Error("algorithm");
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const data = Buffer.from(`${head}.${body}`);
  if (!ALGORITHMS[alg](data, key, Buffer.from(signature, "base64url"))) throw new Error("signature");
  const claims = decoded(body);
  const now = Date.now() / 1000;
  if (claims.iss !== ISSUER) throw new Error("issuer");
  if (claims.aud !== AUDIENCE) throw new Error("audience");
  if (!(claims.exp > now - LEEWAY_S)) throw new Error("expired");
  if (!(claims.iat < now + LEEWAY_S)) throw new Error("issued later");
  if (typeof claims.sub !== "string") throw new Error("subject");
  return claims;
}

// With `bind: request`: checks that the assertion is for this request, and no other.
function isFor(claims, method, target) {
  if (claims.htm === undefined) return true;
  const [path, ...rest] = target.split("?");
  const hash = createHash("sha256").update(rest.join("?")).digest("base64url");
  return claims.htm === method && claims.path === path && claims.qh === hash;
}

createServer(async (request, response) => {
  let status = 200;
  let said;
  try {
    said = await verified(request.headers["x-gateway-assertion"] ?? "");
    if (!isFor(said, request.method, request.url)) throw new Error("another request");
  } catch (error) {
    status = 401; // any error means that no identity is proven
    said = { error: error.message };
  }
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(said));
}).listen(Number(PORT), "127.0.0.1");
