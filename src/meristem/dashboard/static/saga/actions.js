// What can be done to a saga, each after a question that says what will happen.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { confirm } from "../parts/confirm.js";
import { h } from "../parts/dom.js";
import { isUndone, nameOf, placeOf } from "./words.js";

/**
 * @param {{place: {service: string, saga_id: string}, told: () => any, refresh: () => void, go: (url: string) => void}} options
 */
export function actions({ place, told, refresh, go }) {
  const after = async (question) => { if (await question) refresh(); };

  const retry = () => after(confirm({
    title: `Retry ${told().saga.name}?`,
    says: ["It goes on where it stopped. Where its problem is not mended, it is parked again.", ...(told().saga.problem ? [h("pre", { class: "said" }, told().saga.problem)] : [])],
    action: "Retry it",
    work: async () => { await ask("SagaOperations/retry", place); return "It goes on."; },
  }));

  const cancel = () => after(confirm({
    title: `Cancel ${told().saga.name}?`,
    says: ["What is under way is finished first; then each step that it did is undone, the last one first. This can't be taken back."],
    action: "Cancel and undo it", dismiss: "Leave it", grave: true,
    work: async () => { await ask("SagaOperations/cancel", place); return "It is cancelled, and will be undone."; },
  }));

  const fork = (position) => {
    const { saga, steps } = told();
    const known = [...new Set(steps.filter((each) => each.kind !== "undo").map((each) => each.position))];
    const next = saga.state === "parked" && known.every((each) => !each.includes("/")) ? [String(known.length)] : [];
    const options = [...known, ...next.filter((each) => !known.includes(each))];
    const name = (at) => { const step = steps.find((each) => each.position === at && each.kind !== "undo"); return step ? nameOf(step) : saga.state === "parked" ? "where it was parked" : "its begin"; };
    const field = h("select", { "aria-label": "From step" }, (options.length ? options : ["0"]).map((at) => h("option", { value: at, selected: at === position }, `${at}  ${name(at)}`)));
    let begun = "";
    return confirm({
      title: `Fork ${saga.name}?`,
      says: [
        saga.state === "parked"
          ? "A new saga takes the place of this one, with its answers up to the step; that step and all later ones are done anew."
          : "A new saga begins with the answers of this one up to the step; that step and all later ones are done again, under keys of their own.",
        "The code that runs now is tried first: where it does not follow those answers, nothing is begun.",
      ],
      fields: [h("label", { class: "asked" }, h("span", {}, "From step"), field)],
      action: "Begin the fork", grave: saga.state !== "parked",
      work: async () => {
        const made = await ask("SagaOperations/fork", { ...place, position: field.value });
        begun = made.saga.id;
        return `The fork ${begun.slice(0, 8)} has begun${made.takes_over ? ", and this saga has ended" : ""}.`;
      },
    }).then((isDone) => { if (isDone) go(placeOf(place.service, begun)); });
  };

  const signal = () => {
    const { takes } = told();
    const name = h("select", { "aria-label": "Signal" }, takes.map((each) => h("option", {}, each)));
    const body = h("textarea", { rows: 4, class: "mono", spellcheck: "false", "aria-label": "JSON" });
    body.value = "{}";
    after(confirm({
      title: "Send a signal",
      says: ["It is kept for this saga, which gets it as soon as it waits for it."],
      fields: [h("label", { class: "asked" }, h("span", {}, "Signal"), name), h("label", { class: "asked" }, h("span", {}, "JSON"), body)],
      action: "Send it",
      work: async () => { await ask("SagaOperations/signal", { ...place, name: name.value, body: body.value }); return `The signal ${name.value} is kept for it.`; },
    }));
  };

  return {
    fork,
    /** The buttons that make sense now. @param {any} found @param {Element} holder */
    show({ saga, takes }, holder) {
      const undone = isUndone(saga);
      const rests = saga.state === "done" || saga.state === "failed";
      const wanted = {
        Retry: saga.state === "parked" && retry,
        "Signal…": !rests && !undone && takes.length > 0 && signal,
        "Fork…": (rests || (saga.state === "parked" && !undone)) && (() => fork("0")),
        "Cancel…": !rests && !undone && cancel,
      };
      const offered = Object.entries(wanted).filter(([, work]) => work);
      const key = offered.map(([text]) => text).join();
      if (holder.dataset.key === key) return;
      holder.dataset.key = key;
      holder.replaceChildren(...offered.map(([text, work]) => acting(text === "Retry" ? "Retry…" : text, work, { class: text === "Retry" ? "button primary" : "button" })));
    },
  };
}
