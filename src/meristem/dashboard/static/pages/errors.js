// Errors: those that are alike as one, the last first.

import { ask } from "../parts/ask.js";
import { choose, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { clock, count, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, since } from "../parts/marks.js";
import { table } from "../parts/table.js";

const MOST = 500;

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const { count: counted } = heading(view, "Errors", search(view, "text", "Text of an error"), services.field);
  const list = table({ caption: "Errors by what they say and where, those that came last first", columns: columns(), key: (error) => error.id });
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  let known = null;

  const show = () => {
    if (!known) return;
    services.offer([...new Set(known.map((each) => each.service).filter(Boolean))].sort());
    const text = view.get("text").toLowerCase();
    const shown = known.filter((each) => (!view.get("service") || each.service === view.get("service"))
      && `${each.message} ${each.service}.${each.operation}`.toLowerCase().includes(text));
    counted.textContent = known.length ? `${plural(shown.length, "kind")}, ${plural(shown.reduce((sum, each) => sum + each.count, 0), "error")}` : "";
    if (!shown.length) {
      body.replaceChildren(known.length ? empty("No error is like that", "Choose less to see the others.")
        : empty("No errors", "Nothing has failed since this system began to keep errors."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(list.element);
    list.show(shown);
  };
  view.follow(["errors"], (signal) => ask("errors", { most: MOST }, signal), (found) => { known = found; show(); });
  view.watch(show);
}

function columns() {
  return [
    { name: "error", title: "Error", kind: "fill", text: (e) => e.message, link: (e) => (e.trace_id ? `/traces/${encodeURIComponent(e.trace_id)}` : `/logs?level=error&text=${encodeURIComponent(e.message.slice(0, 80))}`),
      cell: (e) => [h("span", { class: "error-text" }, e.message), h("span", { class: "error-place" }, service(e.service), e.operation ? h("span", { class: "soft" }, e.operation) : null)], hint: (e) => e.message },
    { name: "count", title: "Count", number: true, text: (e) => count(e.count), cell: (e) => h("strong", {}, count(e.count)) },
    { name: "first", title: "First", number: true, from: "wide", text: (e) => String(e.first), cell: (e) => since(e.first), hint: (e) => clock(e.first) },
    { name: "last", title: "Last", number: true, text: (e) => String(e.last), cell: (e) => since(e.last), hint: (e) => clock(e.last) },
    { name: "log", title: "", from: "wide", kind: "tight", text: (e) => e.id, cell: (e) => h("a", { href: `/logs?level=error&service=${encodeURIComponent(e.service)}&text=${encodeURIComponent(e.message.slice(0, 80))}`, "aria-label": `Lines of ${e.message.slice(0, 80)}` }, "lines") },
  ];
}
