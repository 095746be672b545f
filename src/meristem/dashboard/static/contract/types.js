// JSON Schema in words: types, bounds and defaults, as the API page tells them.

import { h } from "../parts/dom.js";

/** @typedef {Record<string, any>} Schema @typedef {Record<string, Schema>} Schemas */

const name = (schema) => String(schema.$ref ?? "").split("/").pop();

/** What a schema stands for; beside a reference it may say more. @param {Schema} schema @param {Schemas} schemas @returns {Schema} */
export const resolve = (schema, schemas) => (schema.$ref ? { ...schemas[name(schema)], ...schema, $ref: undefined } : schema);

/** The types that a value may have, null apart. @param {Schema} schema @returns {{choices: Schema[], nullable: boolean}} */
export function choicesOf(schema) {
  const flat = (each) => (each.anyOf ?? each.oneOf)?.flatMap(flat) ?? [each]; // a union of messages stands in one with null
  const all = flat(schema);
  const choices = all.filter((each) => each.type !== "null");
  return { choices, nullable: choices.length < all.length };
}

/** A type in a few words. @param {Schema} schema */
export function typed(schema) {
  if (schema.$ref) return name(schema);
  if (schema.anyOf || schema.oneOf) return (schema.anyOf ?? schema.oneOf).map(typed).join(" or ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.prefixItems) return `(${schema.prefixItems.map(typed).join(", ")})`;
  if (schema.type === "array") return `list of ${typed(schema.items ?? {})}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `map of ${typed(schema.additionalProperties)}`;
  if (schema.format) return schema.format;
  if (schema.contentEncoding) return `bytes in ${schema.contentEncoding}`;
  return [schema.type ?? "any"].flat().join(" or ");
}

const SIGNS = { minimum: "≥", maximum: "≤", exclusiveMinimum: ">", exclusiveMaximum: "<", multipleOf: "multiple of", minLength: "length ≥", maxLength: "length ≤", minItems: "items ≥", maxItems: "items ≤", pattern: "matches" };

/** The bounds of a value. @param {Schema} schema */
export const bounds = (schema) => Object.entries(SIGNS).filter(([key]) => key in schema && !(key === "pattern" && schema.format))
  .map(([key, sign]) => `${sign} ${schema[key]}`).join(", ");

/** The messages that a type is made of, itself first, each once. @param {Schema} schema @param {Schemas} schemas @returns {string[]} */
export function messagesOf(schema, schemas) {
  const found = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (!node || typeof node !== "object") return undefined;
    if (node.$ref && !found.includes(name(node))) {
      found.push(name(node));
      visit(schemas[name(node)]);
    }
    return Object.values(node).forEach(visit);
  };
  visit(schema);
  return found;
}

/** A message as a table of its fields, or an enum as its values. @param {string} title @param {Schema} schema */
export function messageTable(title, schema) {
  const text = schema.description ? h("p", { class: "soft" }, schema.description) : null;
  if (!schema.properties) return h("section", { class: "type" }, h("h3", { class: "type-name" }, title), text, h("p", {}, h("code", {}, typed(schema))));
  const rows = Object.entries(schema.properties);
  return h("section", { class: "type" }, h("h3", { class: "type-name" }, title), text,
    rows.length ? h("dl", { class: "fields" }, rows.map(([key, each]) => {
      const notes = [bounds(each), "default" in each ? `default ${JSON.stringify(each.default)}` : schema.required?.includes(key) ? "required" : "optional"].filter(Boolean).join(" · ");
      return [h("dt", {}, h("code", {}, key)), h("dd", {}, h("code", {}, typed(each)), h("span", { class: "soft" }, notes), each.description ? h("p", {}, each.description) : null)];
    })) : h("p", { class: "soft" }, "It has no fields."));
}
