// Lines of the log: each opens to all that it says.

import { clock } from "./format.js";
import { h, keeper } from "./dom.js";
import { service } from "./marks.js";

const LONG = 80; // what may be cut in a line

/** Where a line leads when nothing else is said: to its span in its trace. */
const toTrace = (line) => line.trace_id && `/traces/${encodeURIComponent(line.trace_id)}${line.span_id ? `?span=${encodeURIComponent(line.span_id)}` : ""}`;

/**
 * @param {{label: string, word?: string, url?: (line: any) => string}} options where a line leads, and in which word
 * @returns {{element: HTMLElement, show: (lines: any[]) => void}}
 */
export function lines({ label, word = "trace", url = toTrace }) {
  const element = h("ul", { class: "lines card", "data-list": true, "aria-label": label });
  return { element, show: keeper(element, (line) => String(line.id), (line) => lineOf(line, word, url(line))) };
}

function lineOf(line, word, url) {
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
  const link = url ? h("a", { class: "to-trace", href: url, "aria-label": `${word[0].toUpperCase()}${word.slice(1)} of: ${line.message.slice(0, 80)}` }, word) : null;
  return h("li", { "data-level": line.level }, button, link, more);
}

function detailsOf(line) {
  const said = { process: line.process && `${line.process} #${line.replica}`, logger: line.logger, operation: line.operation, trace: line.trace_id, span: line.span_id, ...line.fields };
  return [
    line.message.length > LONG || line.message.includes("\n") ? h("pre", { class: "said" }, line.message) : null,
    line.traceback ? h("pre", { class: "said bad" }, line.traceback) : null,
    h("dl", { class: "facts mono" }, Object.entries(said).filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
  ].filter(Boolean);
}
