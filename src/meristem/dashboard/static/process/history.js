// What a process takes and carries over time, each of its replicas a line; all processes together where none is chosen.

import { chosenMinutes, onChoice } from "../figures/charts.js";
import { lines } from "../figures/lines.js";
import { ask } from "../parts/ask.js";
import { chart } from "../parts/chart.js";
import { h } from "../parts/dom.js";
import { bytes, duration, plural } from "../parts/format.js";

const MOST = 8; // lines: as many as there are colours that differ

/** @param {number | null} value of one processor */
export const processors = (value) => (value === null ? "–" : `${Math.round(value * 100)}\u202f%`);

/** @param {import("../parts/view.js").View} view */
export function processHistory(view) {
  const of = h("p", { class: "charts-of" });
  const body = h("div", { class: "charts slim" });
  const element = h("section", { class: "stack", "aria-label": "Figures over time" }, of, body);
  let made = { of: "", ending: new AbortController(), charts: [] };
  const wanted = () => ({ process: view.get("process"), minutes: chosenMinutes(view) });
  const refresh = view.follow(["figures"], async (signal) => {
    const { process, minutes } = wanted();
    return process
      ? { process, replicas: (await ask("replicaHistory", { process, minutes }, signal)) }
      : { process, replicas: [{ replica: null, points: await ask("loadHistory", { service: "", minutes }, signal) }] };
  }, async ({ process, replicas }) => {
    // Of many those that ran last.
    const shown = [...replicas].sort((one, other) => other.points.at(-1).time - one.points.at(-1).time || one.replica - other.replica).slice(0, MOST)
      .sort((one, other) => one.replica - other.replica);
    of.replaceChildren(...named(view, process, replicas.length));
    const names = shown.map((each) => (each.replica === null ? "all" : `#${each.replica}`));
    if (made.of !== `${process} ${names}`) {
      made.ending.abort();
      const ending = new AbortController();
      made = { of: `${process} ${names}`, ending, charts: chartsOf(names, AbortSignal.any([view.signal, ending.signal])) };
      body.replaceChildren(...made.charts.map((each) => each.chart.element));
    }
    const points = shown.map((each) => each.points);
    for (const each of made.charts) await each.chart.show(lines(points, points[0]?.[0]?.seconds ?? 0, [each.value]));
  }, { pause: 5000 });
  onChoice(view, wanted, refresh);
  return { element };
}

function chartsOf(names, signal) {
  if (!names.length) return [];
  const series = names.map((name, at) => ({ name, token: `--hue-${at}`, fill: names.length === 1 }));
  return [
    { chart: chart({ title: "CPU", series, tell: processors, signal }), value: (each) => each.cpu },
    { chart: chart({ title: "Memory", series, tell: bytes, signal, scale: "bytes" }), value: (each) => each.memory },
    { chart: chart({ title: "Loop lag", series, tell: duration, signal, scale: "seconds" }), value: (each) => each.loop_lag },
  ];
}

function named(view, process, replicas) {
  if (!process) return [h("span", { class: "soft" }, "All processes together. Choose one to see its replicas.")];
  const link = (text, href) => h("a", { href }, text);
  const told = replicas > MOST ? `the ${MOST} of ${replicas} replicas that ran last`
    : replicas ? plural(replicas, "replica") : "nothing is known of it in this time; programs have no figures";
  return [
    h("strong", {}, process), h("span", { class: "soft" }, told), link("Logs", `/logs?process=${encodeURIComponent(process)}`),
    link("All processes", view.url({ process: null })),
  ];
}
