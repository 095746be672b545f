// The colours of services: the same on every page, and different ones side by side in the alphabet.

const HUES = 8;
/** @type {Map<string, number>} */
const known = new Map();

/** Learn which services there are; what is shown already takes its colour. @param {string[]} names */
export function learn(names) {
  [...new Set(names)].sort().forEach((name, at) => known.set(name, at));
  for (const each of document.querySelectorAll("[data-hue]")) each.style.setProperty("--hue", hue(each.dataset.hue));
}

/** The colour of a service, for an element whose `data-hue` is the name. @param {string} name */
export function hue(name) {
  return `var(--hue-${(known.get(name) ?? [...name].reduce((sum, letter) => sum + letter.codePointAt(0), 0)) % HUES})`;
}
