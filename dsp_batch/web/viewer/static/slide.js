"use strict";
// A slide: levels of one image at several resolutions. Only the tiles that the screen shows are asked for, of the level
// whose pixels come closest to those of the screen.

const BYTES_OF_TILES = 256 * 2 ** 20;
const LARGEST_PIXEL = 1.5; // of a level, in pixels of the screen, before a finer level takes its place
const OTHER_IMAGES = ["LABEL", "OVERVIEW"];

class Slide {
  // `levels` as the API has them, largest first; `arrived()` is called when a tile has come.
  constructor(levels, arrived, failed) {
    const ofSlide = levels.filter(({ image_type: kinds }) => !kinds.some((kind) => OTHER_IMAGES.includes(kind)));
    Object.assign(this, { levels: ofSlide.length ? ofSlide : levels, arrived, failed });
    [{ columns: this.columns, rows: this.rows }] = this.levels;
    this.tiles = new Map(); // "level/column/row" → ImageBitmap, the one used last at the end; null where there is none
    this.loading = new Set();
    this.visible = new Set();
    this.waiting = new Waiting();
    this.bytes = 0;
  }

  // Draws what is there of the part of the slide that is seen: `matrix` leads from pixels of the largest level to those
  // of the canvas.
  draw(context, matrix, { width, height }) {
    const pixel = Math.hypot(matrix.a, matrix.b), area = seenArea(matrix, width, height);
    const at = this.chooseLevel(pixel), coarsest = this.levels.length - 1;
    this.visible = new Set();
    for (let level = coarsest; level >= at; level -= 1) {
      const isWanted = level === at || level === coarsest;
      for (const tile of this.tilesIn(level, area)) this.drawTile(context, matrix, tile, isWanted);
    }
    this.load();
  }

  chooseLevel(pixel) {
    const fine = this.levels.findLastIndex(({ columns }) => pixel * (this.columns / columns) <= LARGEST_PIXEL);
    return Math.max(0, fine);
  }

  // Tiles of a level that touch an area of the largest level.
  * tilesIn(level, { left, top, right, bottom }) {
    const { columns, rows, tile_columns: across, tile_rows: down, grid_columns: lines, grid_rows: piles } = this.levels[level];
    const scaleX = columns / this.columns, scaleY = rows / this.rows;
    const last = (edge, size, count) => Math.min(count - 1, Math.floor(edge / size));
    for (let row = Math.max(0, Math.floor((top * scaleY) / down)); row <= last(bottom * scaleY, down, piles); row += 1) {
      for (let column = Math.max(0, Math.floor((left * scaleX) / across)); column <= last(right * scaleX, across, lines); column += 1) {
        yield { key: `${level}/${column}/${row}`, level, column, row, x: column * across, y: row * down, scaleX, scaleY };
      }
    }
  }

  drawTile(context, matrix, tile, isWanted) {
    if (isWanted) this.visible.add(tile.key);
    const bitmap = this.tiles.get(tile.key);
    if (!bitmap) return;
    this.tiles.delete(tile.key);
    this.tiles.set(tile.key, bitmap);
    context.setTransform(matrix.scale(1 / tile.scaleX, 1 / tile.scaleY).translate(tile.x, tile.y));
    context.imageSmoothingEnabled = true;
    const { columns, rows } = this.levels[tile.level];
    const width = Math.min(bitmap.width, columns - tile.x), height = Math.min(bitmap.height, rows - tile.y);
    context.drawImage(bitmap, 0, 0, width, height, 0, 0, width, height);
  }

  load() {
    this.waiting.clear();
    for (const key of this.visible) {
      const isWanted = () => this.visible.has(key) && !this.tiles.has(key) && !this.loading.has(key);
      if (isWanted()) this.waiting.add({ isWanted, run: () => this.loadTile(key) });
    }
  }

  async loadTile(key) {
    const [level, column, row] = key.split("/");
    this.loading.add(key);
    try {
      this.keep(key, await askPicture(`file/${this.levels[level].file}/tile/${column}/${row}`));
    } catch (error) {
      this.tiles.set(key, null); // sparse levels have no tile where there is nothing to see
      if (error.status !== 404) this.failed(error);
    } finally {
      this.loading.delete(key);
      this.arrived();
    }
  }

  keep(key, bitmap) {
    this.tiles.set(key, bitmap);
    this.bytes += 4 * bitmap.width * bitmap.height;
    for (const [old, tile] of this.tiles) {
      if (this.bytes <= BYTES_OF_TILES || old === key) break;
      this.tiles.delete(old);
      this.bytes -= tile ? 4 * tile.width * tile.height : 0;
      tile?.close();
    }
  }

  close() {
    this.waiting.clear();
    for (const tile of this.tiles.values()) tile?.close();
    this.tiles.clear();
  }
}

// The part of an image that a canvas shows, in pixels of the image.
function seenArea(matrix, width, height) {
  const back = matrix.inverse();
  const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => back.transformPoint({ x, y }));
  const xs = corners.map(({ x }) => x), ys = corners.map(({ y }) => y);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}
