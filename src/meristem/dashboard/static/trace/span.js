// What is known of one span.

import { h } from "../parts/dom.js";
import { fact } from "../parts/facts.js";
import { duration } from "../parts/format.js";
import { panel } from "../parts/panel.js";
import { service } from "../parts/marks.js";

/** @param {any} span @param {number} begin of its trace @param {() => void} close */
export function details(span, begin, close) {
  const query = span.attributes["db.query.text"];
  const attributes = Object.entries(span.attributes).filter(([name]) => name !== "db.query.text").sort();
  return panel(span.name, close,
    h("dl", { class: "facts" },
      fact("Service", service(span.service)),
      fact("Process", `${span.process}${span.process ? ` #${span.replica}` : "–"}`),
      fact("Kind", span.kind),
      fact("Begins", `+${duration(span.start - begin)}`),
      fact("Takes", duration(span.duration)),
      fact("Span", h("code", {}, span.span_id))),
    span.error ? h("section", {}, h("h3", {}, "Error"), h("pre", { class: "said bad" }, span.error)) : null,
    query ? h("section", {}, h("h3", {}, "Statement"), h("pre", { class: "said" }, query)) : null,
    attributes.length ? h("section", {}, h("h3", {}, "Attributes"), h("dl", { class: "facts mono" }, attributes.flatMap(([name, value]) => fact(name, value)))) : null);
}
