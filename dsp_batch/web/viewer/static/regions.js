"use strict";
// Rectangles that people draw: {box: [ymin, xmin, ymax, xmax] in pixels, frames: those of the file that it holds for,
// all where the list is empty}. The server keeps them until it ends; they are exported as CSV.

const UNDO_STEPS = 100;
const SMALLEST_REGION = 2; // pixels: less is a click, no rectangle

class Regions {
  // `changed()` is called after each change.
  constructor(changed) {
    Object.assign(this, { changed, byFile: new Map(), undone: [], selected: null });
  }

  // Takes over what the server has of a file.
  async load(file) {
    if (this.byFile.has(file)) return;
    this.byFile.set(file, []);
    this.byFile.set(file, readRegions(await askJson(`file/${file}/annotations`)));
    this.changed();
  }

  listOf(file) {
    return this.byFile.get(file) ?? [];
  }

  // Regions of one frame of a file, with their places in the list of the file.
  on(file, frame) {
    return this.listOf(file)
      .map((region, place) => ({ region, place }))
      .filter(({ region }) => !region.frames.length || region.frames.includes(frame));
  }

  select(file, place) {
    this.selected = file === null ? null : { file, place };
    this.changed();
  }

  isSelected(file, place) {
    return this.selected?.file === file && this.selected.place === place;
  }

  get selectedRegion() {
    return this.selected ? this.listOf(this.selected.file)[this.selected.place] ?? null : null;
  }

  add(file, box, frames) {
    this.change(file, [...this.listOf(file), { box, frames }]);
    this.select(file, this.listOf(file).length - 1);
  }

  // Shows a box where it is being dragged to, without telling the server.
  preview(file, place, box) {
    this.listOf(file)[place] = { ...this.listOf(file)[place], box };
  }

  // A box has been dragged from one place to another.
  settle(file, place, before, box) {
    this.preview(file, place, before);
    this.change(file, this.listOf(file).map((region, at) => (at === place ? { ...region, box } : region)));
  }

  setFrames(frames) {
    const { file, place } = this.selected;
    this.change(file, this.listOf(file).map((region, at) => (at === place ? { ...region, frames } : region)));
  }

  removeSelected() {
    if (!this.selected) return;
    const { file, place } = this.selected;
    this.selected = null;
    this.change(file, this.listOf(file).filter((_, at) => at !== place));
  }

  change(file, regions) {
    this.undone.push({ file, regions: this.listOf(file) });
    if (this.undone.length > UNDO_STEPS) this.undone.shift();
    this.set(file, regions);
  }

  undo() {
    const last = this.undone.pop();
    if (!last) return;
    this.selected = null;
    this.set(last.file, last.regions);
  }

  set(file, regions) {
    this.byFile.set(file, regions);
    this.changed();
    const options = { method: "PUT", body: JSON.stringify(writeRegions(regions)), headers: { "Content-Type": "application/json" } };
    ask(`file/${file}/annotations`, {}, options).catch((error) => say(error.message));
  }
}

// The API has boxes and frames in two lists of the same length.
function readRegions({ roi_coords: boxes, roi_frames: frames }) {
  return boxes.map((box, at) => ({ box, frames: frames[at] ?? [] }));
}

function writeRegions(regions) {
  return {
    num_roi: regions.length,
    roi_coords: regions.map(({ box }) => box),
    roi_frames: regions.map(({ frames }) => frames),
  };
}
