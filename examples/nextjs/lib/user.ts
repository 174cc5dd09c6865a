// Reads what Magic knows of a user from Redis, where the gateway keeps it: without a call to Magic.
import type { MagicUserMetadata } from "@magic-sdk/admin";
import { Redis } from "@upstash/redis";

/** What the gateway adds to Magic's members. Times are Unix times in milliseconds. */
export interface GatewayMembers {
  /** For gateways: what apps read makes no issuer a user. */
  seal: string;
  fetchedAt: number;
  /** Null while they are unknown. The fields of a request are newer. */
  roles: string[] | null;
  permissions: string[] | null;
  /** When the user's last proof ends, and the record with it. */
  until: number;
}

export type KnownUser = MagicUserMetadata & { gateway?: GatewayMembers };

/** The user, or null for one whose tokens and sessions are over. */
export async function readUser(issuer: string, redis = Redis.fromEnv()): Promise<KnownUser | null> {
  return redis.get<KnownUser>("user:" + issuer);
}
