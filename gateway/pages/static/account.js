/** The account page: where one is signed in. Logging out works without this. */

import { fetched } from "./gateway.js";
import { complain, element, say, text } from "./page.js";

const list = element("session-list");
const when = new Intl.DateTimeFormat(document.documentElement.lang, {
  dateStyle: "medium",
  timeStyle: "short",
});

/** An RFC 3339 time as people write it. */
const shown = (time) => when.format(new Date(time));

/** An element with `children`; text among them is text, whatever it says. */
function made(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

/** One session: what it is, where and when, and a button that ends it. */
function entry(session) {
  const title = made("h3", session.device || text("unknown"));
  const facts = made("dl");
  for (const [key, fact] of [
    ["place", session.ip || text("unknown")],
    ["since", shown(session.created_at)],
    ["last_seen", session.last_seen_at && shown(session.last_seen_at)],
  ]) {
    if (fact) facts.append(made("dt", text(key)), made("dd", fact));
  }
  const item = made("li", title, facts);
  if (session.current) {
    title.append(" ", made("span", text("this_session")));
  } else {
    const button = made("button", text("end_session"));
    button.type = "button";
    button.className = "second";
    button.setAttribute("aria-label", `${text("end_session")}: ${title.textContent}`);
    button.addEventListener("click", () => end(session, button).catch(complain));
    item.append(button);
  }
  return item;
}

async function end(session, button) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await fetched("DELETE", `/sessions/${encodeURIComponent(session.id)}`);
  } catch (error) {
    button.removeAttribute("aria-disabled");
    throw error;
  }
  await show();
  say("session_ended");
  element("sessions-title").focus(); // the button is gone, and with it the place in the page
}

async function show() {
  const { sessions } = await fetched("GET", "/sessions");
  list.replaceChildren(...sessions.map(entry));
  element("sessions").hidden = false;
}

window.addEventListener("gateway:session-renewed", ({ detail }) => {
  element("until").textContent = shown(detail.expiresAt);
  show().catch(complain);
});
window.addEventListener("gateway:session-ending", () => say("session_ending"));

element("until").textContent = shown(element("until").dateTime);
show().catch(complain);
