// One dead letter beside the list: why, what its event says if that is asked for, its trace, and what to do with it.

import { acting } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";
import { fact } from "../parts/facts.js";
import { clock, plural, pretty, unqualified } from "../parts/format.js";
import { service, since } from "../parts/marks.js";
import { panel } from "../parts/panel.js";
import { discard, redrive } from "./changes.js";

/**
 * Keeps a panel in its place: of the letter that the address names.
 * @param {import("../parts/view.js").View} view @param {HTMLElement} place @param {() => void} changed
 */
export function letterPanel(view, place, changed) {
  let shown = "";
  const close = () => view.set({ letter: null });

  const draw = (detail, values) => {
    const letter = detail.letter;
    const which = { letters: [letter], done: () => { close(); changed(); } };
    const said = h("section", {}, h("h3", {}, "What it says"), h("pre", { class: "said" }, pretty(detail.data) || "Nothing."),
      values ? h("button", { class: "button", type: "button", on: { click: () => load(letter, false) } }, "Hide values")
        : h("button", { class: "button", type: "button", on: { click: () => load(letter, true) } }, "Show values"));
    place.replaceChildren(panel(`${unqualified(letter.type)} ${letter.service}/${letter.id}`, close,
      h("p", { class: "line-of" },
        acting("Redrive", () => redrive(which)),
        acting("Discard", () => discard(which)),
        letter.trace_id ? h("a", { href: `/traces/${encodeURIComponent(letter.trace_id)}` }, "Trace") : null),
      h("section", {}, h("h3", {}, "Why"), h("pre", { class: "said bad" }, letter.error ?? "No reason is kept.")),
      h("dl", { class: "facts" },
        ...fact("Of", service(letter.subscriber)), ...fact("Published by", service(letter.service)),
        ...fact("When", h("span", { title: clock(letter.created) }, since(letter.created))),
        ...fact("Given up after", plural(letter.attempts, "attempt")), ...(letter.key ? fact("Key", h("code", {}, letter.key)) : [])),
      said,
      h("details", {}, h("summary", {}, "Attributes"), h("dl", { class: "facts mono" }, Object.entries(detail.attributes).flatMap(([name, value]) => fact(name, value))))));
  };
  const load = async (letter, values) => {
    const wanted = shown;
    try {
      const detail = await ask("Events/letter", { service: letter.service, number: letter.id, values }, view.signal);
      if (wanted === shown) draw(detail, values);
    } catch (error) {
      if (view.signal.aborted || wanted !== shown) return;
      place.replaceChildren(panel(`${letter.service}/${letter.id}`, close, h("p", { class: "soft" }, error.message)));
    }
  };
  return {
    show() {
      const name = view.get("letter");
      place.hidden = !name;
      if (name === shown) return;
      shown = name;
      const [of, number] = name.split("/");
      place.replaceChildren();
      if (name) load({ service: of, id: Number(number) }, false);
    },
  };
}
