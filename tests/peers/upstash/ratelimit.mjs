// @upstash/ratelimit: the verdicts of each algorithm, on a limit of three.
import {Ratelimit} from "@upstash/ratelimit";
import {Redis} from "@upstash/redis";

const redis = Redis.fromEnv();
const limiters = {
  fixed: Ratelimit.fixedWindow(3, "300 d"),
  sliding: Ratelimit.slidingWindow(3, "300 d"),
  bucket: Ratelimit.tokenBucket(3, "300 d", 3),
};
const found = {};
for (const [name, limiter] of Object.entries(limiters)) {
  const ratelimit = new Ratelimit({
    redis, limiter, prefix: name, ephemeralCache: false,
    analytics: name === "fixed", dynamicLimits: name !== "bucket",
  });
  found[name] = [];
  for (let i = 0; i < 5; i++) {
    const {success, remaining, pending} = await ratelimit.limit("ada");
    await pending;
    found[name].push([success, remaining]);
  }
  found[`${name}Left`] = (await ratelimit.getRemaining("ada")).remaining;
  await ratelimit.resetUsedTokens("ada");
  found[`${name}Reset`] = (await ratelimit.limit("ada")).success;
}
const limiter = Ratelimit.fixedWindow(1, "300 d");
const cached = new Ratelimit({redis, limiter, prefix: "cached"});
found.cached = [
  (await cached.limit("x")).success, (await cached.limit("x")).success,
  (await cached.limit("x")).reason,
];
console.log(JSON.stringify(found));
