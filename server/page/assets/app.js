// The page: the conversation, what is sent of it, and the controls around it.
import { Answer, newAnswer, pending } from "./answer.js";
import { complete, Failure, health, models } from "./api.js";
import { announce, button, copyButton, el } from "./dom.js";
import { parameters, schema, Settings, tools, useExampleTool } from "./settings.js";
import { key, loadConversation, saveConversation, saveSettings, saveTheme, settings } from "./store.js";

const $ = (id) => document.getElementById(id);
const log = $("log");
const list = $("turns");
const message = $("message");
const composer = $("composer");
const touch = matchMedia("(pointer: coarse)");

let turns = loadConversation();
let model = { id: "gpt-oss", context: 0, parameters: 0 };
let running = null; // the AbortController of the answer that is being made
let missed = false; // what is served could not be asked
let follow = true; // the end of the conversation stays in view

// What is sent.

function wire(before) {
  const out = [];
  if (settings.system.trim()) out.push({ role: "system", content: settings.system });
  for (const t of before) {
    if (t.role === "user") {
      out.push({ role: "user", content: t.content });
      continue;
    }
    const called = t.finish === "tool_calls" && t.calls.length > 0;
    if (!called) {
      if (t.content) out.push({ role: "assistant", content: t.content });
      continue;
    }
    // The reasoning behind a call goes back with it: the model must know why it called.
    const calls = t.calls.map((c) => ({ id: c.id, type: "function", function: { name: c.name, arguments: c.arguments } }));
    out.push({ role: "assistant", content: t.content || null, reasoning: t.reasoning || undefined, tool_calls: calls });
    for (const c of t.calls) out.push({ role: "tool", tool_call_id: c.id, content: t.results[c.id] ?? "The user did not run this tool." });
  }
  return out;
}

async function generate() {
  const turn = newAnswer(settings.format);
  const messages = wire(turns);
  saveConversation(turns); // without this answer, of which a reload would leave nothing
  turns.push(turn);
  const view = new Answer(turn, actions);
  list.append(view.node);
  running = new AbortController();
  $("toast").hidden = true; // undoing would now lose more than it brings back
  const { signal } = running;
  follow = true;
  const pressed = document.activeElement === $("send"); // which is hidden now
  refresh();
  if (pressed) $("stop").focus();
  view.begin();
  scroll();
  let frame = 0;
  const draw = () => {
    frame = 0;
    view.update();
    scroll();
  };
  try {
    await persist(signal, view, () =>
      complete({ model: model.id, messages, ...parameters() }, signal, (chunk) => {
        view.chunk(chunk);
        frame ||= requestAnimationFrame(draw);
      }),
    );
  } catch (error) {
    if (signal.aborted) turn.stopped = true;
    else turn.failure = described(error);
    if (turn.failure?.kind === "network") showState({ status: "unreachable" });
  }
  cancelAnimationFrame(frame);
  running = null;
  view.finish();
  saveConversation(turns);
  refresh();
  scroll();
  announce(turn.stopped ? "Stopped." : turn.failure ? "" : pending(turn) ? "The model asks for a tool's result." : "The answer is complete.");
  const next = pending(turn) ? view.node.querySelector("textarea") : message;
  if (!touch.matches && (document.activeElement === document.body || composer.contains(document.activeElement))) next.focus();
}

function described(error) {
  if (!(error instanceof Failure)) {
    console.error(error);
    return { kind: "broken", message: "The page failed to show the answer. Reloading it may help." };
  }
  const { kind, message: text, status, param, code, retryAfter } = error;
  return { kind, message: text, status, param, code, until: Date.now() + retryAfter * 1000 };
}

// persist asks again where a key was missing, and once the model is loaded.
async function persist(signal, view, ask) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const begun = view.turn.content || view.turn.reasoning || view.turn.calls.length;
      if (!(error instanceof Failure) || begun) throw error;
      if (error.kind === "key" && (await askKey(error.message, signal))) continue;
      if (error.kind !== "loading") throw error;
      const who = error.code === "model_not_loaded" ? "The model is loading." : "The server is not ready.";
      view.wait(`${who} Your message will be sent as soon as it is`);
      await ready(signal);
      view.wait("Waiting for the model");
    }
  }
}

// ready resolves when the server can answer.
async function ready(signal) {
  for (let delay = 500; ; delay = Math.min(delay * 1.5, 4000)) {
    signal?.throwIfAborted();
    const state = await health();
    showState(state);
    if (state.status === "healthy" || state.status === "degraded") return;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

// The key.

function askKey(reason, signal) {
  const dialog = $("key-dialog");
  const field = $("key");
  $("key-reason").textContent = key.get() ? `The server did not accept the key. ${reason}` : "This server asks for an API key.";
  field.value = "";
  const close = () => dialog.close("");
  signal?.addEventListener("abort", close, { once: true });
  dialog.returnValue = "";
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      signal?.removeEventListener("abort", close);
      if (dialog.returnValue) key.set(dialog.returnValue);
      field.value = "";
      resolve(Boolean(dialog.returnValue));
    }, { once: true });
  });
}

$("key-form").addEventListener("submit", (e) => {
  e.preventDefault();
  $("key-dialog").close($("key").value.trim());
});
$("key-cancel").addEventListener("click", () => $("key-dialog").close(""));

// The conversation.

const actions = {
  again: (turn) => {
    if (running || mistaken()) return;
    const at = turns.indexOf(turn);
    const undo = cut(at, turns.length - at > 1);
    generate();
    undo?.();
  },
  results: (turn, results) => {
    if (running) return;
    turn.results = results;
    rebuild();
    generate();
  },
  key: async (turn) => {
    if (await askKey("")) actions.again(turn);
  },
  proceed: () => send("Go on."),
  settings: () => dialog.open(),
  fresh,
};

function send(text) {
  if (running || !text.trim()) return;
  turns.push({ role: "user", content: text });
  list.append(userTurn(turns.at(-1)));
  generate();
}

// mistaken opens the settings where they hold what cannot be sent: leaving it out would be another request than was meant.
function mistaken() {
  const field = tools().error ? "tools" : settings.format === "schema" && schema().error ? "schema" : "";
  if (field) dialog.open(field);
  return field !== "";
}

// cut removes what follows. Where that is more than is made again, it returns what offers to bring it back.
function cut(at, more) {
  const before = [...turns];
  turns.splice(at);
  rebuild();
  return more ? () => toast("Later messages removed.", before) : null;
}

function fresh() {
  running?.abort();
  const before = [...turns];
  turns = [];
  rebuild();
  if (before.length) toast("New conversation.", before);
  message.focus();
}

function rebuild() {
  list.replaceChildren(...turns.map((t) => (t.role === "user" ? userTurn(t) : new Answer(t, actions).restore().node)));
  saveConversation(turns);
  refresh();
  scrolled(); // what gets shorter does not say so
}

function userTurn(turn) {
  const node = el("article", { class: "turn user", "aria-label": "You" });
  const text = el("div", { class: "bubble", dir: "auto" }, turn.content);
  const edit = button("Edit", { glyph: "edit", class: "quiet edit" }, () => !running && node.replaceChildren(editor(turn, node)));
  node.append(text, el("footer", {}, edit, copyButton("Copy message", { class: "quiet" }, () => turn.content)));
  return node;
}

function editor(turn, node) {
  const area = el("textarea", { "aria-label": "Your message", rows: 3, dir: "auto" });
  area.value = turn.content;
  const cancel = () => {
    node.replaceWith(userTurn(turn));
    message.focus();
  };
  const submit = (e) => {
    e.preventDefault();
    const at = turns.indexOf(turn);
    if (running || at < 0 || !area.value.trim() || mistaken()) return;
    const undo = cut(at, turns.length - at > 2);
    send(area.value);
    undo?.();
  };
  const form = el("form", { class: "editor", submit }, area, el("div", { class: "buttons" }, button("Cancel", {}, cancel), el("button", { class: "primary" }, "Send")));
  area.addEventListener("keydown", (e) => {
    if (e.key === "Escape") cancel();
    if (sends(e)) form.requestSubmit();
  });
  queueMicrotask(() => area.focus());
  return form;
}

let undoTimer;
function toast(text, before) {
  const node = $("toast");
  const undo = () => {
    running?.abort();
    turns = before;
    rebuild();
    node.hidden = true;
  };
  node.replaceChildren(el("span", {}, text), button("Undo", {}, undo));
  node.hidden = false;
  clearTimeout(undoTimer);
  undoTimer = setTimeout(() => (node.hidden = true), 8000);
}

// What surrounds it.

function refresh() {
  $("welcome").hidden = turns.length > 0;
  $("send").hidden = Boolean(running);
  $("stop").hidden = !running;
  $("send").disabled = !message.value.trim();
  const used = turns.findLast((t) => t.usage)?.usage.total_tokens ?? 0;
  const share = model.context ? Math.min(used / model.context, 1) : 0;
  $("meter").hidden = !model.context || !used;
  $("meter").classList.toggle("full", share > 0.9);
  $("meter-arc").setAttribute("stroke-dasharray", `${share * 100} 100`);
  $("meter-text").textContent = `${used.toLocaleString("en")} / ${model.context.toLocaleString("en")}`;
  const offered = tools();
  chip("tools-chip", offered.error ? "Tools: error" : offered.list.length ? `Tools: ${offered.list.length}` : "Tools");
  $("tools-chip").classList.toggle("on", offered.list.length > 0);
  $("tools-chip").classList.toggle("bad", Boolean(offered.error));
  const broken = settings.format === "schema" && schema().error;
  chip("format-chip", { text: "Text", json: "JSON", schema: broken ? "Schema: error" : "JSON Schema" }[settings.format] ?? "Text");
  $("format-chip").setAttribute("aria-label", `Format: ${$("format-chip").textContent.trim()}`);
  $("format-chip").classList.toggle("on", settings.format !== "text");
  $("format-chip").classList.toggle("bad", Boolean(broken));
  composer.elements.level.value = settings.level;
}

const chip = (id, text) => ($(id).lastElementChild.textContent = text);

function showState({ status, reason = "", model: id, version }) {
  const words = {
    healthy: "Ready",
    degraded: /queue/.test(reason) ? "Busy" : "Degraded",
    unavailable: /load/.test(reason) ? "Loading" : "Unavailable",
    unreachable: "No connection",
  };
  const word = words[status] ?? status;
  $("state").dataset.state = status;
  $("state").title = reason;
  if ($("state-text").textContent !== word) $("state-text").textContent = word; // else it would be read out again
  if (id && id !== model.id) name(id);
  if (version) $("version").textContent = `gptoss-server ${version}`;
}

function name(id) {
  model.id = id;
  $("model").textContent = id;
  document.title = `${id} · chat`;
}

// start finds out what is served; it asks for a key where one is needed.
async function start() {
  missed = false;
  showState(await health());
  for (;;) {
    try {
      const [served] = await models();
      if (served) {
        model = { id: served.id, context: served.max_input_tokens ?? 0, parameters: served.total_parameters ?? 0, active: served.active_parameters ?? 0 };
        name(served.id);
      }
      break;
    } catch (error) {
      if (error.kind === "loading") await ready();
      else if (error.kind !== "key" || !(await askKey(error.message))) {
        missed = error.kind === "network";
        break; // the first message will tell more
      }
    }
  }
  showState(await health());
  welcome();
  refresh();
}

// The state is asked for while somebody looks. A server that could not be reached at first is asked again what it serves.
setInterval(async () => {
  if (document.hidden || running) return;
  const state = await health();
  showState(state);
  if (missed && state.status !== "unreachable") start();
}, 15_000);

const billions = (n) => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} billion` : `${(n / 1e6).toFixed(1)} million`);

function welcome() {
  const facts = [];
  if (model.parameters) facts.push(`${billions(model.parameters)} parameters, ${billions(model.active)} active`);
  if (model.context) facts.push(`${model.context.toLocaleString("en")} tokens of context`);
  $("facts").replaceChildren(...facts.map((f) => el("span", {}, f)));
  const small = model.parameters && model.parameters < 1e9;
  const asks = small
    ? ["Explain Kubernetes", "List six planets", "What is 48 plus 37?"]
    : ["Compare TCP and UDP in a table", "Write a binary search in Go, with a test", "Explain mixture of experts to a curious child"];
  const items = asks.map((q) => button(q, { class: "ask" }, () => send(q)));
  const withTool = "What is the weather like in Lisbon?";
  const call = button(withTool, { class: "ask", glyph: "tool" }, () => {
    useExampleTool();
    saveSettings();
    send(withTool);
  });
  $("asks").replaceChildren(...items, call);
}

// Scrolling.

function scroll() {
  if (follow) log.scrollTop = log.scrollHeight;
  $("latest").hidden = follow;
}

function scrolled() {
  follow = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  $("latest").hidden = follow;
}

log.addEventListener("scroll", scrolled);
$("latest").addEventListener("click", () => {
  follow = true;
  scroll();
  message.focus();
});
new ResizeObserver(scroll).observe(log);

// Controls.

const sends = (e) => e.key === "Enter" && !e.shiftKey && !e.isComposing && e.keyCode !== 229 && (!touch.matches || e.ctrlKey || e.metaKey);

composer.addEventListener("submit", (e) => {
  e.preventDefault();
  if (running || mistaken()) return;
  const text = message.value;
  message.value = "";
  fit();
  send(text);
});
message.addEventListener("keydown", (e) => {
  if (sends(e)) {
    e.preventDefault();
    if (message.value.trim()) composer.requestSubmit();
  } else if (e.key === "ArrowUp" && message.value === "" && !running) {
    const buttons = list.querySelectorAll(".edit");
    if (buttons.length) {
      e.preventDefault();
      buttons[buttons.length - 1].click();
    }
  }
});
message.addEventListener("input", fit);

function fit() {
  message.rows = Math.min(Math.max(message.value.split("\n").length, 1), 8);
  while (message.rows < 8 && message.scrollHeight > message.clientHeight + 2) message.rows++;
  $("send").disabled = !message.value.trim();
}

composer.addEventListener("change", (e) => {
  if (e.target.name !== "level") return;
  settings.level = e.target.value;
  saveSettings();
});

const stop = () => running?.abort();
const dialog = new Settings($("settings"), refresh);
$("stop").addEventListener("click", () => {
  stop();
  message.focus();
});
$("new").addEventListener("click", fresh);
$("open-settings").addEventListener("click", () => dialog.open());
$("tools-chip").addEventListener("click", () => dialog.open("tools"));
$("format-chip").addEventListener("click", () => dialog.open("format"));
$("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (document.documentElement.dataset.theme || system) === "dark" ? "light" : "dark";
  if (theme === system) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  saveTheme(theme === system ? "" : theme);
});

document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && running && !document.querySelector("dialog[open]")) {
    e.preventDefault();
    stop();
  }
  if (!e.altKey || e.ctrlKey || e.metaKey) return;
  const shortcut = { KeyN: fresh, KeyS: () => dialog.open(), KeyR: () => turns.at(-1)?.role === "assistant" && actions.again(turns.at(-1)), KeyM: () => message.focus() }[e.code];
  if (!shortcut || document.querySelector("dialog[open]")) return;
  e.preventDefault();
  shortcut();
});

try {
  rebuild();
} catch {
  turns = []; // kept by another version of the page
  rebuild();
}
scroll();
if (!touch.matches) message.focus();
start();
