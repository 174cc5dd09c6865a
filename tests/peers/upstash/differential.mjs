// @upstash/ratelimit at times that are given: reads callers from standard input, prints verdicts.
import {AsyncLocalStorage} from "node:async_hooks";
import {Ratelimit} from "@upstash/ratelimit";
import {Redis} from "@upstash/redis";

const clock = new AsyncLocalStorage();
const real = Date.now;
Date.now = () => clock.getStore() ?? real();

const redis = Redis.fromEnv({enableAutoPipelining: false});
const limiters = {
  "fixed-window": ({tokens, window_ms}) => Ratelimit.fixedWindow(tokens, `${window_ms} ms`),
  "sliding-window": ({tokens, window_ms}) => Ratelimit.slidingWindow(tokens, `${window_ms} ms`),
  "token-bucket": ({tokens, refill, window_ms}) =>
    Ratelimit.tokenBucket(refill, `${window_ms} ms`, tokens),
};

async function verdicts(caller) {
  const ratelimit = new Ratelimit({
    redis, limiter: limiters[caller.algorithm](caller), prefix: "npm",
    ephemeralCache: false, timeout: 600_000,
  });
  const isBucket = caller.algorithm === "token-bucket", found = [];
  let endsAt = Infinity;
  for (const [now, rate] of caller.calls) {
    if (now >= endsAt) await redis.del(`npm:${caller.name}`);
    const {success, pending} = await clock.run(now, () => ratelimit.limit(caller.name, {rate}));
    await pending;
    found.push(success);
    if (isBucket && success) {  // the server's clock stands still: the key ends by the calls' clock
      const left = await redis.pttl(`npm:${caller.name}`);
      endsAt = now + Math.ceil(left / caller.window_ms) * caller.window_ms;
    }
  }
  return found;
}

const read = [];
for await (const part of process.stdin) read.push(part);
const callers = JSON.parse(Buffer.concat(read).toString());
const found = [];
let next = 0;
const work = async () => {
  for (let at; (at = next++) < callers.length;) found[at] = await verdicts(callers[at]);
};
await Promise.all(Array.from({length: 32}, work));
console.log(JSON.stringify(found));
