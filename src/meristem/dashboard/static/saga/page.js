// One saga: how it stands and what helps, its steps in time, what it was given, and what can be done to it.

import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { clock, duration, plural, pretty } from "../parts/format.js";
import { copier, heading, waiting } from "../parts/heading.js";
import { service, since, withCode } from "../parts/marks.js";
import { titled } from "../parts/router.js";
import { pick, toggle } from "../parts/controls.js";
import { actions } from "./actions.js";
import { details } from "./step.js";
import { rowsOf, timeline } from "./timeline.js";
import { GOING, linkTo, seconds, stateOf, until } from "./words.js";

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const place = { service: view.params.service, saga_id: view.params.id };
  const values = toggle(view, "values", "Show values");
  const buttons = h("span", { class: "acts" });
  const head = heading(view, "Saga", h("code", { class: "soft id" }, place.saga_id), copier(place.saga_id, "Copy the saga's id"), values.button, buttons);
  const state = h("span", { class: "state" });
  head.title.after(state);
  const facts = h("div", { class: "summary" });
  const waits = h("ul", { class: "waits" });
  const beside = h("div", { class: "beside", hidden: true });
  const close = () => view.set({ step: null });
  const line = timeline({ service: place.service, chosen: () => view.get("step"), choose: (step) => view.set({ step: step === view.get("step") ? null : step }), isToScale: () => view.get("scale") === "time" });
  const steps = h("section", { class: "stack" },
    h("div", { class: "section-head" }, h("h2", {}, "Steps"), pick(view, "scale", "Scale of time", [["", "Compact"], ["time", "To scale"]])), line.element);
  const signals = h("section", { class: "stack" });
  const payloads = h("section", { class: "payloads" });
  const split = h("div", { class: "split" }, h("div", { class: "stack" }, steps, signals, payloads), beside);
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  /** @type {any} */
  let told = null;

  const showStep = () => {
    const row = told && line.find(view.get("step"));
    beside.hidden = !row;
    beside.replaceChildren(...(row ? [details({ row, told, values: values.on(), fork: (position) => doable.fork(position), close })] : []));
    line.mark();
  };
  const refresh = view.follow(["figures"], (signal) => ask("SagaOperations/show", { ...place, values: values.on() }, signal), (found) => {
    told = found;
    const { saga } = told;
    head.title.textContent = saga.name;
    titled(saga.name);
    state.replaceChildren(stateOf(saga));
    facts.replaceChildren(...summary(told, place.service));
    waits.replaceChildren(...told.waits_for.map(waitOf));
    waits.hidden = !told.waits_for.length;
    if (!split.isConnected) body.replaceChildren(facts, problemOf(told), waits, split);
    else body.querySelector(".saga-problem").replaceWith(problemOf(told));
    line.show(told);
    signals.hidden = !told.signals.length;
    signals.replaceChildren(...signalsOf(told, values.on()));
    payloads.replaceChildren(...payloadsOf(told, values));
    doable.show(told, buttons);
    showStep();
  }, { pause: 2000, still: () => !told || GOING.includes(told.saga.state) || told.saga.state === "parked" });
  const doable = actions({ place, told: () => told, refresh, go: (url) => view.go(url, {}) });
  let asked = values.on();
  view.watch(() => {
    if (asked !== (asked = values.on())) refresh();
    else if (told) { line.show(told); showStep(); }
  });
  view.onEscape(() => Boolean(view.get("step")) && (close(), true));
}

function summary(told, of) {
  const { saga } = told;
  const [began, changed] = [seconds(saga.created), seconds(saga.updated)];
  const has_ended = saga.state === "done" || saga.state === "failed";
  const undone = told.steps.filter((each) => each.kind === "undo");
  const undid = undone.filter((each) => each.state === "done").length;
  return [
    figure("Service", service(of)),
    figure("Began", h("time", { title: since(began).textContent }, clock(began, false))),
    figure(has_ended ? "Took" : "So far", duration(Math.max(0, (has_ended ? changed : Date.now() / 1000) - began))),
    figure("Steps", `${rowsOf(told).filter((row) => row.step.kind !== "undo").length}${undid ? `, ${undid} undone` : ""}`),
    figure("Version", String(saga.version)),
    told.trace_id ? figure("Trace", h("a", { class: "mono", href: `/traces/${told.trace_id}` }, told.trace_id.slice(0, 8))) : null,
    told.parent ? figure("Begun by", [linkTo(told.parent.state ? of : null, told.parent.id), h("span", { class: "soft" }, ` step ${told.parent.position}`)]) : null,
    told.fork_of ? figure("Fork of", linkTo(of, told.fork_of)) : null,
    told.children.length ? figure("Began", plural(told.children.length, "saga")) : null,
  ].filter(Boolean);
}

/** Why it failed, or is being undone; why it is parked stands with what helps. */
function problemOf({ saga, details }) {
  if (!saga.error) return h("div", { class: "saga-problem", hidden: true });
  return h("div", { class: "saga-problem card" }, h("strong", {}, saga.state === "failed" ? "It failed" : "It is undone, because it failed"),
    h("p", {}, saga.error), details ? h("details", {}, h("summary", {}, "Traceback"), h("pre", { class: "said bad" }, details)) : null);
}

function waitOf(found) {
  const when = seconds(found.until);
  return h("li", { class: "wait card", "data-why": found.why },
    h("p", { class: "wait-what" }, h("strong", {}, found.text[0].toUpperCase() + found.text.slice(1)),
      h("span", { class: "soft" }, "began ", since(seconds(found.since)))),
    when === null ? null : h("p", { class: "wait-until" }, `Until ${clock(when, false)}`, h("span", { class: "soft" }, ` ${until(when)}`)),
    found.error ? h("p", { class: "wait-error" }, found.error) : null,
    h("p", { class: "wait-helps" }, h("span", { class: "soft" }, "What helps: "), withCode(found.helps)));
}

function signalsOf(told, shown) {
  if (!told.signals.length) return [];
  return [h("h2", {}, "Signals that it has not read"), h("ul", { class: "signals card" }, told.signals.map((each) => h("li", {},
    h("strong", {}, each.name), h("span", { class: "soft" }, since(seconds(each.received))), shown && each.body ? h("code", {}, each.body) : null)))];
}

/** Why there is no result. */
const NO_RESULT = { done: "It gives nothing.", failed: "None: it failed." };

function payloadsOf(told, values) {
  const block = (title, text, none) => h("div", { class: "payload card" }, h("h2", {}, title),
    !values.on() ? h("p", { class: "soft masked" }, "••••••", h("span", { class: "unseen" }, "hidden until values are shown"))
      : text ? h("pre", { class: "said" }, pretty(text)) : h("p", { class: "soft" }, none));
  return [block("Input", told.input, "It was given nothing."), block("Result", told.result, NO_RESULT[told.saga.state] ?? "None yet.")];
}

