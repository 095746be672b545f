// Numbers, times, names and JSON as people read them; "–" is what nobody knows.

const NONE = "–";
const SPACE = "\u202f"; // narrow, and nothing breaks at it

/** A number of at most three digits that matter. @param {number} value */
function short(value) {
  const size = Math.abs(value);
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A duration in seconds: 820 µs, 12.3 ms, 4.21 s, 3 min 12 s, 2 h 5 min, 3 d 4 h. @param {number | null} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds < 0) return `−${duration(-seconds)}`;
  if (seconds === 0) return `0${SPACE}s`;
  if (seconds < 0.9995e-3) return `${seconds < 1e-6 ? "<1" : short(Math.round(seconds * 1e6))}${SPACE}µs`;
  if (seconds < 0.9995) return `${short(seconds * 1e3)}${SPACE}ms`;
  if (seconds < 60) return `${short(seconds)}${SPACE}s`;
  const whole = Math.round(seconds);
  const pair = (size, unit, below, lesser) => {
    const rest = Math.floor((whole % size) / below);
    return `${Math.floor(whole / size)}${SPACE}${unit}${rest ? ` ${rest}${SPACE}${lesser}` : ""}`;
  };
  if (whole < 3600) return pair(60, "min", 1, "s");
  if (whole < 86400) return pair(3600, "h", 60, "min");
  return pair(86400, "d", 3600, "h");
}

/** A count: 12,345, then 1.2 M. @param {number | null} value */
export function count(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 1e6) return value.toLocaleString("en-GB");
  return value < 1e9 ? `${short(value / 1e6)}${SPACE}M` : `${short(value / 1e9)}${SPACE}G`;
}

/** Calls a second. @param {number} value */
export function rate(value) {
  if (value === 0) return `0/s`;
  if (value < 0.01) return `<0.01/s`;
  return value < 10_000 ? `${value >= 1000 ? Math.round(value).toLocaleString("en-GB") : short(value)}/s` : `${short(value / 1e3)}${SPACE}k/s`;
}

/** A share from 0 to 1. @param {number} value */
export function share(value) {
  if (!value) return `0${SPACE}%`;
  if (value < 0.001) return `<0.1${SPACE}%`;
  return `${value >= 0.1 ? (value * 100).toFixed(0) : (value * 100).toFixed(1)}${SPACE}%`;
}

/** @param {number | null} value in bytes */
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return `0${SPACE}B`;
  return value < 2 ** 20 ? `${short(value / 2 ** 10)}${SPACE}KiB` : value < 2 ** 30 ? `${short(value / 2 ** 20)}${SPACE}MiB` : `${short(value / 2 ** 30)}${SPACE}GiB`;
}

const two = (value) => String(value).padStart(2, "0");

/** A time of today as 14:03:07.123, of another day with its date. @param {number} seconds since 1970 */
export function clock(seconds, milliseconds = true) {
  const when = new Date(seconds * 1000);
  const time = `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
  const exact = milliseconds ? `${time}.${String(when.getMilliseconds()).padStart(3, "0")}` : time;
  const day = when.toDateString() === new Date().toDateString();
  return day ? exact : `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())} ${exact}`;
}

/** How long ago: now, 12 s ago, 3 min ago. @param {number} seconds since 1970 */
export function ago(seconds, now = Date.now() / 1000) {
  const past = now - seconds;
  if (past < 1.5) return "now";
  if (past < 60) return `${Math.floor(past)}${SPACE}s ago`;
  if (past < 3600) return `${Math.floor(past / 60)}${SPACE}min ago`;
  return past < 86400 ? `${Math.floor(past / 3600)}${SPACE}h ago` : `${Math.floor(past / 86400)}${SPACE}d ago`;
}

export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;

/** The name of a contract or event without its package. @param {string} name */
export const unqualified = (name) => name.slice(name.lastIndexOf(".") + 1);

/** JSON with room, its numbers as they came: a long one would lose digits here. What is none as it is. @param {string} json */
export function pretty(json) {
  try {
    const told = JSON.stringify(JSON.parse(json), null, 2);
    return /\d{16}/.test(json) ? json : told;
  } catch {
    return json;
  }
}
