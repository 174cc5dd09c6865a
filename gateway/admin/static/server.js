// Requests to the gateway, and the dialog that asks before something is done.

import { byId, element } from "./elements.js";

export async function read(path) {
  return answered(await asked(path, { headers: { Accept: "application/json" } }));
}

export async function send(path, document) {
  const body = JSON.stringify(document);
  return answered(await asked(path, { method: "POST", headers: { "Content-Type": "application/json" }, body }));
}

async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("The gateway does not answer.");
  }
}

async function answered(answer) {
  if (answer.status === 401) location.reload();
  const document = answer.status === 204 ? {} : await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(document?.detail ?? document?.title ?? `The answer has status ${answer.status}.`);
  if (document === null) throw new Error("The answer was cut off."); // as by a gateway that ends
  return document;
}

let shown = 0; // number of the latest dialog: an answer may come when another one is open

// Show a dialog; `work`, if there is any, is done when its button is pressed, and returns a text.
// Returns a function that says whether it is still shown.
export function dialog(title, body, label, work) {
  const mine = ++shown;
  const isShown = () => mine === shown && byId("dialog").open;
  byId("dialog-title").textContent = title;
  const place = byId("dialog-body");
  const said = element("div", { class: "outcome" });
  place.replaceChildren(...body, said);
  const button = byId("dialog-do");
  button.hidden = !work;
  button.disabled = false;
  button.textContent = label ?? "";
  button.onclick = async () => {
    button.disabled = true;
    const { text, isDone } = await outcome(work);
    if (!isShown()) return tellLate(title, text, isDone);
    said.replaceChildren(told(text, isDone));
    button.hidden = isDone;
    button.disabled = false;
    (isDone ? byId("dialog-close") : button).focus();
  };
  if (!byId("dialog").open) byId("dialog").showModal();
  byId("dialog-title").focus();
  place.querySelector(".refused")?.scrollIntoView({ block: "center" });
  return isShown;
}

// Show a dialog at once, and what `load` finds when it has come, unless the dialog was left.
export async function loading(title, body, load) {
  const isShown = dialog(title, [...body, element("p", { class: "quiet", role: "status" }, "Asking the gateway…")]);
  const found = await load().catch((error) => [told(error.message, false)]);
  if (isShown()) dialog(title, [...body, ...found]);
}

const told = (text, isDone) => element("p", { role: isDone ? "status" : "alert", class: isDone ? "right" : "wrong" }, text);

async function outcome(work) {
  try {
    return { text: await work(), isDone: true };
  } catch (error) {
    return { text: error.message, isDone: false };
  }
}

// The outcome of an action whose dialog was left meanwhile: a dialog that is open keeps its button.
function tellLate(title, text, isDone) {
  if (byId("dialog").open) byId("dialog-body").append(told(`${title} ${text}`, isDone));
  else dialog(title, [told(text, isDone)]);
}

byId("dialog-close").addEventListener("click", () => byId("dialog").close());
