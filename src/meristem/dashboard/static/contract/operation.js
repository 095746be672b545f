// One operation: its text, its terms, the types that it takes and gives, its faults; and the form that calls it.

import { h } from "../parts/dom.js";
import { fact } from "../parts/facts.js";
import { duration } from "../parts/format.js";
import { caller } from "./caller.js";
import { messageTable, messagesOf, typed } from "./types.js";

const MEANINGS = {
  safe: "changes nothing; may be repeated", idempotent: "may be repeated: the second time changes nothing more",
  once: "has its effect once for each key, and the same answer again", plain: "a repetition does it again",
};

/** @param {import("../parts/view.js").View} view @param {any} contract @param {any} operation */
export function operationOf(view, contract, operation) {
  const [summary, ...rest] = operation.text.split(/\n\s*\n/);
  return [
    h("section", { class: "card pad stack", "aria-label": `What ${operation.name} is` },
      h("h2", { class: "operation-name" }, operation.name, operation.deprecated ? h("span", { class: "badge" }, "deprecated") : null),
      summary ? h("p", { class: "lead" }, summary) : null, rest.map((each) => h("p", {}, each)), terms(operation), types(contract, operation)),
    caller(view, contract, operation),
  ];
}

function terms(operation) {
  const term = (name, value, hint = "") => fact(name, [value, hint ? h("span", { class: "soft" }, ` ${hint}`) : null]);
  const who = operation.authenticated ? "signed-in users" : "anybody";
  return h("dl", { class: "facts" },
    term("Semantics", operation.semantics, MEANINGS[operation.semantics]),
    term("Timeout", operation.timeout === null ? "none" : duration(operation.timeout), operation.idle === null ? "" : `ends when silent for ${duration(operation.idle)}`),
    term("May call", operation.public ? who : "parts of the system", operation.public || !operation.authenticated ? "" : "for a signed-in user"),
    operation.route ? term("REST", h("code", {}, operation.route)) : [],
    term("RPC", h("code", {}, `POST ${operation.path}`)));
}

function types(contract, operation) {
  const request = JSON.parse(operation.request);
  const reply = operation.reply ? JSON.parse(operation.reply) : null;
  const [first, ...others] = messagesOf(request, contract.schemas);
  const of = (name, title = name) => messageTable(title, contract.schemas[name]);
  const replies = reply ? messagesOf(reply, contract.schemas).filter((name) => name !== first && !others.includes(name)) : [];
  const more = [...others, ...replies];
  return h("div", { class: "stack" },
    first ? of(first, operation.takes_stream ? "Takes a stream of" : "Takes") : null,
    h("section", { class: "type" }, h("h3", { class: "type-name" }, operation.stream ? "Gives a stream of" : "Gives"), h("p", {}, reply ? h("code", {}, typed(reply)) : h("span", { class: "soft" }, "nothing"))),
    operation.faults.length ? h("section", { class: "type" }, h("h3", { class: "type-name" }, "Faults"), operation.faults.map((fault) => faultOf(fault, contract))) : null,
    more.length ? h("details", {}, h("summary", {}, `Types: ${more.join(", ")}`), h("div", { class: "stack types" }, more.map((name) => of(name)))) : null);
}

function faultOf(fault, { schemas }) {
  const [name] = messagesOf(JSON.parse(fault.type), schemas);
  const fields = Object.entries(schemas[name]?.properties ?? {}).map(([key, each]) => `${key}: ${typed(each)}`).join(", ");
  return h("p", { class: "fault" }, h("code", {}, fault.name), h("span", {}, fault.text === fault.name ? "" : fault.text), h("span", { class: "soft" }, `${fault.code}, ${fault.status} in REST${fields ? ` · ${fields}` : ""}`));
}
