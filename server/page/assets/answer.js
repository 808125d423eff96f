// One answer on the page: what the model thought, said and called, how it ended, and what can be done with it.
import { button, copyButton, el, icon, Narrator, announce } from "./dom.js";
import { codeBlock, Prose } from "./render.js";
import { key } from "./store.js";

/** newAnswer is an answer before its first token, as the conversation stores it. */
export const newAnswer = (format) => ({
  role: "assistant", content: "", reasoning: "", calls: [], results: {}, format,
  thought: 0, took: 0, rate: 0, usage: null, finish: null, stopped: false, failure: null,
});

/** addChunk puts a chunk of the stream to an answer. */
export function addChunk(turn, chunk) {
  if (chunk.usage) turn.usage = chunk.usage;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  turn.reasoning += delta.reasoning ?? delta.reasoning_content ?? "";
  turn.content += delta.content ?? "";
  for (const d of delta.tool_calls ?? []) {
    const call = (turn.calls[d.index] ??= { id: "", name: "", arguments: "" });
    call.id ||= d.id ?? "";
    call.name ||= d.function?.name ?? "";
    call.arguments += d.function?.arguments ?? "";
  }
  turn.finish = choice.finish_reason ?? turn.finish;
}

/** pending tells whether an answer waits for the results of its calls. */
export const pending = (turn) => turn.calls.some((c) => !(c.id in turn.results)) && turn.finish === "tool_calls";

const pretty = (json) => {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json; // the model's mistake is the user's to see
  }
};

const duration = (ms) => (ms < 9950 ? `${(ms / 1000).toFixed(1)} s` : ms < 59_500 ? `${Math.round(ms / 1000)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`);

const mark = () => el("span", { class: "mark", "aria-hidden": "true" }, ...Array.from({ length: 9 }, () => el("i")));

/** Answer shows a turn of the assistant. on has the page's actions: again, results, key, settings, fresh, proceed. */
export class Answer {
  #narrator = new Narrator();
  #spoken = 0;
  #timer = null;
  #touched = false; // the user opened or closed the reasoning

  constructor(turn, on) {
    this.turn = turn;
    this.on = on;
    this.prose = new Prose();
    this.status = el("p", { class: "waiting", hidden: true }, mark(), el("span"));
    this.label = el("span", {}, "Thinking");
    const summary = el("summary", { click: () => (this.#touched = true) }, mark(), this.label, icon("chevron"));
    this.thought = el("div", { class: "thought-text", dir: "auto" });
    this.details = el("details", { class: "thought", hidden: true }, summary, this.thought);
    this.calls = el("div", { class: "calls" });
    this.end = el("div", { class: "end" });
    this.node = el("article", { class: "turn answer", "aria-label": "Answer" }, this.details, this.status, this.prose.node, this.calls, this.end);
  }

  /** begin shows that an answer is awaited. */
  begin() {
    this.started = performance.now();
    this.node.setAttribute("aria-busy", "true");
    this.wait("Waiting for the model");
    this.#timer = setInterval(() => this.#elapsed(), 500);
  }

  wait(text) {
    this.status.hidden = false;
    this.status.lastChild.textContent = text;
  }

  /** chunk takes note of the times; what it changed is shown by update. */
  chunk(chunk) {
    const before = this.turn.content.length + this.turn.calls.length;
    addChunk(this.turn, chunk);
    const now = performance.now();
    if (this.turn.reasoning || this.turn.content || this.turn.calls.length) this.first ??= now;
    if (this.turn.reasoning && !before) this.turn.thought = now - this.first;
    this.turn.took = now - this.started;
  }

  /** update shows the turn as it is now, while it grows. */
  update() {
    const { content, reasoning, calls, format } = this.turn;
    if (reasoning || content || calls.length) this.status.hidden = true;
    if (reasoning) this.#reasoning(reasoning, content || calls.length);
    if (format === "text") this.prose.show(content);
    else if (content) this.prose.node.replaceChildren(codeBlock(content, "json", "JSON"));
    if (calls.length) this.calls.replaceChildren(...calls.map((c) => this.#call(c)));
    if (format === "text") this.#narrator.push(content.slice(this.#spoken));
    this.#spoken = content.length;
  }

  #reasoning(text, over) {
    if (this.details.hidden) {
      this.details.hidden = false;
      if (this.started) {
        this.details.open = true;
        this.details.classList.add("live");
        announce("Thinking.");
      }
    }
    if (this.thought.textContent.length < text.length) {
      const below = this.thought.scrollHeight - this.thought.scrollTop - this.thought.clientHeight < 24;
      this.thought.append(text.slice(this.thought.textContent.length));
      if (below) this.thought.scrollTop = this.thought.scrollHeight;
    }
    if (over && this.details.classList.contains("live")) this.#thoughtOver();
  }

  #thoughtOver() {
    this.details.classList.remove("live");
    this.label.textContent = this.turn.thought >= 50 ? `Thought for ${duration(this.turn.thought)}` : "Thought";
    if (!this.#touched) this.details.open = false;
  }

  #elapsed() {
    if (this.details.classList.contains("live")) this.label.textContent = `Thinking · ${Math.floor((performance.now() - this.first) / 1000)} s`;
  }

  /** finish shows the turn as it stays. */
  finish() {
    clearInterval(this.#timer);
    this.node.removeAttribute("aria-busy");
    const { turn } = this;
    this.update();
    this.status.hidden = true;
    if (turn.reasoning) this.#thoughtOver();
    if (turn.format !== "text" && turn.content) this.prose.node.replaceChildren(codeBlock(pretty(turn.content), "json", "JSON"));
    if (this.first && turn.usage) {
      const seconds = (performance.now() - this.first) / 1000;
      turn.rate = seconds > 0.05 ? (turn.usage.completion_tokens - 1) / seconds : 0;
    }
    this.#narrator.close();
    const results = turn.finish === "tool_calls" && turn.calls.length ? this.#results() : null;
    this.calls.replaceChildren(...(results ? [results] : turn.calls.map((c) => this.#call(c))));
    this.end.replaceChildren(...[this.#notice(), this.#footer()].filter(Boolean));
  }

  /** restore shows a turn that ended earlier. */
  restore() {
    this.#spoken = this.turn.content.length;
    this.finish();
    return this;
  }

  #call(call, ...more) {
    const title = el("header", {}, icon("tool"), el("span", {}, "Call of "), el("code", {}, call.name));
    return el("section", { class: "call", "aria-label": `Call of ${call.name}` }, title, codeBlock(pretty(call.arguments || "{}"), "json", "Arguments"), ...more);
  }

  // #results asks for what the tools return, or shows it.
  #results() {
    const { turn } = this;
    const open = pending(turn);
    const cards = turn.calls.map((call, i) => {
      if (call.id in turn.results) return this.#call(call, codeBlock(pretty(turn.results[call.id]), "json", "Result"));
      const id = `result-${call.id || i}`;
      const area = el("textarea", { id, name: call.id, rows: 2, spellcheck: "false", placeholder: '{"temperature": 21}' });
      return this.#call(call, el("label", { for: id }, `What did ${call.name} return?`), area);
    });
    const form = el("form", { submit: (e) => this.#submit(e) }, ...cards, open && el("button", { class: "primary" }, turn.calls.length > 1 ? "Send results" : "Send result"));
    form.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) form.requestSubmit();
    });
    return form;
  }

  #submit(event) {
    event.preventDefault();
    const results = Object.fromEntries([...event.target.querySelectorAll("textarea")].map((a) => [a.name, a.value]));
    this.on.results(this.turn, results);
  }

  #footer() {
    const { turn, on } = this;
    if (turn.failure && !turn.content) return null; // the notice has what can be done
    const facts = [];
    if (turn.usage) facts.push(`${turn.usage.completion_tokens.toLocaleString("en")} tokens`);
    if (turn.rate >= 1) facts.push(`${Math.round(turn.rate).toLocaleString("en")} per second`);
    return el(
      "footer",
      {},
      turn.content && copyButton("Copy answer", { class: "quiet" }, () => turn.content),
      button("Answer again", { glyph: "again", class: "quiet again" }, () => on.again(turn)),
      facts.length > 0 && el("span", { class: "facts" }, facts.join(" · ")),
    );
  }

  #notice() {
    const { turn, on } = this;
    if (turn.failure) return failure(turn, on);
    if (turn.stopped) return notice("info", "Stopped.", null);
    if (turn.finish === "length" && turn.format !== "text") { // what goes on would be another document
      return notice("info", "The answer reached its limit of tokens before its JSON was complete.", null, button("Settings", {}, () => on.settings()));
    }
    if (turn.finish === "length") {
      return notice("info", "The answer reached its limit of tokens.", null, button("Go on", {}, () => on.proceed()), button("Settings", {}, () => on.settings()));
    }
    if (turn.finish === "stop" && !turn.content) return notice("info", "The model ended without an answer.", null);
    return null;
  }
}

function notice(kind, title, text, ...actions) {
  return el(
    "div",
    { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" },
    icon(kind === "error" ? "alert" : "info"),
    el("div", {}, el("strong", {}, title), text && el("p", {}, text)),
    actions.length > 0 && el("div", { class: "buttons" }, ...actions),
  );
}

const titles = {
  network: "No connection",
  broken: "The answer broke off",
  key: "A key is needed",
  busy: "Too many requests",
  loading: "The model is not ready",
};

// sentences replace those that the server has for programs.
const sentences = {
  queue_full: "More requests are waiting than the server has room for. Yours was not taken.",
  shutting_down: "The server is shutting down. It may be back in a moment.",
};

function failure(turn, on) {
  const f = turn.failure;
  const title = f.code === "shutting_down" ? "The server went away" : f.kind === "key" && key.get() ? "The key was not accepted" : titles[f.kind] ?? (f.status === 403 ? "Not allowed" : f.status >= 500 ? "The server failed" : "The server refused the request");
  const again = button("Try again", {}, () => on.again(turn));
  const actions = [again];
  if (f.kind === "key") actions.unshift(button("Enter a key", {}, () => on.key(turn)));
  if (/^(response_format|tools|tool_choice|temperature|top_p|max_tokens|seed)/.test(f.param ?? "")) {
    actions.unshift(button("Open the settings", {}, () => on.settings()));
  }
  if (f.code === "context_length_exceeded") actions.unshift(button("New conversation", {}, () => on.fresh()));
  actions[0].classList.add("primary");
  const box = notice("error", title, f.kind === "key" && !key.get() ? "This server answers those who have an API key." : (sentences[f.code] ?? f.message), ...actions);
  if (f.kind === "busy") countdown(again, f.until ?? 0);
  return box;
}

// countdown keeps a button from being pressed before the server wants to hear again.
function countdown(node, until) {
  const show = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    node.disabled = left > 0;
    node.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0) setTimeout(show, 250);
  };
  show();
}
