// Markdown of language models to a tree, without any DOM: CommonMark and GitHub's tables, less what models use by
// accident (indented code, underlined headings, HTML) and a little more lenient where they are careless.
//
// A block depends on nothing before its first line, so that a stream is parsed again from its last block only.
import { inline } from "./inline.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-+*]|\d{1,9}[.)])( +|$)/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MATH = /^ {0,3}(\\\[|\$\$)/;
const maxDepth = 16; // of quotes and lists in each other; deeper ones are text

/** parse returns the blocks of a text, each with the offset at which it begins. */
export function parse(text) {
  const lines = text.split("\n");
  const offsets = [];
  let offset = 0;
  for (const line of lines) {
    offsets.push(offset);
    offset += line.length + 1;
  }
  return blocks(lines.map(expand), 0).map((b) => ({ ...b, at: offsets[b.line] }));
}

// expand turns the tabs of an indentation into spaces.
function expand(line) {
  if (!/^ *\t/.test(line)) return line;
  return line.replace(/^[ \t]+/, (space) => {
    let width = 0;
    for (const c of space) width += c === "\t" ? 4 - (width % 4) : 1;
    return " ".repeat(width);
  });
}

const blank = (line) => line.trim() === "";
const indent = (line) => line.length - line.trimStart().length;

function blocks(lines, depth) {
  const out = [];
  for (let i = 0; i < lines.length; ) {
    if (blank(lines[i])) {
      i++;
      continue;
    }
    const [block, next] = blockAt(lines, i, depth);
    out.push({ ...block, line: i });
    i = next;
  }
  return out;
}

// blockAt reads the block that begins at a line and returns it with the line after it.
function blockAt(lines, i, depth) {
  const line = lines[i];
  let m;
  if ((m = FENCE.exec(line))) return fence(lines, i, m);
  if ((m = HEADING.exec(line))) return [{ type: "heading", level: m[1].length, children: inline(m[2] ?? "") }, i + 1];
  if (RULE.test(line)) return [{ type: "rule" }, i + 1];
  if ((m = MATH.exec(line))) return math(lines, i, m[1] === "$$" ? "$$" : "\\]");
  if (depth < maxDepth) {
    if (QUOTE.test(line)) return quote(lines, i, depth);
    if ((m = ITEM.exec(line)) && m[1].length < 4) return list(lines, i, depth);
  }
  if (isTable(lines, i)) return table(lines, i);
  return paragraph(lines, i, depth);
}

// interrupts tells whether a line ends the paragraph before it.
function interrupts(lines, i, depth) {
  const line = lines[i];
  if (blank(line) || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || MATH.test(line)) return true;
  if (depth < maxDepth) {
    if (QUOTE.test(line)) return true;
    const m = ITEM.exec(line);
    if (m && m[1].length < 4 && m[0].length < line.length && (!/\d/.test(m[2]) || parseInt(m[2], 10) === 1)) return true;
  }
  return isTable(lines, i);
}

function fence(lines, i, [opening, marks, info]) {
  const strip = new RegExp(`^ {0,${indent(opening)}}`);
  const close = new RegExp(`^ {0,3}\\${marks[0]}{${marks.length},}[ \\t]*$`);
  const code = [];
  let j = i + 1;
  for (; j < lines.length && !close.test(lines[j]); j++) code.push(lines[j].replace(strip, ""));
  const closed = j < lines.length;
  return [{ type: "code", language: info.trim().split(/\s+/)[0], text: code.join("\n"), closed }, closed ? j + 1 : j];
}

function math(lines, i, end) {
  const text = [];
  let j = i;
  for (; j < lines.length; j++) {
    text.push(lines[j]);
    const from = j === i ? lines[j].search(/\S/) + 2 : 0;
    if (lines[j].indexOf(end, from) >= 0) break;
  }
  return [{ type: "math", text: text.join("\n").trim() }, j + 1];
}

function quote(lines, i, depth) {
  const inner = [];
  let j = i;
  for (; j < lines.length; j++) {
    if (QUOTE.test(lines[j])) inner.push(lines[j].replace(QUOTE, ""));
    else if (j === i || blank(lines[j]) || blank(inner.at(-1)) || interrupts(lines, j, depth)) break;
    else inner.push(lines[j]); // a paragraph goes on without its mark
  }
  return [{ type: "quote", children: blocks(inner, depth + 1) }, j];
}

function list(lines, i, depth) {
  const ordered = /\d/.test(ITEM.exec(lines[i])[2]);
  const items = [];
  let loose = false;
  let j = i;
  while (j < lines.length) {
    const m = ITEM.exec(lines[j]);
    if (!m || m[1].length > 3 || /\d/.test(m[2]) !== ordered || RULE.test(lines[j])) break;
    const [inner, next] = itemLines(lines, j, m, depth);
    const children = blocks(inner, depth + 1);
    loose ||= children.some((b, n) => n > 0 && blank(inner[b.line - 1]) && b.type === "paragraph");
    items.push(children);
    for (j = next; j < lines.length && blank(lines[j]); j++);
    const more = j < lines.length && ITEM.exec(lines[j]);
    if (j > next && more && more[1].length < 4 && /\d/.test(more[2]) === ordered) loose = true;
  }
  const start = ordered ? parseInt(ITEM.exec(lines[i])[2], 10) : null;
  return [{ type: "list", ordered, start, loose, items: items.map(task) }, j];
}

// itemLines returns an item's lines without their indentation, and the line after them. What is indented by two and
// begins an item belongs to the item above, whatever the width of that one's number.
function itemLines(lines, i, m, depth) {
  const content = m[0].length - m[3].length + (m[3].length > 4 || m[3] === "" ? 1 : m[3].length);
  const inner = [lines[i].slice(Math.min(content, lines[i].length))];
  let j = i + 1;
  for (; j < lines.length; j++) {
    const line = lines[j];
    if (blank(line)) {
      inner.push("");
      continue;
    }
    const width = indent(line);
    const nested = width >= content || (width >= m[1].length + 2 && ITEM.test(line));
    if (nested) inner.push(line.slice(Math.min(width, content)));
    else if (inner.at(-1) !== "" && !interrupts(lines, j, depth) && !ITEM.test(line)) inner.push(line.trimStart());
    else break;
  }
  while (inner.length > 1 && inner.at(-1) === "") {
    inner.pop();
    j--;
  }
  return [inner, j];
}

// task recognises "[ ] " and "[x] " at an item's beginning.
function task(children) {
  const first = children[0];
  const text = first?.type === "paragraph" && first.children[0]?.type === "text" ? first.children[0].text : "";
  const m = /^\[([ xX])\] /.exec(text);
  if (!m) return { children };
  first.children[0] = { type: "text", text: text.slice(m[0].length) };
  return { children, checked: m[1] !== " " };
}

function isTable(lines, i) {
  const next = lines[i + 1];
  return (
    next !== undefined && lines[i].includes("|") && next.includes("-") && DELIMITERS.test(next) && cells(lines[i]).length === cells(next).length
  );
}

function table(lines, i) {
  const align = cells(lines[i + 1]).map((c) => (c.endsWith(":") ? (c.startsWith(":") ? "center" : "right") : ""));
  const rows = [];
  let j = i + 2;
  for (; j < lines.length && lines[j].includes("|") && !blank(lines[j]); j++) {
    const row = cells(lines[j]).slice(0, align.length);
    while (row.length < align.length) row.push("");
    rows.push(row.map(inline));
  }
  return [{ type: "table", align, head: cells(lines[i]).map(inline), rows }, j];
}

function cells(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return row.split(/(?<!\\)\|/).map((c) => c.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, i, depth) {
  const text = [lines[i].trimStart()];
  let j = i + 1;
  for (; j < lines.length && !interrupts(lines, j, depth); j++) text.push(lines[j].trimStart());
  return [{ type: "paragraph", children: inline(text.join("\n").trimEnd()) }, j];
}
