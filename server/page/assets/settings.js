// The settings: sampling, the answer's format, tools, the key. What is typed holds at once.
import { el, plural } from "./dom.js";
import { key, saveSettings, settings } from "./store.js";

export const exampleTool = {
  name: "get_weather",
  description: "Gets the current weather in a city",
  parameters: { type: "object", properties: { location: { type: "string", description: "The city" } }, required: ["location"] },
};

const exampleSchema = {
  type: "object",
  properties: { answer: { type: "string" }, confidence: { type: "number" } },
  required: ["answer", "confidence"],
  additionalProperties: false,
};

const json = (value) => JSON.stringify(value, null, 2);

/** tools reads the tools: OpenAI's form, or functions alone. The error says what is wrong with them. */
export function tools() {
  if (!settings.tools.trim()) return { list: [] };
  let value;
  try {
    value = JSON.parse(settings.tools);
  } catch (error) {
    return { list: [], error: `This is not JSON: ${error.message}` };
  }
  const list = (Array.isArray(value) ? value : [value]).map((t) => (t?.type === "function" ? t : { type: "function", function: t }));
  const unnamed = list.findIndex((t) => typeof t.function?.name !== "string");
  if (unnamed >= 0) return { list: [], error: `Tool ${unnamed + 1} needs a name, as in {"name": "get_weather", "parameters": {…}}.` };
  return { list };
}

/** schema reads the JSON Schema of the answer. */
export function schema() {
  try {
    const value = JSON.parse(settings.schema);
    if (typeof value === "object" && value && !Array.isArray(value)) return { value };
    return { error: "A schema is a JSON object." };
  } catch (error) {
    return { error: settings.schema.trim() ? `This is not JSON: ${error.message}` : "Write the schema that the answer must fit." };
  }
}

/** parameters are the fields of a request that the settings decide. Empty ones are left to the server. */
export function parameters() {
  const out = { reasoning_effort: settings.level };
  for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
    const n = Number(settings[name]);
    if (settings[name].trim() !== "" && Number.isFinite(n)) out[name] = n;
  }
  const { list } = tools();
  if (list.length) {
    out.tools = list;
    if (settings.toolChoice !== "auto") out.tool_choice = settings.toolChoice;
  }
  if (settings.format === "json") out.response_format = { type: "json_object" };
  const { value } = schema();
  if (settings.format === "schema" && value) out.response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema: value } };
  return out;
}

/** useExampleTool puts the example beside the tools that are there. */
export function useExampleTool() {
  const { list, error } = tools();
  if (error || list.some((t) => t.function.name === exampleTool.name)) return;
  settings.tools = json([...list.map((t) => t.function), exampleTool]);
}

/** Settings is the dialog. changed is called whenever something in it was. */
export class Settings {
  constructor(dialog, changed) {
    this.dialog = dialog;
    this.changed = changed;
    this.form = dialog.querySelector("form");
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      dialog.close();
    });
    this.form.addEventListener("input", (e) => this.#take(e.target));
    dialog.addEventListener("close", () => (this.form.elements.key.value = "")); // it is kept in one place only
    dialog.addEventListener("click", (e) => e.target === dialog && dialog.close());
    dialog.querySelector("#example-tool").addEventListener("click", () => this.#set(useExampleTool));
    dialog.querySelector("#example-schema").addEventListener("click", () => this.#set(() => (settings.schema = json(exampleSchema))));
    dialog.querySelector("#forget").addEventListener("click", () => {
      key.set("");
      this.#show();
      changed();
    });
  }

  open(field) {
    this.#show();
    this.dialog.showModal();
    if (field) this.form.elements[field].focus();
  }

  #set(action) {
    action();
    saveSettings();
    this.#show();
    this.changed();
  }

  #take(input) {
    if (input.name === "key") key.set(input.value.trim());
    else settings[input.name] = input.value;
    saveSettings();
    this.#judge();
    this.changed();
  }

  #show() {
    for (const [name, value] of Object.entries(settings)) {
      if (this.form.elements[name]) this.form.elements[name].value = value;
    }
    this.form.elements.key.value = key.get();
    this.#judge();
  }

  // #judge tells at once what is wrong with a field.
  #judge() {
    const { list, error } = tools();
    const found = list.length ? `${plural(list.length, "tool")}: ${list.map((t) => t.function.name).join(", ")}` : "The model can ask for them; you type what they return.";
    this.#say("tools", error, found);
    this.form.elements.toolChoice.disabled = !list.length;
    this.dialog.querySelector("#schema-field").hidden = settings.format !== "schema";
    this.#say("schema", settings.format === "schema" && schema().error, "The answer will fit this schema.");
    for (const input of this.form.querySelectorAll("input[type=number]")) {
      input.setAttribute("aria-invalid", String(!input.validity.valid));
    }
  }

  #say(field, error, otherwise) {
    const note = this.dialog.querySelector(`#${field}-note`);
    if (note.textContent !== (error || otherwise)) note.replaceChildren(el("span", {}, error || otherwise));
    note.classList.toggle("bad", Boolean(error));
    this.form.elements[field].setAttribute("aria-invalid", String(Boolean(error)));
  }
}
