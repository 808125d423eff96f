// What is wrong with the page as it is: an expression whose value is a list of findings.
(() => {
  const findings = [];
  const shown = (node) => {
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    return style.visibility !== "hidden" && style.display !== "none" && box.width > 1 && box.height > 1 && node.checkVisibility();
  };
  const modal = document.querySelector("dialog[open]");
  const scope = modal ?? document.body;
  const colour = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const ground = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = colour(getComputedStyle(n).backgroundColor);
      if (c.a === 1) return c;
    }
    return colour(getComputedStyle(document.body).backgroundColor);
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const opacity = (node) => (node ? getComputedStyle(node).opacity * opacity(node.parentElement) : 1);
  const contrast = (node, text) => {
    const below = ground(node);
    const [over, seen] = [colour(text), opacity(node)];
    const mixed = Object.fromEntries(["r", "g", "b"].map((c) => [c, over[c] * over.a * seen + below[c] * (1 - over.a * seen)]));
    const [a, b] = [light(mixed), light(below)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const describe = (node) => `<${node.tagName.toLowerCase()} ${node.id || node.className}> "${(node.textContent || "").trim().slice(0, 30)}"`;
  const unseen = (node) => getComputedStyle(node).clipPath !== "none" || node.closest(".unseen");

  for (const node of scope.querySelectorAll("*")) {
    const text = [...node.childNodes].some((c) => c.nodeType === Node.TEXT_NODE && c.data.trim());
    if (!shown(node) || unseen(node) || (node.closest(":disabled") && !node.closest(".notice"))) continue;
    if (node.matches(".icon") && !node.closest("#turns footer") && contrast(node, getComputedStyle(node).color) < 3) findings.push(`contrast of an icon: ${describe(node.parentElement)}`);
    if (node.placeholder) {
      const ratio = contrast(node, getComputedStyle(node, "::placeholder").color);
      if (ratio < 4.5) findings.push(`contrast ${ratio.toFixed(2)} of a placeholder: ${describe(node)}`);
    }
    if ((!text && !node.matches("input:not([type=radio], [type=checkbox]), textarea, select")) || node.closest("svg")) continue;
    const ratio = contrast(node, getComputedStyle(node).color);
    if (ratio < 4.5) findings.push(`contrast ${ratio.toFixed(2)}: ${describe(node)}`);
  }
  for (const node of scope.querySelectorAll("button, input, textarea, select, summary, a[href], [tabindex='0']")) {
    if (!shown(node) || unseen(node) || node.matches(".skip")) continue;
    const name = node.getAttribute("aria-label") || node.textContent.trim() || [...(node.labels ?? [])].map((l) => l.textContent).join("") || node.title;
    if (!name) findings.push(`no name: ${describe(node)}`);
    const box = node.getBoundingClientRect();
    if (!node.matches("a, .task input") && (box.width < 24 || box.height < 24)) findings.push(`small target ${box.width}×${box.height}: ${describe(node)}`);
    const clipped = node.closest("pre, .table, #log, .sheet, .thought-text");
    if (!clipped && (box.right > innerWidth + 1 || box.left < -1)) findings.push(`out of sight: ${describe(node)}`);
  }
  for (const node of [document.documentElement, document.body, document.getElementById("log"), ...scope.querySelectorAll("article, dialog, .foot, .bar")]) {
    if (shown(node) && node.scrollWidth > node.clientWidth + 1) findings.push(`${node.scrollWidth - node.clientWidth} px too wide: ${describe(node)}`);
  }
  const log = document.getElementById("log");
  const below = log.scrollHeight - log.scrollTop - log.clientHeight > 48;
  if (below === document.getElementById("latest").hidden) findings.push(`the way to the end is ${below ? "not " : ""}offered, with ${below ? "" : "no "}text below`);
  const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
  for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) findings.push(`two elements have the id ${id}`);
  return findings;
})();
