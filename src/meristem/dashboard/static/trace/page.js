// One trace: its waterfall over all processes, what a span says, and the lines of the log that belong to it.

import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { clock, duration, plural } from "../parts/format.js";
import { copier, empty, heading, waiting } from "../parts/heading.js";
import { lines } from "../parts/lines.js";
import { service } from "../parts/marks.js";
import { titled } from "../parts/router.js";
import { details } from "./span.js";
import { detailOf } from "./tree.js";
import { waterfall } from "./waterfall.js";

const GROWS = 120; // seconds after its last span in which a trace may still get more

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const id = view.params.id;
  const head = heading(view, "Trace", h("code", { class: "soft id" }, id), copier(id, "Copy the trace's id"));
  const facts = h("div", { class: "summary" });
  const beside = h("div", { class: "beside", hidden: true });
  const close = () => view.set({ span: null });
  const fall = waterfall({ chosen: () => view.get("span"), choose: (span) => view.set({ span }) });
  const log = lines({ label: "Log of this trace", word: "span", url: (line) => line.span_id && view.url({ span: line.span_id }) });
  const logs = h("section", { class: "stack" }, h("h2", {}, "Log"), log.element);
  const split = h("div", { class: "split" }, h("div", { class: "stack" }, fall.element, logs), beside);
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  let spans = [];
  let ended = Infinity;

  const showSpan = () => {
    const span = spans.find((each) => each.span_id === view.get("span"));
    beside.hidden = !span;
    beside.replaceChildren(...(span ? [details(span, Math.min(...spans.map((each) => each.start)), close)] : []));
    fall.mark();
  };

  view.follow(["spans", "logs"], (signal) => Promise.all([
    ask("trace", { trace_id: id }, signal), ask("logs", { trace_id: id, most: 1000 }, signal),
  ]), ([found, told]) => {
    const changed = found.length !== spans.length;
    spans = found;
    if (!spans.length) {
      body.replaceChildren(empty("This trace is not kept",
        "Only some traces are kept, and for a while; its end may also be to come, then it is shown by itself."));
      return;
    }
    ended = Math.max(...spans.map((each) => each.start + each.duration));
    const root = spans.find((each) => !each.parent_id) ?? spans[0];
    const named = [root.name, detailOf(root)].filter(Boolean).join(" ");
    head.title.textContent = named;
    titled(named);
    facts.replaceChildren(...summary(spans, root));
    if (!split.isConnected) body.replaceChildren(facts, split);
    const inOrder = [...told].sort((one, other) => one.id - other.id);
    fall.show(spans, inOrder);
    log.show(inOrder);
    log.element.hidden = !told.length;
    logs.querySelector("p")?.remove();
    if (!told.length) logs.append(h("p", { class: "soft" }, "Nothing was logged within this trace."));
    if (changed) showSpan();
  }, { pause: 2000, still: () => Date.now() / 1000 - ended < GROWS });
  view.watch(showSpan);
  view.onEscape(() => Boolean(view.get("span")) && (close(), true));
}

function summary(spans, root) {
  const begin = Math.min(...spans.map((each) => each.start));
  const end = Math.max(...spans.map((each) => each.start + each.duration));
  const failed = spans.filter((each) => each.error).length;
  const processes = new Set(spans.map((each) => each.process).filter(Boolean));
  const services = [...new Set(spans.map((each) => each.service))];
  return [
    figure("Took", duration(end - begin)), figure("Began", clock(root.start)), figure("Spans", String(spans.length)),
    figure("Errors", String(failed), { grave: failed ? "bad" : "" }), figure("Processes", String(processes.size)),
    h("div", { class: "figure grow" }, h("span", { class: "soft" }, plural(services.length, "service")), h("span", { class: "services" }, services.map(service))),
  ];
}
