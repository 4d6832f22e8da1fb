"use strict";
// Where an image lies on the screen. Image coordinates are columns and rows, from 0 at the outer corner of the first
// pixel; screen coordinates are CSS px from the corner of the canvas.

const LARGEST_ZOOM = 64; // screen px a pixel

const QUARTER_TURN = [0, 1, -1, 0, 0, 0]; // clockwise
const MIRROR = [-1, 0, 0, 1, 0, 0]; // left and right

// The matrix of some quarter turns clockwise, and then a flip.
function turnMatrix(rotation, isFlipped) {
  let turn = new DOMMatrix(isFlipped ? MIRROR : undefined);
  for (let turns = 0; turns < rotation; turns += 1) turn = turn.multiply(new DOMMatrix(QUARTER_TURN));
  return turn;
}

class Placement {
  // `aspect` is the height of a pixel over its width (PS3.3 C.7.6.3.1.7).
  constructor(columns, rows, aspect = 1) {
    Object.assign(this, { columns, rows, aspect });
    this.ordered = new DOMMatrix(); // how a presentation state turns the frame that is shown
    this.reset();
  }

  reset() {
    this.byHand = new DOMMatrix(); // flips and quarter turns, in the order in which they were asked for
    this.zoom = null; // screen px a pixel's width; null fits the image into the screen
    this.shift = { x: 0, y: 0 }; // of the image's centre from the screen's, in screen px
  }

  get turn() { return this.byHand.multiply(this.ordered); }

  // Takes over zoom, shift and turn of another image, such as the frame before.
  follow(other) {
    Object.assign(this, { byHand: other.byHand, zoom: other.zoom, shift: { ...other.shift } });
  }

  flipHorizontally() { this.turnBy(new DOMMatrix(MIRROR)); }
  flipVertically() { this.turnBy(new DOMMatrix([1, 0, 0, -1, 0, 0])); }
  rotateRight() { this.turnBy(new DOMMatrix(QUARTER_TURN)); }
  rotateLeft() { this.turnBy(new DOMMatrix([0, -1, 1, 0, 0, 0])); }

  turnBy(step) {
    this.byHand = step.multiply(this.byHand);
    const { x, y } = step.transformPoint(this.shift);
    this.shift = { x, y };
  }

  fitZoom(width, height) {
    const isUpright = Math.abs(this.turn.a) > 0.5;
    const tall = this.rows * this.aspect;
    return isUpright
      ? Math.min(width / this.columns, height / tall)
      : Math.min(width / tall, height / this.columns);
  }

  zoomIn(width, height) {
    return this.zoom ?? this.fitZoom(width, height);
  }

  // From image to screen.
  matrix(width, height) {
    const zoom = this.zoomIn(width, height);
    return new DOMMatrix()
      .translate(width / 2 + this.shift.x, height / 2 + this.shift.y)
      .multiply(this.turn)
      .scale(zoom, zoom * this.aspect)
      .translate(-this.columns / 2, -this.rows / 2);
  }

  toImage(point, width, height) {
    return this.matrix(width, height).inverse().transformPoint(point);
  }

  toScreen(point, width, height) {
    return this.matrix(width, height).transformPoint(point);
  }

  moveBy(x, y) {
    this.shift.x += x;
    this.shift.y += y;
  }

  // Zooms by a factor; what is at a point of the screen stays there.
  zoomAt(factor, point, width, height) {
    const old = this.zoomIn(width, height), smallest = Math.min(1, this.fitZoom(width, height)) / 4;
    const zoom = Math.min(LARGEST_ZOOM, Math.max(smallest, old * factor));
    const fromCentre = { x: point.x - width / 2, y: point.y - height / 2 };
    this.shift.x = fromCentre.x - (fromCentre.x - this.shift.x) * (zoom / old);
    this.shift.y = fromCentre.y - (fromCentre.y - this.shift.y) * (zoom / old);
    this.zoom = zoom;
  }
}
