// @upstash/redis: what each call returns, as one JSON document.
import {Redis} from "@upstash/redis";

const url = process.env.UPSTASH_REDIS_REST_URL;
const token = process.env.UPSTASH_REDIS_REST_TOKEN;
const readToken = "read-only-token";
const redis = Redis.fromEnv();
const told = (promise) =>
  promise.then((value) => value, (error) => `${error.name}: ${error.message}`);
const found = {};

found.set = await redis.set("user", {name: "Ada", tags: ["a", 1, null]}, {ex: 100, nx: true});
found.get = await redis.get("user");
found.nx = await redis.set("user", 1, {nx: true});
found.ttl = await redis.ttl("user") > 90;
found.absent = await redis.get("none");
found.ok = [await redis.set("ok", "OK"), await redis.get("ok")];
found.unicode = [await redis.set("u", "é😀\n"), await redis.get("u")];
found.numbers = [
  await redis.set("n", 1.5), await redis.get("n"),
  await redis.incrby("i", 41), await redis.incr("i"),
];
found.big = [await redis.set("big", "12345678901234567890"), await redis.get("big")];
found.hash = [
  await redis.hset("h", {a: 1, b: {c: true}}), await redis.hgetall("h"),
  await redis.hmget("h", "a", "x"),
];
found.list = [await redis.rpush("l", "a", "b"), await redis.lrange("l", 0, -1)];
found.zset = [
  await redis.zadd("z", {score: 1.5, member: "a"}, {score: 2, member: "b"}),
  await redis.zrange("z", 0, -1, {withScores: true}),
];
found.scan = (await redis.scan("0", {match: "u*"}))[1].sort();
found.stream = [
  typeof await redis.xadd("s", "*", {a: "1"}),
  Object.values(await redis.xrange("s", "-", "+")),
];
found.binary = [
  await redis.set("b", "x"), await redis.bitop("not", "b", "b"),
  (await redis.get("b")).codePointAt(0),
];
found.pipeline = await redis.pipeline().set("p", 1).incr("p").get("p").exec();
found.errors = await redis.pipeline().set("p", "x").incr("p").get("p").exec({keepErrors: true});
found.multi = await redis.multi().set("m", 1).incr("m").exec();
found.eval = [
  await redis.eval("return {KEYS[1], ARGV[1], false}", ["k"], ["a"]),
  await told(redis.evalsha("f".repeat(40), [], [])),
];
const counting = "#!lua flags=allow-key-locking\nreturn redis.call('INCR', KEYS[1])";
const script = redis.createScript(counting);
found.script = [
  await script.exec(["c"], []), await script.exec(["c"], []),
  await redis.scriptExists(await redis.scriptLoad(counting)),
];
const reading = "#!lua flags=no-writes,allow-key-locking\nreturn redis.call('GET', KEYS[1])";
found.readOnlyScript = await redis.createScript(reading, {readonly: true}).exec(["c"], []);
const auto = new Redis({url, token, enableAutoPipelining: true});
found.auto = await Promise.all([
  auto.set("x", 1), auto.incr("y"), auto.get("user"), auto.mget("ok", "none"),
]);
const plain = new Redis({url, token, responseEncoding: false, automaticDeserialization: false});
found.raw = await plain.get("n");

const reader = new Redis({url, token: readToken});
found.readOnlyGet = await reader.get("m");
found.discarded = await told(reader.multi().set("m", 6).exec());
found.wrongType = await told(redis.lpush("m", "x"));
found.unauthorized = await told(new Redis({url, token: "x"}).get("m"));
found.readOnly = await told(reader.set("m", 1));
console.log(JSON.stringify(found));
