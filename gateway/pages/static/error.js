/** The page of a refusal: counts down until it helps to try again. */

import { clock, countDown, duration } from "./countdown.js";

const wait = document.getElementById("wait");
const retry = document.getElementById("retry");

/** A screen reader says how long it takes, and when it is over; the seconds are for the eye. */
function holdBack() {
  const { seconds, in: text, now } = wait.dataset;
  const shown = document.getElementById("countdown");
  wait.textContent = text.replace("{wait}", duration(Number(seconds)));
  retry.setAttribute("aria-disabled", "true");
  countDown(Number(seconds), (leftS) => {
    shown.textContent = leftS ? clock(leftS) : "";
    if (leftS) return;
    wait.textContent = now;
    retry.removeAttribute("aria-disabled");
  });
}

/** What was asked for again, a form's contents included: the browser asks before it sends those. */
retry?.addEventListener("click", (click) => {
  click.preventDefault();
  if (retry.getAttribute("aria-disabled") !== "true") location.reload();
});
if (wait && retry) holdBack();
