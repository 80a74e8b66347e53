// Numbers that only grow, and what they say of a while.

const MINUTE_S = 60;
export const KEPT_S = 5 * MINUTE_S;

/// The overviews of the last five minutes. Their times are those of the service, since its start.
export class Samples {
  #kept = [];

  add(overview) {
    // A service that was started anew counts anew.
    if (this.last && overview.uptime_s <= this.last.uptime_s) this.#kept = [];
    this.#kept.push(overview);
    while (this.#kept[0].uptime_s < overview.uptime_s - KEPT_S - MINUTE_S) this.#kept.shift();
  }

  get last() {
    return this.#kept.at(-1);
  }

  /// What `tell` tells of an overview of a minute ago and the last one; null while there is but one.
  lastMinute(tell) {
    return this.#minuteUntil(this.last, tell);
  }

  /// The same for each overview, with the time that it is of.
  minutes(tell) {
    return this.#kept.map((until) => ({ at: until.uptime_s, value: this.#minuteUntil(until, tell) }));
  }

  #minuteUntil(until, tell) {
    const since = this.#kept.find(({ uptime_s }) => uptime_s >= until.uptime_s - MINUTE_S);
    return since === until ? null : tell(since, until);
  }
}

/// The number below which a part of what is in the buckets is, as if each were filled evenly; null if
/// there is nothing in them. The last bucket has no end: what is in it counts as its beginning.
export function quantile(part, counts, bounds) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  let rest = part * total;
  for (const [index, bound] of bounds.entries()) {
    if (counts[index] && rest <= counts[index]) {
      const start = index ? bounds[index - 1] : 0;
      return start + ((bound - start) * rest) / counts[index];
    }
    rest -= counts[index];
  }
  return bounds.at(-1);
}
