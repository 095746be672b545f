// What is known of one step of a saga.

import { acting } from "../parts/acting.js";
import { h } from "../parts/dom.js";
import { fact } from "../parts/facts.js";
import { clock, duration, pretty } from "../parts/format.js";
import { panel } from "../parts/panel.js";
import { NAMES } from "./timeline.js";
import { isUndone, nameOf, seconds, until } from "./words.js";

const FORKS = ["done", "failed", "parked"];

/** @param {{row: any, told: any, values: boolean, fork: (position: string) => void, close: () => void}} options */
export function details({ row, told, values, fork, close }) {
  const { step } = row;
  const [begins, ends, due] = [seconds(step.started), seconds(step.ended), seconds(step.due)];
  return panel(nameOf(step), close,
    h("dl", { class: "facts" },
      fact(step.kind === "undo" ? "Undo of step" : "Step", step.position),
      fact("Kind", NAMES[row.kind]),
      fact("Name", nameOf(step) === step.name ? null : step.name),
      fact("State", step.state),
      fact("Attempts", step.attempts > 1 ? String(step.attempts) : null),
      fact("Began", `${clock(begins)}, +${duration(Math.max(0, begins - seconds(told.saga.created)))}`),
      fact("Ended", ends === null ? null : clock(ends)),
      fact("Takes", ends === null ? null : duration(ends - begins)),
      fact(row.isTried ? "Next attempt" : "Until", due === null || ends !== null ? null : `${clock(due, false)}, ${until(due)}`)),
    step.error ? h("section", {}, h("h3", {}, "Error"), h("pre", { class: "said bad" }, step.error)) : null,
    step.details ? h("section", {}, h("h3", {}, "Traceback"), h("pre", { class: "said" }, step.details)) : null,
    h("section", {}, h("h3", {}, "Answer"), values
      ? step.reply ? h("pre", { class: "said" }, pretty(step.reply)) : h("p", { class: "soft" }, "None.")
      : h("p", { class: "soft" }, "Hidden: “Show values” shows it.")),
    step.kind !== "undo" && !row.isOpen && FORKS.includes(told.saga.state) && !(told.saga.state === "parked" && isUndone(told.saga))
      ? acting("Fork from here…", () => fork(step.position)) : null);
}
