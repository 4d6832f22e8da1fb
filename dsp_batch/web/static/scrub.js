"use strict";
// Scrubbing: one tile of a mosaic at a time, cut out of the picture that is there already.

// The tiles of a picture that hold something: {columns, rows, width, height, places}; null for a picture that is whole.
function tilesOf(row) {
  if (!row?.grid) return null;
  const [columns, rows, width, height, ...blank] = row.grid.split(" ").map(Number);
  const empty = new Set(blank);
  const places = [];
  for (let place = 0; place < columns * rows; place += 1) if (!empty.has(place)) places.push(place);
  return places.length > 1 ? { columns, rows, width, height, places } : null;
}

// One element that shows a tile over the picture of whichever frame it is put into.
class Scrubber {
  constructor() {
    this.element = make("div", { class: "scrub", "aria-hidden": "true" });
    this.host = null;
    this.at = 0;
  }

  // Shows tile number `at` of a row's picture in an element that has the size of the picture's frame.
  show(host, row, at, address = pictureOf(row)) {
    const tiles = tilesOf(row);
    if (!tiles || !address) return this.hide();
    this.at = Math.max(0, Math.min(at, tiles.places.length - 1));
    const place = tiles.places[this.at];
    const frame = host.getBoundingClientRect();
    const scale = Math.min(frame.width / tiles.width, frame.height / tiles.height);
    const style = this.element.style;
    style.width = `${tiles.width * scale}px`;
    style.height = `${tiles.height * scale}px`;
    style.left = `${(frame.width - tiles.width * scale) / 2}px`;
    style.top = `${(frame.height - tiles.height * scale) / 2}px`;
    style.backgroundImage = `url("${address.replaceAll('"', "%22")}")`;
    style.backgroundSize = `${tiles.columns * tiles.width * scale}px auto`;
    const column = place % tiles.columns, line = Math.floor(place / tiles.columns);
    style.backgroundPosition = `${-column * tiles.width * scale}px ${-line * tiles.height * scale}px`;
    this.element.textContent = `${this.at + 1}/${tiles.places.length}`;
    if (this.element.parentNode !== host) host.append(this.element);
    this.host = host;
  }

  // Follows a pointer: the left edge is the first tile, the right edge the last.
  follow(host, row, clientX, address) {
    const tiles = tilesOf(row);
    if (!tiles) return this.hide();
    const frame = host.getBoundingClientRect();
    this.show(host, row, Math.floor(((clientX - frame.left) / frame.width) * tiles.places.length), address);
  }

  step(host, row, by, address) {
    const tiles = tilesOf(row);
    if (!tiles) return;
    const start = this.host === host ? this.at : by > 0 ? -1 : tiles.places.length;
    this.show(host, row, start + by, address);
  }

  hide() {
    this.element.remove();
    this.host = null;
  }
}
