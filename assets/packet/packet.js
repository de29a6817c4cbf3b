"use strict";
(() => {
  const packet = JSON.parse(document.getElementById("packet").textContent);
  const id = (name) => document.getElementById(name);
  const DECIDED = ["accepted", "edited", "rejected", "unsure", "skipped"];
  const KEYS = [
    ["A", "accept the proposed label"],
    ["E", "edit: write your own; Enter saves, Esc leaves"],
    ["X", "reject: there is no such label"],
    ["U", "unsure"],
    ["S", "skip"],
    ["F", "flag for a second look"],
    ["1 to 9", "how sure you are"],
    ["J, K or Down, Up", "next and previous feature"],
    ["Left, Right", "previous and next example"],
    ["Enter", "example large; Esc closes it"],
    ["hold H", "hide the heatmap"],
    ["[ ]", "heatmap weaker and stronger"],
    ["I", "invert films"],
    ["Ctrl+Z, Ctrl+Shift+Z", "undo and redo"],
    ["N", "your name"],
    ["Ctrl+S", "save the answers to a file"],
    ["?", "this sheet"],
  ];

  // ---- what the reader said ------------------------------------------------------------------
  const blank = () => ({ state: "", text: "", wrote_first: "", flagged: false, confidence: null, at: "", milliseconds: 0, n_examples: 0, heatmap: false, order: 0 });
  const fresh = (name) => ({ name, entries: packet.items.map(blank), at: 0, n_answered: 0 });
  let reader = fresh(packet.reviewer);
  let undo = [];
  let redo = [];
  let example = 0;
  let kept = true;
  let since = performance.now();
  let seen = new Set();

  const writeFirst = packet.mode === "write-first";
  const item = () => packet.items[reader.at];
  const entry = () => reader.entries[reader.at];
  const isAnswered = (one) => DECIDED.includes(one.state);
  const isRevealed = () => !writeFirst || entry().wrote_first !== "" || isAnswered(entry());
  const place = (name) => "fluoroscope " + packet.packet + " " + name;

  function keep() {
    try {
      localStorage.setItem(place(reader.name), JSON.stringify(reader));
      localStorage.setItem("fluoroscope " + packet.packet, reader.name);
      kept = true;
    } catch {
      kept = false;
    }
  }

  function stored(name) {
    try {
      return checked(JSON.parse(localStorage.getItem(place(name))), name);
    } catch {
      return null;
    }
  }

  // What was stored, or null if it is not of this packet's shape.
  function checked(value, name) {
    if (!value || !Array.isArray(value.entries) || value.entries.length !== packet.items.length) return null;
    const entries = value.entries.map((one) => ({ ...blank(), ...one }));
    return { name, entries, at: Math.min(Math.max(value.at | 0, 0), entries.length - 1), n_answered: value.n_answered | 0 };
  }

  function settle() {
    const now = performance.now();
    if (document.visibilityState === "visible") entry().milliseconds += Math.round(now - since);
    since = now;
  }

  function change(patch, message) {
    settle();
    const before = { ...entry() };
    Object.assign(entry(), patch, { at: new Date().toISOString().slice(0, 19) + "Z" });
    if (isAnswered(entry()) && !isAnswered(before)) entry().order = ++reader.n_answered;
    undo.push([reader.at, before]);
    redo = [];
    keep();
    say(message);
  }

  function step(from, to, word) {
    const last = from.pop();
    if (!last) return say("Nothing to " + word);
    settle();
    const [at, was] = last;
    const { milliseconds, n_examples, heatmap } = reader.entries[at];
    to.push([at, { ...reader.entries[at] }]);
    reader.entries[at] = { ...was, milliseconds, n_examples, heatmap };
    show(at);
    keep();
    say(word === "undo" ? "Taken back" : "Done again");
  }

  function decide(state, text, message) {
    id("large").close();
    change({ state, text }, message);
    id("text").blur();
    const rest = reader.entries.findIndex((one, i) => i > reader.at && !isAnswered(one));
    const left = reader.entries.filter((one) => !isAnswered(one)).length;
    if (left === 0) {
      show(reader.at);
      say("All " + packet.items.length + " features are answered. Save the answers: Ctrl+S");
    } else {
      show(rest >= 0 ? rest : reader.entries.findIndex((one) => !isAnswered(one)));
    }
  }

  const actions = {
    accept() {
      if (!isRevealed()) return say("Write your own label first (E); then the proposed one is shown", true);
      if (!item().proposal) return say("No label is proposed; write one (E)", true);
      decide("accepted", item().proposal, "Feature " + item().feature + " accepted");
    },
    edit() {
      const text = id("text");
      if (text.value === "" && isRevealed()) text.value = item().proposal;
      text.focus();
      text.setSelectionRange(text.value.length, text.value.length);
    },
    reject() {
      if (!isRevealed()) return say("Write your own label first (E); then the proposed one is shown", true);
      decide("rejected", "", "Feature " + item().feature + " rejected");
    },
    unsure: () => decide("unsure", "", "Feature " + item().feature + ": unsure"),
    skip: () => decide("skipped", "", "Feature " + item().feature + " skipped"),
    flag() {
      change({ flagged: !entry().flagged }, entry().flagged ? "No longer flagged" : "Flagged for a second look");
      show(reader.at);
    },
    undo: () => step(undo, redo, "undo"),
    redo: () => step(redo, undo, "redo"),
    previous: () => go(-1),
    next: () => go(1),
  };

  function enterText() {
    const text = id("text").value.trim();
    if (text === "") return say("An edited label needs a text; to say that there is none, reject it (X)", true);
    const same = text === item().proposal;
    if (!same && [...text].length > 300) return say("A label has at most 300 characters; this one has " + [...text].length, true);
    if (!isRevealed()) {
      change({ wrote_first: text }, item().proposal ? "A takes the proposed label, E and Enter keep yours, X rejects" : "No label is proposed; E and Enter keep yours");
      id("text").blur();
      return show(reader.at);
    }
    decide(same ? "accepted" : "edited", text, "Feature " + item().feature + (same ? " accepted" : " has your label"));
  }

  function sure(confidence) {
    change({ confidence: entry().confidence === confidence ? null : confidence }, "");
    show(reader.at);
  }

  // ---- answers as a file ---------------------------------------------------------------------
  function answers() {
    settle();
    return {
      format: "fluoroscope-answers", version: 1, note: "Research use, not for diagnosis",
      packet: packet.packet, sae: packet.sae, sae_hash: packet.sae_hash, reviewer: reader.name, mode: packet.mode,
      answers: packet.items
        .map((one, i) => [one, reader.entries[i]])
        .filter(([, said]) => isAnswered(said) || said.flagged)
        .map(([one, said]) => ({
          feature: one.feature, state: isAnswered(said) ? said.state : "skipped", text: said.text,
          shown: one.proposal, by: one.by, wrote_first: said.wrote_first, confidence: said.confidence,
          flagged: said.flagged, seconds: said.milliseconds / 1000, n_examples: said.n_examples,
          heatmap: said.heatmap, order: said.order, at: said.at,
        }))
        .sort((a, b) => a.order - b.order),
    };
  }

  function save() {
    if (reader.name === "") {
      id("reviewer").focus();
      return say("Type your name first: two readers may use the same packet", true);
    }
    const made = answers();
    if (made.answers.length === 0) return say("There is no answer to save yet", true);
    const link = document.createElement("a");
    const slug = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "-");
    link.download = "answers-" + slug(packet.sae) + "-" + slug(reader.name) + "-" + packet.packet.slice(0, 8) + ".json";
    link.href = URL.createObjectURL(new Blob([JSON.stringify(made, null, 1)], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    keep();
    say(made.answers.length + " answers saved as " + link.download);
  }

  async function load(file) {
    try {
      const read = JSON.parse(await file.text());
      if (read.format !== "fluoroscope-answers" || read.packet !== packet.packet) {
        return say(file.name + " holds no answers to this packet", true);
      }
      reader = fresh(String(read.reviewer));
      for (const said of read.answers) {
        const at = packet.items.findIndex((one) => one.feature === said.feature);
        if (at < 0 || !DECIDED.includes(said.state)) continue;
        reader.entries[at] = { ...blank(), ...said, milliseconds: Math.round(said.seconds * 1000) };
        reader.n_answered = Math.max(reader.n_answered, said.order | 0);
      }
      begin();
      keep();
      say("Going on with the answers of " + reader.name);
    } catch {
      say(file.name + " cannot be read as answers", true);
    }
  }

  // Another name is another reader: what the first one said stays under the first one's name.
  function rename() {
    const name = id("reviewer").value.trim();
    if (name === reader.name) return;
    settle();
    const known = stored(name);
    if (known) reader = known;
    else if (reader.name === "") reader.name = name;
    else reader = fresh(name);
    keep();
    begin();
    say(name + ": " + reader.entries.filter(isAnswered).length + " features answered");
  }

  // ---- colours: inferno, as the window has it ------------------------------------------------
  const INFERNO = [
    [0.00021894, 0.001651005, -0.019480898], [0.106513419, 0.563956437, 3.932712388],
    [11.602493082, -3.972853966, -15.942394106], [-41.703996131, 17.436398882, 44.354145199],
    [77.162935699, -33.402358942, -81.807309257], [-71.319428245, 32.626064264, 73.209519858],
    [25.131126225, -12.242668952, -23.070325003],
  ];
  function colour(share) {
    const t = 0.38 + 0.55 * Math.min(Math.max(share, 0), 1);
    return [0, 1, 2].map((c) => Math.round(255 * Math.min(Math.max(INFERNO.reduceRight((sum, row) => sum * t + row[c], 0), 0), 1)));
  }
  function shade(element, share) {
    if (!(share > 0)) return;
    const surface = getComputedStyle(document.documentElement).getPropertyValue("--panel").match(/[0-9a-f]{2}/gi).map((h) => parseInt(h, 16));
    const weight = 0.25 + 0.75 * Math.min(share, 1);
    const mixed = colour(share).map((c, i) => Math.round(c * weight + surface[i] * (1 - weight)));
    const [r, g, b] = mixed.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    element.classList.add("on");
    element.style.background = "rgb(" + mixed.join(",") + ")";
    element.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
  }
  function drawHeat(canvas, shares) {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    for (const [cell, share] of shares) {
      pixels.data.set([...colour(share), Math.round(255 * Math.sqrt(Math.min(share, 1)))], cell * 4);
    }
    context.putImageData(pixels, 0, 0);
  }

  // ---- drawing -------------------------------------------------------------------------------
  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function film(one) {
    const image = packet.images[one.image];
    const box = make("div", "film");
    const picture = make("img");
    picture.src = image.data;
    picture.alt = "Film of sample " + one.sample;
    picture.width = image.width;
    picture.height = image.height;
    picture.style.height = "auto";
    box.style.setProperty("--shape", image.width / image.height);
    const pixels = make("div", "pixels");
    pixels.append(picture);
    if (one.grid) {
      const canvas = make("canvas");
      canvas.width = one.grid.columns;
      canvas.height = one.grid.rows;
      for (const side of ["left", "top", "width", "height"]) canvas.style[side] = 100 * one.grid[side] + "%";
      const shares = [];
      for (let i = 0; i + 1 < one.heat.length; i += 2) shares.push([one.heat[i], one.heat[i + 1] / 255]);
      drawHeat(canvas, shares);
      pixels.append(canvas);
    }
    // Below the pixels, where it covers no marker that is burned into the film.
    const says = make("div", "says", "Research use, not for diagnosis");
    const badges = make("span", "badges", image.badges.map((badge) => " · " + badge).join(""));
    badges.append(make("span", "badge", " · inverted here"));
    says.append(badges);
    box.append(pixels, says);
    return box;
  }

  function content(one) {
    if (one.items) {
      const list = make("ol", "items");
      for (const [title, share, picture] of one.items) {
        const line = make("li");
        if (picture !== null) {
          const image = make("img");
          image.src = packet.images[picture].data;
          image.alt = "";
          line.append(image);
        }
        line.append(make("span", "", title));
        shade(line, share / 255);
        list.append(line);
      }
      return list;
    }
    if (one.tokens) {
      const both = make("div", "text-example" + (one.image === null ? "" : " with-film"));
      if (one.image !== null) both.append(film(one));
      const words = make("div", "words");
      for (const [text, share] of one.tokens) {
        const token = make("span", "", text);
        shade(token, share / 255);
        words.append(token);
      }
      both.append(words);
      return both;
    }
    return one.image === null ? make("p", "weak", "The film of sample " + one.sample + " could not be read when the packet was made.") : film(one);
  }

  function figure(one, at) {
    const box = make("figure");
    box.dataset.example = at;
    const share = item().maximum > 0 ? Math.round((100 * one.activation) / item().maximum) : 0;
    const caption = make("figcaption", "", "Sample " + one.sample + " ");
    caption.append(make("span", "level", "· highest " + share + " %"));
    box.append(content(one), caption);
    return box;
  }

  const examples = () => item().parts.flatMap((part) => part.examples);

  const watch = new IntersectionObserver((entries) => {
    for (const change of entries) {
      if (change.isIntersecting) seen.add(change.target.dataset.example);
    }
    entry().n_examples = Math.max(entry().n_examples, seen.size);
  }, { threshold: 0.5 });

  function drawEvidence() {
    watch.disconnect();
    seen = new Set();
    const evidence = id("evidence");
    evidence.replaceChildren();
    let at = 0;
    const bands = make("div", packet.kind === "film" ? "columns" : "lines");
    for (const [i, part] of item().parts.entries()) {
      const figures = part.examples.map((one) => figure(one, at++));
      if (i === 0) {
        const strongest = make("div", packet.kind === "film" ? "columns" : "lines");
        strongest.append(make("h2", "", part.name), ...figures);
        evidence.append(strongest);
        bands.append(make("h2", "", "Over the whole range, from strong to weak"));
      } else {
        const band = make("div", "band");
        band.append(make("h3", "", part.name), ...figures);
        bands.append(band);
      }
    }
    evidence.append(bands);
    if (at === 0) evidence.append(make("p", "weak", "This feature is active on none of the samples."));
    evidence.scrollTop = 0;
    for (const one of evidence.querySelectorAll("figure")) watch.observe(one);
    choose(0);
  }

  function choose(at) {
    const figures = [...id("evidence").querySelectorAll("figure")];
    if (figures.length === 0) return;
    example = Math.min(Math.max(at, 0), figures.length - 1);
    figures.forEach((one, i) => one.classList.toggle("chosen", i === example));
    if (at > 0) figures[example].scrollIntoView({ block: "nearest" });
    if (id("large").open) id("stage").replaceChildren(figure(examples()[example], example));
  }

  function enlarge() {
    const one = examples()[example];
    if (!one) return;
    id("stage").replaceChildren(figure(one, example));
    if (!id("large").open) id("large").showModal();
  }

  const percent = (share) => Number((100 * share).toPrecision(2)) + " %";

  function show(at) {
    const other = at !== reader.at || !id("evidence").firstChild;
    settle();
    reader.at = at;
    const said = entry();
    id("feature").textContent = "Feature " + item().feature;
    id("facts").textContent = "Active on " + percent(item().density) + " of positions, " + percent(item().sample_density) + " of samples";
    id("state").textContent = said.state || "not answered";
    id("flagged").hidden = !said.flagged;
    document.querySelector("[data-do=flag]").setAttribute("aria-pressed", said.flagged);
    const proposal = id("proposal");
    const hidden = !isRevealed();
    proposal.textContent = hidden ? "Shown after you have written your own." : item().proposal || "None: write one.";
    proposal.classList.toggle("none", hidden || !item().proposal);
    id("text").value = said.text || said.wrote_first;
    id("hint").textContent = hidden ? "Write what the examples share, then Enter." : "Enter saves, Esc leaves.";
    id("top").textContent = Number(item().maximum.toPrecision(3)) + " (highest)";
    for (const [i, button] of [...id("confidence").children].entries()) button.setAttribute("aria-pressed", said.confidence === i + 1);
    const n = reader.entries.filter(isAnswered).length;
    id("progress").max = packet.items.length;
    id("progress").value = n;
    id("count").textContent = n + " of " + packet.items.length;
    for (const [i, button] of [...id("strip").children].entries()) {
      const one = reader.entries[i];
      button.className = one.state + (one.flagged ? " flag" : "");
      button.setAttribute("aria-current", i === at);
      button.setAttribute("aria-label", "Feature " + packet.items[i].feature + ": " + (one.state || "not answered") + (one.flagged ? ", flagged" : ""));
      button.title = button.getAttribute("aria-label");
    }
    if (other) drawEvidence();
    noteHeat();
  }

  function go(by) {
    id("large").close();
    const to = reader.at + by;
    if (to < 0 || to >= packet.items.length) return say(by < 0 ? "This is the first feature" : "This is the last feature");
    show(to);
    keep();
    say("");
  }

  function noteHeat() {
    if (packet.kind === "film" && Number(id("opacity").value) > 0) entry().heatmap = true;
  }

  function heat(value) {
    const opacity = Math.round(10 * Math.min(Math.max(value, 0), 1)) / 10;
    id("opacity").value = opacity;
    document.documentElement.style.setProperty("--heat", opacity);
    noteHeat();
  }

  function say(text, isError = false) {
    const warning = kept ? "" : "This browser keeps nothing between visits: save the answers before you close the page.";
    id("status").classList.toggle("error", isError || !kept);
    id("status").textContent = [text, warning].filter(Boolean).join(" ");
  }

  function begin() {
    undo = [];
    redo = [];
    id("evidence").replaceChildren();
    id("reviewer").value = reader.name;
    since = performance.now();
    show(reader.at);
  }

  // ---- keys and buttons ----------------------------------------------------------------------
  const byKey = {
    a: actions.accept, e: actions.edit, x: actions.reject, u: actions.unsure, s: actions.skip, f: actions.flag,
    j: actions.next, k: actions.previous, arrowdown: actions.next, arrowup: actions.previous,
    arrowleft: () => choose(example - 1), arrowright: () => choose(example + 1), enter: enlarge,
    "[": () => heat(Number(id("opacity").value) - 0.1), "]": () => heat(Number(id("opacity").value) + 0.1),
    h: () => document.body.classList.add("bare"), i: () => document.body.classList.toggle("inverted"),
    n: () => id("reviewer").select(),
    "?": () => id("sheet").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (command && key === "s") {
      event.preventDefault();
      return save();
    }
    const writes = event.target.matches("textarea, input:not([type=range])");
    if (writes) {
      if (key === "escape") {
        if (event.target === id("text")) id("text").value = entry().text || entry().wrote_first;
        event.target.blur();
      } else if (key === "enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        if (event.target === id("text")) enterText();
        else event.target.blur();
      }
      return;
    }
    if (command && key === "z") {
      event.preventDefault();
      return event.shiftKey ? actions.redo() : actions.undo();
    }
    if (command || event.altKey || (id("sheet").open && key !== "?")) return;
    if (event.target.matches("button") && (key === "enter" || key === " ")) return;
    if (event.target.matches("[type=range]") && key.startsWith("arrow")) return;
    if (/^[1-9]$/.test(key)) return sure(Number(key));
    if (byKey[key] && !(event.repeat && !key.startsWith("arrow") && !"[]jk".includes(key))) {
      event.preventDefault();
      byKey[key]();
    }
  });
  document.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "h") document.body.classList.remove("bare");
  });
  window.addEventListener("blur", () => document.body.classList.remove("bare"));
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      entry().milliseconds += Math.round(performance.now() - since);
      keep();
    }
    since = performance.now();
  });
  window.addEventListener("beforeunload", (event) => {
    settle();
    keep();
    if (!kept && reader.entries.some(isAnswered)) event.preventDefault();
  });
  window.matchMedia("(prefers-color-scheme: light)").addEventListener("change", drawEvidence);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) {
      actions[button.dataset.do]();
      if (button.dataset.do !== "edit") button.blur();
    }
    const one = event.target.closest("#evidence figure");
    if (one) {
      choose(Number(one.dataset.example));
      if (event.detail === 2) enlarge();
    }
  });
  id("save").addEventListener("click", save);
  id("help").addEventListener("click", () => id("sheet").showModal());
  id("load").addEventListener("click", () => id("file").click());
  id("file").addEventListener("change", () => id("file").files[0] && load(id("file").files[0]));
  id("reviewer").addEventListener("change", rename);
  id("opacity").addEventListener("input", () => heat(Number(id("opacity").value)));

  // ---- start ---------------------------------------------------------------------------------
  id("about").textContent = "review of " + packet.sae;
  id("heating").hidden = packet.kind !== "film";
  for (let i = 1; i <= 9; i++) {
    const button = make("button", "", String(i));
    button.addEventListener("click", () => {
      sure(i);
      button.blur();
    });
    id("confidence").append(button);
  }
  for (const at of packet.items.keys()) {
    const button = make("button");
    button.addEventListener("click", () => {
      show(at);
      say("");
      button.blur();
    });
    id("strip").append(button);
  }
  for (const [keys, what] of KEYS) {
    const line = make("tr");
    const cell = make("td");
    cell.append(make("kbd", "", keys));
    line.append(cell, make("td", "", what));
    id("keys").append(line);
  }
  drawHeat(id("scale"), Array.from({ length: 128 }, (_, i) => [i, i / 127]));
  try {
    if (reader.name === "") reader.name = localStorage.getItem("fluoroscope " + packet.packet) || "";
  } catch {
    kept = false;
  }
  reader = stored(reader.name) || reader;
  heat(0.6);
  keep();
  begin();
  say(reader.name === "" ? "Type your name above, then A, E, X, U or S. ? lists the keys." : "? lists the keys.");
})();
