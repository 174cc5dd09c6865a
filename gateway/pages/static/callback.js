/** The page that the link in an email opens. */

import { arrive, placeToGo, remembered } from "./arrival.js";
import { settings } from "./config.js";
import { Failure } from "./gateway.js";
import { inOurWords, logIn, magic, newToken } from "./magic.js";
import { complain, element, say } from "./page.js";

async function land() {
  const pending = remembered();
  if (!new URLSearchParams(location.search).has("magic_credential")) {
    throw new Failure("link_incomplete");
  }
  say("connecting");
  const sdk = await magic();
  say("checking");
  const query = location.search; // the SDK takes it out of the address bar
  history.replaceState(null, "", location.pathname);
  const { lifespanS: lifespan } = settings;
  const token = await logIn(sdk, () =>
    sdk.auth.loginWithCredential({ credentialOrQueryString: query, lifespan }),
  );
  const nonce = pending?.nonce ?? "";
  await arrive(async () => ({ token: nonce ? await newToken(sdk, nonce) : token, nonce }));
  say("signed_in");
  location.replace(placeToGo(pending?.returnTo ?? "/"));
}

land().catch((error) => {
  element("again").hidden = false;
  complain(error instanceof Failure ? error : inOurWords(error));
});
