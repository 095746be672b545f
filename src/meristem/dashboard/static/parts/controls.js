// Fields that choose what a page shows; each is bound to a name in the address.

import { h, later } from "./dom.js";

/** @typedef {import("./view.js").View} View */

/** A list to choose one of. @param {View} view @param {string} name @param {string} label @param {string} all */
export function choose(view, name, label, all) {
  const field = h("select", { "aria-label": label, on: { change: () => view.set({ [name]: field.value }) } }, h("option", { value: "" }, all));
  const show = () => {
    const value = view.get(name);
    // What a link says stays chosen, also before the list is known or where it no longer has it.
    if (value && ![...field.options].some((each) => each.value === value)) field.append(h("option", { value }, value));
    field.value = value;
  };
  view.watch(show);
  show();
  return {
    field,
    /** @param {string[]} options */
    offer(options) {
      const known = [...field.options].slice(1).map((each) => each.value).join("\n");
      if (known === options.join("\n")) return;
      field.replaceChildren(field.options[0], ...options.map((value) => h("option", { value }, value)));
      show();
    },
  };
}

/** A text to search for; `/` leads to that which is called `text`. @param {View} view @param {string} name @param {string} label */
export function search(view, name, label) {
  const now = () => view.set({ [name]: field.value.trim() }, true);
  const tell = later(200, () => view.signal.aborted || now());
  const field = h("input", {
    type: "search", "aria-label": label, placeholder: name === "text" && matchMedia("(hover: hover)").matches ? `${label}  /` : label, spellcheck: "false", autocomplete: "off",
    on: {
      input: tell,
      keydown: (event) => {
        if (event.key === "Enter") now();
        if (event.key === "ArrowDown") first(event);
      },
    },
  });
  const first = (event) => {
    now();
    const item = document.querySelector("main [data-list] [data-item]");
    if (item) { event.preventDefault(); item.focus(); }
  };
  const show = () => { if (document.activeElement !== field) field.value = view.get(name); };
  view.watch(show);
  show();
  return field;
}

/** One of a few, side by side. @param {View} view @param {string} name @param {string} label @param {[string, string][]} options */
export function pick(view, name, label, options, otherwise = "") {
  const group = h("div", { class: "pick", role: "group", "aria-label": label });
  for (const [value, text] of options) {
    group.append(h("button", {
      type: "button", class: "button", "data-value": value,
      on: { click: () => view.set({ [name]: value === otherwise ? null : value }) },
    }, text));
  }
  const show = () => {
    for (const each of group.children) each.setAttribute("aria-pressed", String(each.dataset.value === view.get(name, otherwise)));
  };
  view.watch(show);
  show();
  return group;
}

/** Yes or no. @param {View} view @param {string} name @param {string} text @param {() => boolean} [otherwise] */
export function toggle(view, name, text, otherwise = () => false) {
  const on = () => (view.get(name) ? view.get(name) === "1" : otherwise());
  const button = h("button", { type: "button", class: "button", on: { click: () => view.set({ [name]: on() ? "0" : "1" }) } }, text);
  const show = () => button.setAttribute("aria-pressed", String(on()));
  view.watch(show);
  show();
  return { button, on, show };
}
