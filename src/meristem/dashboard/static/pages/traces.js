// Traces: which there were, how long each took, and which failed.

import { ask } from "../parts/ask.js";
import { choose, pick, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { clock, count, duration, plural } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service, since } from "../parts/marks.js";
import { table } from "../parts/table.js";
import { scatter } from "../trace/scatter.js";

const MOST = 100;

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const operations = choose(view, "operation", "Operation", "All operations");
  const { count: counted } = heading(view, "Traces",
    search(view, "text", "Name or trace id"), services.field, operations.field, search(view, "user", "User"),
    pick(view, "status", "Status", [["", "All"], ["ok", "Ok"], ["failed", "Failed"]]),
    pick(view, "at_least", "Duration", [["", "Any"], ["0.1", "≥ 100 ms"], ["1", "≥ 1 s"]]),
  );
  const cloud = scatter();
  const list = table({ caption: "Traces, the newest first", columns: columns(), key: (trace) => trace.trace_id });
  const more = h("button", { class: "button more", type: "button", hidden: true }, "Older traces");
  const rest = h("div", { class: "stack" }, waiting());
  view.root.append(rest);

  /** @type {any[]} */
  let shown = [];
  let paged = false; // older ones were asked for, so none that is shown goes
  let begins = 0; // another choice makes what is older another, too
  const wanted = () => ({
    service: view.get("service"), operation: view.get("operation"), text: view.get("text"),
    status: view.get("status"), user: view.get("user"), at_least: Number(view.get("at_least")) || 0, most: MOST,
  });

  const show = (traces) => {
    shown = traces;
    counted.textContent = `${shown.length}${more.hidden ? "" : "+"} kept`;
    if (!shown.length) {
      rest.replaceChildren(empty("No trace is like that", view.query.size
        ? "Choose less, or wait: what comes is shown by itself." : "Call an operation; its trace is shown here by itself."));
      return;
    }
    if (!list.element.isConnected) rest.replaceChildren(cloud.element, list.element, more);
    list.show(shown);
    cloud.show(shown);
  };

  const refresh = view.follow(["spans"], (signal) => ask("traces", wanted(), signal), (traces) => {
    if (!paged) more.hidden = traces.length < MOST;
    show(paged ? joined(traces, shown) : traces);
  });
  view.watch(() => { paged = false; begins += 1; refresh(); });

  more.addEventListener("click", async () => {
    const asked = begins;
    more.disabled = true;
    try {
      const found = await ask("traces", { ...wanted(), before: shown.at(-1).start }, view.signal);
      if (asked !== begins) return;
      paged = true;
      more.hidden = found.length < MOST;
      show(joined(shown, found));
    } catch (error) {
      if (!view.signal.aborted) view.trouble(error, () => more.click());
    } finally {
      more.disabled = false;
    }
  });

  offer(view, services, operations);
}

/** The newer ones, then those of the others that are not among them. */
function joined(newer, others) {
  const known = new Set(newer.map((each) => each.trace_id));
  return [...newer, ...others.filter((each) => !known.has(each.trace_id))];
}

/** The choices are those of the contract's operations. */
async function offer(view, services, operations) {
  const known = await ask("operations", {}, view.signal).catch(() => []);
  const show = () => {
    services.offer([...new Set(known.map((each) => each.service))].sort());
    const chosen = view.get("service");
    operations.offer([...new Set(known.filter((each) => !chosen || each.service === chosen).map((each) => each.operation))].sort());
  };
  view.watch(show);
  show();
}

function columns() {
  return [
    { name: "name", title: "Trace", kind: "fill", text: (t) => `${t.name} ${t.service} ${t.failed}`, link: (t) => `/traces/${encodeURIComponent(t.trace_id)}`,
      cell: (t) => [service(t.service), h("span", { class: "name" }, t.name), t.failed ? h("span", { class: "badge bad" }, plural(t.failed, "error")) : ""] },
    { name: "user", title: "User", from: "wider", kind: "narrow", text: (t) => t.user || "–", hint: (t) => t.user },
    { name: "services", title: "Reaches", from: "wider", text: (t) => t.services.join(" "), hint: (t) => t.services.join(", "),
      cell: (t) => h("span", { class: "services" }, others(t).slice(0, 2).map(service), others(t).length > 2 ? h("span", { class: "soft" }, `+${others(t).length - 2}`) : null) },
    { name: "spans", title: "Spans", number: true, from: "wide", text: (t) => count(t.spans) },
    { name: "duration", title: "Duration", number: true, text: (t) => duration(t.duration),
      cell: (t) => h("span", { class: "bar", style: { "--part": part(t.duration) } }, duration(t.duration)) },
    { name: "start", title: "Began", number: true, text: (t) => String(t.start), cell: (t) => since(t.start), hint: (t) => clock(t.start) },
  ];
}

const others = (trace) => trace.services.filter((each) => each !== trace.service);

/** How long a bar is: a tenth more for each doubling or so, from a millisecond to a minute. */
const part = (seconds) => Math.max(0.02, Math.min(1, Math.log10(Math.max(seconds, 1e-3) * 1e3) / Math.log10(6e4))).toFixed(3);
