// Asks the worker for places; only the last question counts.

/** @param {AbortSignal} signal */
export function placer(signal) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const asked = new Map();
  let last = 0;
  const settle = (number, work) => {
    const waiting = asked.get(number);
    asked.delete(number);
    if (waiting) work(waiting);
  };
  worker.addEventListener("message", ({ data: { number, placed, problem } }) => settle(number, ({ done, failed }) => (problem ? failed(new Error(problem)) : done(number === last ? placed : null))));
  worker.addEventListener("error", () => [...asked.keys()].forEach((number) => settle(number, ({ failed }) => failed(new Error("the map could not be laid out")))));
  signal.addEventListener("abort", () => worker.terminate());
  /** @param {any[]} nodes @param {any[]} edges @param {object} options */
  return (nodes, edges, options) => new Promise((done, failed) => {
    last += 1;
    asked.set(last, { done, failed });
    worker.postMessage({ number: last, nodes, edges, options });
  });
}
