/**
 * A time as people write it, by their own clock: <gateway-time datetime="…" at="{day} at {time}">.
 * With `shown="ago"` it says how long ago that was, with `shown="until"` also how soon it will be.
 *
 * An element of its own, from a script that the page waits for: the first thing that is painted is
 * the time as it stays, so that no line is wrapped anew. Without scripts, <noscript> in it is shown.
 */

class GatewayTime extends HTMLElement {
  static observedAttributes = ["datetime"];

  connectedCallback() {
    this.show();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.show();
  }

  show() {
    const date = new Date(this.getAttribute("datetime"));
    const exact = dayAndTime(date, this.getAttribute("at"));
    const shown = this.getAttribute("shown");
    if (shown === "ago") this.title = exact;
    const texts = { ago: () => fromNow(date), until: () => `${exact} (${fromNow(date)})` };
    this.textContent = texts[shown]?.() ?? exact;
  }
}

const { lang: ofPage } = document.documentElement;
const primary = (tag) => tag.split("-")[0];
/** The language of the page, as in the browser's region: "en-GB" for "en". */
const lang = navigator.languages.find((tag) => primary(tag) === primary(ofPage)) ?? ofPage;
const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const DAY_MS = 86_400_000;
const UNITS = [["day", DAY_MS], ["hour", 3_600_000], ["minute", 60_000]];

/** Such as "in 8 hours" or "5 minutes ago"; a minute at the least. */
function fromNow(date) {
  const apartMs = date - Date.now();
  const [unit, unitMs] = UNITS.find(([, each]) => Math.abs(apartMs) >= each) ?? UNITS.at(-1);
  return relative.format(Math.round(apartMs / unitMs) || Math.sign(apartMs) || -1, unit);
}

/** Such as "today at 19:10", or a date with the time. */
function dayAndTime(date, pattern) {
  const days = Math.round((new Date(date).setHours(0, 0, 0, 0) - new Date().setHours(0, 0, 0, 0)) / DAY_MS);
  const isNear = Math.abs(days) <= 1;
  const day = isNear ? relative.format(days, "day") : date.toLocaleDateString(lang, { dateStyle: "medium" });
  const time = date.toLocaleTimeString(lang, { timeStyle: "short" });
  return pattern.replace("{day}", day).replace("{time}", time);
}

customElements.define("gateway-time", GatewayTime);
