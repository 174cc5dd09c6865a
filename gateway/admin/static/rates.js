// Differences of totals: rates, shares and percentiles of the last seconds.

const WINDOW_S = 10;
export const KEPT_S = 900;

export class History {
  constructor() {
    this.figures = [];
    this.points = [];
    this.bounds = {};
  }

  // Take the figures of one second, which may come twice. A gateway that has begun anew counts from
  // zero; a clock may be set back.
  add(figures) {
    const last = this.latest;
    if (last?.time_s === figures.time_s) this.figures.pop();
    else if (last && (total(figures.requests) < total(last.requests) || figures.time_s < last.time_s)) {
      this.figures = [];
    }
    this.figures.push(figures);
    const since_s = figures.time_s - WINDOW_S - 0.5;
    while (this.figures.length > 2 && this.figures[0].time_s < since_s) this.figures.shift();
  }

  // Times of points rise, and are recent: a laptop may have slept for hours.
  keep(point) {
    while (this.points.at(-1)?.time_s >= point.time_s) this.points.pop();
    while (this.points[0]?.time_s < point.time_s - KEPT_S) this.points.shift();
    this.points.push(point);
  }

  // Begin anew with what the gateway remembers.
  recall({ figures, names, points }) {
    const ms = (seconds) => (seconds === null ? null : seconds * 1000);
    this.figures = figures;
    this.points = points.map((values) => {
      const of = Object.fromEntries(names.map((name, at) => [name, values[at]]));
      return {
        time_s: of.time_s,
        "2xx": of.answered_2xx, "3xx": of.answered_3xx, "4xx": of.answered_4xx, "5xx": of.answered_5xx,
        p50: ms(of.p50_s), p95: ms(of.p95_s), p99: ms(of.p99_s),
        gateway: ms(of.gateway_p95_s), app: ms(of.app_p95_s), refusals: of.refusals,
      };
    });
  }

  get latest() {
    return this.figures.at(-1);
  }

  get first() {
    return this.figures[0];
  }

  get seconds() {
    return this.figures.length > 1 ? this.latest.time_s - this.first.time_s : 0;
  }

  // How much the value that `read` finds has grown a second; null while that is not known. A value
  // that falls, as of a worker that begins anew, has not grown.
  rate(read) {
    if (!this.seconds) return null;
    const values = this.figures.map((each) => read(each) ?? 0);
    const grown = values.reduce((sum, value, at) => sum + (at ? Math.max(0, value - values[at - 1]) : 0), 0);
    return grown / this.seconds;
  }

  // A percentile in seconds, of what came within the window; null if nothing did.
  percentile(name, part) {
    return this.percentileOf((figures) => figures.durations[name], name, part);
  }

  // The same of the buckets that `read` finds.
  percentileOf(read, name, part) {
    const before = read(this.first) ?? [];
    const counts = (read(this.latest) ?? []).map((count, at) => Math.max(0, count - (before[at] ?? 0)));
    return quantile(counts, this.bounds[name] ?? [], part);
  }
}

export function total(counts) {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

// As Prometheus does: within a bucket, values are taken to be spread evenly.
function quantile(counts, bounds, part) {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (!all) return null;
  let left = part * all;
  for (const [at, count] of counts.entries()) {
    if (at >= bounds.length) break;
    if (left <= count && count) {
      const low = at ? bounds[at - 1] : 0;
      return low + (bounds[at] - low) * (left / count);
    }
    left -= count;
  }
  return bounds.at(-1);
}
