// Which events waited over time: for the subscriber that is chosen, or for all.

import { chosenMinutes, onChoice } from "../figures/charts.js";
import { eventCharts } from "../figures/sets.js";
import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";

/** @param {import("../parts/view.js").View} view */
export function eventHistory(view) {
  const charts = eventCharts(view.signal);
  const element = h("section", { class: "charts slim", "aria-label": "Events over time" }, charts.elements);
  const wanted = () => ({ service: "", subscriber: view.get("subscriber"), minutes: chosenMinutes(view) });
  const refresh = view.follow(["figures"], (signal) => ask("eventHistory", wanted(), signal), (points) => charts.show(points, points), { pause: 5000 });
  onChoice(view, wanted, refresh);
  return { element };
}
