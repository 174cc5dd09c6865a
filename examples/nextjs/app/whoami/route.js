// The same for scripts: a route handler that answers with JSON.
import { headers } from "next/headers";

export async function GET() {
  const fields = await headers();
  const issuer = decodeURIComponent(fields.get("x-user-issuer") ?? "");
  const email = decodeURIComponent(fields.get("x-user-email") ?? "");
  return Response.json({ greeting: `Hello, ${email || issuer}`, issuer, email });
}
