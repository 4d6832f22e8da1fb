"use strict";
// The grid of tiles: only what is on the screen is in the page, whatever the number of rows.

const view = { places: new Uint32Array(0), groups: null, matched: 0 }; // rows in the order of the page
const selection = { chosen: new Uint8Array(0), count: 0, anchor: null };
const focus = { place: null, key: null }; // the tile, or the heading, that keys act on

const SMALLEST_TILE = 64;
const tile = { size: 192, width: 192 }; // px: as asked for, and as wide as a whole number of them fills a line

let layout = layOut(view, 1, 1);
let longScroll = null;
let drawnLines = new Map(); // key of a line → its element
let isDrawing = false;
const scrubber = new Scrubber();

function openGrid() {
  const scroller = find("scroller");
  longScroll = new LongScroll(scroller, requestDraw);
  new ResizeObserver(layOutGrid).observe(scroller);
  const grid = find("grid");
  grid.addEventListener("click", onClick);
  grid.addEventListener("dblclick", onDoubleClick);
  grid.addEventListener("pointermove", onPointerMove);
  grid.addEventListener("pointerleave", () => scrubber.hide());
  grid.addEventListener("focus", () => { if (focus.place === null && focus.key === null) moveFocus(firstSpot); });
}

// Lines up the rows of the view for the width that there is.
function layOutGrid() {
  const scroller = find("scroller");
  const width = scroller.clientWidth - 2 * GAP;
  const columns = Math.max(1, Math.round((width + GAP) / (tile.size + GAP)));
  tile.width = Math.floor((width + GAP) / columns) - GAP;
  layout = layOut(view, columns, tile.width + captionHeight() + GAP);
  find("grid").style.height = `${Math.min(layout.height, LONGEST_SCROLL)}px`;
  find("grid").setAttribute("aria-colcount", columns);
  longScroll.setHeight(layout.height);
  clearLines();
  drawLines(); // at once: between two frames the grid would be empty
}

// Small tiles have no captions: their names are still there to be heard.
function captionHeight() {
  return tile.size < 112 ? 0 : CAPTION_HEIGHT;
}

function clearLines() {
  scrubber.hide();
  find("grid").replaceChildren();
  drawnLines = new Map();
}

function requestDraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => { isDrawing = false; drawLines(); });
}

function drawLines() {
  const grid = find("grid"), height = find("scroller").clientHeight, top = longScroll.top;
  const lines = new Map();
  for (const line of linesBetween(layout, top - layout.tileHeight / 2, top + height + layout.tileHeight / 2)) {
    const key = `${line.number}:${line.row}`;
    const element = drawnLines.get(key) || drawLine(line);
    // The grid is as tall as a browser allows, so lines lie relative to the part of it that is seen.
    element.style.transform = `translateY(${Math.round(line.top - longScroll.shift)}px)`;
    lines.set(key, element);
    if (!element.parentNode) grid.append(element);
  }
  for (const [key, element] of drawnLines) if (!lines.has(key)) element.remove();
  drawnLines = lines;
  markFocus();
  loadMissingRows();
}

function drawLine(line) {
  const element = make("div", { role: "row", class: line.segment.kind, "aria-rowindex": line.row + 1 });
  if (line.segment.kind === "heading") {
    element.append(drawHeading(line.segment.group));
    return element;
  }
  element.style.gridTemplateColumns = `repeat(${layout.columns}, ${tile.width}px)`;
  for (let at = line.start; at < line.end; at += 1) element.append(drawTile(view.places[at], at - line.start + 1));
  return element;
}

function drawHeading(group) {
  const isOpen = grouping.open.has(group.key);
  const heading = make("div", { role: "rowheader", class: `level${group.level}`, "aria-expanded": isOpen });
  heading.group = group;
  heading.append(make("span", { class: "label" }, headingLabel(group)), " ", makeNumber(group.end - group.start));
  return heading;
}

// A study is named by its date and description, which are in its rows.
function headingLabel(group) {
  if (group.label !== null) return group.label;
  const row = rowAt(view.places[group.start]);
  if (!row) return "…";
  return [writeDate(row.study_date), row.study_description].filter(Boolean).join(" ") || row.study_instance_uid || "no study";
}

function drawTile(place, column) {
  const cell = make("div", { role: "gridcell", class: "tile", id: `tile-${place}`, "aria-colindex": column });
  cell.style.height = `${tile.width + captionHeight()}px`;
  cell.place = place;
  fillTile(cell);
  return cell;
}

function fillTile(cell) {
  const row = rowAt(cell.place);
  cell.setAttribute("aria-selected", selection.chosen[cell.place] === 1);
  cell.classList.toggle("waiting", !row);
  if (!row) return;
  const label = labelOf(row.series_uuid);
  cell.setAttribute("aria-label", nameTile(row, label));
  if (label) cell.dataset.label = label; else delete cell.dataset.label;
  if (cell.firstChild) return;
  cell.title = titleOf(row);
  const picture = make("div", { class: "picture" }, drawPicture(row));
  picture.style.height = `${tile.width}px`;
  cell.append(picture);
  if (!captionHeight()) return;
  cell.append(make("div", { class: "caption" }, titleOf(row)), make("div", { class: "facts" }, describeRow(row)));
}

function drawPicture(row) {
  const address = pictureOf(row);
  if (!address) {
    const why = make("p", { class: `why ${row.status}` }, row.reason || row.status || "no picture");
    if (row.error && captionHeight()) why.append(make("small", {}, row.error));
    return why;
  }
  const picture = make("img", { src: address, alt: "", decoding: "async", draggable: "false" });
  picture.addEventListener("error", () => picture.replaceWith(make("p", { class: "why" }, "picture not found")));
  return picture;
}

function nameTile(row, label) {
  return [titleOf(row), describeRow(row), row.error, label && `label ${label}`].filter(Boolean).join(", ");
}

function describeRow(row) {
  const instances = row.n_instances && `${row.n_instances} ${row.n_instances === 1 ? "instance" : "instances"}`;
  const state = row.status === "failed" || row.status === "skipped" ? [row.status, row.reason].filter(Boolean).join(": ") : "";
  return [state, row.modality, instances].filter(Boolean).join(" · ");
}

// Fills tiles whose rows were not there when they were drawn. A look now and then, not one at each frame: while the page
// is being scrolled fast, rows that have passed by are not asked for, and in slow scrolling they come all the same.
let missingTimer = null;
function loadMissingRows() {
  missingTimer ??= setTimeout(async () => {
    missingTimer = null;
    const cells = [...find("grid").querySelectorAll(".waiting")];
    const numbers = new Set(cells.map((cell) => Math.floor(cell.place / facts.rowsPerFile)));
    for (const heading of find("grid").querySelectorAll("[role=rowheader]")) {
      const place = view.places[heading.group.start];
      if (heading.group.label === null && !rowAt(place)) numbers.add(Math.floor(place / facts.rowsPerFile));
    }
    if (!numbers.size) return;
    await Promise.all([...numbers].map((number) => loadRows(number).catch(reportError)));
    refreshTiles();
  }, rowFiles.size ? 100 : 0);
}

function refreshTiles() {
  for (const cell of find("grid").querySelectorAll(".tile")) fillTile(cell);
  for (const heading of find("grid").querySelectorAll("[role=rowheader]")) {
    heading.firstChild.textContent = headingLabel(heading.group);
  }
  markFocus();
}

function markFocus() {
  const grid = find("grid");
  for (const old of grid.querySelectorAll(".focused")) old.classList.remove("focused");
  const element = focusedElement();
  if (!element) return grid.removeAttribute("aria-activedescendant");
  element.id ||= "focused-heading";
  element.classList.add("focused");
  grid.setAttribute("aria-activedescendant", element.id);
}

// The element of the tile or heading in focus; null while it is not on the screen.
function focusedElement() {
  if (focus.key !== null) {
    const headings = [...find("grid").querySelectorAll("[role=rowheader]")];
    return headings.find((heading) => heading.group.key === focus.key) || null;
  }
  return focus.place === null ? null : find(`tile-${focus.place}`);
}

function cellOf(event) {
  return event.target.closest?.("[role=gridcell], [role=rowheader]");
}

function onClick(event) {
  const cell = cellOf(event);
  if (!cell) return;
  if (cell.group) {
    focusHeading(cell.group);
    toggleGroup(cell.group);
    return;
  }
  focusTile(cell.place, false);
  if (event.shiftKey) selectTo(cell.place, event.ctrlKey || event.metaKey);
  else if (event.ctrlKey || event.metaKey) toggleSelected(cell.place);
  else selectOnly(cell.place);
}

function onDoubleClick(event) {
  const cell = cellOf(event);
  if (cell && !cell.group) openDetail(cell.place);
}

function onPointerMove(event) {
  const cell = cellOf(event);
  const row = cell && !cell.group && event.pointerType !== "touch" ? rowAt(cell.place) : null;
  if (row) scrubber.follow(cell.firstChild, row, event.clientX); else scrubber.hide();
}

function toggleGroup(group) {
  if (!grouping.open.delete(group.key)) grouping.open.add(group.key);
  layOutGrid();
}

function selectOnly(place) {
  selection.chosen.fill(0);
  selection.count = 0;
  selection.anchor = place;
  setSelected(place, 1);
  selectionChanged();
}

function toggleSelected(place) {
  setSelected(place, selection.chosen[place] ? 0 : 1);
  selection.anchor = place;
  selectionChanged();
}

// Selects all from the tile that was selected last up to another one.
function selectTo(place, adds) {
  const from = view.places.indexOf(selection.anchor ?? place), to = view.places.indexOf(place);
  if (!adds) { selection.chosen.fill(0); selection.count = 0; }
  for (let at = Math.max(0, Math.min(from, to)); at <= Math.max(from, to); at += 1) setSelected(view.places[at], 1);
  selection.anchor ??= place;
  selectionChanged();
}

function selectAll() {
  for (const place of view.places) setSelected(place, 1);
  selectionChanged();
}

function selectNone() {
  selection.chosen.fill(0);
  selection.count = 0;
  selectionChanged();
}

function setSelected(place, value) {
  selection.count += value - selection.chosen[place];
  selection.chosen[place] = value;
}

function selectionChanged() {
  for (const cell of find("grid").querySelectorAll(".tile")) {
    cell.setAttribute("aria-selected", selection.chosen[cell.place] === 1);
  }
  showStatus();
  noteAddress();
}
