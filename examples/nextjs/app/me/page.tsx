// Shows the user's wallet. A server component: Redis and its token stay on the server.
import { headers } from "next/headers";
import { readUser } from "../../lib/user";

export default async function Me() {
  // Written by the gateway, whatever the client sent. Claims are percent-encoded UTF-8.
  const issuer = decodeURIComponent((await headers()).get("x-user-issuer") ?? "");
  const user = await readUser(issuer);
  return (
    <main>
      <h1>{`Hello, ${user?.email ?? user?.phoneNumber ?? issuer}`}</h1>
      <p id="address">{user?.publicAddress ?? "no wallet"}</p>
      <p id="permissions">{user?.gateway?.permissions?.join(", ")}</p>
    </main>
  );
}
