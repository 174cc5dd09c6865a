/** Waiting: how long, in words and in seconds that pass. */

const MINUTE_S = 60;
const HOUR_MIN = 60;
const DAY_MIN = 1440;

/** Such as "12 seconds", "2 minutes" or "10 hours, 17 minutes". */
export function duration(seconds) {
  if (seconds < MINUTE_S) return many(seconds, "second");
  const exact = Math.ceil(seconds / MINUTE_S);
  const minutes = exact < DAY_MIN ? exact : Math.ceil(exact / HOUR_MIN) * HOUR_MIN;
  const parts = [
    [Math.floor(minutes / DAY_MIN), "day"],
    [Math.floor((minutes % DAY_MIN) / HOUR_MIN), "hour"],
    [minutes % HOUR_MIN, "minute"],
  ];
  const told = parts.filter(([number]) => number).map(([number, unit]) => many(number, unit));
  return new Intl.ListFormat(document.documentElement.lang, { type: "unit" }).format(told);
}

function many(number, unit) {
  const format = { style: "unit", unit, unitDisplay: "long" };
  return new Intl.NumberFormat(document.documentElement.lang, format).format(number);
}

/** Such as "0:12" or "10:16:08". */
export function clock(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / MINUTE_S);
  const hours = Math.floor(minutes / HOUR_MIN);
  const start = hours ? `${hours}:${two(minutes % HOUR_MIN)}` : minutes;
  return `${start}:${two(seconds % MINUTE_S)}`;
}

/**
 * Call `show` with the seconds that are left: now, as they pass, and a last time with 0.
 *
 * @param {number} seconds
 * @param {(leftS: number) => void} show
 * @returns {() => void} ends it before its time
 */
export function countDown(seconds, show) {
  const over = Date.now() + seconds * 1000;
  const tick = () => {
    const leftS = Math.max(0, Math.ceil((over - Date.now()) / 1000));
    if (leftS === 0) clearInterval(counting);
    show(leftS);
  };
  const counting = setInterval(tick, 250);
  tick();
  return () => clearInterval(counting);
}
