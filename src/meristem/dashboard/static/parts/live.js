// The link to the system: server-sent counters that grow when there is something new of a kind.

const LONGEST_WAIT = 8000;

/** @typedef {"starting" | "live" | "paused" | "lost"} State */

/** @type {Record<string, number>} */
let counters = {};
/** @type {State} */
let state = "starting";
let source = null;
let wait = 500;
let timer = 0;
const changed = new Set();
const watching = new Set();

/** The counters of some kinds, as a text that differs when one has changed. @param {string[]} kinds */
export const mark = (kinds) => kinds.map((kind) => counters[kind] ?? "").join(" ");

/** Be told of every change, until the signal. @param {() => void} listener @param {AbortSignal} signal */
export function onChange(listener, signal) {
  changed.add(listener);
  signal.addEventListener("abort", () => changed.delete(listener));
}

/** Be told of the link's state, now and later. @param {(state: State) => void} listener */
export function onState(listener) {
  watching.add(listener);
  listener(state);
}

function become(next) {
  if (state === next) return;
  state = next;
  for (const each of watching) each(state);
}

/** Connect, and again whenever that is lost; a page that is not seen has no link. */
export function begin() {
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : connect()));
  addEventListener("online", connect);
  if (!document.hidden) connect();
}

function pause() {
  close();
  become("paused");
}

function close() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function connect() {
  close();
  source = new EventSource("/live");
  source.addEventListener("open", () => { wait = 500; });
  source.addEventListener("change", (event) => {
    // A system that was started anew counts from the beginning: what differs is new, not what is more.
    counters = { ...JSON.parse(event.data), times: state === "live" ? counters.times : (counters.times ?? 0) + 1 };
    become("live");
    for (const each of changed) each();
  });
  // The browser's own trials end at an answer that is no stream, such as a proxy's 502.
  source.addEventListener("error", () => {
    close();
    become("lost");
    askForToken();
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  });
}

/** Have the form shown where one signs in, if the system answers but no longer takes this browser's token. */
async function askForToken() {
  const answer = await fetch("/live", { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) location.reload();
}
