// Operations: rate, errors and duration of each, and what services carry, now and over time.

import { ask } from "../parts/ask.js";
import { choose, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { count, duration, plural, rate, share } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service } from "../parts/marks.js";
import { table } from "../parts/table.js";
import { chartsOf, minutes } from "../figures/charts.js";

const VALUES = {
  name: (o) => `${o.service}.${o.operation}`, rate: (o) => o.figures.rate, failed: (o) => o.figures.failed, p50: (o) => o.figures.p50 ?? -1,
  p99: (o) => o.figures.p99 ?? -1, flight: (o) => o.figures.in_flight, calls: (o) => o.calls,
};

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const { count: counted } = heading(view, "Operations", search(view, "text", "Operation"), services.field, minutes(view));
  const charts = chartsOf(view, (asked, set) => named(view, asked, set));
  const order = {
    name: () => view.get("sort", "rate"),
    url: (name) => view.url({ sort: order.name() === name ? `-${name}` : name }),
  };
  const list = table({
    caption: "Operations of the last minute", columns: columns(view), key: VALUES.name, order,
    chosen: (each) => each.service === view.get("service") && each.operation === view.get("operation"),
  });
  const body = h("div", { class: "stack" }, waiting());
  const carried = h("div", { class: "summary carried" });
  view.root.append(charts.element, carried, body);
  let known = null;

  const show = () => {
    if (!known) return;
    services.offer([...new Set(known.map((each) => each.service))].sort());
    const text = view.get("text").toLowerCase();
    const shown = sorted(known.filter((each) => (!view.get("service") || each.service === view.get("service"))
      && VALUES.name(each).toLowerCase().includes(text)), order.name());
    counted.textContent = plural(shown.length, "operation");
    if (!shown.length) {
      body.replaceChildren(known.length ? empty("No operation is like that", "Choose less to see the others.")
        : empty("No operations", "The services of this system have no operations that are counted."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(list.element);
    list.show(shown);
  };
  view.follow(["figures"], (signal) => ask("operations", {}, signal), (found) => { known = found; show(); }, { pause: 2000 });
  let loads = [];
  const showLoads = () => carried.replaceChildren(...loadOf(loads, view.get("service")));
  view.follow(["figures"], (signal) => ask("loads", {}, signal), (found) => { loads = found; showLoads(); }, { pause: 2000 });
  view.watch(showLoads);
  view.watch(() => { if (view.get("operation") && !view.get("service")) view.set({ operation: null }, true); show(); });
  view.onEscape(() => Boolean(view.get("operation")) && (view.set({ operation: null }), true));
}

/** What is let in, waits and was turned away, of a service or of all, and the event loop that is late most. */
function loadOf(loads, name) {
  const replicas = loads.filter((each) => !name || each.services.some((one) => one.service === name));
  const services = replicas.flatMap((each) => each.services.filter((one) => !name || one.service === name));
  if (!services.length) return [];
  const sum = (field) => services.reduce((total, each) => total + each[field], 0);
  const slowest = replicas.reduce((one, other) => (other.loop_lag > one.loop_lag ? other : one));
  return [
    figure("Let in", `${count(sum("inside"))} of ${count(sum("limit"))}`, { hint: "Calls by wire that are worked on, and how many may be at once just now" }),
    figure("Waiting", count(sum("waiting")), { hint: "Calls that wait to be let in", grave: sum("waiting") ? "warn" : "" }),
    figure("Turned away", count(sum("shed")), { hint: "Calls beyond the limit since the processes began, which were told to try again later", grave: sum("shed") ? "warn" : "" }),
    figure("Loop lag", duration(slowest.loop_lag), { hint: `How late the event loop of ${slowest.process} #${slowest.replica} came to what was due, at worst in the last two seconds`, grave: slowest.loop_lag >= 0.5 ? "warn" : "" }),
  ];
}

function named(view, { service: name, operation }, set) {
  if (!name) return [h("span", { class: "soft" }, "All services together. Choose an operation to see it alone.")];
  // All operations of a service are let in by one limit, and events are the service's as well.
  if (set) operation = "";
  const query = new URLSearchParams({ service: name, ...(operation ? { operation } : {}) });
  return [
    service(name), operation ? h("strong", {}, operation) : h("span", { class: "soft" }, "all operations"),
    h("a", { href: `/traces?${query}` }, "Traces"), h("a", { href: `/logs?service=${encodeURIComponent(name)}` }, "Logs"),
    h("a", { href: `/contracts?${new URLSearchParams({ service: name, ...(operation ? { text: operation } : {}) })}` }, "Contract"),
    operation ? h("a", { href: view.url({ operation: null }) }, "All of the service") : h("a", { href: view.url({ service: null }) }, "All services"),
  ];
}

function sorted(list, order) {
  const rising = order.startsWith("-");
  const value = VALUES[order.replace("-", "")] ?? VALUES.rate;
  // Names rise where figures fall: A and the most come first.
  const first = (one, other) => (typeof one === "string" ? one.localeCompare(other) : other - one);
  return [...list].sort((one, other) => (rising ? -1 : 1) * first(value(one), value(other)) || VALUES.name(one).localeCompare(VALUES.name(other)));
}

function columns(view) {
  return [
    { name: "name", title: "Operation", kind: "fill", sort: true, text: (o) => `${o.service} ${o.operation}`, hint: (o) => VALUES.name(o), link: (o) => view.url({ service: o.service, operation: o.operation }),
      cell: (o) => [service(o.service), h("span", { class: "name" }, o.operation)] },
    { name: "rate", title: "Rate", number: true, sort: true, text: (o) => rate(o.figures.rate) },
    { name: "failed", title: "Errors", number: true, sort: true, text: (o) => share(o.figures.failed), grave: (o) => (o.figures.failed >= 0.01 ? "bad" : o.figures.failed ? "warn" : "soft") },
    { name: "p50", title: "p50", number: true, sort: true, from: "wide", text: (o) => duration(o.figures.p50) },
    { name: "p99", title: "p99", number: true, sort: true, text: (o) => duration(o.figures.p99) },
    { name: "flight", title: "In flight", number: true, sort: true, from: "wide", text: (o) => count(o.figures.in_flight) },
    { name: "calls", title: "Calls", number: true, sort: true, from: "wide", text: (o) => count(o.calls) },
  ];
}
