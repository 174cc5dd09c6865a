/** The page that the link in an email opens. */

import { arrive, placeToGo, remembered } from "./arrival.js";
import { settings } from "./config.js";
import { attempt, Failure } from "./gateway.js";
import { bound, inOurWords, logIn, magic } from "./magic.js";
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
  const nonce = pending ? pending.nonce : await attempt(await whoIs(sdk));
  await arrive(() => bound(sdk, token, nonce));
  say("signed_in");
  location.replace(placeToGo(pending?.returnTo ?? "/"));
}

/** For a link that was asked for in another browser: who it has turned out to be. */
async function whoIs(sdk) {
  const { email, phoneNumber } = await sdk.user.getInfo();
  return email ? { email } : { phone: phoneNumber ?? "" };
}

land().catch((error) => {
  element("again").hidden = false;
  complain(error instanceof Failure ? error : inOurWords(error));
});
