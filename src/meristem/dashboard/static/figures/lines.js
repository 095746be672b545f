// Points over time as the lines of a chart: where some are missing, nobody knows what was, and the line has a gap.

/**
 * The times of all points, and values at each of them, null where a set has none; more than `step` seconds apart there
 * is a time between them at which nothing is known.
 * @template T
 * @param {T[][]} sets @param {number} step @param {((point: T) => number | null)[]} values several of one set, or one of several sets
 * @returns {(number | null)[][]}
 */
export function lines(sets, step, values) {
  const known = [...new Set(sets.flatMap((points) => points.map((each) => each.time)))].sort((one, other) => one - other);
  const times = known.flatMap((time, at) => (at && time - known[at - 1] > step * 1.5 ? [known[at - 1] + step, time] : [time]));
  const at = sets.map((points) => new Map(points.map((each) => [each.time, each])));
  const line = (by, value) => times.map((time) => (by.has(time) ? value(by.get(time)) : null));
  return [times, ...at.flatMap((by) => values.map((value) => line(by, value)))];
}
