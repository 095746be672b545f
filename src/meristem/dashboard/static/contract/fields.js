// A form made of a JSON Schema: a field for each value, with what was refused beside it.

import { h } from "../parts/dom.js";
import { bounds, choicesOf, resolve, typed } from "./types.js";

/**
 * `value` gives undefined where nothing is given. `path` is the place as refusals name it: `guests[0].name`.
 * @typedef {{element: HTMLElement, value: () => any}} Field
 * @typedef {{path: string, label: string, required: boolean, schemas: Record<string, any>}} Place
 */

let ids = 0;
const HINTS = { date: "2031-01-31", "date-time": "2031-01-31T12:00:00Z", time: "12:00:00", duration: "PT1H", uuid: "00000000-0000-4000-8000-000000000000", decimal: "10.00" };
const LARGE = 15; // digits that a number has in JavaScript; longer ones go as text, which is read as well

/** @param {any} schema @param {Place} place @param {any} [initial] @returns {Field} */
export function field(schema, place, initial = undefined) {
  const known = resolve(schema, place.schemas);
  const { choices, nullable } = choicesOf(known);
  if (choices.length > 1) return several(choices, place, initial, nullable, known.description);
  const only = { ...resolve(choices[0] ?? {}, place.schemas), ...("default" in known ? { default: known.default } : {}), description: known.description ?? choices[0]?.description };
  if ("const" in only) return { element: h("input", { type: "hidden" }), value: () => only.const };
  const type = [only.type].flat()[0];
  if (only.properties || (type === "object" && !only.additionalProperties)) return structure(only, place, initial, nullable);
  if (only.enum) return options(only, place, initial, nullable);
  if (type === "boolean") return options({ ...only, enum: [true, false] }, place, initial, nullable);
  if (type === "array" && only.prefixItems) return tuple(only, place, initial);
  if (type === "array") return list(only, place, initial);
  if (type === "object") return map(only, place, initial);
  if (type === "string" || type === "integer" || type === "number") return text(only, place, initial, nullable, type);
  return anything(only, place, initial);
}

/** A label, a control, what is known of the value, and room for what was refused. */
function labelled(place, schema, control, extra = "") {
  const id = `field-${ids++}`;
  const known = [typed(schema), bounds(schema), "default" in schema && schema.default !== null ? `default ${JSON.stringify(schema.default)}` : "", extra].filter(Boolean).join(" · ");
  control.id = id;
  control.dataset.path = place.path;
  control.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
  return h("div", { class: "form-field" }, h("label", { for: id }, place.label, place.required ? "" : h("span", { class: "soft" }, " optional")), control,
    h("span", { class: "hint", id: `${id}-hint` }, [schema.description, known].filter(Boolean).join(" — ")), h("span", { class: "refused", id: `${id}-problem` }));
}

function text(schema, place, initial, nullable, type) {
  const numeric = type !== "string";
  const control = h("input", { type: schema.format === "date" ? "date" : "text", inputmode: numeric || schema.format === "decimal" ? "decimal" : null, spellcheck: "false", autocomplete: "off", placeholder: HINTS[schema.format] ?? null });
  control.value = initial ?? "";
  const value = () => {
    const given = control.value;
    if (given === "" && nullable && place.required) return null;
    if (given === "") return place.required && !numeric && !schema.format ? "" : undefined;
    return numeric && given.trim() !== "" && Number.isFinite(Number(given)) && given.length <= LARGE ? Number(given) : given;
  };
  return { element: labelled(place, schema, control, nullable ? "empty: null" : ""), value };
}

function options(schema, place, initial, nullable) {
  const unset = !place.required || nullable;
  const control = h("select", {}, unset ? h("option", { value: "" }, "not given") : null, schema.enum.map((each, at) => h("option", { value: String(at) }, String(each))));
  const at = schema.enum.indexOf(initial);
  control.value = at >= 0 ? String(at) : unset ? "" : "0";
  const shown = { ...schema, enum: undefined, type: "one of these" };
  return { element: labelled(place, shown, control), value: () => (control.value === "" ? (place.required ? null : undefined) : schema.enum[Number(control.value)]) };
}

/** A group; one that may be left out has a box that says whether it is there, and is made when it is. */
function group(place, schema, isThere, optional, fill) {
  const inside = h("div", { class: "form-inside" });
  const box = optional ? h("input", { type: "checkbox", "aria-label": `Give ${place.label}` }) : null;
  const hint = schema.description && place.path ? h("span", { class: "hint" }, schema.description) : null; // what the whole is stands above
  const problem = h("span", { class: "refused" });
  const element = h("fieldset", { "data-path": place.path }, h("legend", {}, box, place.label, h("span", { class: "soft" }, ` ${typed({ ...schema, description: undefined })}`)), hint, inside, problem);
  let made = false;
  const show = () => {
    const there = !box || box.checked;
    if (there && !made) fill(inside);
    made ||= there;
    inside.hidden = !there;
  };
  if (box) {
    box.checked = isThere;
    box.addEventListener("change", show);
  }
  show();
  return { element, isThere: () => !box || box.checked };
}

function structure(schema, place, initial, nullable) {
  const fields = new Map();
  const given = initial && typeof initial === "object" ? initial : {};
  const { element, isThere } = group(place, { description: schema.description, type: schema.title ?? "message" }, initial !== undefined && initial !== null, (!place.required || nullable) && place.path !== "", (inside) => {
    for (const [key, each] of Object.entries(schema.properties ?? {})) {
      const own = { path: place.path ? `${place.path}.${key}` : key, label: key, required: schema.required?.includes(key) ?? false, schemas: place.schemas };
      const made = field(each, own, given[key]);
      fields.set(key, made);
      inside.append(made.element);
    }
    if (!fields.size) inside.append(h("p", { class: "soft" }, "It takes nothing."));
  });
  const value = () => {
    if (!isThere()) return place.required ? null : undefined;
    return Object.fromEntries([...fields].map(([key, each]) => [key, each.value()]).filter(([, each]) => each !== undefined));
  };
  return { element, value };
}

/** Items that come and go, each with a button that takes it away. */
function items(place, schema, initial, make) {
  const rows = [];
  const optional = !place.required;
  const add = h("button", { class: "button", type: "button" }, "Add");
  const list = h("div", { class: "form-items" });
  const put = (given) => {
    const made = make(rows.length, given);
    const row = { ...made, element: h("div", { class: "form-item" }, made.element) };
    row.element.append(h("button", { class: "quiet", type: "button", "aria-label": `Remove item ${rows.length + 1} of ${place.label}`, on: { click: () => {
      rows.splice(rows.indexOf(row), 1);
      row.element.remove();
      add.focus();
    } } }, "×"));
    rows.push(row);
    list.append(row.element);
    return row;
  };
  const { element, isThere } = group(place, schema, initial !== undefined && initial !== null, optional, (inside) => inside.append(list, add));
  add.addEventListener("click", () => put(undefined).element.querySelector("input, select, textarea")?.focus());
  for (const each of initial ?? []) put(each);
  return { element, value: (take) => (isThere() ? take(rows) : undefined) };
}

function list(schema, place, initial) {
  const at = (number) => ({ path: `${place.path}[${number}]`, label: `${place.label} ${number + 1}`, required: true, schemas: place.schemas });
  const least = initial ?? (place.required ? Array.from({ length: schema.minItems ?? 0 }) : undefined);
  const made = items(place, schema, Array.isArray(least) ? least : undefined, (number, given) => field(schema.items ?? {}, at(number), given));
  return { element: made.element, value: () => made.value((rows) => rows.map((each) => each.value() ?? null)) };
}

function map(schema, place, initial) {
  const pairs = initial && typeof initial === "object" ? Object.entries(initial) : undefined;
  const made = items(place, schema, pairs, (number, given) => {
    const key = text({ type: "string" }, { ...place, path: "", label: "Key", required: true }, given?.[0], false, "string");
    const each = field(schema.additionalProperties === true ? {} : schema.additionalProperties, { ...place, path: `${place.path}[...]`, label: "Value", required: true }, given?.[1]);
    return { element: h("div", { class: "form-pair" }, key.element, each.element), value: () => [key.value(), each.value() ?? null] };
  });
  return { element: made.element, value: () => made.value((rows) => Object.fromEntries(rows.map((each) => each.value()))) };
}

function tuple(schema, place, initial) {
  const fields = [];
  const { element, isThere } = group(place, schema, initial !== undefined, !place.required, (inside) => {
    schema.prefixItems.forEach((each, at) => {
      fields.push(field(each, { ...place, path: `${place.path}[${at}]`, label: `${place.label} ${at + 1}`, required: true }, initial?.[at]));
      inside.append(fields[at].element);
    });
  });
  return { element, value: () => (isThere() ? fields.map((each) => each.value() ?? null) : undefined) };
}

/** One of several types: which one is chosen, then its own fields. */
function several(choices, place, initial, nullable, description) {
  const names = choices.map((each) => typed(each));
  const described = { type: "one of these types", description };
  const control = h("select", {}, !place.required || nullable ? h("option", { value: "" }, "not given") : null, names.map((each, at) => h("option", { value: String(at) }, each)));
  const inside = h("div", { class: "form-inside" });
  let chosen = null;
  const fits = (each) => {
    const known = resolve(each, place.schemas);
    if (known.properties) return typeof initial === "object" && Object.entries(known.properties).every(([key, one]) => !("const" in one) || initial?.[key] === one.const);
    return [known.type].flat().includes({ string: "string", number: "number", boolean: "boolean" }[typeof initial]);
  };
  const show = (given) => {
    chosen = control.value === "" ? null : field(choices[Number(control.value)], { ...place, label: names[Number(control.value)], required: true }, given);
    inside.replaceChildren(...(chosen ? [chosen.element] : []));
  };
  const at = initial === undefined || initial === null ? -1 : choices.findIndex(fits);
  control.value = at >= 0 ? String(at) : control.options[0].value;
  control.addEventListener("change", () => show(undefined));
  show(at >= 0 ? initial : undefined);
  const element = h("div", { class: "form-several" }, labelled(place, described, control), inside);
  return { element, value: () => (chosen ? chosen.value() : place.required ? null : undefined) };
}

function anything(schema, place, initial) {
  const control = h("textarea", { rows: "2", spellcheck: "false", class: "mono" });
  control.value = initial === undefined ? "" : JSON.stringify(initial);
  const value = () => {
    if (!control.value.trim()) return undefined;
    try { return JSON.parse(control.value); } catch { return control.value; }
  };
  return { element: labelled(place, schema, control, "JSON"), value };
}

/** Show which fields were refused; gives what no field is known for. @param {HTMLElement} form @param {{field: string, reason: string}[]} refused */
export function tellRefused(form, refused) {
  for (const each of form.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  for (const each of form.querySelectorAll(".refused")) each.textContent = "";
  const others = [];
  let first = null;
  for (const { field: path, reason } of refused) {
    const found = form.querySelector(`[data-path="${CSS.escape(path)}"]`);
    if (!found || !path) { others.push({ field: path, reason }); continue; }
    const problem = found.parentElement.matches(".form-field") ? found.parentElement.querySelector(".refused") : found.querySelector(":scope > .refused");
    problem.textContent = reason;
    if (!found.matches("fieldset")) {
      found.setAttribute("aria-invalid", "true");
      first ??= found;
    }
  }
  first?.focus();
  return others;
}
