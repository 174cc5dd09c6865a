// Receives webhooks of the gateway: verifies each, drops repeats, and answers.
import { Redis } from "@upstash/redis";
import { Webhook } from "standardwebhooks";

interface GatewayEvent {
  type: string;
  /** The issuer. */
  subject: string;
  time: string;
  data: Record<string, string | number | boolean | null>;
}

const CLAIMED_S = 60; // longer than the work takes
const KNOWN_S = 7 * 24 * 3600; // longer than the gateway tries

export async function POST(request: Request) {
  let event: GatewayEvent;
  try {
    const webhook = new Webhook(process.env.HOOK_SECRET ?? "");
    const fields = Object.fromEntries(request.headers);
    event = webhook.verify(await request.text(), fields) as GatewayEvent;
  } catch {
    return new Response(null, { status: 401 });
  }
  const redis = Redis.fromEnv();
  const mark = "app:hooks:" + request.headers.get("webhook-id");
  if ((await redis.set(mark, "claimed", { nx: true, ex: CLAIMED_S })) === null) {
    // Done before; or at work elsewhere: then the gateway comes again.
    const isDone = (await redis.get(mark)) === "done";
    return new Response(null, { status: isDone ? 204 : 503 });
  }
  // Where this fails, the claim ends, and the work is done by a later delivery. It may be done
  // twice where the process dies just after it: let it be such that this does no harm.
  const isTest = event.data.test === true; // of `gateway hooks test`: about no person
  if (event.type === "user.first_login" && !isTest) await welcome(redis, event);
  await redis.set(mark, "done", { ex: KNOWN_S });
  return new Response(null, { status: 204 });
}

async function welcome(redis: Redis, event: GatewayEvent) {
  await redis.rpush("app:welcomes", event.subject);
}
