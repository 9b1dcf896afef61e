// A short reference of the service, made from its OpenAPI document.

const main = document.getElementById("operations");

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function resolve(schema, document) {
  return schema?.$ref ? document.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function body(operation, document) {
  const content = operation.requestBody?.content ?? {};
  return Object.entries(content).map(([type, { schema }]) => {
    const known = resolve(schema, document) ?? {};
    if (known.format === "binary") return `${type}: the bytes of an image file`;
    if (type === "multipart/form-data") return `${type}: ${Object.keys(known.properties).join(", ")}`;
    const example = known.examples?.[0] ?? Object.fromEntries(Object.entries(known.properties ?? {}).map(exemplary));
    return `${type}\n${JSON.stringify(example, null, 2)}`;
  });
}

function exemplary([name, { examples, default: usual, type }]) {
  return [name, examples?.[0] ?? usual ?? type ?? null];
}

// Text with `code` in it.
function paragraph(text) {
  const made = element("p", "");
  const parts = text.split("`").map((part, i) => (i % 2 ? element("code", part) : part));
  made.append(...parts);
  return made;
}

const document_ = await (await fetch("openapi.json")).json();
const sections = Object.entries(document_.paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([verb, operation]) => {
    const section = element("section", "");
    const title = element("h2", "");
    title.append(element("span", verb.toUpperCase(), "verb"), element("code", path));
    section.append(title, paragraph(operation.description ?? operation.summary));
    const query = (operation.parameters ?? []).map(({ name, required }) => name + (required ? "" : "?"));
    if (query.length) section.append(element("p", `Parameters: ${query.join(", ")}`, "quiet"));
    for (const each of body(operation, document_)) {
      const sample = element("pre", each);
      sample.tabIndex = 0; // long lines scroll
      section.append(sample);
    }
    const done = Object.keys(operation.responses).find((status) => status < "400");
    section.append(element("p", `Answers ${done}, or refuses with a problem document (RFC 9457).`, "quiet"));
    return section;
  }),
);
main.replaceChildren(...sections);
