// The tree of markdown.js as DOM.
import { highlight } from "./code.js";
import { copyButton, el } from "./dom.js";
import { parse } from "./markdown.js";

/** Prose shows a growing text. Blocks that no further text can change are left alone, so a selection in them lasts. */
export class Prose {
  #settled = 0; // offset up to which blocks are final
  #tail = 0; // how many nodes at the end belong to what follows it

  constructor() {
    this.node = el("div", { class: "prose", dir: "auto" });
    this.text = "";
  }

  /** show takes the whole text; what was shown before must be its beginning. */
  show(text) {
    if (text === this.text) return;
    this.text = text;
    const rest = text.slice(this.#settled);
    const found = parse(rest);
    // Whether a block begins may depend on the line after its first, and the last line may still grow.
    const sure = rest.lastIndexOf("\n", rest.lastIndexOf("\n") - 1);
    const first = Math.max(found.findLastIndex((b) => b.at <= sure), 0);
    while (this.#tail-- > 0) this.node.lastChild.remove();
    this.node.append(...found.map(block));
    this.#tail = found.length - first;
    this.#settled += found[first]?.at ?? 0;
  }
}

function block(b) {
  switch (b.type) {
    case "heading": return el(`h${Math.min(b.level + 2, 6)}`, {}, ...inlines(b.children));
    case "rule": return el("hr");
    case "code": return codeBlock(b.text, b.language);
    case "math": return el("p", { class: "math block" }, b.text);
    case "quote": return el("blockquote", {}, ...b.children.map(block));
    case "list": return list(b);
    case "table": return table(b);
    default: return el("p", {}, ...inlines(b.children));
  }
}

/** codeBlock shows code with its language and a button that copies it. */
export function codeBlock(text, language, label = language || "text") {
  const code = el("code", {}, ...highlight(text, language).map((p) => (p.kind ? el("span", { class: `t-${p.kind}` }, p.text) : p.text)));
  return el(
    "figure",
    { class: "code", dir: "ltr" },
    el("figcaption", {}, el("span", {}, label), copyButton("Copy", { "aria-label": `Copy code, ${label}` }, () => text)),
    el("pre", { tabindex: 0, role: "region", "aria-label": `Code, ${label}` }, code),
  );
}

function list(b) {
  const items = b.items.map(({ children, checked }) => {
    const content = children.flatMap((c) => (c.type === "paragraph" && !b.loose ? inlines(c.children) : [block(c)]));
    if (checked === undefined) return el("li", {}, ...content);
    return el("li", { class: "task" }, el("input", { type: "checkbox", disabled: true, checked, "aria-label": checked ? "Done" : "To do" }), ...content);
  });
  return el(b.ordered ? "ol" : "ul", { start: b.ordered && b.start !== 1 ? b.start : null }, ...items);
}

function table(b) {
  const row = (cells, tag) => el("tr", {}, ...cells.map((c, i) => el(tag, { class: b.align[i] || null }, ...inlines(c))));
  const body = el("table", {}, el("thead", {}, row(b.head, "th")), el("tbody", {}, ...b.rows.map((r) => row(r, "td"))));
  return el("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" }, body);
}

const inlines = (nodes) => nodes.map(inlineNode);

function inlineNode(n) {
  switch (n.type) {
    case "text": return n.text;
    case "code": return el("code", {}, n.text);
    case "math": return el("span", { class: "math" }, n.text);
    case "break": return el("br");
    case "link": return el("a", { href: n.address, target: "_blank", rel: "noopener noreferrer nofollow" }, ...inlines(n.children));
    default: return el(n.type, {}, ...inlines(n.children));
  }
}
