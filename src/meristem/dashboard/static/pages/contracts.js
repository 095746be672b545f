// Contracts: what each service promises to others.

import { ask } from "../parts/ask.js";
import { choose, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { plural, unqualified } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service } from "../parts/marks.js";
import { missing } from "../parts/missing.js";
import { table } from "../parts/table.js";

const FEW = 4;

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const services = choose(view, "service", "Service", "All services");
  const { count: counted } = heading(view, "Contracts", search(view, "text", "Contract or operation"), services.field);
  const gaps = missing();
  const list = table({ caption: "Contracts of the services", columns: columns(view), key: (each) => `${each.service} ${each.name}` });
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  let known = null;

  const show = () => {
    if (!known) return;
    services.offer([...new Set(known.contracts.map((each) => each.service))].sort());
    const text = view.get("text").toLowerCase();
    const shown = known.contracts.filter((each) => (!view.get("service") || each.service === view.get("service"))
      && `${each.name} ${each.service} ${each.operations.join(" ")}`.toLowerCase().includes(text));
    counted.textContent = `${plural(shown.length, "contract")}, ${plural(shown.reduce((sum, each) => sum + each.operations.length, 0), "operation")}`;
    gaps.show(known.silent, "their contracts are");
    if (!shown.length) {
      body.replaceChildren(gaps.element, known.contracts.length ? empty("No contract is like that", "Choose less to see the others.")
        : empty("No contracts", "Give a service a contract, and what it promises is read and called here."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(gaps.element, list.element);
    list.show(shown);
  };
  view.follow([], (signal) => ask("Catalogue/contracts", {}, signal), (told) => { known = told; show(); });
  view.watch(show);
}

/** Where a contract is read. @param {{service: string, name: string}} each @param {Record<string, string>} [query] */
export const contractUrl = (each, query = {}) => {
  const text = new URLSearchParams(query).toString();
  return `/contracts/${encodeURIComponent(each.service)}/${encodeURIComponent(each.name)}${text ? `?${text}` : ""}`;
};

function columns(view) {
  const found = (each) => each.operations.find((name) => view.get("text") && name.toLowerCase().includes(view.get("text").toLowerCase()));
  return [
    { name: "name", title: "Contract", kind: "fill", text: (each) => `${each.service} ${each.name} ${each.summary}`, hint: (each) => `${each.name}\n${each.summary}`,
      link: (each) => contractUrl(each, found(each) ? { operation: found(each) } : {}),
      cell: (each) => [service(each.service), h("span", { class: "name" }, unqualified(each.name)), h("span", { class: "soft clip-rest" }, each.summary)] },
    { name: "operations", title: "Operations", from: "wide", kind: "clip", text: (each) => each.operations.join(", "), hint: (each) => each.operations.join("\n") },
    { name: "callers", title: "Called by", from: "wider", text: (each) => each.callers.join(" "), hint: (each) => each.callers.join(", "),
      cell: (each) => (each.callers.length ? h("span", { class: "services" }, each.callers.slice(0, FEW).map(service), each.callers.length > FEW ? h("span", { class: "soft" }, `+${each.callers.length - FEW}`) : null)
        : h("span", { class: "soft" }, "no service")) },
  ];
}
