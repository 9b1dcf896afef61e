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
    const known = resolve(schema, document);
    const example = known?.examples?.[0] ?? known?.properties ?? {};
    return `${type}\n${JSON.stringify(example, null, 2)}`;
  });
}

const document_ = await (await fetch("openapi.json")).json();
const sections = Object.entries(document_.paths).flatMap(([path, operations]) =>
  Object.entries(operations).map(([verb, operation]) => {
    const section = element("section", "");
    const title = element("h2", "");
    title.append(element("span", verb.toUpperCase(), "verb"), element("code", path));
    section.append(title, element("p", operation.description ?? operation.summary));
    const query = (operation.parameters ?? []).map(({ name, required }) => name + (required ? "" : "?"));
    if (query.length) section.append(element("p", `Parameters: ${query.join(", ")}`, "quiet"));
    for (const each of body(operation, document_)) section.append(element("pre", each));
    const statuses = Object.keys(operation.responses).join(", ");
    section.append(element("p", `Answers: ${statuses}`, "quiet"));
    return section;
  }),
);
main.replaceChildren(...sections);
