// Building DOM. Text becomes text nodes only: there is no way from here to HTML, and the page's policy forbids it too.

/** el makes an element: functions become listeners, true an empty attribute, false, null and undefined nothing. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c != null && c !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** icon draws a symbol of index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** button has an icon, a label, or both; a label beside an icon is shown where the class says so. */
export function button(label, { glyph, ...attributes }, click) {
  const content = glyph ? [icon(glyph), el("span", {}, label)] : [label];
  return el("button", { type: "button", title: glyph ? label : null, click, ...attributes }, ...content);
}

/** copyButton copies what text() returns and says so for a moment. */
export function copyButton(label, attributes, text) {
  const node = button(label, { glyph: "copy", ...attributes }, async () => {
    const done = await copy(text());
    const use = node.querySelector("use");
    use.setAttribute("href", done ? "#i-check" : "#i-alert");
    announce(done ? "Copied." : "The browser does not allow copying.");
    setTimeout(() => use.setAttribute("href", "#i-copy"), 1600);
  });
  return node;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text); // without HTTPS there is no clipboard
  }
}

function copySelection(text) {
  const focused = document.activeElement;
  const area = el("textarea", { class: "unseen", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  try {
    return document.execCommand("copy");
  } catch {
    return false;
  } finally {
    area.remove();
    focused?.focus();
  }
}

/** announce has a screen reader say a sentence, after those that it is still saying. */
export function announce(sentence) {
  const region = document.getElementById("live");
  region.append(el("p", {}, sentence));
  while (region.childElementCount > 50) region.firstElementChild.remove();
}

/** Narrator announces text that arrives in pieces, by whole sentences, without code. */
export class Narrator {
  #text = "";
  #code = false;

  push(text) {
    this.#text += text;
    let end;
    while ((end = this.#text.search(/[.!?:]\s|\n/)) >= 0) {
      this.#say(this.#text.slice(0, end + 1));
      this.#text = this.#text.slice(end + 1);
    }
  }

  close() {
    this.#say(this.#text);
    this.#text = "";
  }

  #say(text) {
    const sentence = text.trim();
    if (sentence.startsWith("```")) {
      this.#code = !this.#code;
      if (this.#code) announce("A block of code.");
    } else if (!this.#code && /[\p{L}\p{N}]/u.test(sentence)) {
      announce(sentence.replace(/[*_`#|>]+/g, " ").trim());
    }
  }
}

export const plural = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
