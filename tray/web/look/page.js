// What the pages do beyond HTML. Every answer is a page that the server drew; a part of it is put in place of the
// same part here, as nodes. No text becomes markup: the content policy forbids it too.
"use strict";

const $ = (id) => document.getElementById(id);
const all = (selector, within) => [...(within || document).querySelectorAll(selector)];
const say = (words) => { const p = $("say"); p.textContent = ""; setTimeout(() => { p.textContent = words; }, 50); };
document.documentElement.classList.add("script");

// ask sends a form, or asks for the page again, and hands on the page that comes back.
function ask(url, body, then, progress) {
  const x = new XMLHttpRequest();
  x.open(body ? "POST" : "GET", url);
  x.responseType = "document";
  if (!body) x.setRequestHeader("Countersign-Refresh", "1");
  if (progress) x.upload.onprogress = (e) => e.lengthComputable && progress(Math.floor(100 * e.loaded / e.total));
  x.onload = () => x.response && then(x.response, x.status);
  x.onerror = () => then(null, 0);
  x.send(body);
  return x;
}

// filled is a form as the browser would send it.
function filled(form, button) {
  const data = new FormData(form, button);
  return form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
}

// put takes parts over from another page. A part that is being typed in stays, and focus and open details are kept.
function put(doc, ids) {
  for (const id of ids) {
    const now = $(id), next = doc.getElementById(id);
    if (!now || !next || now.isEqualNode(next) || now.querySelector(":popover-open")) continue;
    const at = document.activeElement;
    if (now.contains(at) && /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName)) continue;
    if (all("input:not([type=hidden], [type=checkbox], [type=radio])", now).some((i) => i.value !== i.defaultValue)) continue;
    if (all("select", now).some((s) => s.selectedIndex > 0)) continue;
    const open = all("details", now).map((d) => d.open);
    const where = now.contains(at) ? all("a, button, summary", now).indexOf(at) : -1;
    now.replaceChildren(...document.adoptNode(next).childNodes);
    all("details", now).forEach((d, i) => { d.open = d.open || !!open[i]; });
    if (where >= 0) (all("a, button, summary", now)[where] || $("main")).focus();
    ready(now);
  }
}

// Live refresh: the server says what kind of thing happened; parts that show such things are asked for again.
let due = null, source = null, silent = 0;
function listen() {
  if (source) source.close();
  source = null;
  if (document.hidden) return; // a browser opens six connections to one place, for all its windows together
  source = new EventSource("live?after=" + document.body.dataset.at);
  source.onopen = () => { silent = 0; $("gone").hidden = true; };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED || ++silent > 3) $("gone").hidden = false; };
  source.onmessage = (e) => {
    const what = JSON.parse(e.data);
    if (what.says) say(what.says);
    clearTimeout(due);
    due = setTimeout(refresh, 150);
  };
}
function refresh() {
  const parts = all("[data-live]").map((n) => n.id);
  if (parts.length) ask(location.href.split("#")[0], null, (doc, status) => doc && status === 200 && put(doc, parts));
}

// A draft saves itself; what comes back tells how each recipient stands.
function draft(form) {
  let timer = null, running = false, again = false;
  const body = () => { const b = new FormData(form); b.delete("file"); return b; };
  const shown = (doc, status) => {
    running = false;
    if (status !== 200) { $("why").textContent = "This could not be kept: Countersign does not answer."; return; }
    put(doc, ["states", "files", "send", "note"]);
    if (again) { again = false; save(); }
  };
  function save() {
    if (running) { again = true; return; }
    running = true;
    ask(form.action, body(), shown);
  }
  const soon = (ms) => { clearTimeout(timer); timer = setTimeout(save, ms); };
  form.addEventListener("input", (e) => { if (e.target.type !== "file") soon(/^(to|cc|bcc)$/.test(e.target.name) ? 350 : 1200); });
  const attach = (input) => {
    if (!input.files.length) return;
    running = true;
    const name = input.files.length === 1 ? input.files[0].name : input.files.length + " files";
    say("Attaching " + name);
    ask(form.action, new FormData(form), (doc, status) => { input.value = ""; shown(doc, status); say(status === 200 ? "Attached: " + name : "Not attached"); },
      (percent) => { $("why").textContent = "Sealing " + name + ": " + percent + " %"; });
  };
  form.addEventListener("change", (e) => { if (e.target.type === "file") attach(e.target); });
  attach(form.file); // chosen before this script ran
  form.addEventListener("click", (e) => {
    const b = e.target.closest("button");
    if (!b) return;
    if (b.dataset.pick) {
      e.preventDefault();
      const whole = form.to.value.split(/[,;]/).map((s) => s.trim()).filter(Boolean).slice(0, -1);
      form.to.value = [...whole, b.dataset.pick].join(", ") + ", ";
      form.to.focus();
      save();
    } else if (b.name === "detach") {
      e.preventDefault();
      const one = body();
      one.append("detach", b.value);
      running = true;
      ask(form.action, one, shown);
    } else if (b.getAttribute("aria-disabled") === "true") {
      e.preventDefault();
      say($("why").textContent);
      clearTimeout(timer);
      save();
    } else {
      clearTimeout(timer);
      leaving = true;
    }
  });
  let leaving = false;
  addEventListener("pagehide", () => { if (!leaving && timer) navigator.sendBeacon(form.action, body()); });
}

// Boxes for words: one word each, typed, never pasted. A word is known by its first four letters.
let words = null;
function list(then) {
  if (words) return then(words);
  const x = new XMLHttpRequest();
  x.open("GET", "wordlist");
  x.onload = () => { words = x.status === 200 ? x.responseText.split("\n") : []; then(words); };
  x.send();
}
function boxes(group) {
  const inputs = all("input", group), hint = group.parentElement.querySelector("[data-hint]");
  const tell = (t) => { if (hint) hint.textContent = t; };
  const on = (i) => { const n = inputs[i + 1]; if (n) { n.focus(); n.select(); } else group.closest("form").querySelector("button").focus(); };
  const known = (w) => !words || !words.length || words.some((k) => k === w || w.length >= 4 && k.slice(0, 4) === w.slice(0, 4));
  const look = (input) => {
    const w = input.value.trim().toLowerCase(), bad = w !== "" && !known(w);
    input.setAttribute("aria-invalid", bad);
    input.toggleAttribute("data-known", w !== "" && !bad);
    if (bad) tell("“" + input.value.trim() + "” is not on the list of words. Ask to hear it again.");
    return !bad;
  };
  list(() => {});
  inputs.forEach((input, i) => {
    input.addEventListener("input", () => {
      const typed = input.value.toLowerCase();
      input.value = typed.replace(/[\s,.]+/g, "");
      input.removeAttribute("aria-invalid");
      input.removeAttribute("data-known");
      if (!input.value) return;
      if (/[\s,.]$/.test(typed)) { if (look(input)) on(i); return; }
      // After the last word only a space goes on: on the button, the space that people type after a word would press it.
      if (words && words.includes(input.value) && !words.some((k) => k !== input.value && k.startsWith(input.value)) && look(input) && inputs[i + 1]) on(i);
    });
    input.addEventListener("blur", () => look(input));
    input.addEventListener("keydown", (e) => {
      if (e.key === "Backspace" && !input.value && i) { e.preventDefault(); inputs[i - 1].focus(); }
    });
  });
}
function typedOnly(e) {
  if (!/^insertFrom(Paste|Drop|Yank)/.test(e.inputType) || !e.target.closest("[data-words], [data-nopaste]")) return;
  e.preventDefault();
  const words = "Pasting does not work here: type what you hear.";
  const hint = e.target.closest("form").querySelector("[data-hint], .hint");
  if (hint) hint.textContent = words;
  say(words);
}

// ready starts whatever a new part needs.
function ready(within) {
  all("form[data-draft]", within).forEach(draft);
  all("[data-words]", within).forEach(boxes);
  all("form[data-silent]", within).forEach((f) => ask(f.action, filled(f), () => refresh()));
}
addEventListener("beforeinput", typedOnly);
for (const kind of ["paste", "drop"]) addEventListener(kind, (e) => {
  if (e.target.closest && e.target.closest("[data-words], [data-nopaste]")) typedOnly({ target: e.target, inputType: "insertFromPaste", preventDefault: () => e.preventDefault() });
}, true);

// The simulated telephone answers in place, so that nothing typed on the page is lost. Any other form is sent once:
// what is said twice may count twice.
addEventListener("submit", (e) => {
  const part = e.target.dataset.part;
  if (!part) {
    if (e.target.dataset.sent) e.preventDefault();
    e.target.dataset.sent = "yes";
    return;
  }
  e.preventDefault();
  if (e.submitter) e.submitter.setAttribute("aria-busy", "true");
  ask(e.target.action, filled(e.target, e.submitter), (doc) => {
    if (!doc) return;
    put(doc, [part, "note"]);
    if ($("note").textContent.trim()) { say($("note").textContent); $("note").scrollIntoView({ block: "nearest" }); }
  });
  e.target.reset();
});
addEventListener("pageshow", (e) => { // gone back to as it was left
  if (!e.persisted) return;
  all("form[data-sent]").forEach((f) => { delete f.dataset.sent; });
  refresh();
});
addEventListener("click", (e) => {
  if (!e.target.closest) return;
  if (e.target.closest("[data-print]")) print();
  const a = e.target.closest("a[data-number]"), dial = $("dial");
  if (!a || !dial) return;
  e.preventDefault();
  dial.value = a.dataset.number;
  $("phone").scrollIntoView({ block: "nearest" });
  dial.form.requestSubmit();
});
addEventListener("visibilitychange", () => { listen(); if (!document.hidden) refresh(); });
addEventListener("DOMContentLoaded", () => {
  ready(document);
  listen();
  const first = document.querySelector("#note .stop, #note .care") || document.querySelector("#note .good") && document.querySelector("#verifying [data-words] input");
  if (first) first.focus();
});
