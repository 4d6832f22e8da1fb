"use strict";
// The grid by keyboard: one tab stop, arrows move the focus over tiles and headings, other keys act on what is in focus.

function openGridKeys() {
  find("grid").addEventListener("keydown", onGridKey);
}

const GRID_KEYS = {
  ArrowRight: () => moveFocus((at) => stepBy(at, 1)),
  ArrowLeft: () => moveFocus((at) => stepBy(at, -1)),
  ArrowDown: () => moveFocus((at) => stepLine(at, 1)),
  ArrowUp: () => moveFocus((at) => stepLine(at, -1)),
  PageDown: () => moveFocus((at) => stepLines(at, linesPerPage())),
  PageUp: () => moveFocus((at) => stepLines(at, -linesPerPage())),
  Home: () => moveFocus(firstSpot),
  End: () => moveFocus(lastSpot),
  Enter: () => actOnFocus((place) => openDetail(place)),
  " ": () => actOnFocus((place) => toggleSelected(place)),
  "]": () => scrubFocused(1),
  "[": () => scrubFocused(-1),
  Escape: () => selectNone(),
};

function onGridKey(event) {
  if (event.altKey) return;
  const controls = event.ctrlKey || event.metaKey;
  if (controls && event.key.toLowerCase() === "a") { event.preventDefault(); selectAll(); return; }
  const act = GRID_KEYS[event.key];
  if (!act || (controls && !event.key.startsWith("Arrow") && !["Home", "End", " "].includes(event.key))) return;
  event.preventDefault();
  if (event.shiftKey && event.key === " " && focus.place !== null) selectTo(focus.place, controls);
  else if (!toggleByArrow(event.key)) act();
  if (event.shiftKey && event.key !== " " && focus.place !== null && isMove(event.key)) selectTo(focus.place, controls);
}

function isMove(key) {
  return key.startsWith("Arrow") || key.startsWith("Page") || key === "Home" || key === "End";
}

// On a heading, right unfolds and left folds, as in a tree.
function toggleByArrow(key) {
  const spot = findSpot();
  const group = spot && layout.segments[spot.number]?.group;
  if (!group || focus.key === null) return false;
  const isOpen = grouping.open.has(group.key);
  if ((key === "ArrowRight" && !isOpen) || (key === "ArrowLeft" && isOpen)) { toggleGroup(group); return true; }
  return false;
}

// A spot is a segment and a number within it: {number, at}. Headings have one, blocks of tiles one for each tile.
function findSpot() {
  if (focus.key !== null) {
    const number = layout.segments.findIndex((segment) => segment.group?.key === focus.key);
    return number < 0 ? null : { number, at: 0 };
  }
  const index = focus.place === null ? -1 : view.places.indexOf(focus.place);
  if (index < 0) return null;
  const number = layout.segments.findIndex(({ kind, start, end }) => kind === "tiles" && start <= index && index < end);
  return number < 0 ? null : { number, at: index - layout.segments[number].start };
}

function spotCount(number) {
  const segment = layout.segments[number];
  return segment.kind === "heading" ? 1 : segment.end - segment.start;
}

function firstSpot() {
  return { number: 0, at: 0 };
}

function lastSpot() {
  const number = layout.segments.length - 1;
  return { number, at: spotCount(number) - 1 };
}

function stepBy({ number, at }, by) {
  const next = at + by;
  if (next >= 0 && next < spotCount(number)) return { number, at: next };
  if (by > 0) return number + 1 < layout.segments.length ? { number: number + 1, at: 0 } : { number, at };
  return number > 0 ? { number: number - 1, at: spotCount(number - 1) - 1 } : { number, at };
}

function stepLine({ number, at }, by) {
  const count = spotCount(number), column = at % layout.columns, next = at + by * layout.columns;
  if (next >= 0 && next < count) return { number, at: next };
  const isInLastLine = Math.floor(at / layout.columns) === Math.floor((count - 1) / layout.columns);
  if (by > 0 && !isInLastLine) return { number, at: count - 1 }; // the last line is shorter
  const other = number + by;
  if (other < 0 || other >= layout.segments.length) return { number, at };
  const length = spotCount(other), last = Math.floor((length - 1) / layout.columns) * layout.columns;
  return { number: other, at: Math.min(length - 1, by > 0 ? column : last + column) };
}

function stepLines(spot, by) {
  for (let count = Math.abs(by); count > 0; count -= 1) spot = stepLine(spot, Math.sign(by));
  return spot;
}

function linesPerPage() {
  return Math.max(1, Math.floor(find("scroller").clientHeight / layout.tileHeight));
}

function moveFocus(step) {
  if (!layout.segments.length) return;
  const spot = findSpot();
  focusSpot(spot || step === lastSpot ? step(spot) : firstSpot());
}

function focusSpot({ number, at }) {
  const segment = layout.segments[number];
  if (segment.kind === "heading") focusHeading(segment.group); else focusTile(view.places[segment.start + at]);
}

function focusHeading(group) {
  focus.key = group.key;
  focus.place = null;
  showSpot();
}

// Moves the focus to a tile, and scrolls to it unless it is on the screen. Groups around it are unfolded.
function focusTile(place, scrolls = true) {
  focus.key = null;
  focus.place = place;
  selection.anchor ??= place;
  if (scrolls) { unfoldTo(place); showSpot(); } else markFocus();
}

function unfoldTo(place) {
  const index = view.groups ? view.places.indexOf(place) : -1;
  if (index < 0) return;
  let groups = view.groups, changed = false;
  while (groups) {
    const group = groups.find(({ start, end }) => start <= index && index < end);
    if (!grouping.open.has(group.key)) { grouping.open.add(group.key); changed = true; }
    groups = group.split ? (group.parts ||= group.split()) : null;
  }
  if (changed) layOutGrid();
}

function showSpot() {
  const spot = findSpot();
  if (!spot) return;
  const segment = layout.segments[spot.number];
  const isHeading = segment.kind === "heading";
  const top = segment.top + (isHeading ? 0 : Math.floor(spot.at / layout.columns) * layout.tileHeight);
  const bottom = top + (isHeading ? HEADING_HEIGHT : layout.tileHeight);
  const height = find("scroller").clientHeight;
  if (top < longScroll.top) longScroll.moveTo(top);
  else if (bottom > longScroll.top + height) longScroll.moveTo(bottom - height);
  drawLines(); // at once: whoever listens wants the name of the tile
}

// Enter and Space: headings fold and unfold, tiles do what the key means.
function actOnFocus(act) {
  const spot = findSpot();
  if (!spot) return;
  const group = layout.segments[spot.number].group;
  if (group && focus.key !== null) toggleGroup(group); else act(focus.place);
}

function scrubFocused(by) {
  const cell = focusedElement();
  const row = focus.place === null ? null : rowAt(focus.place);
  if (cell?.firstChild && row) scrubber.step(cell.firstChild, row, by);
}
