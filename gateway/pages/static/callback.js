/** The page that the link in an email opens. */

import { arrive, placeToGo, remembered } from "./arrival.js";
import { settings } from "./config.js";
import { attempt, Failure } from "./gateway.js";
import { bound, inOurWords, logIn, magic, within } from "./magic.js";
import { complain, element, say, setUp } from "./page.js";

const INFO_MS = 20_000;

async function land() {
  const pending = remembered();
  const query = location.search;
  if (!new URLSearchParams(query).has("magic_credential")) {
    throw new Failure("link_incomplete");
  }
  history.replaceState(null, "", location.pathname);
  say("connecting");
  const sdk = await magic();
  say("checking");
  const { lifespanS: lifespan } = settings;
  const token = await logIn(sdk, () =>
    sdk.auth.loginWithCredential({ credentialOrQueryString: query, lifespan }),
  );
  const nonce = pending ? pending.nonce : await attempt(await agreed(sdk));
  await setUp(await arrive(() => bound(sdk, token, nonce)));
  say("signed_in");
  location.replace(placeToGo(pending?.returnTo ?? "/"));
}

/**
 * For a link that was not asked for in this browser: who it has turned out to be, once they say so.
 * Login CSRF: an attacker can send a link of their own, so that a victim acts in their account.
 */
async function agreed(sdk) {
  const { email, phoneNumber } = await within(INFO_MS, sdk.user.getInfo());
  const form = element("confirm");
  form.hidden = element("again").hidden = false;
  say("asked_elsewhere", { to: email ?? phoneNumber ?? "" });
  await new Promise((resolve) => {
    form.onsubmit = (submit) => {
      submit.preventDefault();
      resolve();
    };
  });
  form.hidden = element("again").hidden = true;
  say("checking");
  return email ? { email } : { phone: phoneNumber ?? "" };
}

land().catch((error) => {
  element("again").hidden = false;
  complain(error instanceof Failure ? error : inOurWords(error));
});
