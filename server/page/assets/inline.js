// What stands inside a block: emphasis, code, links, breaks. One pass and a stack of delimiters, as CommonMark describes
// it, so that no input takes more than linear time.

const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", hellip: "…", ndash: "–", mdash: "—", times: "×", rarr: "→", le: "≤", ge: "≥",
};
const PUNCTUATION = /[\p{P}\p{S}]/u;
const maxBare = 2048; // longer than any address that a model writes

/** safeAddress returns an address that may be opened, or null: only http and https, whatever its spelling. */
export function safeAddress(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** inline parses text to nodes: text, code, math, strong, em, del, link, break. */
export function inline(text) {
  return new Scanner(text).run();
}

class Scanner {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.nodes = [];
    this.delimiters = []; // runs of * _ ~ that may open or close something
    this.brackets = []; // [ that may open a link
    this.unclosed = new Map(); // length of a run of ` → no such run follows
  }

  run() {
    const special = /[\\`*_~[\]!<&\n]|https?:\/\//g;
    while (this.at < this.text.length) {
      special.lastIndex = this.at;
      const m = special.exec(this.text);
      if (!m || m.index > this.at) this.add(this.text.slice(this.at, m ? m.index : this.text.length));
      if (!m) break;
      this.at = m.index;
      this.special(m[0]);
    }
    emphasize(this.nodes, this.delimiters);
    return merge(this.nodes);
  }

  add(text) {
    this.nodes.push({ type: "text", text });
  }

  take(text) {
    this.add(text);
    this.at += text.length;
  }

  // match applies a sticky expression here and moves on behind its match.
  match(expression) {
    expression.lastIndex = this.at;
    const m = expression.exec(this.text);
    if (m) this.at += m[0].length;
    return m;
  }

  special(mark) {
    switch (mark[0]) {
      case "\\": return this.backslash();
      case "`": return this.code();
      case "*": case "_": case "~": return this.delimiterRun(mark[0]);
      case "[": return this.open("[");
      case "]": return this.close();
      case "!": return this.text[this.at + 1] === "[" ? this.open("![") : this.take("!"); // a picture is shown as a link
      case "<": return this.angle();
      case "&": return this.entity();
      case "\n": return this.newline();
      default: return this.bare();
    }
  }

  backslash() {
    let m;
    if ((m = this.match(/\\\(([^\n]{0,2000}?)\\\)|\\\[([^]{0,2000}?)\\\]/y))) this.nodes.push({ type: "math", text: m[0] });
    else if ((m = this.match(/\\\n */y))) this.nodes.push({ type: "break" });
    else if ((m = this.match(/\\([!-/:-@[-`{-~])/y))) this.add(m[1]);
    else this.take("\\");
  }

  code() {
    const marks = /`+/y;
    marks.lastIndex = this.at;
    const { length } = marks.exec(this.text)[0];
    if (!this.unclosed.has(length)) {
      const closing = new RegExp("(?<!`)`{" + length + "}(?!`)", "g");
      closing.lastIndex = this.at + length;
      const m = closing.exec(this.text);
      if (m) {
        const code = this.text.slice(this.at + length, m.index).replaceAll("\n", " ");
        const padded = code.startsWith(" ") && code.endsWith(" ") && code.trim() !== "";
        this.nodes.push({ type: "code", text: padded ? code.slice(1, -1) : code });
        this.at = m.index + length;
        return;
      }
      this.unclosed.set(length, true);
    }
    this.take("`".repeat(length));
  }

  delimiterRun(mark) {
    const { length } = this.text.slice(this.at).match(mark === "~" ? /^~+/ : mark === "*" ? /^\*+/ : /^_+/)[0];
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + length] ?? " ";
    const left = !/\s/.test(after) && (!PUNCTUATION.test(after) || /\s/.test(before) || PUNCTUATION.test(before));
    const right = !/\s/.test(before) && (!PUNCTUATION.test(before) || /\s/.test(after) || PUNCTUATION.test(after));
    const open = mark === "_" ? left && (!right || PUNCTUATION.test(before)) : left;
    const close = mark === "_" ? right && (!left || PUNCTUATION.test(after)) : right;
    if (mark !== "~" || length === 2) {
      const previous = this.delimiters.length - 1;
      this.delimiters.push({ mark, length, size: length, open, close, node: this.nodes.length, previous });
    }
    this.take(mark.repeat(length));
  }

  open(mark) {
    this.brackets.push({ node: this.nodes.length, delimiters: this.delimiters.length, mark });
    this.take(mark);
  }

  // close ends a link, if one was opened and an address follows.
  close() {
    const opener = this.brackets.pop();
    const from = this.at;
    this.at++;
    const m = opener && this.match(/\(\s{0,9}(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))(?:\s{1,9}(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s{0,9}\)/y);
    if (!m) {
      this.at = from;
      return this.take("]");
    }
    const children = this.nodes.splice(opener.node).slice(1);
    const inner = this.delimiters.splice(opener.delimiters);
    for (const d of inner) {
      d.node -= opener.node + 1;
      d.previous -= opener.delimiters;
    }
    emphasize(children, inner);
    const address = safeAddress((m[1] ?? m[2]).replace(/\\([!-/:-@[-`{-~])/g, "$1"));
    // An address that must not be opened is still shown, so that nothing hides behind a harmless name.
    if (address) this.nodes.push({ type: "link", address, children: merge(unlink(children)) });
    else this.nodes.push({ type: "text", text: opener.mark }, ...unlink(children), { type: "text", text: "]" + m[0] });
  }

  angle() {
    let m;
    if (this.match(/<br\s*\/?>/iy)) this.nodes.push({ type: "break" });
    else if ((m = this.match(/<(https?:\/\/[^\s<>]*)>/iy))) this.link(m[1]);
    else this.take("<");
  }

  entity() {
    const m = this.match(/&([a-z]{2,6});/y);
    if (!m) return this.take("&");
    this.add(ENTITIES[m[1]] ?? m[0]);
  }

  newline() {
    const last = this.nodes.at(-1);
    const hard = last?.type === "text" && / {2,}$/.test(last.text);
    if (hard) last.text = last.text.trimEnd();
    this.at++;
    this.match(/ +/y);
    this.nodes.push(hard ? { type: "break" } : { type: "text", text: "\n" });
  }

  // bare links an address in running text, without the punctuation of the sentence around it.
  bare() {
    const word = /[\p{L}\p{N}]/u.test(this.text[this.at - 1] ?? " ");
    let address = /^https?:\/\/[^\s<>`]*/.exec(this.text.slice(this.at, this.at + maxBare))[0];
    let surplus = address.split(")").length - address.split("(").length; // closing brackets that belong to the sentence
    let end = address.length;
    for (; end > 0; end--) {
      const last = address[end - 1];
      if (last === ")" ? surplus-- <= 0 : !".,:;!?'\"*_~]|".includes(last)) break;
    }
    address = address.slice(0, end);
    if (word || !safeAddress(address)) return this.take(address.slice(0, 4));
    this.link(address);
    this.at += address.length;
  }

  link(text) {
    const address = safeAddress(text);
    if (address) this.nodes.push({ type: "link", address, children: [{ type: "text", text }] });
    else this.add(text);
  }
}

// unlink replaces links inside a link by their text.
const unlink = (nodes) => nodes.flatMap((n) => (n.type === "link" ? n.children : [n]));

// emphasize pairs runs of delimiters: each closer with the nearest opener that fits. What lies between them moves into a
// new node, which stands in the opener's successor's place.
function emphasize(nodes, delimiters) {
  const bottom = {}; // kind of closer → no opener for it below this delimiter
  for (let c = 0; c < delimiters.length; c++) {
    const closer = delimiters[c];
    while (closer.close && closer.length > 0) {
      const kind = closer.mark + (closer.open ? 1 : 0) + (closer.size % 3);
      const floor = bottom[kind] ?? -1;
      let o = closer.previous;
      while (o > floor && !pairs(delimiters[o], closer)) o = delimiters[o].previous;
      if (o <= floor) {
        bottom[kind] = c - 1;
        break;
      }
      wrap(nodes, delimiters, o, c);
    }
  }
}

function pairs(opener, closer) {
  if (!opener.open || opener.mark !== closer.mark || opener.length === 0) return false;
  const both = (opener.close || closer.open) && (opener.size + closer.size) % 3 === 0;
  return !both || (opener.size % 3 === 0 && closer.size % 3 === 0);
}

function wrap(nodes, delimiters, o, c) {
  const opener = delimiters[o];
  const closer = delimiters[c];
  const used = opener.mark === "~" || (opener.length > 1 && closer.length > 1) ? 2 : 1;
  for (const d of [opener, closer]) {
    d.length -= used;
    nodes[d.node].text = d.mark.repeat(d.length);
  }
  // Positions stay valid: what moves is replaced by empty text.
  const children = nodes.slice(opener.node + 1, closer.node);
  nodes.fill({ type: "text", text: "" }, opener.node + 1, closer.node);
  const type = opener.mark === "~" ? "del" : used === 2 ? "strong" : "em";
  nodes[opener.node + 1] = { type, children: merge(children) };
  closer.previous = opener.length ? o : opener.previous; // what lies between them is settled
}

// merge joins neighbouring texts and drops empty ones.
function merge(nodes) {
  const out = [];
  for (const n of nodes) {
    if (n.type !== "text") out.push(n);
    else if (out.at(-1)?.type === "text") out[out.length - 1] = { type: "text", text: out.at(-1).text + n.text };
    else if (n.text) out.push(n);
  }
  return out;
}
