/** The login page. */

import { arrive, remember, whenOthersArrive } from "./arrival.js";
import { boxes } from "./boxes.js";
import { settings } from "./config.js";
import { countDown, duration } from "./countdown.js";
import { ask, attempt, Failure } from "./gateway.js";
import { bound, logIn, magic, within } from "./magic.js";
import { complain, element, say, setUp, text } from "./page.js";

const RESEND_S = 30; // emails take about ten seconds
const SENT_MS = 30_000;
const ELSEWHERE_MS = 20_000;
const EMAIL = /^[^\s@]+@[^\s@]+$/; // the rest is for who sends the email to judge
const PHONE = /^\+[1-9][0-9]{6,14}$/; // E.164

const place = element("login");
const { returnTo } = place.dataset;
const ways = ["email-form", "phone-form"].map(element).filter(Boolean);
const codeForm = element("code-form");
const again = element("again");
const resend = element("resend");
const sent = element("sent");
const help = element("help");
const showCode = boxes(codeForm);

/** Which try this is: what a former one says later is not shown any more. */
let current = 0;
/** Calls off what waits for a code or a link. */
let callOff = () => {};
/** How and to where it was sent last, to send it again. */
let latest = { method: "", to: "" };
/** Ends the countdown until it may be sent again. */
let stopCounting = () => {};

/** Show the form that asks who it is. */
function startAgain() {
  current += 1;
  callOff();
  callOff = () => {};
  say("");
  askWho();
  busy(false);
  asked().focus();
}

/** The input for the address or the number of the latest try. */
const asked = () => (latest.method === "sms" ? element("phone") : ways[0].elements[0]);

/** Show the first forms again. */
function askWho() {
  stopCounting();
  codeForm.hidden = sent.hidden = true;
  for (const form of [...ways, help]) if (form) form.hidden = false;
}

/** Buttons stay where they are, and keep the focus, while they do nothing; `pressed` shows why. */
function busy(isBusy, pressed) {
  for (const button of place.querySelectorAll("[type=submit]")) {
    button.setAttribute("aria-disabled", String(isBusy));
    button.classList.toggle("busy", isBusy && button === pressed);
  }
}

function isBusy() {
  return place.querySelector("[type=submit]").getAttribute("aria-disabled") === "true";
}

function markInvalid(input, isInvalid) {
  if (isInvalid) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function refuse(input) {
  markInvalid(input, true);
  input.focus();
}

/** What stands in the form's one input, or a `Failure` that says what should. */
function written(form) {
  const input = form.elements[0];
  const isPhone = input.name === "phone";
  const value = isPhone ? input.value.replace(/[\s().-]/g, "") : input.value.trim();
  const isRight = (isPhone ? PHONE : EMAIL).test(value);
  markInvalid(input, false);
  if (isRight) return value;
  refuse(input);
  throw new Failure(isPhone ? "bad_phone" : "bad_email");
}

async function submitted(event) {
  event.preventDefault();
  if (isBusy()) return;
  const form = event.target;
  const pressed = event.submitter ?? form.querySelector("[type=submit]");
  try {
    latest = { method: pressed.value, to: written(form) };
  } catch (error) {
    current += 1;
    return fail(error);
  }
  await begin(pressed);
}

/** Send what `latest` says, and sign in with the answer. */
async function begin(pressed) {
  callOff();
  callOff = () => {};
  const mine = ++current;
  const isCurrent = () => mine === current;
  try {
    busy(true, pressed);
    say("connecting");
    await signIn(latest.method, latest.to, isCurrent);
    if (isCurrent()) leave();
  } catch (error) {
    if (!isCurrent()) return;
    fail(error);
    if (error.key === "bad_email" || error.key === "bad_phone") refuse(asked());
  }
}

/** Say what went wrong, with the form that is to be tried again. */
function fail(error) {
  callOff = () => {}; // what has failed waits for nothing
  askWho();
  busy(true);
  complain(error, () => busy(false));
}

function leave() {
  say("signed_in");
  location.replace(returnTo);
}

/** From an address to a session. */
async function signIn(method, to, isCurrent) {
  // Magic's SDK is fetched once it is wanted, while the gateway is asked.
  if (!settings.isDevelopment) magic().catch(() => {}); // awaited below
  const nonce = await attempt(method === "sms" ? { phone: to } : { email: to });
  if (settings.isDevelopment) return setUp(await arrive(() => madeUp(to, nonce)));
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
  await setUp(await arrive(() => bound(sdk, token, nonce)));
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
      say("link_sent", { to: masked(email) });
      again.focus();
    },
    "email-not-deliverable": () => new Failure("not_deliverable"),
  });
}

function byEmail(sdk, email, isCurrent) {
  const flow = sdk.auth.loginWithEmailOTP({ email, showUI: false, lifespan: settings.lifespanS });
  return settled(flow, email, isCurrent, {
    "email-otp-sent": () => askCode(flow, "verify-email-otp", email),
    "invalid-email-otp": () => wrongCode(),
    "expired-email-otp": () => new Failure("code_expired"),
    "max-attempts-reached": () => new Failure("too_many_codes"),
    ...secondFactor(flow, email),
  });
}

function byPhone(sdk, phoneNumber, isCurrent) {
  const flow = sdk.auth.loginWithSMS({ phoneNumber, showUI: false, lifespan: settings.lifespanS });
  return settled(flow, phoneNumber, isCurrent, {
    "sms-otp-sent": () => askCode(flow, "verify-sms-otp", phoneNumber),
    "invalid-sms-otp": () => wrongCode(),
    "expired-sms-otp": () => new Failure("code_expired"),
    ...secondFactor(flow, phoneNumber),
  });
}

const METHODS = { "email-otp": byEmail, "magic-link": byLink, sms: byPhone };

const secondFactor = (flow, to) => ({
  "mfa-sent-handle": () => askCode(flow, "verify-mfa-code", to, "mfa_code"),
  "invalid-mfa-otp": () => wrongCode(),
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
  for (const form of [...ways, help]) if (form) form.hidden = true;
  codeForm.hidden = true;
  sent.hidden = resend.hidden = element("check-spam").hidden = false;
  again.textContent = text(latest.method === "sms" ? "use_another_number" : "use_another");
  waitToResend();
}

/** Count down until it may be sent again: what is on its way comes first. */
function waitToResend() {
  stopCounting();
  stopCounting = countDown(RESEND_S, (leftS) => {
    resend.setAttribute("aria-disabled", String(leftS > 0));
    resend.textContent = leftS ? text("resend_in", { wait: duration(leftS) }) : text("resend");
  });
}

/** Enough of an address for its owner to see a mistake; others in sight learn less. */
function masked(to) {
  const at = to.lastIndexOf("@");
  return at < 0 ? `•••${to.slice(-4)}` : `${to.slice(0, 1)}•••${to.slice(at)}`;
}

/** Ask for the code that was sent; `event` hands it to the SDK. */
function askCode(flow, event, to, label = "code") {
  showWaiting();
  resend.hidden = label !== "code"; // else an app of theirs has it
  element("check-spam").hidden = label !== "code" || latest.method === "sms";
  say(label === "code" ? "code_sent" : "mfa_needed", { to: masked(to) });
  const input = element("code");
  codeForm.querySelector("label").textContent = text(label);
  input.value = "";
  showCode();
  markInvalid(input, false);
  codeForm.hidden = false;
  busy(false);
  input.focus();
  codeForm.onsubmit = (submit) => {
    submit.preventDefault();
    const code = input.value.replace(/\s/g, "");
    if (!code || isBusy()) return input.focus();
    if (code.length < input.form.querySelectorAll(".boxes span").length) return wrongCode("short_code");
    busy(true, codeForm.querySelector("button"));
    say("checking");
    flow.emit(event, code);
  };
}

function wrongCode(key = "wrong_code") {
  const input = element("code");
  busy(false);
  complain(new Failure(key));
  markInvalid(input, true);
  input.select();
}

if ("setUp" in place.dataset) {
  for (const form of ways) {
    form.addEventListener("submit", submitted);
    // Until now, the browser itself would have sent the form, with the address in the URL.
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
  again.addEventListener("click", startAgain);
  resend.addEventListener("click", () => {
    if (resend.getAttribute("aria-disabled") !== "true") begin(resend);
  });
  ways[0].elements[0].focus();
}
