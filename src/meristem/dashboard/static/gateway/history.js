// What became of requests over time: on the route that is chosen, or on all.

import { chosenMinutes, onChoice } from "../figures/charts.js";
import { lines } from "../figures/lines.js";
import { heatOf } from "../figures/sets.js";
import { ask } from "../parts/ask.js";
import { chart } from "../parts/chart.js";
import { h } from "../parts/dom.js";
import { duration, rate } from "../parts/format.js";
import { routeName } from "./words.js";

const known = (value) => (value === null ? "–" : rate(value));

/** @param {import("../parts/view.js").View} view */
export function routeHistory(view) {
  const { signal } = view;
  const requests = chart({ title: "Requests", series: [{ name: "let in", token: "--hue-1", fill: true }, { name: "refused", token: "--hue-3" }], tell: known, signal });
  const answers = chart({ title: "Answers", series: [{ name: "2xx", token: "--hue-0" }, { name: "3xx", token: "--hue-4" }, { name: "4xx", token: "--hue-3" }, { name: "5xx", token: "--bad" }], tell: known, signal });
  const durations = chart({ title: "Duration", series: [{ name: "p50", token: "--hue-0" }, { name: "p99", token: "--hue-3" }], tell: duration, signal, scale: "powers" });
  const of = h("p", { class: "charts-of" });
  const element = h("section", { class: "stack", "aria-label": "Requests over time" }, of,
    h("div", { class: "charts slim" }, [requests, answers, durations].map((each) => each.element)));
  const wanted = () => ({ route: view.get("route"), minutes: chosenMinutes(view) });
  const refresh = view.follow(["figures"], async (asking) => {
    const asked = wanted();
    return { route: asked.route, points: await ask("routeHistory", asked, asking) };
  }, async ({ route, points }) => {
    of.replaceChildren(...named(view, route));
    const line = (...values) => lines([points], points[0]?.figures.seconds ?? 0, values);
    await requests.show(line((each) => each.figures.admitted, (each) => each.figures.refused));
    await answers.show(line(...["2xx", "3xx", "4xx", "5xx"].map((name) => (each) => each.answers[name] ?? 0)));
    await durations.show(line((each) => each.figures.p50, (each) => each.figures.p99), heatOf(points));
  }, { pause: 5000 });
  onChoice(view, wanted, refresh);
  return { element };
}

function named(view, route) {
  if (!route) return [h("span", { class: "soft" }, "All routes together. Choose one to see it alone.")];
  return [h("strong", {}, routeName(route)), h("a", { href: view.url({ route: null }) }, "All routes")];
}
