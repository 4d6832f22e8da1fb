"use strict";
// Frames of one series as pictures: those that are asked for, those that will be, and those that were.

const BYTES_OF_PICTURES = 256 * 2 ** 20; // decoded pictures that a series keeps in the browser
const FRAMES_AHEAD = 24;
const FRAMES_BEHIND = 4;

class FramePictures {
  // `frames` is the list of {file, frame} in display order; `parameters()` says how the route is to draw them;
  // `arrived(at)` is called when a picture has come, `failed(at, error)` when it cannot.
  constructor({ frames, parameters, arrived, failed }) {
    Object.assign(this, { frames, parameters, arrived, failed });
    this.pictures = new Map(); // number of a frame → {bitmap, window, applied}, the one used last at the end
    this.asked = new Map(); // number of a frame → AbortController
    this.bytes = 0;
    this.waiting = new Waiting();
    this.version = 0;
  }

  has(at) {
    return this.pictures.has(at);
  }

  get(at) {
    const picture = this.pictures.get(at);
    if (picture) { this.pictures.delete(at); this.pictures.set(at, picture); }
    return picture ?? null;
  }

  // Asks for a frame, and for those that come next in the direction of travel; gives up what nobody waits for.
  want(at, direction, wraps) {
    const numbers = this.framesFrom(at, direction, wraps), wanted = new Set(numbers);
    for (const [number, abort] of this.asked) if (!wanted.has(number)) { abort.abort(); this.asked.delete(number); }
    this.waiting.clear();
    const isWanted = (number) => !this.pictures.has(number) && !this.asked.has(number);
    for (const number of numbers.filter(isWanted)) {
      this.waiting.add({ isWanted: () => isWanted(number), run: () => this.load(number) });
    }
  }

  framesFrom(at, direction, wraps) {
    const count = this.frames.length, room = this.room();
    const ahead = Array.from({ length: Math.min(FRAMES_AHEAD, room, count - 1) }, (_, step) => at + direction * (step + 1));
    const behind = Array.from({ length: Math.min(FRAMES_BEHIND, room) }, (_, step) => at - direction * (step + 1));
    const numbers = [at, ...ahead, ...behind].map((number) => (wraps ? ((number % count) + count) % count : number));
    return [...new Set(numbers.filter((number) => number >= 0 && number < count))];
  }

  // Number of pictures of the size of those at hand that half of the memory holds.
  room() {
    const some = this.pictures.values().next().value;
    return some ? Math.max(1, Math.floor(BYTES_OF_PICTURES / 2 / bytesOf(some))) : FRAMES_AHEAD;
  }

  async load(at) {
    const abort = new AbortController(), { version } = this, { file, frame } = this.frames[at];
    this.asked.set(at, abort);
    try {
      const answer = await ask(`file/${file}/frame/${frame}`, this.parameters(), { signal: abort.signal });
      const picture = await readPicture(answer);
      if (version === this.version) this.keep(at, picture); else picture.bitmap.close();
    } catch (error) {
      if (!isAborted(error) && version === this.version) this.failed(at, error);
    } finally {
      if (this.asked.get(at) === abort) this.asked.delete(at);
    }
  }

  keep(at, picture) {
    this.drop(at);
    this.pictures.set(at, picture);
    this.bytes += bytesOf(picture);
    for (const number of this.pictures.keys()) {
      if (this.bytes <= BYTES_OF_PICTURES || number === at) break;
      this.drop(number);
    }
    this.arrived(at);
  }

  drop(at) {
    const old = this.pictures.get(at);
    if (!old) return;
    this.pictures.delete(at);
    this.bytes -= bytesOf(old);
    old.bitmap.close();
  }

  // Forgets all pictures: they were drawn through another window.
  forget() {
    this.version += 1;
    for (const abort of this.asked.values()) abort.abort();
    for (const picture of this.pictures.values()) picture.bitmap.close();
    this.asked.clear();
    this.pictures.clear();
    this.waiting.clear();
    this.bytes = 0;
  }
}

// A picture and the window that it was drawn through: {bitmap, window, applied}.
async function readPicture(answer) {
  const header = (name) => answer.headers.get(`X-Frame-Window-${name}`);
  const center = header("Center");
  return {
    bitmap: await createImageBitmap(await answer.blob()),
    window: center === null ? null : { center: Number(center), width: Number(header("Width")) },
    applied: header("Applied"),
  };
}

function bytesOf({ bitmap }) {
  return 4 * bitmap.width * bitmap.height;
}
