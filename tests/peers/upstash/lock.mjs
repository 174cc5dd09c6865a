// @upstash/lock: two that want the same lock.
import {Lock} from "@upstash/lock";
import {Redis} from "@upstash/redis";

const redis = Redis.fromEnv();
const make = () => new Lock({id: "lock", redis, lease: 5000, retry: {attempts: 2, delay: 10}});
const first = make();
const second = make();
const found = [
  await first.acquire(), await second.acquire(),
  await first.getStatus(), await second.getStatus(),
  await first.extend(10000), await redis.ttl("lock") > 10,
  await second.release(), await first.release(),
  await second.acquire(), await second.release(),
];
console.log(JSON.stringify(found));
