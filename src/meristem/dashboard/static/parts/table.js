// A table whose rows stay what they are while their texts change; a row leads to where its link leads.

import { h, keeper, write } from "./dom.js";

/**
 * `text` is what a cell says and is compared by; `cell` makes more of it; `grave` marks it. `from` is the width of
 * the window from which on a column is shown: "" always, "wide", "wider".
 * `head` stands in place of a title.
 * @template T
 * @typedef {{name: string, title: string, head?: Node, text: (item: T) => string, cell?: (item: T) => Node | Node[],
 *   number?: boolean, from?: string, link?: (item: T) => string, sort?: boolean, hint?: (item: T) => string,
 *   grave?: (item: T) => string, kind?: string}} Column
 */

/**
 * @template T
 * @param {{caption: string, columns: Column<T>[], key: (item: T) => string, chosen?: (item: T) => boolean,
 *   order?: {name: () => string, url: (name: string) => string}}} options
 */
export function table({ caption, columns, key, chosen, order }) {
  const heads = columns.map((column) => h("th", { scope: "col", class: classes(column) },
    order && column.sort ? h("a", { href: "#", "data-sort": column.name }, column.title) : column.head || column.title || h("span", { class: "unseen" }, column.name)));
  const body = h("tbody", { "data-list": true });
  const element = h("table", { class: "table" }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, heads)), body);
  body.addEventListener("click", follow);
  const fill = keeper(body, key, (item) => row(columns, item, chosen), (tr, item) => update(tr, columns, item, chosen));
  return {
    element,
    /** @param {T[]} items */
    show(items) {
      if (order) markOrder(element, order);
      fill(items);
    },
  };
}

const classes = (column) => [column.number && "number", column.from, column.kind].filter(Boolean).join(" ") || null;

function row(columns, item, chosen) {
  const tr = h("tr", {}, columns.map((column) => {
    const told = h("td", { class: classes(column) });
    if (column.link) told.append(h("a", { class: "row-link", "data-item": true }));
    return told;
  }));
  update(tr, columns, item, chosen);
  return tr;
}

function update(tr, columns, item, chosen) {
  columns.forEach((column, at) => {
    const td = tr.children[at];
    const text = column.text(item);
    const inner = column.link ? td.firstElementChild : td;
    if (column.link) inner.setAttribute("href", column.link(item));
    if (column.hint) td.title = column.hint(item);
    if (column.grave) td.dataset.grave = column.grave(item);
    if (td.dataset.text === text) return;
    td.dataset.text = text;
    if (column.cell) inner.replaceChildren(...[column.cell(item)].flat());
    else write(inner, text);
  });
  if (chosen) chosen(item) ? tr.setAttribute("aria-current", "true") : tr.removeAttribute("aria-current");
}

/** A click anywhere in a row follows its link, unless a text was selected or something else was meant. */
function follow(event) {
  if (event.target.closest("a, button, input") || String(getSelection())) return;
  event.target.closest("tr")?.querySelector(".row-link")?.dispatchEvent(new MouseEvent("click", event));
}

function markOrder(element, order) {
  const current = order.name();
  for (const link of element.querySelectorAll("[data-sort]")) {
    const name = link.dataset.sort;
    link.href = order.url(name);
    const head = link.parentElement;
    if (current.replace("-", "") === name) head.setAttribute("aria-sort", current.startsWith("-") ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}
