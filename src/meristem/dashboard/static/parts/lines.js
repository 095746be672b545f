// Lines of the log: each opens to all that it says.

import { clock } from "./format.js";
import { h, keeper } from "./dom.js";
import { service } from "./marks.js";

const LONG = 80; // what may be cut in a line

/**
 * @param {{label: string, linked?: boolean}} options `linked`: a line leads to its trace
 * @returns {{element: HTMLElement, show: (lines: any[]) => void}}
 */
export function lines({ label, linked = true }) {
  const element = h("ul", { class: "lines card", "data-list": true, "aria-label": label });
  return { element, show: keeper(element, (line) => String(line.id), (line) => lineOf(line, linked)) };
}

function lineOf(line, linked) {
  const more = h("div", { class: "more-of", hidden: true });
  const button = h("button", { type: "button", class: "line", "data-item": true, "aria-expanded": "false" },
    h("time", { class: "mono soft", datetime: new Date(line.time * 1000).toISOString() }, clock(line.time)),
    h("span", { class: "level" }, line.level),
    service(line.service || line.process),
    h("span", { class: "message" }, line.message));
  button.addEventListener("click", () => {
    if (String(getSelection())) return;
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
    if (!more.hasChildNodes()) more.append(...detailsOf(line));
  });
  const link = linked && line.trace_id
    ? h("a", { class: "to-trace", href: `/traces/${encodeURIComponent(line.trace_id)}`, "aria-label": `Trace of: ${line.message.slice(0, 80)}` }, "trace")
    : null;
  return h("li", { "data-level": line.level }, button, link, more);
}

function detailsOf(line) {
  const said = { process: line.process && `${line.process} #${line.replica}`, logger: line.logger, operation: line.operation, trace: line.trace_id, ...line.fields };
  return [
    line.message.length > LONG || line.message.includes("\n") ? h("pre", { class: "said" }, line.message) : null,
    line.traceback ? h("pre", { class: "said bad" }, line.traceback) : null,
    h("dl", { class: "facts mono" }, Object.entries(said).filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  ].filter(Boolean);
}
