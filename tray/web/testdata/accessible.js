// Lists what a person with a keyboard, a screen reader or weak eyes would trip over.
(() => {
  const wrong = [];
  const shown = (n) => n.checkVisibility({ visibilityProperty: true }) && !n.closest(".vh, .skip");
  const name = (n) => n.tagName.toLowerCase() + (n.id ? "#" + n.id : "") + (n.name ? "[" + n.name + "]" : "") + (n.className && n.className.baseVal === undefined ? "." + n.className : "") + " " + n.textContent.trim().slice(0, 30);

  for (const n of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!n.labels.length && !n.getAttribute("aria-label")) wrong.push("no label: " + name(n));
  for (const n of document.querySelectorAll("a, button"))
    if (shown(n) && !n.textContent.trim() && !n.getAttribute("aria-label")) wrong.push("no words: " + name(n));
  const ids = [...document.querySelectorAll("[id]")].map((n) => n.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push("id given twice: " + id);
  for (const n of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
    for (const id of ((n.getAttribute("aria-describedby") || "") + " " + (n.getAttribute("aria-labelledby") || "")).trim().split(/\s+/))
      if (!document.getElementById(id)) wrong.push("refers to nothing: " + id);
  let before = 0;
  for (const n of document.querySelectorAll("h1, h2, h3, h4")) {
    if (!n.checkVisibility()) continue;
    const level = +n.tagName[1];
    if (level > before + 1) wrong.push("heading order: " + name(n));
    before = level;
  }
  if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("body *")].filter((n) => shown(n) && n.getBoundingClientRect().right > innerWidth + 1).map(name);
    wrong.push("wider than the window: " + document.documentElement.scrollWidth + " " + wide.slice(0, 3).join(" | "));
  }
  for (const n of document.querySelectorAll("a, button, input:not([type=hidden]), select, summary")) {
    if (!shown(n)) continue;
    const label = n.closest("label");
    const box = (label && label.classList.contains("tick") ? label : n).getBoundingClientRect();
    const inText = n.tagName === "A" && getComputedStyle(n).display === "inline";
    if (!inText && (box.height < 38 || box.width < 38)) wrong.push("small target, " + Math.round(box.width) + "x" + Math.round(box.height) + ": " + name(n));
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const probe = document.body.appendChild(document.createElement("i")); // the browser's own paper, dark where the page may be
  probe.style.color = "Canvas";
  const paper = rgba(getComputedStyle(probe).color);
  probe.remove();
  const behind = (n) => {
    const chain = [];
    for (let p = n; p; p = p.parentElement) { const s = getComputedStyle(p); if (s.backgroundImage !== "none") return null; chain.push(rgba(s.backgroundColor)); }
    return chain.reverse().reduce((under, c) => over(c, under), paper);
  };
  const light = (c) => { const f = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const seen = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const n = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || seen.has(n) || !shown(n)) continue;
    seen.add(n);
    const under = behind(n);
    if (!under) continue;
    const a = light(over(rgba(getComputedStyle(n).color), under)), b = light(under);
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) wrong.push("contrast " + ratio.toFixed(2) + ": " + name(n));
  }
  return wrong;
})()
