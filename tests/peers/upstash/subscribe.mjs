// @upstash/redis: what subscribers hear, by channel and by pattern.
import {Redis} from "@upstash/redis";

const redis = Redis.fromEnv();
const channels = redis.subscribe(["chat", "news"]);
const patterns = redis.psubscribe(["ch*"]);

// Resolves with what `note` was called with, once that was `wanted` times.
const collected = (wanted, register) => new Promise((resolve) => {
  const seen = [];
  register((value) => { if (seen.push(value) === wanted) resolve(seen); });
});

const heard = await collected(3, (note) => {
  channels.on("subscribe", note);
  patterns.on("psubscribe", note);
});
const done = collected(5, (note) => {
  channels.on("message", ({channel, message}) => note(["message", null, channel, message]));
  patterns.on("pmessage", ({pattern, channel, message}) =>
    note(["pmessage", pattern, channel, message]));
});
const counts = [
  await redis.publish("chat", {user: "Ada", text: "a,b"}),
  await redis.publish("news", "plain"),
  await redis.publish("chat", 7),
];
const messages = (await done).map((message) => JSON.stringify(message)).sort();
await channels.unsubscribe();
await patterns.unsubscribe();
console.log(JSON.stringify({heard, counts, messages: messages.map((text) => JSON.parse(text))}));
process.exit(0);
