// Elements. What a system says becomes text by `textContent` and nothing else.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with its properties and children: `on` holds listeners, `style` custom properties; null is left out.
 * @param {string} tag @param {Record<string, any>} properties @param {...any} children
 */
export const h = (tag, properties = {}, ...children) => made(document.createElement(tag), properties, children);

/** The same of SVG. @param {string} tag @param {Record<string, any>} properties @param {...any} children */
export const s = (tag, properties = {}, ...children) => made(document.createElementNS(SVG, tag), properties, children);

function made(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/** An icon by its path in a box of 16. @param {string} path */
export const icon = (path) => s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: path }));

/** Write a text where it differs, so that what is selected or read stays. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of an element those of a list: elements of known keys stay, with focus and all, and are told.
 * @template T
 * @param {Element} parent @param {T[]} items @param {(item: T) => string} key
 * @param {(item: T) => Element} make @param {(element: Element, item: T) => void} [update]
 */
export function keep(parent, items, key, make, update = () => {}) {
  const known = new Map();
  for (const each of [...parent.children]) known.has(each.dataset.key) ? each.remove() : known.set(each.dataset.key, each);
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    known.delete(name);
    if (element) update(element, item);
    else {
      element = make(item);
      element.dataset.key = name;
    }
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  for (const element of known.values()) element.remove();
}

const AT_ONCE = 30;

/**
 * The same for a long list: as much as fills a window at once, the rest in turns, so that no key or click waits for it.
 * @template T
 * @param {Element} parent @param {(item: T) => string} key @param {(item: T) => Element} make
 * @param {(element: Element, item: T) => void} [update] @returns {(items: T[]) => void}
 */
export function keeper(parent, key, make, update) {
  let timer = 0;
  const fill = (items, most) => {
    clearTimeout(timer);
    const now = items.slice(0, Math.max(most, parent.childElementCount));
    keep(parent, now, key, make, update);
    if (now.length < items.length) timer = setTimeout(() => fill(items, now.length + AT_ONCE));
  };
  return (items) => fill(items, AT_ONCE);
}

/** Call a function once nothing more came for some milliseconds. @param {number} wait @param {(...values: any[]) => void} work */
export function later(wait, work) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait);
  };
}
