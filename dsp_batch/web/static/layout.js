"use strict";
// Where tiles and headings lie: groups of rows, lines from top to bottom, and a scroll bar for more pixels than an
// element may have.

const LEVELS = {
  none: [],
  collection: ["collection_id"],
  patient: ["collection_id", "patient_id"],
  study: ["collection_id", "patient_id", "study"],
};

const HEADING_HEIGHT = 36;
const CAPTION_HEIGHT = 42;
const GAP = 8;
const LONGEST_SCROLL = 8e6; // px; browsers allow 17 million and more

const grouping = { by: "none", open: new Set() }; // keys of unfolded groups

// Brings rows together by group: the rows of a group follow one another in the order of the page. Within the group they
// keep the order that they come in.
async function groupPlaces(places) {
  const levels = LEVELS[grouping.by];
  if (!levels.length) return { places, groups: null };
  const columns = await Promise.all(levels.map(loadLevel));
  const leaves = numberLeaves(columns);
  const starts = new Uint32Array(leaves.count + 1);
  for (const place of places) starts[leaves.of[place] + 1] += 1;
  for (let leaf = 0; leaf < leaves.count; leaf += 1) starts[leaf + 1] += starts[leaf];
  const grouped = new Uint32Array(places.length);
  for (const place of places) { grouped[starts[leaves.of[place]]] = place; starts[leaves.of[place]] += 1; }
  return { places: grouped, groups: splitGroup({ key: "", level: -1, start: 0, end: grouped.length }, grouped, columns) };
}

// The codes of a level; all alike where this gallery has no such column.
async function loadLevel(name) {
  const exists = name === "study" ? facts.hasStudies : facts.facets[name] || facts.columns[name];
  return exists ? { name, ...(await loadColumn(name)) } : { name, array: new Uint8Array(facts.count), values: [""] };
}

// Rows lie in the order of the levels, so a group ends where any of their codes changes.
function numberLeaves(columns) {
  const of = new Uint32Array(facts.count);
  let leaf = 0;
  for (let place = 1; place < of.length; place += 1) {
    for (const { array } of columns) if (array[place] !== array[place - 1]) { leaf += 1; break; }
    of[place] = leaf;
  }
  return { of, count: leaf + 1 };
}

// The groups of the next level within a group; their own parts are found when they are unfolded.
function splitGroup(parent, places, columns) {
  const level = parent.level + 1;
  const { array, values, name } = columns[level];
  const groups = [];
  for (let start = parent.start; start < parent.end; ) {
    const code = array[places[start]];
    let end = start + 1;
    while (end < parent.end && array[places[end]] === code) end += 1;
    const group = { key: `${parent.key}/${name}:${values ? encodeURIComponent(values[code]) : code}`, level, start, end };
    group.label = values ? values[code] || `no ${LEVEL_NAMES[name]}` : null; // null: it is in the rows of the study
    group.split = level + 1 < columns.length ? () => splitGroup(group, places, columns) : null;
    groups.push(group);
    start = end;
  }
  return groups;
}

const LEVEL_NAMES = { collection_id: "collection", patient_id: "patient", study: "study" };

// Segments from top to bottom: headings, and blocks of tiles of `columns` in a row.
function layOut(view, columns, tileHeight) {
  const segments = [];
  let top = 0;
  const add = (segment, height) => { segments.push({ ...segment, top, height }); top += height; };
  const addTiles = (start, end) => add({ kind: "tiles", start, end }, Math.ceil((end - start) / columns) * tileHeight);
  const addGroups = (groups) => {
    for (const group of groups) {
      add({ kind: "heading", group, start: group.start, end: group.start }, HEADING_HEIGHT);
      if (!grouping.open.has(group.key)) continue;
      if (group.split) addGroups(group.parts ||= group.split()); else addTiles(group.start, group.end);
    }
  };
  if (view.groups) addGroups(view.groups); else if (view.places.length) addTiles(0, view.places.length);
  return { segments, tops: Float64Array.from(segments, (segment) => segment.top), height: top, columns, tileHeight };
}

// Lines, a heading or a row of tiles each, that touch a stretch of the page.
function* linesBetween(layout, from, to) {
  const { segments, tops, columns, tileHeight } = layout;
  if (!segments.length) return;
  for (let number = lastAtMost(tops, Math.max(from, 0)); number < segments.length; number += 1) {
    const segment = segments[number];
    if (segment.top > to) return;
    if (segment.kind === "heading") { yield { number, row: 0, segment, top: segment.top }; continue; }
    const rows = Math.ceil((segment.end - segment.start) / columns);
    const first = Math.max(0, Math.floor((from - segment.top) / tileHeight));
    for (let row = first; row < rows && segment.top + row * tileHeight <= to; row += 1) {
      const start = segment.start + row * columns;
      const end = Math.min(start + columns, segment.end);
      yield { number, row, segment, start, end, top: segment.top + row * tileHeight };
    }
  }
}

// Scrolls through a height that may be larger than that of any element. Small steps move pixel by pixel, jumps go to the
// same fraction of the whole.
class LongScroll {
  constructor(scroller, changed) {
    this.scroller = scroller;
    this.height = 0; // of the whole content
    this.shift = 0; // what is to be added to scrollTop
    this.seen = 0; // scrollTop at the last look
    scroller.addEventListener("scroll", () => { this.follow(); changed(); }, { passive: true });
    scroller.addEventListener("scrollend", () => this.settle());
  }

  get top() {
    return Math.max(0, Math.min(this.scroller.scrollTop + this.shift, this.height - this.scroller.clientHeight));
  }

  get scrollHeight() {
    return Math.min(this.height, LONGEST_SCROLL);
  }

  setHeight(height) {
    const top = this.top;
    this.height = height;
    this.moveTo(top);
  }

  moveTo(top) {
    const most = Math.max(0, this.height - this.scroller.clientHeight);
    const wanted = Math.max(0, Math.min(top, most));
    const range = Math.max(1, this.scrollHeight - this.scroller.clientHeight);
    this.scroller.scrollTop = most > range ? (wanted / most) * range : wanted;
    this.seen = this.scroller.scrollTop;
    this.shift = wanted - this.seen;
  }

  follow() {
    const now = this.scroller.scrollTop;
    const jumped = Math.abs(now - this.seen) > 2 * this.scroller.clientHeight;
    const most = this.height - this.scroller.clientHeight;
    const range = this.scrollHeight - this.scroller.clientHeight;
    if (jumped && most > range) this.shift = (now / range) * most - now;
    this.seen = now;
  }

  // Small steps have moved the bar too far for its place in the whole: set it right once it rests.
  settle() {
    if (this.height > LONGEST_SCROLL) this.moveTo(this.top);
  }
}
