// Reads the events of the gateway from its stream, as one of a group of consumers.
import { hostname } from "node:os";
import { Redis } from "ioredis";

interface GatewayEvent {
  id: string;
  type: string;
  /** The issuer. */
  subject: string;
  time: string;
  data: Record<string, string | number | null>;
}

type Entry = [place: string, fields: string[] | null];

const STREAM = (process.env.REDIS_PREFIX ?? "") + "hooks";
const GROUP = process.env.GROUP ?? "reports";
const CONSUMER = process.env.CONSUMER ?? hostname();
const ABANDONED_MS = Number(process.env.ABANDONED_MS ?? 60_000); // longer than the work takes

const redis = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379");

async function handle(event: GatewayEvent) {
  // An event may come again: let the work be such that this does no harm, or note its id.
  console.log(event.type, event.subject, event.id);
}

/** First what another of the group took and never finished; then what is new. */
async function next(): Promise<Entry[]> {
  const claimed = await redis.xautoclaim(
    STREAM, GROUP, CONSUMER, ABANDONED_MS, "0-0", "COUNT", 100,
  );
  const entries = claimed[1] as Entry[];
  if (entries.length > 0) return entries;
  const read = await redis.xreadgroup(
    "GROUP", GROUP, CONSUMER, "COUNT", 100, "BLOCK", 1000, "STREAMS", STREAM, ">",
  );
  return read ? ((read as [string, Entry[]][])[0]?.[1] ?? []) : [];
}

try {
  await redis.xgroup("CREATE", STREAM, GROUP, "0", "MKSTREAM"); // "$": new events alone
} catch (error) {
  if (!String(error).includes("BUSYGROUP")) throw error; // the group is there
}
for (;;) {
  for (const [place, fields] of await next()) {
    const at = fields?.indexOf("event") ?? -1;
    if (fields && at >= 0) await handle(JSON.parse(fields[at + 1] ?? "") as GatewayEvent);
    await redis.xack(STREAM, GROUP, place);
  }
}
