// What the pages do beyond HTML. Every answer is a page that the server drew; a part of it is put in place of the
// same part here, as nodes. No text becomes markup: the content policy forbids it too.
"use strict";

const $ = (id) => document.getElementById(id);
const all = (selector, within) => [...(within || document).querySelectorAll(selector)];
const say = (words) => { const p = $("say"); p.textContent = ""; setTimeout(() => { p.textContent = words; }, 50); };
document.documentElement.classList.add("script");
$("gone").hidden = true;
$("page").hidden = false; // not before: what cannot be taken off the screen again is not put there
const wanted = document.querySelector("[autofocus]");
if (wanted) wanted.focus();

// ask sends a form, or asks for the page again, and hands on the page that comes back: null if none of this session's
// did. The port of an agent that has ended may be anybody's, so an answer proves itself by the session's token.
function ask(url, body, then, progress) {
  const x = new XMLHttpRequest(), after = ended;
  x.open(body ? "POST" : "GET", url);
  x.responseType = "document";
  if (!body) x.setRequestHeader("Countersign-Refresh", "1");
  if (progress) x.upload.onprogress = (e) => e.lengthComputable && progress(Math.floor(100 * e.loaded / e.total));
  x.onloadend = () => {
    const ours = x.response && x.response.body.dataset.token === document.body.dataset.token;
    if (!ours && body) check();
    if (!body && !ours) over();
    if (!body && ours && after) back(); // what was asked before the end says nothing of now
    then(ours ? x.response : null, ours ? x.status : 0);
  };
  x.send(body);
}
const here = () => location.href.split("#")[0];
const check = () => ask(here(), null, () => {});

// filled is a form as the browser would send it.
function filled(form, button) {
  const data = new FormData(form, button);
  return form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
}

// put takes parts over from another page. What a person has entered or ticked stays, and so do focus and open details.
function put(doc, ids) {
  for (const id of ids) {
    const now = $(id), next = doc.getElementById(id), at = document.activeElement;
    if (!now || !next) continue;
    const inside = now.contains(at);
    merge(now, next);
    if (inside && document.activeElement !== at) (at.isConnected ? at : $("main")).focus({ preventScroll: true });
  }
}

// entered tells whether somebody has changed a field.
function entered(field) {
  if (field.type === "file") return field.files.length > 0;
  if (/^(checkbox|radio)$/.test(field.type)) return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return field.selectedIndex !== Math.max(0, [...field.options].findIndex((o) => o.defaultSelected));
  return field.value !== field.defaultValue;
}
const inUse = (field) => field.matches("input, textarea, select") && (entered(field) || field === document.activeElement);

// key is what makes a node the same one on both pages: never its place alone, so that what has the focus does not
// become something else under it.
function key(n) {
  if (n.nodeType !== Node.ELEMENT_NODE) return n.nodeName;
  const own = n.id || n.getAttribute("href") || n.name && n.name + (/^(checkbox|radio|hidden)$/.test(n.type) ? n.value : "");
  if (own) return n.tagName + own;
  if (n.tagName === "FORM") return n.getAttribute("action") + all("input[type=hidden]", n).map((i) => i.value);
  if (/^(BUTTON|SUMMARY)$/.test(n.tagName)) return n.tagName + n.textContent.trim();
  const first = n.querySelector("[id], form, a, summary, input, button");
  return n.tagName + (first ? key(first) : "");
}

// merge makes a node like one of another page, changing only what differs.
function merge(now, next) {
  if (now.isEqualNode(next) || now.dataset && "hint" in now.dataset) return;
  if (now.nodeType !== Node.ELEMENT_NODE) { now.data = next.data; return; }
  if (inUse(now)) return;
  for (const a of [...now.attributes]) if (!next.hasAttribute(a.name) && !/^(open|data-sent)$/.test(a.name)) now.removeAttribute(a.name);
  for (const a of next.attributes) if (now.getAttribute(a.name) !== a.value) now.setAttribute(a.name, a.value);
  const had = Map.groupBy(now.childNodes, key);
  const pairs = [...next.childNodes].map((want) => [(had.get(key(want)) || []).shift(), want]);
  for (const n of [...had.values()].flat()) if (!keep(n)) n.remove();
  let at = now.firstChild;
  for (const [old, want] of pairs) {
    while (at && at.dataset && "past" in at.dataset) at = at.nextSibling;
    if (old) merge(old, want);
    if (old && old === at) { at = at.nextSibling; continue; }
    now.insertBefore(old || document.adoptNode(want), at);
    if (!old && want.nodeType === Node.ELEMENT_NODE) ready(want);
  }
}

// keep leaves in place what is gone from the page, while it holds what somebody entered.
function keep(n) {
  if (n.nodeType !== Node.ELEMENT_NODE || !inUse(n) && !all("input, textarea, select", n).some(inUse)) return false;
  if ("past" in n.dataset) return true;
  n.dataset.past = "";
  const p = document.createElement("p");
  p.className = "hint";
  p.textContent = "This has changed. It stays here because of what you entered, until you leave the page.";
  n.append(p);
  say(p.textContent);
  return true;
}

// Live refresh: the server says that something happened; the parts that show such things are asked for again.
let due = null, source = null;
function listen() {
  if (source) source.close();
  source = null;
  if (document.hidden) return; // a browser opens six connections to one place, for all its windows together
  source = new EventSource("live?after=" + document.body.dataset.at);
  source.onopen = () => ended && check();
  source.onerror = check;
  source.onmessage = (e) => {
    const what = JSON.parse(e.data);
    if (what.says) say(what.says);
    clearTimeout(due);
    due = setTimeout(refresh, 150);
  };
}
function refresh() {
  const parts = all("[data-live]").map((n) => n.id);
  ask(here(), null, (doc, status) => status === 200 && put(doc, parts));
}

// over takes mail off the screen: Countersign was locked or has ended. Only what was typed last and could not be kept
// stays. back shows the page again, should the same session answer after all.
let ended = false, writing = null;
function over() {
  if (ended) return;
  ended = true;
  const typed = writing && writing.typed();
  $("gone-draft").textContent = typed ? "What you typed last could not be kept: it stays here until you close this window." : writing ? "What you wrote is among your drafts." : "";
  $("side").hidden = true;
  $("gone").hidden = false;
  if (source && source.readyState !== EventSource.CLOSED) listen(); // until it answers again
  if (typed) return;
  $("main").replaceChildren();
  $("gone").focus();
}
function back() {
  if (!ended) return;
  ended = false;
  if (!$("main").firstChild) return location.replace(writing ? writing.place : here());
  $("side").hidden = false;
  $("gone").hidden = true;
  writing.save();
}

// A draft saves itself; what comes back tells how each recipient stands.
function draft(form) {
  let timer = null, running = false, again = false, refused = false, leaving = false;
  const body = () => { const b = new FormData(form); b.delete("file"); return b; };
  const shown = (doc, status) => {
    running = false;
    if (status !== 200) { again = true; $("why").textContent = "This could not be kept: Countersign does not answer."; return; }
    refused = !!doc.querySelector("#note .stop");
    put(doc, ["states", "files", "send", "note"]);
    if (again) { again = false; save(); }
  };
  function save() {
    clearTimeout(timer);
    timer = null;
    again = running || ended;
    if (again) return;
    running = true;
    ask(form.action, body(), shown);
  }
  // While somebody goes on typing it is kept as well, so that little is lost when Countersign ends.
  const soon = (ms) => { timer = timer || setTimeout(save, ms); };
  writing = { place: form.action, save, typed: () => running || again || refused || timer !== null };
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
      save();
    } else {
      clearTimeout(timer);
      leaving = true;
    }
  });
  addEventListener("pagehide", () => { if (!leaving && !ended && timer) navigator.sendBeacon(form.action, body()); });
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
function ready(part) {
  const those = (selector) => part.matches && part.matches(selector) ? [part] : all(selector, part);
  those("form[data-draft]").forEach(draft);
  those("[data-words]").forEach(boxes);
  those("form[data-silent]").forEach((f) => ask(f.action, filled(f), refresh));
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
    if (e.submitter) e.submitter.setAttribute("aria-busy", "true");
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
  all("[aria-busy]").forEach((b) => b.removeAttribute("aria-busy"));
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
