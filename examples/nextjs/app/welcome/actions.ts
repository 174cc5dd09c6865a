"use server";
// Post-login work in a server action, once: double clicks, refreshes and other servers wait or find it done.
import { headers } from "next/headers";
import { LockHeldError } from "../../lib/lock";
import { welcomeOnce } from "../../lib/welcome";

export async function welcome(): Promise<"welcomed" | "known" | "busy"> {
  // Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
  const issuer = decodeURIComponent((await headers()).get("x-user-issuer") ?? "");
  if (!issuer) throw new Error("not behind the gateway");
  try {
    return await welcomeOnce(issuer);
  } catch (error) {
    if (error instanceof LockHeldError) return "busy"; // the page may ask again
    throw error;
  }
}
