// One contract: what it says, its operations, and of the one that is chosen everything, with a form that calls it.

import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";
import { plural, unqualified } from "../parts/format.js";
import { empty, heading, waiting } from "../parts/heading.js";
import { service } from "../parts/marks.js";
import { operationOf } from "./operation.js";

const FORMS = [["openapi", "OpenAPI"], ["json-schema", "JSON Schema"], ["proto", ".proto"]];

/** @param {import("../parts/view.js").View} view */
export function open(view) {
  const { service: owner, name } = view.params;
  const head = heading(view, unqualified(name), ...FORMS.map(([form, text]) => download(view, owner, name, form, text)));
  head.count.textContent = name.slice(0, Math.max(0, name.lastIndexOf(".")));
  const body = h("div", { class: "stack" }, waiting());
  view.root.append(body);
  const about = h("div", { class: "stack" });
  const names = h("ul", { class: "operation-list", "data-list": true });
  const nav = h("div", { class: "operation-nav card", role: "navigation", "aria-label": "Operations of the contract" }, names);
  const chosen = h("div", { class: "stack" });
  let known = null;
  let shown = "";

  const show = () => {
    if (!known) return;
    const operation = known.operations.find((each) => each.name === view.get("operation")) ?? known.operations[0];
    for (const link of names.querySelectorAll("a")) link.dataset.name === operation.name ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
    if (operation.name === shown) return;
    shown = operation.name;
    chosen.replaceChildren(...operationOf(view, known, operation));
  };
  view.follow([], (signal) => ask("Catalogue/contract", { service: owner, name }, signal), (told) => {
    // What is typed into a form must stay: a contract is another one after a restart alone.
    if (known && JSON.stringify(known.told) === JSON.stringify(told)) return;
    known = { ...told, told, schemas: JSON.parse(told.schemas) };
    shown = "";
    if (!told.operations.length) {
      body.replaceChildren(empty("This contract has no operations", "Give it a public method."));
      return;
    }
    about.replaceChildren(...aboutOf(told));
    names.replaceChildren(...told.operations.map((each) => h("li", {}, h("a", { href: view.url({ operation: each.name }), "data-item": true, "data-name": each.name }, each.name, marks(each)))));
    body.replaceChildren(about, h("div", { class: "contract-split" }, nav, chosen));
    show();
  });
  view.watch(show);
}

function aboutOf({ text, service: owner, callers, module, operations }) {
  const [summary, ...rest] = text.split(/\n\s*\n/);
  const fact = (name, ...value) => h("div", { class: "figure" }, h("span", { class: "soft" }, name), h("span", { class: "line-of" }, value));
  return [
    summary ? h("p", { class: "lead" }, summary) : null,
    ...rest.map((each) => h("p", { class: "soft" }, each)),
    h("div", { class: "summary" },
      fact("Service", h("a", { href: `/map?node=service:${encodeURIComponent(owner)}` }, service(owner))),
      fact("Called by", callers.length ? callers.map((each) => h("a", { href: `/map?node=service:${encodeURIComponent(each)}` }, service(each))) : "no service"),
      fact("Operations", plural(operations.length, "operation")), fact("Module", h("code", {}, module))),
  ].filter(Boolean);
}

function marks(operation) {
  const told = [operation.semantics === "safe" ? "" : operation.semantics, operation.stream || operation.takes_stream ? "stream" : ""].filter(Boolean).join(" · ");
  return told ? h("span", { class: "soft" }, told) : null;
}

function download(view, owner, name, form, text) {
  const button = h("button", { class: "button", type: "button", title: `Download the contract as ${text}` }, text);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      for (const file of await ask("Catalogue/export", { service: owner, name, form }, view.signal)) {
        const url = URL.createObjectURL(new Blob([file.text], { type: "application/octet-stream" }));
        h("a", { href: url, download: file.path.split("/").pop() }).click();
        setTimeout(() => URL.revokeObjectURL(url), 10_000);
      }
    } catch (error) {
      if (!view.signal.aborted) view.trouble(error, () => button.click());
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
