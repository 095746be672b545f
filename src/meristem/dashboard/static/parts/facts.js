// A name and what is known by it: in the line of figures at the top of a page, and in a list beside one.

import { h } from "./dom.js";

/**
 * A figure of a summary; `grave` marks it as `warn` or `bad`, `more` stands beside it.
 * @param {string} name @param {any} value @param {{grave?: string, hint?: string, more?: any}} [options]
 */
export const figure = (name, value, { grave = "", hint, more } = {}) =>
  h("div", { class: `figure ${grave}`, title: hint ?? null }, h("span", { class: "soft" }, name), h("strong", {}, value), more ?? null);

/** A line of a `dl` with the class `facts`; none where nothing is known. @param {string} name @param {any} value */
export const fact = (name, value) => (value === null ? [] : [h("dt", {}, name), h("dd", {}, value)]);
