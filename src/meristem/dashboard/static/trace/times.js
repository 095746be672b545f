// From times to places in a waterfall: to scale, but for long rests in which nothing of the trace happens.

/**
 * A stretch of the trace in which something happens, or a rest, with its place between 0 and 1.
 * @typedef {{begins: number, ends: number, from: number, to: number, isRest: boolean}} Stretch
 */

const LONG = 0.3; // of the time in which something happens: a shorter rest is drawn as long as it is
const REST = 0.07; // of the whole width, for a long rest
const MOST = 5; // rests that are drawn short; more would leave no room for what happens

/**
 * Where times of a trace are drawn. A step that is tried again after a minute leaves a minute's rest beside calls of
 * a millisecond, so to scale none of them would be seen.
 *
 * @param {any[]} spans
 * @returns {{at: (time: number) => number, rests: Stretch[], ticks: {from: number, time: number}[]}}
 */
export function timesOf(spans) {
  const busy = stretchesOf(spans);
  const taken = busy.reduce((sum, each) => sum + each.ends - each.begins, 0);
  const rests = busy.slice(1).map((each, at) => ({ begins: busy[at].ends, ends: each.begins }))
    .filter((each) => each.ends - each.begins > LONG * taken)
    .sort((one, other) => other.ends - other.begins - (one.ends - one.begins)).slice(0, MOST)
    .sort((one, other) => one.begins - other.begins);
  const begin = busy[0].begins;
  const end = busy.at(-1).ends;
  const drawn = end - begin - rests.reduce((sum, each) => sum + each.ends - each.begins, 0);
  const share = (1 - REST * rests.length) / Math.max(drawn, 1e-9);
  /** @type {Stretch[]} */
  const stretches = [];
  let [time, from] = [begin, 0];
  for (const rest of [...rests, null]) {
    const until = rest ? rest.begins : end;
    const to = rest ? from + (until - time) * share : 1;
    stretches.push({ begins: time, ends: until, from, to, isRest: false });
    if (rest) stretches.push({ ...rest, from: to, to: to + REST, isRest: true });
    [time, from] = [rest ? rest.ends : end, to + REST];
  }
  const at = (moment) => {
    const each = stretches.find((stretch) => moment <= stretch.ends) ?? stretches.at(-1);
    const part = each.ends > each.begins ? (moment - each.begins) / (each.ends - each.begins) : 0;
    return each.from + Math.min(1, Math.max(0, part)) * (each.to - each.from);
  };
  return { at, rests: stretches.filter((each) => each.isRest), ticks: ticksOf(stretches, begin, end) };
}

/** When something happens: spans that overlap are one stretch. */
function stretchesOf(spans) {
  const found = [];
  for (const { start, duration } of [...spans].sort((one, other) => one.start - other.start)) {
    const last = found.at(-1);
    if (last && start <= last.ends) last.ends = Math.max(last.ends, start + duration);
    else found.push({ begins: start, ends: start + duration });
  }
  return found;
}

/** Quarters of what is drawn to scale; where there are rests, the beginning of what is behind each, and the end. */
function ticksOf(stretches, begin, end) {
  if (stretches.length === 1) return [0, 0.25, 0.5, 0.75, 1].map((part) => ({ from: part, time: part * (end - begin) }));
  const starts = stretches.filter((each) => !each.isRest).map((each) => ({ from: each.from, time: each.begins - begin }));
  const apart = starts.filter((each, at) => !at || (each.from - starts[at - 1].from > 0.1 && each.from < 0.9));
  return [...apart, { from: 1, time: end - begin }];
}
