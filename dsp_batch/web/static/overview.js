"use strict";
// The overview: thousands of thumbnails on one screen, from atlases of 16 × 16.

const ATLAS_SIDE = 16; // thumbnails in a row of an atlas, and rows
const THUMBNAIL = 64; // px in the atlas
const SMALLEST = 16, LARGEST = 64; // px on the screen
const ATLASES_KEPT = 64; // of a megapixel each

const overview = { isOpen: false, at: 0, side: 32, columns: 1 };
const atlases = new Map(); // number → picture

function openOverview() {
  find("overview-toggle").addEventListener("click", () => showOverview(!overview.isOpen));
  const frame = find("overview"), canvas = find("overview-canvas");
  frame.addEventListener("scroll", () => requestAnimationFrame(drawOverview), { passive: true });
  new ResizeObserver(() => { if (overview.isOpen) layOutOverview(); }).observe(frame);
  canvas.addEventListener("click", (event) => leaveOverview(thumbnailAt(event)));
  canvas.addEventListener("pointermove", (event) => { nameThumbnail(thumbnailAt(event)); });
  canvas.addEventListener("keydown", onOverviewKey);
}

function showOverview(isOpen) {
  if (isOpen && !facts.atlases.length) {
    say("This gallery has no thumbnails: write it with --atlas.");
    return;
  }
  overview.isOpen = isOpen;
  find("overview-toggle").setAttribute("aria-pressed", isOpen);
  find("overview").hidden = !isOpen;
  find("scroller").hidden = isOpen;
  if (isOpen) { overview.at = Math.max(0, view.places.indexOf(focus.place)); layOutOverview(); } else layOutGrid();
}

// The largest thumbnails with which all fit on the screen.
function layOutOverview() {
  const frame = find("overview");
  const { clientWidth: width, clientHeight: height } = frame;
  const count = view.places.length;
  overview.side = SMALLEST;
  for (let side = LARGEST; side > SMALLEST; side -= 4) {
    if (Math.floor(width / side) * Math.floor(height / side) >= count) { overview.side = side; break; }
  }
  overview.columns = Math.max(1, Math.floor(width / overview.side));
  find("overview-height").style.height = `${Math.max(0, Math.ceil(count / overview.columns) * overview.side - height)}px`;
  const canvas = find("overview-canvas"), scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.setAttribute("aria-label", `Overview of ${count} series. Arrow keys move, Enter shows the series in the grid.`);
  drawOverview();
}

function drawOverview() {
  if (!overview.isOpen) return;
  const canvas = find("overview-canvas"), pen = canvas.getContext("2d"), { side, columns } = overview;
  const top = find("overview").scrollTop, height = find("overview").clientHeight;
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const first = Math.floor(top / side) * columns;
  const end = Math.min(view.places.length, Math.ceil((top + height) / side) * columns);
  for (let at = first; at < end; at += 1) {
    drawThumbnail(pen, view.places[at], (at % columns) * side, Math.floor(at / columns) * side - top);
  }
  pen.lineWidth = 2;
  pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  pen.strokeRect((overview.at % columns) * side + 1, Math.floor(overview.at / columns) * side - top + 1, side - 2, side - 2);
}

function drawThumbnail(pen, place, left, top) {
  const picture = loadAtlas(Math.floor(place / (ATLAS_SIDE * ATLAS_SIDE)));
  const at = place % (ATLAS_SIDE * ATLAS_SIDE), size = overview.side - 1;
  if (picture.complete && picture.naturalWidth) {
    const x = (at % ATLAS_SIDE) * THUMBNAIL, y = Math.floor(at / ATLAS_SIDE) * THUMBNAIL;
    pen.drawImage(picture, x, y, THUMBNAIL, THUMBNAIL, left, top, size, size);
  } else {
    pen.fillStyle = "#8884"; // on its way
    pen.fillRect(left, top, size, size);
  }
  if (selection.chosen[place] || labelColumn?.array[place]) {
    pen.fillStyle = labelColumn?.array[place] ? "#e09f3e" : getComputedStyle(document.documentElement).getPropertyValue("--accent");
    pen.fillRect(left, top + size - 3, size, 3);
  }
}

function loadAtlas(number) {
  if (!atlases.has(number)) {
    const picture = new Image();
    picture.addEventListener("load", () => requestAnimationFrame(drawOverview));
    picture.src = facts.atlases[number];
    atlases.set(number, picture);
    if (atlases.size > ATLASES_KEPT) atlases.delete(atlases.keys().next().value);
  }
  return atlases.get(number);
}

function thumbnailAt(event) {
  const column = Math.floor(event.offsetX / overview.side);
  const at = Math.floor((event.offsetY + find("overview").scrollTop) / overview.side) * overview.columns + column;
  return column < overview.columns && at < view.places.length ? at : null;
}

async function nameThumbnail(at) {
  const canvas = find("overview-canvas");
  if (at === null) { canvas.title = ""; return; }
  const row = await loadRow(view.places[at]).catch(() => null); // it was renewed meanwhile: no name
  if (row) canvas.title = nameTile(row, labelOf(row.series_uuid));
}

function leaveOverview(at) {
  if (at === null) return;
  showOverview(false);
  focusTile(view.places[at]);
  find("grid").focus();
}

function onOverviewKey(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: overview.columns, ArrowUp: -overview.columns };
  if (event.key === "Enter") leaveOverview(overview.at);
  else if (event.key === "Escape") showOverview(false);
  else if (event.key in steps) moveThumbnail(steps[event.key]);
  else return;
  event.preventDefault();
}

async function moveThumbnail(by) {
  const at = overview.at + by;
  if (at < 0 || at >= view.places.length) return;
  overview.at = at;
  const frame = find("overview"), top = Math.floor(at / overview.columns) * overview.side;
  if (top < frame.scrollTop) frame.scrollTop = top;
  if (top + overview.side > frame.scrollTop + frame.clientHeight) frame.scrollTop = top + overview.side - frame.clientHeight;
  drawOverview();
  const row = await loadRow(view.places[at]);
  if (overview.at === at) say(nameTile(row, labelOf(row.series_uuid)));
}
