// Server-sent events out of a fetch body: EventSource can neither POST nor send a key.

/** EventParser takes text in any pieces and returns the data of the events that they complete. */
export class EventParser {
  #rest = "";
  #data = [];

  push(text) {
    this.#rest += text;
    const complete = [];
    const ends = /\r\n|\n|\r(?!$)/g; // a \r at the very end may be half of a \r\n
    let start = 0;
    for (let end; (end = ends.exec(this.#rest)); start = ends.lastIndex) {
      this.#line(this.#rest.slice(start, end.index), complete);
    }
    this.#rest = this.#rest.slice(start);
    return complete;
  }

  #line(line, complete) {
    if (line === "") {
      if (this.#data.length) complete.push(this.#data.join("\n"));
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon); // "" for a comment, which keeps connections alive
    if (field !== "data") return;
    const value = colon < 0 ? "" : line.slice(colon + 1);
    this.#data.push(value.startsWith(" ") ? value.slice(1) : value);
  }
}

/** events yields the data of a body's events; alive is called whenever anything arrives, comments included. */
export async function* events(body, alive = () => {}) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new EventParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
