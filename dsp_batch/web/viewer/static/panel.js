"use strict";
// One place for a picture on the page: the canvas, the letters at its edges, the scale, and what a pointer does on it.

const TOOLS = { p: "pan", z: "zoom", w: "window", s: "scroll", r: "region" };
const PX_A_FRAME = 12; // that the pointer moves for each frame while it scrolls
const ZOOM_A_PX = 1.01;
const WHEEL_A_FRAME = 40; // px of a wheel that go to another frame

class Panel {
  // `page` has the tool that is chosen, the regions, and is told of what happens here.
  constructor(page) {
    Object.assign(this, { page, viewing: null, drag: null, wheel: 0, pointer: null, isDrawing: false });
    this.canvas = make("canvas", { class: "picture" });
    this.letters = Object.fromEntries(
      ["left", "right", "top", "bottom"].map((edge) => [edge, make("span", { class: `letter ${edge}` })]),
    );
    this.scale = make("span", { class: "scale" });
    this.title = make("p", { class: "caption" });
    this.note = make("p", { class: "note" });
    this.legend = make("ul", { class: "legend", "aria-label": "Legend", hidden: "" });
    this.boxes = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.boxes.setAttribute("class", "boxes");
    this.boxes.setAttribute("aria-hidden", "true");
    this.element = make(
      "section", { class: "panel", "aria-label": "Picture", tabindex: "-1" },
      this.canvas, this.boxes, ...Object.values(this.letters), this.scale, this.title, this.note, this.legend,
    );
    this.listen();
    new ResizeObserver(() => this.requestDraw()).observe(this.element);
  }

  get width() { return this.element.clientWidth; }
  get height() { return this.element.clientHeight; }

  show(viewing) {
    this.viewing = viewing;
    this.requestDraw();
  }

  requestDraw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => { this.isDrawing = false; this.draw(); });
  }

  draw() {
    const { canvas, width, height, viewing } = this, sharpness = window.devicePixelRatio;
    const across = Math.round(width * sharpness), down = Math.round(height * sharpness);
    if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, across, down);
    if (viewing?.shown) {
      viewing.placement.ordered = viewing.above.turnOf(viewing.shown.at);
      this.drawPicture(context, sharpness);
    }
    this.drawLetters();
    this.drawTexts();
    drawLegend(this);
    drawBoxes(this);
    this.page.drawn(this);
  }

  drawPicture(context, sharpness) {
    const { placement, shown } = this.viewing;
    const matrix = new DOMMatrix().scale(sharpness).multiply(placement.matrix(this.width, this.height));
    if (this.viewing.slide) {
      this.viewing.slide.draw(context, matrix, this.canvas);
      return;
    }
    context.setTransform(matrix);
    context.imageSmoothingEnabled = placement.zoomIn(this.width, this.height) < 3; // pixels are seen as such when large
    context.imageSmoothingQuality = "high";
    context.drawImage(shown.bitmap, 0, 0, placement.columns, placement.rows);
    this.viewing.above.draw(context, shown.at, placement);
  }

  drawLetters() {
    const { viewing } = this;
    const letters = viewing?.plane ? edgeLetters(viewing.plane.orientation, viewing.placement.turn) : null;
    for (const [edge, element] of Object.entries(this.letters)) element.textContent = letters?.[edge] ?? "";
    const zoom = viewing?.placement.zoomIn(this.width, this.height);
    const bar = viewing?.shown ? scaleBar(viewing.plane?.spacing, zoom, this.width) : null;
    this.scale.hidden = !bar;
    if (!bar) return;
    this.scale.textContent = bar.text;
    this.scale.style.width = `${bar.length}px`;
  }

  drawTexts() {
    const { viewing } = this;
    this.title.textContent = viewing ? titleOfSeries(viewing.entry) : "";
    const waits = viewing && !viewing.failure && viewing.frames.length && viewing.shown?.at !== viewing.at;
    this.note.textContent = viewing ? viewing.failure ?? (waits || !viewing.shown ? "…" : "") : "Choose a series.";
    this.note.classList.toggle("failed", Boolean(viewing?.failure));
  }

  // The pixel below a point of the screen, {column, row}; null outside of the image.
  pixelAt(point) {
    const { viewing } = this;
    if (!viewing?.shown) return null;
    const { x, y } = viewing.placement.toImage(point, this.width, this.height);
    const column = Math.floor(x), row = Math.floor(y);
    const isInside = column >= 0 && row >= 0 && column < viewing.placement.columns && row < viewing.placement.rows;
    return isInside ? { column, row } : null;
  }

  pointOf(event) {
    const frame = this.element.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  listen() {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.onDown(event));
    element.addEventListener("pointermove", (event) => this.onMove(event));
    element.addEventListener("pointerup", (event) => this.onUp(event));
    element.addEventListener("pointercancel", (event) => this.onUp(event));
    element.addEventListener("pointerleave", () => { this.pointer = null; this.page.pointed(this); });
    element.addEventListener("dblclick", () => this.page.reset(this));
    element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    element.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  onDown(event) {
    this.page.activate(this);
    if (!this.viewing?.shown) return;
    const tool = event.button === 2 ? "zoom" : event.button === 1 ? "pan" : this.page.tool;
    this.element.setPointerCapture(event.pointerId);
    const point = this.pointOf(event);
    this.drag = { tool, start: point, last: point, at: this.viewing.at };
    if (tool === "window") this.drag.window = this.viewing.shown.window;
    if (tool === "region") this.drag.region = beginRegion(this, point);
  }

  onMove(event) {
    this.pointer = this.pointOf(event);
    if (this.drag && this.viewing?.shown) DRAGS[this.drag.tool](this, this.drag, this.pointer);
    if (this.drag) this.drag.last = this.pointer;
    this.page.pointed(this);
  }

  onUp(event) {
    if (!this.drag) return;
    const { drag } = this;
    this.drag = null;
    if (this.element.hasPointerCapture(event.pointerId)) this.element.releasePointerCapture(event.pointerId);
    if (drag.tool === "window" && this.viewing.window.preset === TYPED) this.viewing.redraw();
    if (drag.tool === "region") endRegion(this, drag.region);
  }

  onWheel(event) {
    event.preventDefault();
    this.page.activate(this);
    if (!this.viewing?.shown) return;
    if (event.ctrlKey || event.metaKey || !this.viewing.frames.length) {
      this.viewing.placement.zoomAt(ZOOM_A_PX ** -event.deltaY, this.pointOf(event), this.width, this.height);
      this.page.moved(this);
      return;
    }
    this.wheel += event.deltaMode === 1 ? event.deltaY * WHEEL_A_FRAME : event.deltaY;
    const steps = Math.trunc(this.wheel / WHEEL_A_FRAME);
    this.wheel -= steps * WHEEL_A_FRAME;
    if (steps) this.page.step(this, steps);
  }
}

// What dragging does, by tool.
const DRAGS = {
  pan: (panel, { last }, point) => {
    panel.viewing.placement.moveBy(point.x - last.x, point.y - last.y);
    panel.page.moved(panel);
  },
  zoom: (panel, { start, last }, point) => {
    panel.viewing.placement.zoomAt(ZOOM_A_PX ** (last.y - point.y), start, panel.width, panel.height);
    panel.page.moved(panel);
  },
  scroll: (panel, { start, at }, point) => {
    panel.page.step(panel, at + Math.round((point.y - start.y) / PX_A_FRAME) - panel.viewing.at);
  },
  // To the right wider, down brighter: as in other viewers of radiology.
  window: (panel, drag, point) => {
    if (!drag.window) return;
    const { center, width } = drag.window, scale = Math.max(width, 1) / 300;
    panel.viewing.dragWindow(center - (point.y - drag.start.y) * scale, width + (point.x - drag.start.x) * scale);
  },
  region: (panel, { region }, point) => dragRegion(panel, region, point),
};

function titleOfSeries(entry) {
  const number = entry.series_number === null || entry.series_number === undefined ? "" : `${entry.series_number}: `;
  return `${number}${entry.description || entry.modality || entry.id}`;
}
