// Charts of what is chosen, over the minutes that are chosen; one set of them at a time.

import { pick } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { SETS } from "./sets.js";

export const minutes = (view) => pick(view, "minutes", "Time that the charts show", [["15", "15 min"], ["60", "1 h"], ["360", "6 h"]], "60");
export const chosenMinutes = (view) => Number(view.get("minutes", "60")) || 60;

/** Ask anew as soon as the address asks for something else. @param {import("../parts/view.js").View} view @param {() => object} wanted @param {() => void} refresh */
export function onChoice(view, wanted, refresh) {
  let last = JSON.stringify(wanted());
  view.watch(() => {
    const asked = JSON.stringify(wanted());
    if (asked !== last) refresh();
    last = asked;
  });
}

/**
 * The charts of a service's operation, of a service or of all. `named` gives what they are of.
 * @param {import("../parts/view.js").View} view @param {(asked: import("./sets.js").Asked, set: string) => any[]} named
 */
export function chartsOf(view, named) {
  const of = h("p", { class: "charts-of" });
  const which = pick(view, "charts", "Figures that the charts show", [["", "Calls"], ["load", "Load"], ["events", "Events"]]);
  const body = h("div", { class: "charts" });
  const element = h("section", { class: "stack", "aria-label": "Figures over time" }, h("div", { class: "charts-head" }, of, which), body);
  const wanted = () => ({
    set: view.get("charts") in SETS ? view.get("charts") : "", service: view.get("service"),
    operation: view.get("service") && view.get("operation"), minutes: chosenMinutes(view),
  });
  const made = {};
  const refresh = view.follow(["figures"], async (signal) => {
    const { set, ...asked } = wanted();
    return { set, asked, told: await SETS[set].ask(asked, signal) };
  }, async ({ set, asked, told }) => {
    of.replaceChildren(...named(asked, set));
    made[set] ??= SETS[set].make(view.signal);
    if (body.firstChild !== made[set].elements[0]) body.replaceChildren(...made[set].elements);
    await made[set].show(told);
  }, { pause: 5000 });
  onChoice(view, wanted, refresh);
  return { element };
}
