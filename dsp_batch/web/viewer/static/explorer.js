"use strict";
// The tree of patients, studies and series, or of folders. Of a long one only the lines on the screen are in the page.

const SERIES_HEIGHT = 54, GROUP_HEIGHT = 28; // px of a line
const LINES_BEYOND = 12; // that are drawn above and below the screen
const MOST_DRAWN = 1000; // lines up to which a tree is drawn whole, so that the browser's own search finds them
const SERIES_A_QUESTION = 2000;
const MILLISECONDS_BETWEEN_LOOKS = 400; // while the scan goes on
const MOST_OPEN_AT_START = 400; // series up to which all groups are unfolded at the start
const THUMBNAIL_SIZE = 128;
const MOST_THUMBNAILS = 600;

class Explorer {
  // `open(entry)` is called when a series is chosen.
  constructor(open) {
    Object.assign(this, { open, entries: new Map(), revision: 0, isComplete: false, folded: new Set(), unfolded: new Set() });
    Object.assign(this, { lines: [], tops: [0], focused: null, current: null, words: [], by: "study", drawn: new Map() });
    this.thumbnails = new Thumbnails();
    this.tree = find("tree");
    this.box = find("tree-scroller");
    this.box.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.tree.addEventListener("click", (event) => this.onClick(event));
    this.tree.addEventListener("focusin", (event) => { this.focused = this.lines[event.target.dataset.line]?.key ?? null; });
    this.tree.addEventListener("keydown", (event) => this.onKey(event));
    find("search").addEventListener("input", (event) => this.filter(event.target.value));
    find("tree-by").addEventListener("change", (event) => { this.by = event.target.value; this.layOut(); });
  }

  // Takes in what the server has found until its scan ends; the lists come in pieces.
  async follow() {
    for (;;) {
      const answer = await ask("series", { since: this.revision, limit: SERIES_A_QUESTION });
      const news = await answer.json();
      for (const entry of news) this.entries.set(entry.id, { ...entry, text: searchText(entry) });
      this.revision = Number(answer.headers.get("X-Revision"));
      const isMore = answer.headers.get("X-More") === "true";
      this.isComplete = !isMore && answer.headers.get("X-Scan-Complete") === "true";
      if (news.length || this.isComplete) this.layOut();
      if (this.isComplete) return;
      if (!isMore) await new Promise((resolve) => { setTimeout(resolve, MILLISECONDS_BETWEEN_LOOKS); });
    }
  }

  // Waits until a series is there, or any where none is named, or until nothing more will come.
  async first(id) {
    const isThere = () => (id ? this.entries.has(id) : [...this.entries.values()].some(({ state }) => state === "ready"));
    while (!isThere() && !this.isComplete) await new Promise((resolve) => { setTimeout(resolve, MILLISECONDS_BETWEEN_LOOKS / 4); });
  }

  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.layOut();
  }

  get matching() {
    return [...this.entries.values()].filter(({ text }) => this.words.every((word) => text.includes(word)));
  }

  // Lines of the tree in their order: groups before what they hold.
  layOut() {
    const matching = this.matching.sort(compareEntries);
    const isSmall = matching.length <= MOST_OPEN_AT_START || this.words.length > 0;
    this.lines = [];
    this.addGroups(groupBy(matching, (entry) => levelsOf(entry, this.by)), 1, "", isSmall);
    this.tops = new Float64Array(this.lines.length + 1);
    this.lines.forEach((line, at) => { this.tops[at + 1] = this.tops[at] + (line.entry ? SERIES_HEIGHT : GROUP_HEIGHT); });
    this.tree.style.height = `${this.tops.at(-1)}px`;
    this.tree.replaceChildren();
    this.drawn.clear();
    this.draw();
    this.showCounts(matching.length);
  }

  addGroups({ groups, entries }, level, above, isSmall) {
    let place = 0;
    for (const [name, inner] of groups) {
      const key = `${above}\n${name}`, isOpen = isSmall ? !this.folded.has(key) : this.unfolded.has(key);
      this.lines.push({ key, level, name, count: inner.count, isOpen, place: place += 1, size: groups.size });
      if (isOpen) this.addGroups(inner, level + 1, key, isSmall);
    }
    for (const entry of entries) {
      this.lines.push({ key: entry.id, level, entry, place: place += 1, size: entries.length });
    }
  }

  showCounts(count) {
    const all = this.entries.size, files = [...this.entries.values()].reduce((sum, entry) => sum + entry.file_count, 0);
    find("counts").replaceChildren(
      ...(count === all ? [makeNumber(all)] : [makeNumber(count), " of ", makeNumber(all)]),
      " series", files ? ", " : "", ...(files ? [makeNumber(files), files === 1 ? " file" : " files"] : []),
      this.isComplete ? "" : " · looking for more…",
    );
  }

  draw() {
    const top = this.box.scrollTop, bottom = top + this.box.clientHeight, count = this.lines.length;
    const first = Math.max(0, lineAt(this.tops, top) - LINES_BEYOND);
    const last = Math.min(count, lineAt(this.tops, bottom) + 1 + LINES_BEYOND);
    const [from, to] = count <= MOST_DRAWN ? [0, count] : [first, last];
    for (const [at, element] of this.drawn) if (at < from || at >= to) { element.remove(); this.drawn.delete(at); }
    for (let at = from; at < to; at += 1) {
      if (this.drawn.has(at)) continue;
      const element = this.drawLine(this.lines[at], at);
      this.drawn.set(at, element);
      this.tree.append(element);
    }
    for (let at = first; at < last; at += 1) {
      const { entry } = this.lines[at];
      if (entry) this.thumbnails.show(this.drawn.get(at).firstChild, entry);
    }
    this.mark();
  }

  drawLine(line, at) {
    const element = make("div", {
      role: "treeitem", class: line.entry ? "series" : "group", "aria-level": line.level,
      "aria-posinset": line.place, "aria-setsize": line.size, tabindex: "-1",
      "aria-expanded": line.entry ? null : String(line.isOpen),
    });
    element.style.transform = `translateY(${this.tops[at]}px)`;
    element.style.setProperty("--level", line.level);
    element.dataset.line = at;
    if (line.entry) this.fillSeries(element, line.entry);
    else element.append(make("span", { class: "name" }, line.name), " ", make("span", { class: "count" }, String(line.count)));
    return element;
  }

  fillSeries(element, entry) {
    const picture = make("span", { class: "thumbnail", "aria-hidden": "true" });
    const badges = badgesOf(entry).map(([text, title]) => make("span", { class: "badge", title }, text));
    const facts = [entry.modality, countOf(entry)].filter(Boolean).join(" · ");
    element.append(picture, make(
      "span", { class: "text" },
      make("span", { class: "name" }, titleOfSeries(entry)),
      " ", make("span", { class: "facts" }, facts), " ", ...badges,
    ));
    element.title = entry.error ?? entry.description ?? "";
  }

  mark() {
    for (const [at, element] of this.drawn) {
      const line = this.lines[at], isFocused = line.key === this.focused;
      element.setAttribute("aria-selected", String(Boolean(line.entry) && line.key === this.current));
      element.tabIndex = isFocused || (this.focused === null && at === 0) ? 0 : -1;
    }
  }

  onClick(event) {
    const line = this.lines[event.target.closest("[role=treeitem]")?.dataset.line];
    if (!line) return;
    this.focused = line.key;
    this.act(line);
  }

  act(line) {
    if (line.entry) this.open(line.entry); else this.fold(line, !line.isOpen);
    this.mark();
  }

  fold(line, isOpen) {
    if (isOpen) { this.folded.delete(line.key); this.unfolded.add(line.key); } else { this.folded.add(line.key); this.unfolded.delete(line.key); }
    this.layOut();
    this.focusLine(this.lines.findIndex(({ key }) => key === line.key));
  }

  onKey(event) {
    const at = this.lines.findIndex(({ key }) => key === this.focused), line = this.lines[at];
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.lines.length - 1 };
    if (event.key in moves) this.focusLine(moves[event.key]);
    else if (event.key === "ArrowRight" && !line.entry) { if (line.isOpen) this.focusLine(at + 1); else this.fold(line, true); }
    else if (event.key === "ArrowLeft" && !line.entry && line.isOpen) this.fold(line, false);
    else if (event.key === "ArrowLeft" && line.level > 1) this.focusLine(this.lines.findLastIndex(({ level }, other) => other < at && level < line.level));
    else if (event.key === "Enter") this.act(line);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  focusLine(at) {
    const line = this.lines[Math.max(0, Math.min(this.lines.length - 1, at))];
    if (!line) return;
    this.focused = line.key;
    this.reveal(this.lines.indexOf(line));
    this.mark();
    this.drawn.get(this.lines.indexOf(line))?.focus({ preventScroll: true });
  }

  reveal(at) {
    const { box, tops } = this;
    if (tops[at] < box.scrollTop) box.scrollTop = tops[at];
    else if (tops[at + 1] > box.scrollTop + box.clientHeight) box.scrollTop = tops[at + 1] - box.clientHeight;
    this.draw();
  }

  // The series that follows another one in the tree, or comes before it; null at the ends.
  neighbour(entry, by) {
    const shown = this.lines.filter((line) => line.entry);
    const at = shown.findIndex(({ key }) => key === entry?.id);
    return (at < 0 ? shown[0] : shown[at + by])?.entry ?? null;
  }

  // The first series of the tree that can be shown; null where there is none.
  firstReady() {
    return this.lines.find(({ entry }) => entry?.state === "ready")?.entry ?? null;
  }

  setCurrent(entry) {
    this.current = entry?.id ?? null;
    const at = this.lines.findIndex(({ key }) => key === this.current);
    if (at >= 0) this.reveal(at); else this.mark();
  }
}

// Number of the line that covers a height.
function lineAt(tops, height) {
  let low = 0, high = tops.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= height) low = middle; else high = middle - 1;
  }
  return low;
}

// Names of the groups that a series belongs to, from the outside in.
function levelsOf(entry, by) {
  if (by === "folder") return [entry.folder || "no folder"];
  const patient = [entry.patient_name, entry.patient_id].filter(Boolean).join(", ") || "no patient";
  const study = [writeDate(entry.study_date), entry.study_description].filter(Boolean).join(" ");
  return [patient, study || entry.study_instance_uid || "no study"];
}

function groupBy(entries, levels) {
  const root = { groups: new Map(), entries: [], count: 0 };
  for (const entry of entries) {
    let group = root;
    group.count += 1;
    for (const name of levels(entry)) {
      if (!group.groups.has(name)) group.groups.set(name, { groups: new Map(), entries: [], count: 0 });
      group = group.groups.get(name);
      group.count += 1;
    }
    group.entries.push(entry);
  }
  return root;
}

function compareEntries(one, other) {
  for (const field of ["patient_id", "study_date", "study_instance_uid"]) {
    const order = String(one[field] ?? "").localeCompare(String(other[field] ?? ""), undefined, { numeric: true });
    if (order) return order;
  }
  return (one.series_number ?? Infinity) - (other.series_number ?? Infinity) || one.id.localeCompare(other.id);
}

function searchText(entry) {
  const fields = ["description", "modality", "patient_id", "patient_name", "study_description", "study_date", "body_part", "series_instance_uid", "id", "folder"];
  return fields.map((field) => entry[field] ?? "").join("\n").toLowerCase();
}

function badgesOf(entry) {
  if (entry.state === "failed") return [["unreadable", entry.error]];
  if (entry.state !== "ready") return [];
  const badges = [];
  if (!entry.has_pixels) badges.push(["no pixels", "None of its objects has pixels"]);
  if (entry.unsupported) badges.push(["unsupported", `Not displayed: ${entry.unsupported}`]);
  if (entry.burned_in_annotation) badges.push(["burned-in text", "Its pixels may hold text about the patient"]);
  return badges;
}

function countOf(entry) {
  const count = entry.frame_count || entry.file_count;
  if (!count) return "";
  const name = entry.frame_count ? "image" : "object";
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

// Small pictures of series, asked for when their line is on the screen.
class Thumbnails {
  constructor() {
    this.urls = new Map(); // series → address of a blob; null where there is no picture
    this.asked = new Set(); // series whose picture is waited for
    this.waiting = new Waiting(3);
  }

  show(element, entry) {
    if (element.firstChild) return;
    if (this.urls.has(entry.id)) { this.put(element, this.urls.get(entry.id)); return; }
    if (entry.state !== "ready" || this.asked.has(entry.id)) return;
    this.asked.add(entry.id);
    this.waiting.add({
      isWanted: () => element.isConnected || !this.asked.delete(entry.id),
      run: () => this.load(element, entry),
    });
  }

  async load(element, entry) {
    try {
      const blob = await (await ask(...thumbnailOf(entry))).blob();
      this.keep(entry.id, URL.createObjectURL(blob));
    } catch {
      this.keep(entry.id, null); // the series says what is wrong when it is opened
    }
    this.asked.delete(entry.id);
    this.put(element, this.urls.get(entry.id));
  }

  keep(id, url) {
    this.urls.set(id, url);
    if (this.urls.size <= MOST_THUMBNAILS) return;
    const [oldest, address] = this.urls.entries().next().value;
    this.urls.delete(oldest);
    if (address) URL.revokeObjectURL(address);
  }

  put(element, url) {
    if (url) element.replaceChildren(make("img", { src: url, alt: "", draggable: "false" }));
  }
}

// Path and parameters of the picture in the middle of a series; of slides, of which a frame is a tile, and of objects
// without pixels, what `preview` makes of them.
function thumbnailOf(entry) {
  if (!entry.has_pixels || entry.modality === "SM") return [`series/${encodeURIComponent(entry.id)}/preview`, {}];
  return [`file/${entry.middle.file}/frame/${entry.middle.frame}/thumbnail`, { size: THUMBNAIL_SIZE }];
}
