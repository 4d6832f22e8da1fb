"use strict";
// Cine: frames follow one another at the object's own rate, or at the one that was typed.

const USUAL_RATE = 10; // frames a second, where the object does not say
const FASTEST_RATE = 120;

class Cine {
  // `step(by)` shows another frame and is told whether the next one is there; `changed()` is called at start and stop.
  constructor({ frameCount, frame, show, isReady, changed }) {
    Object.assign(this, { frameCount, frame, show, isReady, changed });
    Object.assign(this, { rate: USUAL_RATE, loops: true, sweeps: false, direction: 1, isPlaying: false, measured: null });
  }

  toggle() {
    if (this.isPlaying) this.stop(); else this.start();
  }

  start() {
    if (this.isPlaying || this.frameCount() < 2) return;
    Object.assign(this, { isPlaying: true, due: performance.now(), shown: [] });
    if (!this.nextFrame()) this.show(0);
    this.changed();
    requestAnimationFrame((now) => this.tick(now));
  }

  stop() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.measured = null;
    this.changed();
  }

  // The next frame comes when its time has come and it is there: one that is late is waited for, not passed over.
  tick(now) {
    if (!this.isPlaying) return;
    requestAnimationFrame((later) => this.tick(later));
    const pause = 1000 / this.rate;
    if (now < this.due) return;
    const next = this.nextFrame();
    if (next === null) { this.stop(); return; }
    if (!this.isReady(next)) return;
    this.due = Math.max(this.due + pause, now - pause);
    this.show(next);
    this.measure(now);
  }

  // Turns round at the ends where it sweeps; null where the last frame has been shown.
  nextFrame() {
    const last = this.frameCount() - 1, next = this.frame() + this.direction;
    if (next >= 0 && next <= last) return next;
    if (!this.loops) { this.direction = 1; return null; }
    if (!this.sweeps) { this.direction = 1; return 0; }
    this.direction = -this.direction;
    return this.frame() + this.direction;
  }

  measure(now) {
    this.shown.push(now);
    if (this.shown.length > 20) this.shown.shift();
    const seconds = (now - this.shown[0]) / 1000;
    this.measured = seconds > 0.5 ? (this.shown.length - 1) / seconds : null;
  }
}
