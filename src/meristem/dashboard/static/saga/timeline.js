// The time line of a saga: a row for each step and each undo, where it was in time, with what it began.

import { h, icon, keep } from "../parts/dom.js";
import { clock, duration } from "../parts/format.js";
import { GOING, linkTo, nameOf, seconds, until } from "./words.js";

const ICONS = {
  call: "M3 13 13 3M7 3h6v6", local: "M8 2.5 13.5 8 8 13.5 2.5 8z", sleep: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3.2l2.2 1.4",
  wait: "M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z", undo: "M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6M3 6.5l3-3M3 6.5l3 3", child: "M4 2v7a3 3 0 0 0 3 3h5M9.5 9.5 12 12l-2.5 2.5",
};
export const NAMES = { call: "call", local: "step of its own", sleep: "sleep", wait: "wait", undo: "undo", child: "child saga" };

/**
 * @param {{service: string, chosen: () => string, choose: (key: string) => void, isToScale: () => boolean}} options
 */
export function timeline({ service, chosen, choose, isToScale }) {
  const axis = h("div", { class: "saga-axis", "aria-hidden": "true" });
  const rows = h("ul", { class: "saga-rows", "data-list": true, "aria-label": "Steps" });
  const element = h("div", { class: "saga-line card" }, axis, rows);
  /** @type {any[]} */
  let found = [];

  rows.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && !String(getSelection())) choose(button.closest("li").dataset.key);
  });
  const update = (item, row) => {
    const text = JSON.stringify([row.step, row.from, row.to, row.children, row.isOpen, row.isLeft]);
    item.firstElementChild.setAttribute("aria-pressed", String(row.key === chosen()));
    if (item.dataset.told === text) return;
    item.dataset.told = text;
    item.dataset.state = row.step.state;
    item.dataset.kind = row.kind;
    item.toggleAttribute("data-open", row.isOpen);
    item.style.setProperty("--from", row.from.toFixed(5));
    item.style.setProperty("--to", row.to.toFixed(5));
    item.firstElementChild.replaceChildren(...cellsOf(row));
    const children = row.children.map((each) => h("span", { class: "child" }, icon(ICONS.child), each.name ?? "saga", linkTo(each.state ? service : null, each.id), each.state ? h("span", { class: "soft" }, each.state) : null));
    item.querySelector(".children")?.remove();
    if (children.length) item.append(h("div", { class: "children" }, children));
  };
  return {
    element,
    /** @param {any} told */
    show(told) {
      found = rowsOf(told);
      if (!found.length) {
        element.replaceChildren(h("p", { class: "empty" }, GOING.includes(told.saga.state) ? "No step yet." : "It did no step."));
        return;
      }
      if (!axis.isConnected) element.replaceChildren(axis, rows);
      const scale = scaleOf(told, found, isToScale());
      for (const row of found) [row.from, row.to] = [scale.at(row.begins), scale.at(row.ends)];
      axis.replaceChildren(...scale.ticks.map(({ at, text }) => h("span", { class: "tick", style: { "--from": at.toFixed(5) } }, text)));
      keep(rows, found, (row) => row.key, (row) => {
        const item = h("li", {}, h("button", { type: "button", class: "saga-row", "data-item": true }));
        update(item, row);
        return item;
      }, update);
    },
    mark() {
      for (const item of rows.children) item.firstElementChild.setAttribute("aria-pressed", String(item.dataset.key === chosen()));
    },
    /** @param {string} key */
    find: (key) => found.find((row) => row.key === key),
  };
}

/** The steps, and those that have no answer yet, in the order in which they began; what it left when it ended is none. @param {any} told */
export function rowsOf(told) {
  const now = Date.now() / 1000;
  const rests = ["done", "failed", "parked"].includes(told.saga.state);
  const last = rests ? seconds(told.saga.updated) : now;
  const known = new Set(told.steps.map((each) => each.position));
  const asked = told.waits_for.filter((each) => each.position !== null && !known.has(each.position)).map((each) => ({
    position: each.position, kind: "call", name: each.name ?? "under way", state: each.why === "retry" ? "retried" : "under way", attempts: each.attempts,
    started: each.since, ended: null, due: each.until, error: each.error, details: "", reply: null, isTried: each.why === "retry",
  }));
  return [...told.steps, ...asked].map((step) => {
    const begins = seconds(step.started);
    const isLeft = step.ended === null && ["done", "failed"].includes(told.saga.state);
    const isOpen = step.ended === null && !isLeft;
    return {
      step, isOpen, isLeft, begins, ends: Math.max(begins, step.ended === null ? last : seconds(step.ended)), key: `${step.position}.${step.kind === "undo" ? "undo" : "do"}`,
      kind: step.kind in ICONS ? step.kind : "call", isTried: Boolean(step.isTried), from: 0, to: 0,
      children: step.kind === "undo" ? [] : told.children.filter((each) => each.position === step.position),
    };
  }).sort((one, other) => one.begins - other.begins);
}

/**
 * From times to places between 0 and 1. Compact: what is long takes only a little more than what is short, so that a
 * call of a moment is seen beside a pause of days; each stretch between two times grows with its logarithm.
 */
function scaleOf(told, rows, isToScale) {
  const times = [...new Set([seconds(told.saga.created), ...rows.flatMap((row) => [row.begins, row.ends])])].sort((one, other) => one - other);
  const weight = (length) => (isToScale ? length : Math.log1p(length * 1000) || 0.01);
  const places = [0];
  for (let at = 1; at < times.length; at++) places.push(places[at - 1] + weight(times[at] - times[at - 1]));
  const total = places.at(-1) || 1;
  const at = (time) => places[times.indexOf(time)] / total;
  const begin = times[0];
  const ticks = [];
  for (const time of times) {
    if (ticks.length && at(time) - ticks.at(-1).at < 0.16) continue;
    if (at(time) > 0.86) break;
    ticks.push({ at: at(time), text: ticks.length ? `+${duration(time - begin)}` : clock(begin, false) });
  }
  return { at, ticks };
}

function cellsOf(row) {
  const { step } = row;
  const took = row.isOpen ? (step.due ? until(seconds(step.due)) : "") : `${row.isLeft ? "left after " : ""}${duration(row.ends - row.begins)}`;
  const failed = step.state === "failed" || step.state === "uncertain" || row.isTried;
  const say = [NAMES[row.kind], nameOf(step), step.state, took, step.error && `failed: ${step.error}`].filter(Boolean).join(", ");
  return [
    h("span", { class: "unseen" }, `Step ${step.position}: ${say}`),
    h("span", { class: "saga-label", "aria-hidden": "true" },
      h("span", { class: "position mono" }, step.position), icon(ICONS[row.kind]),
      h("span", { class: "what" }, nameOf(step)),
      step.attempts > 1 ? h("span", { class: "badge warn-badge" }, `${step.attempts} attempts`) : null,
      failed ? h("span", { class: `badge ${step.state === "failed" ? "bad" : "warn-badge"}` }, step.state) : null),
    h("span", { class: "saga-time", "aria-hidden": "true" }, h("span", { class: "saga-bar" }), h("span", { class: row.to > 0.8 ? "saga-took before" : "saga-took" }, took)),
    step.error ? h("span", { class: "saga-error", "aria-hidden": "true" }, step.error) : null,
  ].filter(Boolean);
}
