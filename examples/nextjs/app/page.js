// Greets the user that the gateway has authenticated. A server component: it runs for each request.
import { headers } from "next/headers";

export default async function Page() {
  const fields = await headers();
  // Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
  const issuer = decodeURIComponent(fields.get("x-user-issuer") ?? "");
  const email = decodeURIComponent(fields.get("x-user-email") ?? "");
  return (
    <main>
      <h1>{`Hello, ${email || issuer}`}</h1>
      <p>{issuer}</p>
    </main>
  );
}
