/** Shows the OpenAPI and AsyncAPI documents of this node; everything is set as text. */
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const load = async (path) => (await fetch(path)).json();

function fold(method, title, parts) {
  const details = element('details', 'route');
  const summary = element('summary');
  summary.append(element('span', 'method', method), title);
  details.append(summary, ...parts);
  return details;
}

function operationParts(operation) {
  const parts = [element('p', '', operation.summary)];
  for (const { name, in: place, schema } of operation.parameters ?? []) {
    parts.push(element('div', 'facts', `${place} ${name}: ${schema.type ?? ''} ${schema.description ?? ''}`));
  }
  for (const [status, { description }] of Object.entries(operation.responses)) {
    parts.push(element('div', 'facts', `${status}: ${description}`));
  }
  const content = operation.requestBody?.content['application/json'];
  if (content) parts.push(element('pre', '', JSON.stringify(content.schema, null, 2)));
  return parts;
}

const [openApi, asyncApi] = await Promise.all([load('/docs/json'), load('/docs/asyncapi.json')]);
for (const [path, operations] of Object.entries(openApi.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    document.getElementById('routes').append(fold(method.toUpperCase(), path, operationParts(operation)));
  }
}
const { messages } = asyncApi.channels.feed;
for (const { name, payload } of Object.values(messages)) {
  const parts = [element('p', '', payload.description ?? ''), element('pre', '', JSON.stringify(payload, null, 2))];
  document.getElementById('messages').append(fold('', name, parts));
}
