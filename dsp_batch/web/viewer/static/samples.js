"use strict";
// Samples of a frame, and the window that turns them into grays (PS3.3 C.11.2.1.2), in the browser: dragging a window
// asks the server for nothing.

const MOST_SAMPLES_OF_A_GUESS = 100000; // percentiles of an image are taken from about so many of its samples

// Reads an answer of the route `raw`.
async function readSamples(answer) {
  const header = (name) => answer.headers.get(`X-Frame-${name}`);
  const number = (name, usual) => Number(header(name) ?? usual);
  const isFloat = header("Value-Type") === "float", isSigned = number("Pixel-Representation", 0) === 1;
  const low = header("Padding-Low"), high = header("Padding-High");
  return {
    data: viewSamples(await answer.arrayBuffer(), number("Bits-Allocated", 8), isFloat, isSigned),
    rows: number("Rows"),
    columns: number("Columns"),
    perPixel: number("Samples-Per-Pixel", 1),
    photometric: header("Photometric-Interpretation"),
    slope: number("Rescale-Slope", 1),
    intercept: number("Rescale-Intercept", 0),
    inverted: header("Inverted") === "true",
    padding: low === null ? null : [Number(low), Number(high)],
    own: header("Default-Wc") === null
      ? null
      : { center: number("Default-Wc"), width: number("Default-Ww"), function: header("Default-Function") ?? "LINEAR" },
  };
}

function viewSamples(buffer, bits, isFloat, isSigned) {
  if (isFloat) return bits === 64 ? new Float64Array(buffer) : new Float32Array(buffer);
  if (bits === 32) return isSigned ? new Int32Array(buffer) : new Uint32Array(buffer);
  if (bits === 16) return isSigned ? new Int16Array(buffer) : new Uint16Array(buffer);
  return isSigned ? new Int8Array(buffer) : new Uint8Array(buffer);
}

// True where a window says how the samples look: colors have none, and a palette is the server's to apply.
function takesWindow(samples) {
  return samples.perPixel === 1 && samples.photometric !== "PALETTE COLOR";
}

// Paints samples through a window of {center, width} into an ImageData of their size.
function paintSamples(samples, window, image) {
  const pixels = new Uint32Array(image.data.buffer), { data } = samples;
  if (samples.perPixel === 3) {
    for (let at = 0, from = 0; at < pixels.length; at += 1, from += 3) {
      pixels[at] = 0xff000000 | (data[from + 2] << 16) | (data[from + 1] << 8) | data[from];
    }
    return;
  }
  const gray = grayOf(samples, window);
  if (data.BYTES_PER_ELEMENT > 2) {
    for (let at = 0; at < data.length; at += 1) pixels[at] = gray(data[at]);
    return;
  }
  const table = tableOf(data, gray), first = firstValue(data);
  for (let at = 0; at < data.length; at += 1) pixels[at] = table[data[at] - first];
}

// Functions of a window of {center, width}: the share of white of a value.
const WINDOW_FUNCTIONS = {
  LINEAR: ({ center, width }) => {
    const low = center - 0.5 - (width - 1) / 2, span = Math.max(width - 1, 1e-9);
    return (value) => Math.min(1, Math.max(0, (value - low) / span));
  },
  LINEAR_EXACT: ({ center, width }) => (value) => Math.min(1, Math.max(0, (value - center) / width + 0.5)),
  SIGMOID: ({ center, width }) => (value) => 1 / (1 + Math.exp((-4 * (value - center)) / width)),
};

// A function that gives the gray of a stored value, as a pixel of ImageData.
function grayOf({ slope, intercept, inverted, padding }, window) {
  const shareOf = WINDOW_FUNCTIONS[window.function ?? "LINEAR_EXACT"](window);
  return (stored) => {
    if (padding && stored >= padding[0] && stored <= padding[1]) return 0xff000000;
    const share = shareOf(stored * slope + intercept);
    const level = Math.round(255 * (inverted ? 1 - share : share)) || 0;
    return (0xff000000 | (level * 0x010101)) >>> 0;
  };
}

function firstValue(data) {
  return data instanceof Int16Array ? -32768 : data instanceof Int8Array ? -128 : 0;
}

function tableOf(data, gray) {
  const first = firstValue(data), table = new Uint32Array(2 ** (8 * data.BYTES_PER_ELEMENT));
  for (let at = 0; at < table.length; at += 1) table[at] = gray(first + at);
  return table;
}

function isPadding({ padding }, stored) {
  return padding !== null && stored >= padding[0] && stored <= padding[1];
}

// The window from the smallest to the largest value.
function fullWindow(samples) {
  let low = Infinity, high = -Infinity;
  for (const stored of samples.data) {
    if (isPadding(samples, stored)) continue;
    if (stored < low) low = stored;
    if (stored > high) high = stored;
  }
  return windowBetween(samples, low, high);
}

// The window from the 2nd to the 98th percentile.
function autoWindow(samples) {
  const step = Math.max(1, Math.floor(samples.data.length / MOST_SAMPLES_OF_A_GUESS));
  const some = Float64Array.from({ length: Math.ceil(samples.data.length / step) }, (_, at) => samples.data[at * step])
    .filter((stored) => Number.isFinite(stored) && !isPadding(samples, stored))
    .sort();
  const at = (share) => some[Math.min(some.length - 1, Math.floor(share * some.length))];
  return windowBetween(samples, at(0.02), at(0.98));
}

function windowBetween({ slope, intercept }, low, high) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { center: 0.5, width: 1, function: "LINEAR_EXACT" };
  const ends = [low * slope + intercept, high * slope + intercept].sort((one, other) => one - other);
  return { center: (ends[0] + ends[1]) / 2, width: Math.max(ends[1] - ends[0], 1e-6), function: "LINEAR_EXACT" };
}

// What a pixel holds: {stored, value}; null outside of the image.
function readPixel(samples, column, row) {
  if (!samples || column < 0 || row < 0 || column >= samples.columns || row >= samples.rows) return null;
  const at = (row * samples.columns + column) * samples.perPixel;
  const stored = [...samples.data.subarray(at, at + samples.perPixel)];
  if (samples.perPixel > 1) return { stored: stored.join("/"), value: stored.join("/") };
  return { stored: stored[0], value: stored[0] * samples.slope + samples.intercept };
}
