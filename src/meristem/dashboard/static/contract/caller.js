// The form that calls an operation for somebody, and what came of it.

import { isRefused, onlyActing } from "../parts/acting.js";
import { ask } from "../parts/ask.js";
import { h } from "../parts/dom.js";
import { duration, pretty } from "../parts/format.js";
import { field, tellRefused } from "./fields.js";
import { snippets } from "./snippets.js";
import { resolve } from "./types.js";

const FIRST = 20; // items of a stream

/** For whom calls are made: it stays while one operation after the other is tried. */
const who = { user: "", user_name: "", roles: "", tenant: "", travelling: "" };

/** @param {import("../parts/view.js").View} view @param {any} contract @param {any} operation */
export function caller(view, contract, operation) {
  const body = requestOf(contract, operation);
  const people = peopleOf(contract, operation);
  const key = h("input", { type: "text", "aria-label": "Idempotency key", placeholder: "a new one each time", spellcheck: "false", autocomplete: "off" });
  const send = onlyActing(h("button", { class: "button primary", type: "submit" }, `Call ${operation.name}`));
  const outcome = h("div", { class: "stack", "aria-live": "polite" });
  const asked = () => ({ service: contract.service, contract: contract.name, operation: operation.name, request: body.text(), ...people.value() });
  const keyed = operation.semantics !== "safe" && !operation.takes_stream;
  const form = h("form", { class: "stack call-form", novalidate: true }, body.element, people.element,
    keyed ? h("label", { class: "form-field" }, h("span", {}, "Idempotency key", h("span", { class: "soft" }, " optional")), key, h("span", { class: "hint" }, "The same key again repeats the call; without one, each call is another")) : null,
    h("div", { class: "line-of" }, send, h("span", { class: "soft" }, operation.semantics === "safe" ? "It changes nothing." : "It is done for real, in the running system.")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isRefused(send)) return;
    send.disabled = true;
    outcome.replaceChildren(h("p", { class: "soft" }, "Calling…"));
    try {
      const answer = await ask("Catalogue/call", { ...asked(), key: key.value.trim(), most: FIRST }, view.signal);
      const others = tellRefused(form, answer.fields);
      outcome.replaceChildren(...told(answer, operation, others));
    } catch (error) {
      if (!view.signal.aborted) outcome.replaceChildren(h("p", { class: "answer bad" }, error instanceof SyntaxError ? `The request is no JSON: ${error.message}` : error.message));
    } finally {
      send.disabled = false;
    }
  });
  return h("section", { class: "card pad stack", "aria-label": `Call ${operation.name}` }, h("div", { class: "panel-head" }, h("h2", {}, "Call it"), body.mode), form, outcome, snippets(view, asked, form));
}

/** The request, by fields or as JSON. */
function requestOf(contract, operation) {
  const schema = JSON.parse(operation.request);
  const named = operation.spread ? { ...resolve(schema, contract.schemas), title: "" } : schema; // of parameters the message has no name that people know
  const whole = operation.takes_stream ? { type: "array", items: itemOf(schema, contract, operation) } : named;
  const place = { path: "", label: operation.takes_stream ? "Items" : operation.spread ? "Parameters" : "Request", required: true, schemas: contract.schemas };
  const example = operation.example ? JSON.parse(operation.example) : undefined;
  let made = field(whole, place, operation.takes_stream ? [] : example);
  const raw = h("textarea", { class: "mono", rows: "10", spellcheck: "false", "aria-label": "Request as JSON", hidden: true });
  const holder = h("div", {}, made.element);
  const element = h("div", { class: "request" }, holder, raw);
  const button = (text, json) => h("button", { type: "button", class: "button", "aria-pressed": String(!json), on: { click: () => show(json) } }, text);
  const [fields, json] = [button("Fields", false), button("JSON", true)];
  const show = (wanted) => {
    if (wanted === !raw.hidden) return;
    if (wanted) raw.value = JSON.stringify(made.value(), null, 2);
    else {
      try {
        made = field(whole, place, JSON.parse(raw.value));
      } catch {
        raw.setAttribute("aria-invalid", "true");
        return;
      }
      raw.removeAttribute("aria-invalid");
      holder.replaceChildren(made.element);
    }
    raw.hidden = !wanted;
    holder.hidden = wanted;
    fields.setAttribute("aria-pressed", String(!wanted));
    json.setAttribute("aria-pressed", String(wanted));
    element.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const mode = h("div", { class: "pick", role: "group", "aria-label": "How the request is given" }, fields, json);
  return { element, mode, text: () => (raw.hidden ? JSON.stringify(made.value()) : JSON.stringify(JSON.parse(raw.value))) };
}

/** An item of a stream: of a parameter that is no message the value alone. */
function itemOf(schema, contract, operation) {
  return operation.spread ? Object.values(resolve(schema, contract.schemas).properties)[0] : schema;
}

function peopleOf(contract, operation) {
  const input = (name, label, hint, placeholder = "") => {
    const control = h("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder, on: { input: () => { who[name] = control.value; } } });
    control.value = who[name];
    return h("label", { class: "form-field" }, label, control, h("span", { class: "hint" }, hint));
  };
  const rows = [input("user", "User", "the subject of the identity; empty for nobody", operation.authenticated ? "needed here" : ""), input("user_name", "Name", "as it is shown"), input("roles", "Roles", "by commas", "guest, clerk"), input("tenant", "Tenant", "of the user, if there are tenants")];
  if (contract.travelling.length) rows.push(input("travelling", "Travelling values", `by commas; there are ${contract.travelling.join(", ")}`, `${contract.travelling[0]}=…`));
  const element = h("fieldset", {}, h("legend", {}, "For whom"), h("div", { class: "form-row" }, rows));
  const parts = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
  const pair = (text) => { const at = text.indexOf("="); return at < 0 ? [text, ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()]; };
  return {
    element,
    value: () => ({
      user: who.user.trim(), user_name: who.user_name.trim(), roles: parts(who.roles), tenant: who.tenant.trim(),
      travelling: contract.travelling.length ? Object.fromEntries(parts(who.travelling).map(pair)) : {},
    }),
  };
}

function told(answer, operation, others) {
  const took = answer.trace_id ? ` in ${duration(answer.seconds)}` : "";
  const head = answer.fault ? ["warn", `Fault ${answer.fault}${took}`, answer.message]
    : answer.code ? ["bad", `${answer.trace_id ? "Failed" : "Refused"} (${answer.code})${took}`, answer.message]
      : ["good", `Answered${took}`, answer.message];
  const links = [answer.trace_id ? h("a", { href: `/traces/${encodeURIComponent(answer.trace_id)}` }, "Trace") : null, answer.key ? h("span", { class: "soft" }, "key ", h("code", {}, answer.key)) : null];
  const happened = answer.code && !answer.fault && answer.trace_id && answer.may_have_happened && operation.semantics !== "safe";
  return [
    h("p", { class: "answer line-of" }, h("span", { class: "status", "data-grave": head[0] }, head[1]), head[2] && head[2] !== answer.fault ? h("span", {}, head[2]) : null, links),
    happened ? h("p", { class: "soft" }, "It may have happened all the same: look before you call again.") : null,
    others.length ? h("ul", { class: "refused" }, others.map((each) => h("li", {}, `${each.field ? `${each.field}: ` : ""}${each.reason}`))) : null,
    answer.reply && !(operation.reply === "" && !answer.fault) ? h("pre", { class: "said", tabindex: "0", role: "region", "aria-label": "Reply" }, pretty(answer.reply)) : null,
    answer.more ? h("p", { class: "soft" }, operation.stream ? "There is more: these are the first items." : "") : null,
  ].filter(Boolean);
}
