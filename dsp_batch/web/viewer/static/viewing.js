"use strict";
// One series that is open: its frames in display order, the one that is shown, its window and how it lies on the screen.

const MILLISECONDS_OF_REST = 180; // without another frame, after which samples are asked for
const FRAMES_OF_SAMPLES = 8; // whose samples are kept
const WIDEST_MOVING_PICTURE = 1024; // px: of pictures that come while frames move

const EMBEDDED = "embedded", FULL_DYNAMIC = "full dynamic", AUTO = "auto", TYPED = "typed";

class Viewing {
  // `changed()` is called whenever something is to be drawn anew.
  constructor(entry, changed) {
    Object.assign(this, { entry, changed, series: null, error: null });
    this.at = 0; // number of the frame that is wanted
    this.shown = null; // {at, bitmap, window, applied, samples}: what is on the screen
    this.direction = 1;
    this.overlays = false; // planes (60xx) of the object itself
    this.window = { preset: EMBEDDED };
    this.placement = new Placement(1, 1);
    this.samples = new Map(); // number of a frame → its samples
    this.failures = new Map(); // number of a frame → why there is no picture
    this.infos = new Map(); // number of a file → what the route `info` says
    this.pictures = null;
    this.restTimer = null;
    this.easel = null; // where samples are painted: {canvas, image}
    this.dragging = null; // the frame of the screen that shows the window next, while it is dragged
    this.slide = null;
    this.above = new SeriesOverlays(this, changed);
    this.cine = new Cine({
      frameCount: () => this.frames.length,
      frame: () => this.at,
      show: (at) => this.show(at),
      isReady: (at) => this.pictures.has(at) || this.failures.has(at),
      changed: () => { this.changed(); this.rest(); },
    });
  }

  get frames() { return this.slide ? [] : this.series?.frames ?? []; } // tiles of a slide are no frames to go through
  get current() { return this.frames[this.at] ?? null; }
  get failure() { return this.error ?? this.failures.get(this.at) ?? null; }
  get info() { return this.current ? this.infos.get(this.current.file) ?? null : null; }

  // {position, orientation, spacing} of the frame that is wanted, in mm; null while it is not known.
  get plane() {
    const frame = this.info?.frames.find((each) => each.frame === this.current.frame);
    return frame ? { position: frame.image_position, orientation: frame.image_orientation, spacing: frame.pixel_spacing } : null;
  }

  async open() {
    try {
      this.series = await askJson(`series/${encodeURIComponent(this.entry.id)}`);
      if (this.series.frame_time_ms) this.cine.rate = Math.min(FASTEST_RATE, 1000 / this.series.frame_time_ms);
      this.pictures = new FramePictures({
        frames: this.frames,
        parameters: () => this.pictureParameters(),
        arrived: (at) => { if (at === this.at) this.take(at); },
        failed: (at, error) => { this.failures.set(at, error.message); if (at === this.at) this.changed(); },
      });
      if (this.series.levels.length) this.openSlide();
      else if (this.frames.length) this.show(Math.floor(this.frames.length / 2));
      else await this.openPreview();
      this.above.open().catch(reportError);
    } catch (error) {
      this.error = error.message;
    }
    this.changed();
  }

  openSlide() {
    this.slide = new Slide(this.series.levels, () => this.changed(), (error) => say(error.message));
    this.placement = new Placement(this.slide.columns, this.slide.rows);
    this.shown = { at: null, bitmap: null, window: null, samples: null };
  }

  // Objects without pixels show what `preview` makes of them.
  async openPreview() {
    const picture = await readPicture(await ask(`series/${encodeURIComponent(this.entry.id)}/preview`));
    this.placement = new Placement(picture.bitmap.width, picture.bitmap.height);
    this.shown = { at: null, ...picture, samples: null };
  }

  // Goes to a frame. The old one stays on the screen until the new one has come.
  show(at) {
    const last = this.frames.length - 1, next = Math.max(0, Math.min(last, at));
    if (next !== this.at) this.direction = Math.sign(next - this.at);
    if (this.cine.isPlaying) this.direction = this.cine.direction;
    this.at = next;
    this.pictures.want(next, this.direction, this.cine.isPlaying && this.cine.loops && !this.cine.sweeps);
    this.above.want([next]);
    this.take(next);
    this.rest();
  }

  step(by) {
    this.cine.stop();
    this.show(this.at + by);
  }

  // Shows what is at hand of a frame: samples before pictures.
  take(at) {
    const samples = this.samples.get(at) ?? null, picture = this.pictures.get(at);
    const isPainted = samples !== null && this.canPaint(samples, picture);
    if (isPainted) {
      const window = this.windowOf(samples, picture);
      this.shown = { at, bitmap: this.paint(samples, window), window, applied: picture?.applied, samples };
    } else if (picture) {
      this.shown = { at, ...picture, samples };
    }
    if (this.shown?.at === at) this.fitPlacement();
    this.changed();
  }

  fitPlacement() {
    const { file } = this.current, info = this.infos.get(file);
    const columns = info?.columns ?? this.shown.samples?.columns ?? this.shown.bitmap.width;
    const rows = info?.rows ?? this.shown.samples?.rows ?? this.shown.bitmap.height;
    const aspect = info?.pixel_aspect_ratio ?? this.series.pixel_aspect_ratio ?? 1;
    const old = this.placement;
    if (old.columns === columns && old.rows === rows && old.aspect === aspect) return;
    this.placement = new Placement(columns, rows, aspect);
    this.placement.follow(old);
    if (old.columns === 1) this.placement.reset();
  }

  // A frame that stays for a moment is asked for as samples, and for where it lies in the patient.
  rest() {
    clearTimeout(this.restTimer);
    if (this.cine.isPlaying || !this.current) return;
    this.restTimer = setTimeout(() => this.sharpen(this.at).catch((error) => {
      if (!this.failures.has(this.at)) say(error.message);
    }), MILLISECONDS_OF_REST);
  }

  async sharpen(at) {
    const { file, frame } = this.frames[at];
    if (!this.infos.has(file)) this.infos.set(file, await askJson(`file/${file}/info`));
    if (!this.samples.has(at) && !this.failures.has(at)) {
      this.keepSamples(at, await readSamples(await ask(`file/${file}/frame/${frame}/raw`)));
    }
    if (at !== this.at) return;
    if (this.window.preset === AUTO) this.refine();
    this.take(at);
    this.above.fetchAhead(at, this.direction);
    await this.sharpenPicture(at);
  }

  // Where the server has to draw, the picture comes once more, whole and without loss.
  async sharpenPicture(at) {
    const picture = this.pictures.get(at), samples = this.samples.get(at);
    if (!picture || picture.isWhole || (samples && this.canPaint(samples, picture))) return;
    const { file, frame } = this.frames[at], { version } = this.pictures;
    const parameters = { ...this.pictureParameters(), format: "png", width: null };
    const whole = await readPicture(await ask(`file/${file}/frame/${frame}`, parameters));
    if (version !== this.pictures.version) return;
    this.pictures.keep(at, { ...whole, isWhole: true });
  }

  keepSamples(at, samples) {
    this.samples.set(at, samples);
    for (const number of this.samples.keys()) {
      if (this.samples.size <= FRAMES_OF_SAMPLES) break;
      this.samples.delete(number);
    }
  }

  // What the browser can window as the server does. A look-up table of the object is the server's to apply.
  canPaint(samples, picture) {
    if (this.overlays) return false; // planes are the server's to draw
    if (samples.perPixel === 3) return true;
    if (!takesWindow(samples) || samples.isMapped) return false;
    return this.window.preset !== EMBEDDED || (picture !== null && picture.applied !== "voi_lut");
  }

  windowOf(samples, picture) {
    const { preset, center, width } = this.window;
    if (preset === FULL_DYNAMIC) return fullWindow(samples);
    if (preset === EMBEDDED) return { ...(picture?.window ?? samples.own), function: samples.own?.function ?? "LINEAR" };
    return center === undefined ? autoWindow(samples) : { center, width, function: "LINEAR_EXACT" };
  }

  // Every frame is painted on one canvas: a new one for each step of a drag would keep the browser busy with memory.
  paint(samples, window) {
    const { columns, rows } = samples;
    if (this.easel?.image.width !== columns || this.easel.image.height !== rows) {
      this.easel = { canvas: new OffscreenCanvas(columns, rows), image: new ImageData(columns, rows) };
    }
    const { canvas, image } = this.easel;
    paintSamples(samples, window, image);
    canvas.getContext("2d").putImageData(image, 0, 0);
    return canvas;
  }

  pictureParameters() {
    const { preset, center, width } = this.window;
    const drawn = { format: "webp", width: WIDEST_MOVING_PICTURE };
    if (this.overlays) drawn.overlays = 1;
    if (preset === FULL_DYNAMIC) return { ...drawn, mode: "full_dynamic" };
    return center === undefined ? drawn : { ...drawn, wc: center, ww: width };
  }

  // `preset` is one of those above or the name of a CT preset, which brings its center and width.
  setWindow(window) {
    this.window = window;
    if (window.preset === AUTO) this.refine();
    this.redraw();
  }

  // The window of `auto` is that of the frame at rest; it stays for the others.
  refine() {
    const samples = this.samples.get(this.at);
    if (!samples || !takesWindow(samples) || this.window.center !== undefined) return;
    const { center, width } = autoWindow(samples);
    this.window = { preset: AUTO, center, width };
    this.pictures.forget();
  }

  // Dragging changes the window of the frame on the screen; pictures of the others come once it is let go.
  dragWindow(center, width) {
    this.window = { preset: TYPED, center, width: Math.max(width, 1e-3) };
    this.dragging ??= requestAnimationFrame(() => { this.dragging = null; this.take(this.at); });
  }

  setOverlays(isShown) {
    this.overlays = isShown;
    this.redraw();
  }

  // Goes to the frame that lies nearest to that of another series: in space where both have places along the same
  // axis, else at the same share of the way.
  goAlong(other) {
    if (!this.frames.length) return;
    const position = other.current.position, isSameAxis = this.series.axis === other.series.axis && this.series.axis !== "I";
    const along = position !== null && isSameAxis ? nearestFrame(this.frames, position) : null;
    const share = other.at / Math.max(other.frames.length - 1, 1);
    this.cine.stop();
    this.show(along ?? Math.round(share * (this.frames.length - 1)));
  }

  redraw() {
    this.failures.clear();
    this.pictures?.forget();
    if (this.frames.length) this.show(this.at);
  }

  close() {
    this.cine.stop();
    clearTimeout(this.restTimer);
    this.pictures?.forget();
    this.slide?.close();
    this.above.close();
    this.samples.clear();
  }
}

// Number of the frame whose position is nearest; null where none has one.
function nearestFrame(frames, position) {
  let nearest = null, least = Infinity;
  frames.forEach((frame, at) => {
    const distance = frame.position === null ? Infinity : Math.abs(frame.position - position);
    if (distance < least) { least = distance; nearest = at; }
  });
  return nearest;
}
