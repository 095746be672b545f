// Actions: what operators did, and what was refused.

import { ask } from "../parts/ask.js";
import { choose, search } from "../parts/controls.js";
import { h } from "../parts/dom.js";
import { ago, clock, duration, plural, unqualified } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { table } from "../parts/table.js";

const MOST = 200;
const MEANS = { cookie: "by browser", bearer: "by token", socket: "at the socket", command: "by command" };

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const outcomes = choose(view, "outcome", "How it ended", "Any end");
  const { count: counted } = heading(view, "Actions", search(view, "text", "Operation or argument"), outcomes.field);
  outcomes.offer(["running", "done", "partial", "failed", "refused", "unknown"]);
  const list = table({ caption: "What operators did, the latest first", columns: columns(), key: (each) => each.id });
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  const load = view.follow(["actions"], (signal) => ask("Actions/actions", { text: view.get("text"), outcome: view.get("outcome"), most: MOST }, signal), (found) => {
    counted.textContent = found.length === MOST ? `the latest ${MOST}` : plural(found.length, "action");
    if (!found.length) {
      const any = view.get("text") || view.get("outcome");
      body.replaceChildren(any ? empty("No action is like that", "Choose less to see the others.")
        : empty("Nobody has acted yet", "Whatever operators change of the system is listed here, with who did it and how it ended."));
      return;
    }
    if (!list.element.isConnected) body.replaceChildren(list.element);
    list.show(found);
  });
  view.watch(load);
}

const who = (each) => [each.name, each.role, MEANS[each.means] ?? each.means, each.user_id === null || each.user_id === undefined ? each.address : `user ${each.user_id}`].filter(Boolean).join(" ");
const told = (each) => [each.outcome, each.problem].filter(Boolean).join(": ");

function columns() {
  return [
    { name: "time", title: "When", text: (each) => ago(each.time), hint: (each) => clock(each.time) },
    { name: "operation", title: "Action", kind: "action", text: (each) => `${unqualified(each.contract)}.${each.operation} ${each.problem}`, hint: (each) => each.contract,
      // On a phone the problem has the room of the action, below it.
      cell: (each) => [h("span", { class: "name" }, `${unqualified(each.contract)}.${each.operation}`), each.problem ? h("span", { class: "warn only-phone why" }, each.problem) : ""] },
    { name: "outcome", title: "Outcome", kind: "fill outcome", text: (each) => told(each), hint: (each) => each.problem,
      cell: (each) => [h("span", { class: ["partial", "failed", "refused"].includes(each.outcome) ? "badge bad" : "badge" }, each.outcome), each.problem ? h("span", { class: "problem" }, ` ${each.problem}`) : ""] },
    { name: "arguments", title: "With", kind: "mono clip", from: "wide", text: (each) => each.arguments || "–", hint: (each) => each.arguments },
    { name: "who", title: "Who", from: "wide", text: who },
    { name: "took", title: "Took", number: true, from: "wide", text: (each) => duration(each.seconds) },
  ];
}
