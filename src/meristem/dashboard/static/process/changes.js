// What operators change of what runs: restarts and numbers of replicas, and how that goes.

import { ask } from "../parts/ask.js";
import { confirm } from "../parts/confirm.js";
import { h } from "../parts/dom.js";
import { ago, clock, duration, plural } from "../parts/format.js";

/** @typedef {{name: string, is_program: boolean, replicas: number, placed: number, most: number, fixed: string}} Part */

const ANEW = "Each replica is started anew, one after the other, the new one before the old one ends. No request is lost.";
const PROGRAM = "Each replica ends before it is started again, for its port is its own: who asks it meanwhile is refused.";

/** Ask what to do to a process or program, and do it. @param {Part} part @param {() => void} refresh */
export async function change(part, refresh) {
  const kind = part.is_program ? "program" : "process";
  const says = h("p", {}, part.is_program ? PROGRAM : ANEW);
  const what = h("select", { "aria-label": "What to do", on: { change: () => show() } },
    h("option", { value: "restart" }, "Start it anew"), h("option", { value: "scale" }, "Run another number of replicas"));
  const number = h("input", { type: "number", min: "1", max: String(part.most), value: String(part.replicas), required: true, "aria-label": "Replicas" });
  const asked = h("label", { class: "asked" }, h("span", {}, "Replicas"), number);
  const show = () => {
    const scales = what.value === "scale";
    asked.hidden = !scales;
    number.disabled = !scales;
    says.textContent = scales
      ? `${plural(part.replicas, "replica runs", "replicas run")} now, ${part.placed} by the placement, which stays as it is: the next run begins with that. New ones are found when they are ready; those that are too many finish what they have.`
      : part.is_program ? PROGRAM : ANEW;
  };
  show();
  const fields = part.fixed || part.is_program ? [h("p", { class: "soft" }, part.fixed)] : [h("label", { class: "asked" }, h("span", {}, "What to do"), what), asked];
  const done = await confirm({
    title: `Change ${kind} ${part.name}?`, says: [says], action: "Do it", fields,
    work: async () => {
      if (what.value === "scale") {
        await ask("ProcessControl/scale", { process: part.name, replicas: Number(number.value) });
        return `${part.name} gets ${plural(Number(number.value), "replica")}.`;
      }
      await ask(part.is_program ? "ProcessControl/restartProgram" : "ProcessControl/restart", { [kind]: part.name });
      return `${part.name} is started anew.`;
    },
  });
  if (done) refresh();
}

/** Ask whether everything is to be started anew, and do it. @param {() => void} refresh */
export async function restartAll(refresh) {
  const done = await confirm({
    title: "Start everything anew?", says: ["Those come first that others call.", ANEW, `Of programs: ${PROGRAM[0].toLowerCase()}${PROGRAM.slice(1)}`], action: "Start all anew",
    work: async () => { await ask("ProcessControl/restartAll"); return "Everything is started anew, one replica after the other."; },
  });
  if (done) refresh();
}

const WHAT = { restart: (each) => (each.name ? `Start ${each.name} anew` : "Start everything anew"), scale: (each) => `Run ${each.replicas === null ? "another number of replicas" : plural(each.replicas, "replica")} of ${each.name}` };
const HOW = { running: "under way", done: "done", failed: "failed" };

/** The latest changes, newest first; null where there is none. @param {any[]} changes */
export function changesList(changes) {
  if (!changes.length) return null;
  return h("section", { class: "changes", "aria-label": "Latest changes" }, h("h2", {}, "Latest changes"),
    h("ul", {}, changes.slice(0, 5).map((each) => h("li", { "data-state": each.state },
      h("span", { class: "name" }, WHAT[each.kind](each)),
      h("span", { class: each.state === "failed" ? "badge bad" : "badge" }, `${HOW[each.state]}, ${each.done} of ${each.of}`),
      h("time", { class: "soft", title: clock(each.began) }, each.ended ? `${ago(each.ended)}, took ${duration(each.ended - each.began)}` : `began ${ago(each.began)}`),
      each.problem ? h("pre", { class: "said" }, each.problem) : null))));
}
