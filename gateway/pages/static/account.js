/** The account page: where one is signed in. Logging out works without this. */

import { ask, fetched, whoAmI } from "./gateway.js";
import { complain, element, say, text } from "./page.js";

const lang = document.documentElement.lang;
const when = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });

function shownTime(written) {
  return written ? when.format(new Date(written)) : text("unknown");
}
element("until").textContent = shownTime(element("until").dateTime);
