// What must happen once after a user's first login. Redis stands for your second database.
import { Redis } from "@upstash/redis";
import { withLock } from "./lock";

// Writes where no row is, or one of an earlier fence that was not finished.
const BEGIN = `
local row = redis.call('HMGET', KEYS[1], 'fence', 'done')
if row[2] or tonumber(row[1] or '0') > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
return 1`;

// A late run, whose lease has ended, has a lower fence: it changes nothing.
const FINISH = `
if redis.call('HGET', KEYS[1], 'fence') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'times', 1)
redis.call('HSET', KEYS[1], 'done', ARGV[2])
return 1`;

export async function welcomeOnce(
  issuer: string,
  redis = Redis.fromEnv(),
  work: (issuer: string) => Promise<void> = async () => undefined,
): Promise<"welcomed" | "known"> {
  const row = `profile:${issuer}`;
  return withLock(`welcome:${issuer}`, async ({ fence, lost }) => {
    if (!(await redis.eval(BEGIN, [row], [String(fence)]))) return "known";
    await work(issuer);
    lost.throwIfAborted();
    if (!(await redis.eval(FINISH, [row], [String(fence), new Date().toISOString()]))) {
      throw new Error("another run has taken over");
    }
    return "welcomed";
  });
}
