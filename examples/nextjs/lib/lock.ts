// Takes locks of the gateway: work that runs once at a time, on however many servers.
// GATEWAY_URL and GATEWAY_API_KEY come from the environment; the key has the scope `locks`.

export interface HeldLock {
  /** Write it along: what is written to refuses a fence below the highest that it has seen. */
  fence: number;
  /** Aborts when a renewal failed, before the lease ends: stop then. */
  lost: AbortSignal;
}

export interface LockOptions {
  /** Between 1 and 3600 seconds; renewed while the work runs. */
  leaseSeconds?: number;
  /** Up to 10 seconds. */
  waitSeconds?: number;
}

/** Another run has the lock. */
export class LockHeldError extends Error {}

type Asked =
  | { action: "acquire"; holder: string; lease: string; wait: string }
  | { action: "renew"; holder: string; fence: number; lease: string }
  | { action: "release"; holder: string; fence: number };

/** Runs `work` while this run holds the lock `name`. */
export async function withLock<T>(
  name: string,
  work: (lock: HeldLock) => Promise<T>,
  { leaseSeconds = 30, waitSeconds = 5 }: LockOptions = {},
): Promise<T> {
  const holder = crypto.randomUUID(); // of this run alone; it makes a repeated request safe
  const lease = `${leaseSeconds}s`;
  const acquired = await ask(name, { action: "acquire", holder, lease, wait: `${waitSeconds}s` });
  const { fence } = (await acquired.json()) as { fence: number };
  const lost = new AbortController();
  const third = (leaseSeconds * 1000) / 3;
  const renewals = setInterval(() => {
    ask(name, { action: "renew", holder, fence, lease }, third).catch((error) => lost.abort(error));
  }, third);
  try {
    return await work({ fence, lost: lost.signal });
  } finally {
    clearInterval(renewals);
    // If this fails, the lease ends by itself.
    await ask(name, { action: "release", holder, fence }).catch(() => undefined);
  }
}

async function ask(name: string, asked: Asked, withinMs = 20_000): Promise<Response> {
  const answer = await fetch(`${process.env.GATEWAY_URL}/_gateway/locks/${name}`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${process.env.GATEWAY_API_KEY}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify(asked),
    cache: "no-store",
    signal: AbortSignal.timeout(withinMs),
  });
  if (answer.status === 409) throw new LockHeldError(`another run holds ${name}`);
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status} for the lock ${name}`);
  return answer;
}
