
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { suspects, classes, pictures, kind, columns } = data;
  const PAGE = kind === "image" ? 60 : 50;
  const COLUMNS = ["row", "decision", "new_label", "given_label", "dataset_version"];
  const number = new Intl.NumberFormat("en");
  const byId = (id) => document.getElementById(id);
  const labelText = (k) => classes[k].text;
  const classOfText = new Map(classes.map((c, k) => [c.text, k]));

  // The class that a digit stands for: the one called so, else the one at that place.
  const calledByDigit = classes.some((c) => /^[0-9](\.0)?$/.test(c.name));
  const digitOf = (c, k) => (calledByDigit ? c.name.replace(/\.0$/, "") : String(k));
  const classOfDigit = new Map(classes.length > 10 ? [] : classes.map((c, k) => [digitOf(c, k), k]));

  // ---- What was decided: row -> {d, k}; the order is the order of deciding. ----
  const decisions = new Map();
  const history = []; // [row, decision before], or [null, foreign before]
  let foreign = []; // decisions of a loaded file for rows that this report leaves out
  let unsaved = false;
  const storeKey = "hubclean:" + data.report_id;

  function store() {
    unsaved = true;
    try {
      const entries = [...decisions].map(([row, d]) => d.d === "relabel" ? [row, d.d, labelText(d.k)] : [row, d.d]);
      localStorage.setItem(storeKey, JSON.stringify({ entries, foreign }));
      unsaved = false;
    } catch {
      say("This browser does not keep the decisions. Export them before you close the page.");
    }
  }

  // Another tab with this report has decided something.
  function takeOver() {
    decisions.clear();
    history.length = 0;
    foreign = [];
    restore();
    shownPage = -1;
    panelShows = -1;
    show();
  }

  function restore() {
    let kept;
    try {
      kept = JSON.parse(localStorage.getItem(storeKey) || "null");
    } catch {
      return;
    }
    if (!kept || !Array.isArray(kept.entries)) return;
    const given = new Map(suspects.map((s) => [s.row, s.given]));
    if (Array.isArray(kept.foreign)) foreign = kept.foreign.filter((line) => Array.isArray(line) && rowNumber(line[0]) === line[0]);
    if (foreign.length) history.push([null, []]);
    for (const [row, d, label] of kept.entries) {
      if (!given.has(row) || !["keep", "relabel", "prune"].includes(d)) continue;
      const k = typeof label === "number" ? label : classOfText.get(label);
      if (d === "relabel" && !classes[k]) continue;
      history.push([row, undefined]);
      decisions.set(row, d === "relabel" ? { d, k } : { d });
    }
  }

  // ---- What is shown. ----
  let found = suspects.map((_, i) => i);
  let place = 0; // position in `found`
  let shownPage = -1;

  const texts = suspects.map((s) =>
    [s.row, number.format(s.row), s.name || "", classes[s.given].name, classes[s.predicted].name,
      Array.isArray(s.content) ? s.content.join(" ") : s.content || ""].join("\n").toLowerCase());

  function filter() {
    const [given, predicted] = byId("pair").value.split(">").map(Number);
    const pair = byId("pair").value !== "";
    const state = byId("state").value;
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const current = found[place];
    found = [];
    suspects.forEach((s, i) => {
      const d = decisions.get(s.row);
      if (pair && (s.given !== given || s.predicted !== predicted)) return;
      if (state === "open" && d) return;
      if (state === "done" && !d) return;
      if (!["all", "open", "done"].includes(state) && (!d || d.d !== state)) return;
      if (!words.every((word) => texts[i].includes(word))) return;
      found.push(i);
    });
    place = Math.max(0, found.indexOf(current));
    shownPage = -1;
    show();
  }

  function element(tag, name, text) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  }

  // Somebody's words run from the left or from the right.
  const written = (node) => Object.assign(node, { dir: "auto" });

  function picture(i) {
    if (!pictures[i]) return element("span", "empty");
    const image = element("img");
    image.alt = "";
    image.decoding = "async";
    image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth <= 64));
    image.src = pictures[i];
    return image;
  }

  function content(i, large) {
    const s = suspects[i];
    if (kind === "image") return picture(i);
    if (s.content === null) return element("span", "words", s.name || "row " + number.format(s.row));
    if (kind === "text") {
      const words = written(element("span", "words", s.content));
      if (large) words.tabIndex = 0;
      return words;
    }
    if (!large) return element("span", "words", s.content.map((cell, c) => columns[c] + " " + cell).join("   "));
    const list = element("dl", "facts");
    list.tabIndex = 0;
    s.content.forEach((cell, c) => list.append(element("dt", "", columns[c]), written(element("dd", "", cell))));
    return list;
  }

  const quality = (s) => (s.label_quality === null ? "not judged" : s.label_quality.toFixed(3));

  function decided(s) {
    const d = decisions.get(s.row);
    if (!d) return "";
    return d.d === "relabel" ? "→ " + classes[d.k].name : d.d === "keep" ? "kept" : "pruned";
  }

  function tile(i, p) {
    const s = suspects[i];
    const node = element("li", "tile");
    node.id = "suspect-" + i;
    node.setAttribute("role", "option");
    node.dataset.place = p;
    const names = element("div", "names");
    const unseen = (text) => element("span", "hidden", text);
    names.append(unseen("given "), element("span", "from", classes[s.given].name),
      unseen(", predicted "), element("span", "to", "→ " + classes[s.predicted].name));
    const small = element("div", "small");
    const rowName = element("span", "", "row " + number.format(s.row));
    small.append(unseen(", quality "), element("span", "", quality(s)), unseen(", "), rowName);
    const shown = content(i, false);
    node.append(...(kind === "image" ? [shown, names, small] : [names, shown, small]));
    mark(node, s);
    return node;
  }

  function mark(node, s) {
    const d = decisions.get(s.row);
    const old = node.querySelector(".badge");
    if (old) old.remove();
    node.classList.toggle("pruned", Boolean(d) && d.d === "prune");
    if (d) node.append(element("span", "badge " + d.d, decided(s)));
  }

  function show(move) {
    const gallery = byId("gallery");
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const page = Math.floor(place / PAGE);
    if (page !== shownPage) {
      const start = page * PAGE;
      gallery.replaceChildren(...found.slice(start, start + PAGE).map((i, k) => tile(i, start + k)));
      shownPage = page;
    }
    const n = found.length;
    byId("found").textContent = n === suspects.length
      ? `${number.format(n)} suspects, worst first` : `${number.format(n)} of ${number.format(suspects.length)} suspects`;
    byId("page-text").textContent = `Page ${page + 1} of ${pages}`;
    byId("page-back").disabled = page === 0;
    byId("page-next").disabled = page >= pages - 1;
    byId("nothing").hidden = n > 0;
    byId("gallery").hidden = n === 0;
    byId("panel").hidden = n === 0;
    select(move);
    progress();
  }

  function select(move) {
    const gallery = byId("gallery");
    for (const node of gallery.children) {
      const chosen = Number(node.dataset.place) === place;
      node.setAttribute("aria-selected", String(chosen));
      if (!chosen) continue;
      gallery.setAttribute("aria-activedescendant", node.id);
      mark(node, suspects[found[place]]);
      if (move) node.scrollIntoView({ block: "nearest" });
    }
    if (!found.length) gallery.removeAttribute("aria-activedescendant");
    else panel();
  }

  let panelShows = -1;

  function panel() {
    const i = found[place];
    const s = suspects[i];
    const d = decisions.get(s.row);
    byId("panel-title").textContent = s.name || "Row " + number.format(s.row);
    byId("panel-place").textContent = (s.name ? `row ${number.format(s.row)} · ` : "") + `${number.format(place + 1)} of ${number.format(found.length)}`;
    if (panelShows !== i) byId("panel-content").replaceChildren(content(i, true));
    panelShows = i;
    byId("panel-given").textContent = classes[s.given].name;
    byId("panel-predicted").textContent = classes[s.predicted].name;
    byId("panel-quality").textContent = quality(s);
    byId("panel-meter").value = s.label_quality === null ? 0 : s.label_quality;
    byId("panel-state").className = "state " + (d ? d.d : "");
    byId("panel-state").textContent = !d ? "" : d.d === "relabel" ? "Relabelled to " + classes[d.k].name
      : d.d === "keep" ? "Kept as " + classes[s.given].name : "Pruned";
    byId("relabel-text").textContent = "Relabel to " + classes[s.predicted].name;
    byId("relabel").disabled = s.given === s.predicted;
    byId("keep").setAttribute("aria-pressed", String(Boolean(d) && d.d === "keep"));
    byId("relabel").setAttribute("aria-pressed", String(Boolean(d) && d.d === "relabel" && d.k === s.predicted));
    byId("prune").setAttribute("aria-pressed", String(Boolean(d) && d.d === "prune"));
    byId("other").value = String(d && d.d === "relabel" ? d.k : s.predicted);
    byId("back").disabled = place === 0;
    byId("next").disabled = place >= found.length - 1;
  }

  function progress() {
    const n = decisions.size;
    byId("progress").value = n;
    byId("progress-text").textContent = `${number.format(n)} of ${number.format(suspects.length)} decided`;
    byId("export").disabled = n + foreign.length === 0;
    byId("undo").disabled = history.length === 0;
  }

  function say(text) {
    byId("message").textContent = text;
    byId("message").hidden = !text;
    byId("status").textContent = text;
  }

  // ---- What can be done. ----
  function decide(d, k) {
    if (!found.length) return;
    const s = suspects[found[place]];
    if (d === "relabel" && k === s.given) d = "keep";
    history.push([s.row, decisions.get(s.row)]);
    decisions.delete(s.row); // now it is the last one decided
    decisions.set(s.row, d === "relabel" ? { d, k } : { d });
    store();
    const node = byId("suspect-" + found[place]);
    if (node) mark(node, s);
    const done = `Row ${number.format(s.row)} ${decided(s)}. ${progressText()}`;
    if (place < found.length - 1) place += 1;
    show(true);
    const now = suspects[found[place]];
    byId("status").textContent = now === s ? `${done} This was the last one.`
      : `${done} Now row ${number.format(now.row)}: given ${classes[now.given].name}, predicted ${classes[now.predicted].name}.`;
  }

  function progressText() {
    return `${number.format(decisions.size)} of ${number.format(suspects.length)} decided.`;
  }

  function undo() {
    const last = history.pop();
    if (!last) return;
    const [row, before] = last;
    if (row === null) foreign = before;
    else if (before) decisions.set(row, before);
    else decisions.delete(row);
    store();
    const p = found.findIndex((i) => suspects[i].row === row);
    if (p >= 0) place = p;
    shownPage = -1;
    panelShows = -1;
    show(true);
    if (row === null) say(`Undone: the decisions loaded for rows that are not in this report. ${number.format(foreign.length)} are left.`);
    else byId("status").textContent = `Undone: row ${number.format(row)}. ${progressText()}`;
  }

  function go(to) {
    if (!found.length) return;
    place = Math.min(found.length - 1, Math.max(0, to));
    show(true);
  }

  function other() {
    decide("relabel", Number(byId("other").value));
    byId("gallery").focus({ preventScroll: true });
  }

  // ---- The decisions file. ----
  const quoted = (value) => (/[",\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value);

  function csv() {
    const lines = suspects.filter((s) => decisions.has(s.row)).map((s) => {
      const d = decisions.get(s.row);
      return [String(s.row), d.d, d.d === "relabel" ? labelText(d.k) : "", labelText(s.given), data.dataset_version];
    });
    const all = [...lines, ...foreign].sort((a, b) => Number(a[0]) - Number(b[0]));
    return [COLUMNS, ...all].map((line) => line.map(quoted).join(",") + "\r\n").join("");
  }

  function exportFile() {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    unsaved = false;
    say(`${number.format(decisions.size + foreign.length)} decisions exported to decisions.csv.`);
  }

  function parse(text, separator) {
    const lines = [];
    let line = [], cell = "", inside = false;
    text = text.replace(/^\ufeff/, "");
    for (let i = 0; i < text.length; i += 1) {
      const c = text[i];
      if (inside && c === '"' && text[i + 1] === '"') { cell += '"'; i += 1; }
      else if (c === '"') inside = !inside;
      else if (!inside && c === separator) { line.push(cell); cell = ""; }
      else if (!inside && (c === "\n" || c === "\r")) {
        if (cell || line.length) lines.push([...line, cell]);
        line = []; cell = "";
      } else cell += c;
    }
    if (cell || line.length) lines.push([...line, cell]);
    return lines;
  }

  // "48", and "48.0" as a table writes it beside a missing value; "" where it is no position.
  function rowNumber(text) {
    const row = /^\s*\d+(\.0*)?\s*$/.test(text) ? Number(text) : NaN;
    return Number.isSafeInteger(row) ? String(row) : "";
  }

  function load(text, name) {
    // A spreadsheet writes semicolons where a comma stands in numbers.
    const [head, ...lines] = [",", ";", "\t"].map((separator) => parse(text, separator))
      .find(([first]) => first && COLUMNS.every((column) => first.includes(column))) || [[]];
    const at = COLUMNS.map((column) => head.indexOf(column));
    if (at.some((position) => position < 0)) {
      say(`${name} is not a decisions file: its first line must name ${COLUMNS.join(", ")}. Nothing was loaded.`);
      return;
    }
    const read = lines.filter((line) => line.some((cell) => cell.trim()))
      .map((line) => at.map((position) => line[position] ?? ""));
    const wrong = read.find((line) => line[4] !== data.dataset_version);
    if (wrong) {
      say(`${name} was made for version ${wrong[4] || "(none)"} of the data; this report is for ${data.dataset_version}. Nothing was loaded.`);
      return;
    }
    const bySuspect = new Map(suspects.map((s) => [String(s.row), s]));
    // "3", and "3.0" as a table writes it beside a missing value.
    const classOf = (label) => classOfText.get(label) ?? classOfText.get(label.replace(/\.0+$/, ""));
    let taken = 0, other = 0, refused = 0;
    const elsewhere = new Map();
    for (const line of read) {
      const [, , label, given] = line;
      const d = line[1].trim().toLowerCase();
      const k = d === "relabel" ? classOf(label) : undefined;
      const row = rowNumber(line[0]);
      const s = bySuspect.get(row);
      if (!row || !["keep", "relabel", "prune"].includes(d) || (d === "relabel" && k === undefined)) refused += 1;
      else if (!s) elsewhere.set(row, [row, ...line.slice(1)]);
      else if (classOf(given) !== s.given) refused += 1;
      else {
        const before = decisions.get(s.row);
        history.push([s.row, before]);
        decisions.set(s.row, d === "relabel" ? { d, k } : { d });
        taken += 1;
        if (before && (before.d !== d || before.k !== k)) other += 1;
      }
    }
    if (elsewhere.size) history.push([null, foreign]);
    foreign = [...foreign.filter((line) => !elsewhere.has(line[0])), ...elsewhere.values()];
    store();
    goOn(true);
    say(`${number.format(taken)} decisions loaded from ${name}.` +
      (other ? ` ${number.format(other)} of them replace another decision.` : "") +
      (elsewhere.size ? ` ${number.format(elsewhere.size)} more are for rows that are not in this report; they are exported again.` : "") +
      (refused ? ` ${number.format(refused)} lines do not fit this report and were left out.` : ""));
  }

  function goOn(move) {
    const open = found.findIndex((i) => !decisions.has(suspects[i].row));
    place = open < 0 ? 0 : open;
    shownPage = -1;
    panelShows = -1;
    show(move);
  }

  // ---- Keys and clicks. ----
  function perLine() {
    const tiles = byId("gallery").children;
    let n = 1;
    while (n < tiles.length && tiles[n].offsetTop === tiles[0].offsetTop) n += 1;
    return n;
  }

  const moves = {
    ArrowLeft: () => place - 1, ArrowRight: () => place + 1,
    ArrowUp: () => place - perLine(), ArrowDown: () => place + perLine(),
    PageUp: () => place - PAGE, PageDown: () => place + PAGE,
    Home: () => 0, End: () => found.length - 1,
  };
  const letters = {
    k: () => decide("keep"),
    r: () => (byId("relabel").disabled ? byId("other").focus() : decide("relabel", suspects[found[place]]?.predicted)),
    o: () => byId("other").focus(),
    p: () => decide("prune"),
    u: undo,
    "/": () => byId("search").focus(),
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.repeat && !moves[event.key]) return; // a key held down decides once
    const tag = event.target.tagName;
    if (event.target.id === "other" && event.key === "Enter") { event.preventDefault(); other(); return; }
    if (["other", "search", "pair", "state"].includes(event.target.id) && event.key === "Escape") {
      if (event.target.id === "search") { event.target.value = ""; filter(); }
      byId("gallery").focus();
    }
    if (tag === "INPUT" || tag === "SELECT" || tag === "TEXTAREA") return;
    const inList = event.target.id === "gallery";
    const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
    if (moves[event.key] && (inList || (sideways && !event.target.closest(".scroll")))) {
      event.preventDefault();
      go(moves[event.key]());
    } else if (byId("keys-on").checked) {
      // On a keyboard without Latin letters the place of the key counts.
      const letter = letters[(/^[ -~]$/.test(event.key) ? event.key : event.code.replace("Key", "")).toLowerCase()];
      const digit = /^[0-9]$/.test(event.key) && classOfDigit.has(event.key);
      if (letter) { event.preventDefault(); letter(); }
      else if (digit) { event.preventDefault(); decide("relabel", classOfDigit.get(event.key)); }
    }
  }

  function options() {
    const all = element("option", "", `all (${number.format(suspects.length)})`);
    all.value = "";
    const counts = new Map();
    for (const s of suspects) counts.set(s.given + ">" + s.predicted, (counts.get(s.given + ">" + s.predicted) || 0) + 1);
    const pairs = [...counts].sort((a, b) => b[1] - a[1]).map(([value, n]) => {
      const [given, predicted] = value.split(">");
      const option = element("option", "", `${classes[given].name} → ${classes[predicted].name} (${number.format(n)})`);
      option.value = value;
      return option;
    });
    byId("pair").replaceChildren(all, ...pairs);
    byId("other").replaceChildren(...classes.map((c, k) => {
      const option = element("option", "", classOfDigit.size && !calledByDigit ? `${c.name}  (${k})` : c.name);
      option.value = String(k);
      return option;
    }));
  }

  const on = (id, event, run) => byId(id).addEventListener(event, run);
  document.addEventListener("keydown", key);
  on("gallery", "click", (event) => {
    const node = event.target.closest(".tile");
    if (node) go(Number(node.dataset.place));
  });
  for (const id of ["pair", "state"]) on(id, "change", filter);
  let waiting;
  on("search", "input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  on("filters", "submit", (event) => { event.preventDefault(); filter(); byId("gallery").focus(); });
  on("clear", "click", () => { byId("filters").reset(); filter(); byId("gallery").focus(); });
  on("keep", "click", () => decide("keep"));
  on("relabel", "click", () => decide("relabel", suspects[found[place]].predicted));
  on("prune", "click", () => decide("prune"));
  on("other-apply", "click", other);
  on("undo", "click", undo);
  on("back", "click", () => go(place - 1));
  on("next", "click", () => go(place + 1));
  on("page-back", "click", () => go((Math.floor(place / PAGE) - 1) * PAGE));
  on("page-next", "click", () => go((Math.floor(place / PAGE) + 1) * PAGE));
  on("export", "click", exportFile);
  on("load-button", "click", () => byId("load").click());
  on("load", "change", async (event) => {
    const [file] = event.target.files;
    if (file) load(await file.text(), file.name);
    event.target.value = "";
  });
  window.addEventListener("storage", (event) => { if (event.key === storeKey) takeOver(); });
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  restore();
  options();
  byId("overview").open = window.innerHeight > 700 && window.innerWidth > 900 && decisions.size === 0;
  goOn(decisions.size > 0);
  document.documentElement.dataset.ready = "true";
})();
