// What is known of a node: its figures, who calls it and whom it calls, its operations, replicas and errors.

import { h, icon } from "../parts/dom.js";
import { figure } from "../parts/facts.js";
import { bytes, count, duration, rate, share } from "../parts/format.js";
import { since, status } from "../parts/marks.js";
import { panel } from "../parts/panel.js";
import { tellEdge } from "./drawing.js";
import { FAILING, ICONS, KINDS, STATES, stateOf } from "./kinds.js";

const FEW = 8;

/**
 * @param {any} system @param {any} node
 * @param {{operations: any[], processes: any[], errors: any[], settings: any[]} | null} more None until it is known
 * @param {{close: () => void, url: (id: string) => string}} options
 */
export function details(system, node, more, { close, url }) {
  const names = new Map(system.nodes.map((each) => [each.id, each]));
  const serving = node.kind === "service" || node.kind === "app";
  const title = h("span", { class: "panel-title" }, icon(ICONS[node.kind]), node.name);
  const query = encodeURIComponent(node.name);
  return panel(title, close,
    h("p", { class: "soft" }, [KINDS[node.kind], node.detail].filter(Boolean).join(" · ")),
    node.status || node.process ? h("p", { class: "line-of" }, node.status ? status(node.status) : null, node.process ? h("span", { class: "soft" }, `in ${node.process}`) : null,
      node.replicas ? h("span", { class: "soft" }, `${node.ready} of ${node.replicas} ready`) : null) : null,
    serving ? h("p", { class: "line-of" }, h("a", { href: `/traces?service=${query}` }, "Traces"), h("a", { href: `/logs?service=${query}` }, "Logs"), h("a", { href: `/operations?service=${query}` }, "Operations"),
      node.kind === "service" ? h("a", { href: `/contracts?service=${query}` }, "Contracts") : null) : null,
    node.figures ? figures(node.figures) : null,
    edges(node.kind === "database" ? "Used by" : "Called by", system.edges.filter((each) => each.target === node.id), (each) => names.get(each.source), url),
    edges(node.kind === "bus" ? "Delivers to" : "Relies on", system.edges.filter((each) => each.source === node.id), (each) => names.get(each.target), url),
    ...(more ? rest(node, more) : []));
}

function rest(node, { operations, processes, errors, settings }) {
  const own = operations.filter((each) => node.kind === "service" && each.service === node.name).sort((one, other) => other.figures.rate - one.figures.rate);
  const replicas = processes.filter((each) => node.process && each.name === node.process);
  const failed = errors.filter((each) => (node.kind === "service" || node.kind === "app") && each.service === node.name);
  const told = settings.find((each) => each.part === node.name && !["app", "database"].includes(node.kind))?.settings ?? [];
  return [
    list("Operations", own, (each) => h("li", {}, h("a", { href: `/operations?service=${encodeURIComponent(each.service)}&operation=${encodeURIComponent(each.operation)}` }, each.operation),
      h("span", { class: each.figures.failed >= FAILING ? "number bad" : "number soft" }, `${rate(each.figures.rate)} · ${share(each.figures.failed)} · ${duration(each.figures.p99)}`))),
    list("Replicas", replicas, (each) => h("li", {}, h("span", { class: "line-of" }, `#${each.replica}`, status(each.status)),
      h("span", { class: "number soft" }, each.memory === null ? "" : `${Math.round((each.cpu ?? 0) * 100)} % · ${bytes(each.memory)}`),
      each.problem ? h("span", { class: "problem" }, each.problem) : null)),
    list("Settings", told, (each) => h("li", {}, h("span", {}, each.name), h("code", { class: "number", title: each.value }, each.value), h("span", { class: "origin soft", title: each.variable }, each.origin))),
    list("Recent errors", failed, (each) => h("li", {}, each.trace_id ? h("a", { class: "error-text", href: `/traces/${encodeURIComponent(each.trace_id)}` }, each.message) : h("span", { class: "error-text" }, each.message),
      h("span", { class: "number soft" }, `${count(each.count)} × `, since(each.last)))),
  ];
}

function figures({ rate: calls, failed, p50, p99, in_flight: flying }) {
  return h("div", { class: "summary small" }, figure("Rate", rate(calls)), figure("Errors", share(failed), { grave: failed >= FAILING ? "bad" : "" }), figure("p50", duration(p50)), figure("p99", duration(p99)), figure("In flight", count(flying)));
}

function edges(title, found, other, url) {
  return list(title, found, (edge) => {
    const node = other(edge);
    if (!node) return null;
    const state = stateOf(edge);
    return h("li", {}, h("a", { href: url(node.id) }, icon(ICONS[node.kind]), node.name),
      h("span", { class: `number ${edge.figures?.failed >= FAILING ? "bad" : state === "undeclared" ? "warn" : "soft"}`, title: STATES[state] }, state === "undeclared" ? `not declared · ${tellEdge(edge)}` : tellEdge(edge)));
  });
}

function list(title, items, make) {
  if (!items.length) return null;
  const rows = items.map(make).filter(Boolean);
  const more = rows.slice(FEW);
  return h("section", {}, h("h3", {}, `${title} (${items.length})`), h("ul", { class: "pairs" }, rows.slice(0, FEW)),
    more.length ? h("details", {}, h("summary", {}, `${more.length} more`), h("ul", { class: "pairs" }, more)) : null);
}
