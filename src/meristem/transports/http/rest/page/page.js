// The API page: reads openapi.json, lists operations and schemas, and tries them.

const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

// Prose with `code` in it, as nodes: nothing that a description says is read as HTML.
const prose = (text = "") => text.split(/`([^`]+)`/).map((part, place) => (place % 2 ? make("code", {}, part) : part));

const paragraphs = (text = "") => text.split(/\n\s*\n/).map((each) => make("p", {}, ...prose(each)));

const at = (id) => document.getElementById(id);
let api;

const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema ?? {});

// A type in words; a named schema becomes a link.
const typed = (schema) => {
  if (schema?.$ref) {
    const name = schema.$ref.split("/").pop();
    return make("a", { href: `#schema-${name}` }, name);
  }
  const choices = schema?.anyOf ?? schema?.oneOf ?? schema?.allOf;
  if (choices) {
    return make("span", {}, ...choices.flatMap((each, place) => (place ? [" or ", typed(each)] : [typed(each)])));
  }
  if (schema?.type === "array") return make("span", {}, "list of ", typed(schema.items ?? {}));
  if (schema?.enum) return make("span", {}, schema.enum.map((each) => JSON.stringify(each)).join(" | "));
  if (schema && "const" in schema) return make("span", {}, JSON.stringify(schema.const));
  if (schema?.additionalProperties?.$ref || schema?.additionalProperties?.type) {
    return make("span", {}, "map of ", typed(schema.additionalProperties));
  }
  return make("span", {}, [schema?.type ?? "any", schema?.format && `(${schema.format})`].filter(Boolean).join(" "));
};

const limits = (schema = {}) =>
  Object.entries({ minimum: "≥", maximum: "≤", exclusiveMinimum: ">", exclusiveMaximum: "<", minLength: "length ≥",
    maxLength: "length ≤", pattern: "matches", default: "default" })
    .filter(([key]) => key in schema)
    .map(([key, sign]) => `${sign} ${key === "pattern" ? schema[key] : JSON.stringify(schema[key])}`)
    .join(", ");

const notes = (required, schema, description) => {
  const bounds = [required ? "required" : "", limits(schema)].filter(Boolean).join("; ");
  return make("span", {}, bounds, bounds && description ? "; " : "", ...prose(description));
};

const fields = (rows, heads) =>
  make("div", { class: "wide" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((each) => make("td", {}, each)))))));

// A value to begin with when somebody tries an operation.
const example = (given, depth = 0) => {
  const schema = resolve(given);
  if (depth > 4) return null;
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = (schema.anyOf ?? schema.oneOf)?.[0];
  if (choice) return example(choice, depth + 1);
  if (schema.properties) {
    const wanted = schema.required ?? Object.keys(schema.properties);
    return Object.fromEntries(wanted.map((name) => [name, example(schema.properties[name], depth + 1)]));
  }
  const formats = { date: "2030-01-31", "date-time": "2030-01-31T12:00:00Z", decimal: "10.00", duration: "PT1H",
    uuid: "00000000-0000-4000-8000-000000000000" };
  return { string: formats[schema.format] ?? "", integer: schema.minimum ?? 0, number: 0, boolean: false, array: [],
    object: {} }[schema.type] ?? null;
};

const mediaOf = (content) => Object.entries(content ?? {})[0] ?? [undefined, {}];

const answers = (responses) =>
  fields(Object.entries(responses).map(([status, response]) => {
    const [media, body] = mediaOf(response.content);
    return [make("code", {}, status), make("span", {}, ...prose(response.description)), body.schema ? typed(body.schema) : "", media ?? ""];
  }), ["Status", "Meaning", "Body", "Media type"]);

const form = (path, verb, operation) => {
  const id = operation.operationId;
  const inputs = (operation.parameters ?? []).map((parameter) => {
    const schema = resolve(parameter.schema);
    const input = make("input", { id: `${id}-${parameter.name}`, name: parameter.name, required: parameter.required,
      placeholder: limits(schema) || schema.format || schema.type });
    if (parameter.in === "path" && !schema.default) input.value = example(schema) ?? "";
    return { parameter, input };
  });
  const [, body] = mediaOf(operation.requestBody?.content);
  const text = body.schema && make("textarea", { id: `${id}-body`, spellcheck: "false" });
  if (text) text.value = JSON.stringify(example(body.schema), null, 2);
  const outcome = make("div", { "aria-live": "polite" });
  const node = make("form", {},
    ...inputs.flatMap(({ parameter, input }) =>
      [make("label", { for: input.id }, `${parameter.name} (${parameter.in}${parameter.required ? "" : ", optional"})`), input]),
    text && make("label", { for: text.id }, "Body (JSON)"), text,
    make("button", { type: "submit" }, "Send"), outcome);
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    outcome.replaceChildren(make("p", {}, "Sending…"));
    outcome.replaceChildren(...(await send(path, verb, inputs, text)));
  });
  return node;
};

const send = async (path, verb, inputs, text) => {
  const headers = {};
  const query = new URLSearchParams();
  let target = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value && parameter.in === "header") headers[parameter.name] = input.value;
    else if (input.value && resolve(parameter.schema).type === "array") {
      input.value.split(",").forEach((each) => query.append(parameter.name, each.trim()));
    } else if (input.value) query.append(parameter.name, input.value);
  }
  if (at("token").value) headers.authorization = `Bearer ${at("token").value}`;
  if (text) headers["content-type"] = "application/json";
  const url = `${api.servers[0].url.replace(/\/$/, "")}${target}${query.size ? `?${query}` : ""}`;
  try {
    const begun = performance.now();
    const answer = await fetch(url, { method: verb.toUpperCase(), headers, body: text?.value });
    const media = answer.headers.get("content-type") ?? "";
    const line = make("p", { class: answer.ok ? "" : "failed" },
      `${answer.status} ${answer.statusText} in ${Math.round(performance.now() - begun)} ms ${media}`);
    if (!/json|text/.test(media)) {
      const file = await answer.blob();
      return file.size ? [line, make("a", { href: URL.createObjectURL(file), target: "_blank" }, "Open the answer")] : [line];
    }
    const received = await answer.text();
    let shown = received;
    if (/[/+]json($|;)/.test(media)) shown = JSON.stringify(JSON.parse(received), null, 2);
    return [line, make("pre", { tabindex: "0" }, shown)];
  } catch (error) {
    return [make("p", { class: "failed" }, `No answer: ${error.message}`)];
  }
};

const showOperation = (path, verb, operation) => {
  const parameters = (operation.parameters ?? []).map((each) => {
    const schema = each.schema ?? mediaOf(each.content)[1].schema;
    return [make("code", {}, each.name), each.in, typed(schema), notes(each.required, schema, each.description)];
  });
  const [, body] = mediaOf(operation.requestBody?.content);
  const inside = make("div", { class: "inside" },
    ...(operation.description && operation.description !== operation.summary ? paragraphs(operation.description) : []),
    operation.security ? make("p", {}, "For signed-in users.") : null,
    parameters.length ? make("h4", {}, "Parameters") : null,
    parameters.length ? fields(parameters, ["Name", "In", "Type", "Notes"]) : null,
    body.schema ? make("h4", {}, "Body") : null, body.schema ? make("p", {}, typed(body.schema)) : null,
    make("h4", {}, "Answers"), answers(operation.responses),
    make("h4", {}, "Try it"), form(path, verb, operation));
  const node = make("details", { class: "operation", id: operation.operationId },
    make("summary", {}, make("span", { class: `verb ${verb}` }, verb.toUpperCase()),
      make("span", { class: "path" }, path), make("span", { class: "text" }, ...prose(operation.summary))), inside);
  node.dataset.text = `${verb} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
  return node;
};

const showSchema = ([name, schema]) => {
  const whole = schema.allOf ? { ...schema, ...schema.allOf[schema.allOf.length - 1] } : schema;
  const rows = Object.entries(whole.properties ?? {}).map(([field, each]) => [make("code", {}, field), typed(each),
    notes(whole.required?.includes(field), each, each.description)]);
  const fault = whole.properties?.fault?.const;
  return make("details", { class: "schema", id: `schema-${name}` },
    make("summary", {}, make("span", { class: "path", id: fault ? `fault-${fault}` : undefined }, name),
      make("span", { class: "text" }, ...prose(schema.description))),
    make("div", { class: "inside" }, rows.length ? fields(rows, ["Field", "Type", "Notes"]) : make("p", {}, typed(whole))));
};

const show = () => {
  document.title = api.info.title;
  at("title").textContent = `${api.info.title} ${api.info.version}`;
  const sections = [];
  const contents = [];
  for (const tag of api.tags) {
    const found = Object.entries(api.paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).filter(([, each]) => each.tags.includes(tag.name)).map(([verb, each]) => [path, verb, each]));
    sections.push(make("h2", {}, tag.name), ...found.map((each) => showOperation(...each)));
    contents.push(make("h2", {}, tag.name), make("ul", {}, ...found.map(([path, verb, each]) =>
      make("li", {}, make("a", { href: `#${each.operationId}` },
        make("span", { class: `verb ${verb}` }, verb.toUpperCase()), path)))));
  }
  const schemas = Object.entries(api.components.schemas).map(showSchema);
  at("main").replaceChildren(...sections, make("h2", {}, "Schemas"), ...schemas);
  at("contents").replaceChildren(...contents);
  reveal();
};

// Open what the address points at.
const reveal = () => {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    details.scrollIntoView();
  }
};

at("filter").addEventListener("input", ({ target }) => {
  const wanted = target.value.trim().toLowerCase();
  for (const node of document.querySelectorAll(".operation")) node.hidden = !node.dataset.text.includes(wanted);
});
addEventListener("hashchange", reveal);

try {
  const answer = await fetch(document.body.dataset.document);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  api = await answer.json();
  show();
} catch (error) {
  at("status").textContent = `The description could not be read: ${error.message}`;
}
