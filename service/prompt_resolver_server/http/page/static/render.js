// Renders a prompt, and shows its exact messages.

import { post } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { ago } from "./words.js";

const VARIABLE = "variables.";

const fields = new Map();
let lastAsked = 0;

/// Sets the form up.
export function renderForm() {
  byId("render").addEventListener("submit", (event) => {
    event.preventDefault();
    render();
  });
  for (const id of ["prompt-id", "store", "alias"]) byId(id).addEventListener("change", forget);
  byId("as-json").addEventListener("change", ({ target }) => {
    if (target.checked) byId("json").value = JSON.stringify(fromFields(), null, 2);
    byId("json-field").hidden = !target.checked;
    byId("variables").hidden = target.checked;
  });
}

/// Fills the form with a prompt that is held, and renders it: that tells its variables.
export function use({ id, store, asked }) {
  byId("prompt-id").value = id;
  byId("store").value = store;
  byId("version").value = asked.version ?? "";
  byId("environment").value = asked.environment ?? "";
  byId("alias").value = "";
  forget();
  byId("render-title").scrollIntoView();
  byId("prompt-id").focus({ preventScroll: true });
  render();
}

/// Has the form offer what is configured.
export function offer({ stores, aliases }) {
  setOptions("store", stores.map(({ name }) => name));
  setOptions("alias", aliases);
  byId("alias-field").hidden = !aliases.length;
}

function setOptions(id, names) {
  const select = byId(id);
  if (select.options.length === names.length + 1) return;
  select.append(...names.map((name) => element("option", { value: name }, name)));
}

function forget() {
  fields.clear();
  byId("variables").replaceChildren();
  byId("variables-hint").hidden = false;
}

const fromFields = () => Object.fromEntries([...fields].map(([name, { input }]) => [name, input.value]));

function readVariables() {
  if (!byId("as-json").checked) return fromFields();
  const variables = JSON.parse(byId("json").value);
  if (variables === null || typeof variables !== "object" || Array.isArray(variables)) throw new SyntaxError();
  return variables;
}

async function render() {
  const asked = ++lastAsked;
  let variables;
  try {
    variables = readVariables();
  } catch {
    return fail({ reason: "VARIABLES_INVALID", message: "expected a JSON object", violations: [] });
  }
  setText(byId("render-state"), "Rendering …");
  const value = (id) => byId(id).value || null;
  try {
    const answer = await post("/api/render", {
      prompt_id: value("prompt-id"),
      store: value("store"),
      version: value("version"),
      environment: value("environment"),
      alias: value("alias"),
      variables,
    });
    if (asked === lastAsked) show(answer);
  } catch (failure) {
    if (asked === lastAsked) fail(failure);
  }
}

function fail({ reason, message, violations }) {
  setText(byId("render-state"), "");
  byId("rendered").replaceChildren();
  const error = byId("render-error");
  error.hidden = false;
  setText(error, reason ? `${reason}: ${message}` : message || "the service has no answer to this");
  for (const { problem } of fields.values()) setText(problem, "");
  for (const { input } of fields.values()) input.removeAttribute("aria-invalid");
  const wrong = violations.filter(({ field }) => field.startsWith(VARIABLE));
  for (const { field, description } of wrong) mark(field.slice(VARIABLE.length), description);
  if (byId("as-json").checked) byId("json").focus();
  else if (wrong.length) fields.get(wrong[0].field.slice(VARIABLE.length)).input.focus();
}

function mark(name, description) {
  const { input, problem } = fields.get(name) ?? addField(name);
  input.setAttribute("aria-invalid", "true");
  setText(problem, description);
}

function addField(name) {
  const id = `variable-${fields.size}`;
  const input = element("textarea", { id, rows: 1, spellcheck: "false", "aria-describedby": `${id}-problem` });
  const problem = element("span", { id: `${id}-problem`, class: "problem" });
  byId("variables").append(element("p", {}, element("label", { for: id }, name), input, problem));
  byId("variables-hint").hidden = true;
  const field = { input, problem };
  fields.set(name, field);
  return field;
}

function show(answer) {
  byId("render-error").hidden = true;
  for (const { input, problem } of fields.values()) {
    input.removeAttribute("aria-invalid");
    setText(problem, "");
  }
  const { messages, prompt } = answer;
  const count = messages.length === 1 ? "1 message" : `${messages.length} messages`;
  setText(byId("render-state"), prompt ? `${count} of ${prompt.id}, version ${prompt.version}` : count);
  byId("rendered").replaceChildren(
    facts(answer),
    ...messages.map(showMessage),
    ...showDocument("Tools", answer.tools.length && answer.tools),
    ...showDocument("Tool choice", answer.tool_choice),
    ...showDocument("Parameters", Object.keys(answer.parameters).length && answer.parameters),
  );
}

function facts({ prompt, provider, model, messages }) {
  const told = { Model: [provider, model].filter(Boolean).join("/") || "none" };
  if (prompt) {
    Object.assign(told, {
      Store: prompt.store,
      Environment: prompt.environment || "none",
      Why: prompt.reason,
      Cache: `${prompt.cache}, confirmed ${ago(prompt.age_s)}${prompt.stale ? ", stale" : ""}`,
      "SHA-256": prompt.content_sha256,
    });
  }
  const items = Object.entries(told).flatMap(([name, value]) => [
    element("dt", {}, name),
    element("dd", {}, value),
  ]);
  const whole = () => JSON.stringify(messages, null, 2);
  return element("div", {}, element("dl", {}, ...items), copyButton("Copy all messages as JSON", whole));
}

function showMessage(message) {
  const parts = message.content.map((part) => part.text ?? JSON.stringify(part, null, 2));
  const calls = (message.tool_calls ?? []).map((call) => JSON.stringify(call, null, 2));
  const whose = [message.role, message.name, message.tool_call_id].filter(Boolean).join(" · ");
  return box(whose, [...parts, ...calls]);
}

const showDocument = (title, document) =>
  document ? [box(title, [JSON.stringify(document, null, 2)])] : [];

function box(title, texts) {
  const copy = copyButton("Copy", () => texts.join("\n"));
  if (copy) copy.setAttribute("aria-label", `Copy ${title}`);
  return element(
    "article",
    {},
    element("header", {}, element("h3", {}, title), copy),
    ...texts.map((text) => element("pre", {}, text)),
  );
}

function copyButton(label, text) {
  // Browsers have a clipboard only where they take the connection for secure, as over loopback.
  if (!navigator.clipboard) return "";
  const button = element("button", { type: "button" }, label);
  button.addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText(text()).then(() => "Copied", () => "Not copied");
    setText(byId("render-state"), done);
  });
  return button;
}
