/** The login page. */

import { arrive, remember, whenOthersArrive } from "./arrival.js";
import { settings } from "./config.js";
import { ask, attempt, Failure } from "./gateway.js";
import { bound, inOurWords, logIn, magic, within } from "./magic.js";
import { complain, element, say, text } from "./page.js";

const SENT_MS = 30_000;
const ELSEWHERE_MS = 20_000;
const EMAIL = /^[^\s@]+@[^\s@]+$/; // the rest is for who sends the email to judge
const PHONE = /^\+[1-9][0-9]{6,14}$/; // E.164

const place = element("login");
const { returnTo } = place.dataset;
const ways = ["email-form", "phone-form"].map(element).filter(Boolean);
const codeForm = element("code-form");
const again = element("again");

/** Which try this is: what a former one says later is not shown any more. */
let current = 0;
/** Calls off what waits for a code or a link. */
let callOff = () => {};

/** Show the form that asks who it is. */
function startAgain() {
  current += 1;
  callOff();
  callOff = () => {};
  say("");
  codeForm.hidden = again.hidden = true;
  for (const form of ways) form.hidden = false;
  busy(false);
  ways[0].elements[0].focus();
}

/** Buttons stay where they are, and keep the focus, while they do nothing. */
function busy(isBusy) {
  for (const button of place.querySelectorAll("[type=submit]")) {
    button.setAttribute("aria-disabled", String(isBusy));
  }
}

function isBusy() {
  return place.querySelector("[type=submit]").getAttribute("aria-disabled") === "true";
}

function markInvalid(input, isInvalid) {
  if (isInvalid) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

/** What stands in the form's one input, or a `Failure` that says what should. */
function written(form) {
  const input = form.elements[0];
  const isPhone = input.name === "phone";
  const value = isPhone ? input.value.replace(/[\s().-]/g, "") : input.value.trim();
  const isRight = (isPhone ? PHONE : EMAIL).test(value);
  markInvalid(input, !isRight);
  if (isRight) return value;
  input.focus();
  throw new Failure(isPhone ? "bad_phone" : "bad_email");
}

async function submitted(event) {
  event.preventDefault();
  if (isBusy()) return;
  const form = event.target;
  const method = event.submitter?.value ?? form.querySelector("[type=submit]").value;
  const mine = ++current;
  const isCurrent = () => mine === current;
  try {
    const to = written(form);
    busy(true);
    say("connecting");
    await signIn(method, to, isCurrent);
    if (isCurrent()) leave();
  } catch (error) {
    if (isCurrent()) fail(error);
  }
}

/** Say what went wrong, with the form that is to be tried again. */
function fail(error) {
  codeForm.hidden = again.hidden = true;
  for (const form of ways) form.hidden = false;
  busy(true);
  complain(error, () => busy(false));
}

function leave() {
  say("signed_in");
  location.replace(returnTo);
}

/** From an address to a session. */
async function signIn(method, to, isCurrent) {
  const nonce = await attempt(method === "sms" ? { phone: to } : { email: to });
  if (settings.isDevelopment) return arrive(() => madeUp(to, nonce));
  const sdk = await magic();
  if (!isCurrent()) return;
  say("sending");
  const begin = METHODS[method];
  if (method !== "magic-link") {
    const token = await logIn(sdk, () => begin(sdk, to, isCurrent));
    return arriveWith(sdk, token, nonce, isCurrent);
  }
  remember(nonce, returnTo);
  const others = arrivalElsewhere();
  try {
    const token = await Promise.race([others.arrived, logIn(sdk, () => begin(sdk, to, isCurrent))]);
    if (token) await arriveWith(sdk, token, nonce, isCurrent);
  } catch (error) {
    if (error.key !== "signed_in_elsewhere") throw error;
    say("checking");
    await within(ELSEWHERE_MS, others.arrived, "signed_in_elsewhere");
  } finally {
    others.forget();
  }
}

async function arriveWith(sdk, token, nonce, isCurrent) {
  if (!isCurrent()) return;
  say("checking");
  await arrive(() => bound(sdk, token, nonce));
}

/** The link from the email opens another window, and that one makes the session. */
function arrivalElsewhere() {
  let forget;
  const arrived = new Promise((resolve) => {
    forget = whenOthersArrive(resolve);
  });
  return { arrived, forget };
}

/** A token of development mode, for whatever address. */
async function madeUp(email, nonce) {
  const query = new URLSearchParams({ email, lifetime_s: settings.lifespanS, attachment: nonce });
  if (!nonce) query.delete("attachment");
  const answer = await ask("POST", `/development/token?${query}`);
  if (!answer.ok) throw new Failure("failed");
  return { token: (await answer.text()).trim(), nonce };
}

function byLink(sdk, email, isCurrent) {
  const redirectURI = `${settings.publicUrl}${settings.prefix}/callback`;
  const flow = sdk.auth.loginWithMagicLink({
    email, redirectURI, showUI: false, lifespan: settings.lifespanS,
  });
  return settled(flow, email, isCurrent, {
    "email-sent": () => {
      showWaiting();
      say("link_sent", { to: email });
      again.focus();
    },
    "email-not-deliverable": () => new Failure("not_deliverable"),
  });
}

function byEmail(sdk, email, isCurrent) {
  const flow = sdk.auth.loginWithEmailOTP({ email, showUI: false, lifespan: settings.lifespanS });
  return settled(flow, email, isCurrent, {
    "email-otp-sent": () => askCode(flow, "verify-email-otp", email),
    "invalid-email-otp": wrongCode,
    "expired-email-otp": () => new Failure("code_expired"),
    "max-attempts-reached": () => new Failure("too_many_codes"),
    ...secondFactor(flow, email),
  });
}

function byPhone(sdk, phoneNumber, isCurrent) {
  const flow = sdk.auth.loginWithSMS({ phoneNumber, showUI: false, lifespan: settings.lifespanS });
  return settled(flow, phoneNumber, isCurrent, {
    "sms-otp-sent": () => askCode(flow, "verify-sms-otp", phoneNumber),
    "invalid-sms-otp": wrongCode,
    "expired-sms-otp": () => new Failure("code_expired"),
    ...secondFactor(flow, phoneNumber),
  });
}

const METHODS = { "email-otp": byEmail, "magic-link": byLink, sms: byPhone };

const secondFactor = (flow, to) => ({
  "mfa-sent-handle": () => askCode(flow, "verify-mfa-code", to, "mfa_code"),
  "invalid-mfa-otp": wrongCode,
  "login-throttled": () => new Failure("throttled", 60),
});

/**
 * The token that `flow` ends with. `handlers` are called for its events, as long as this is the
 * current try; one that returns a `Failure` ends it.
 */
function settled(flow, to, isCurrent, handlers) {
  const sent = new Promise((resolve) => {
    for (const name of ["email-sent", "email-otp-sent", "sms-otp-sent"]) flow.on(name, resolve);
    flow.then(resolve, resolve);
  });
  return new Promise((resolve, reject) => {
    callOff = () => flow.emit("cancel");
    for (const [name, handle] of Object.entries(handlers)) {
      flow.on(name, (...said) => {
        const failure = isCurrent() && handle(...said);
        if (failure) {
          flow.emit("cancel");
          reject(failure);
        }
      });
    }
    flow.then(resolve, reject);
    within(SENT_MS, sent).catch(reject);
  });
}

function showWaiting() {
  for (const form of ways) form.hidden = true;
  codeForm.hidden = true;
  again.hidden = false;
}

/** Ask for the code that was sent; `event` hands it to the SDK. */
function askCode(flow, event, to, label = "code") {
  showWaiting();
  say(label === "code" ? "code_sent" : "mfa_needed", { to });
  const input = element("code");
  codeForm.querySelector("label").textContent = text(label);
  input.value = "";
  markInvalid(input, false);
  codeForm.hidden = false;
  busy(false);
  input.focus();
  codeForm.onsubmit = (submit) => {
    submit.preventDefault();
    const code = input.value.replace(/\s/g, "");
    if (!code || isBusy()) return input.focus();
    busy(true);
    say("checking");
    flow.emit(event, code);
  };
}

function wrongCode() {
  const input = element("code");
  busy(false);
  complain(new Failure("wrong_code"));
  markInvalid(input, true);
  input.select();
}

if ("setUp" in place.dataset) {
  for (const form of ways) {
    form.hidden = false;
    form.addEventListener("submit", submitted);
  }
  again.addEventListener("click", startAgain);
  ways[0].elements[0].focus();
  if (!settings.isDevelopment) magic().catch((error) => complain(inOurWords(error)));
}
