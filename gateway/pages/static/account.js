/** The account page: ends other sessions. Logging out works without this. */

import { endSession } from "./gateway.js";
import { complain, element, say } from "./page.js";

const list = element("sessions");

/** End the sessions of `buttons`, one after the other; `pressed` is the one that was pressed. */
async function end(pressed, buttons, saidThen) {
  if (pressed.getAttribute("aria-disabled") === "true") return;
  pressed.setAttribute("aria-disabled", "true");
  try {
    for (const button of buttons) {
      await endSession(button.dataset.session);
      button.closest("li").remove();
    }
  } finally {
    pressed.removeAttribute("aria-disabled");
  }
  if (!list.querySelector("button")) element("end-others").remove();
  say(saidThen);
  element("sessions-title").focus(); // the button is gone, and with it the place in the page
}

function whenPressed(button, others, saidThen) {
  button.disabled = false;
  button.addEventListener("click", () => end(button, others(), saidThen).catch(complain));
}

for (const button of list?.querySelectorAll("button") ?? []) {
  whenPressed(button, () => [button], "session_ended");
}
if (element("end-others")) {
  whenPressed(element("end-others"), () => [...list.querySelectorAll("button")], "others_ended");
}
window.addEventListener("gateway:session-renewed", ({ detail }) => {
  element("until").setAttribute("datetime", detail.expiresAt.toISOString());
});
window.addEventListener("gateway:session-ending", () => say("session_ending"));
