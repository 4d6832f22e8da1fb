"use strict";
// Data files: classic scripts that call galleryData(name, stamp, text). See docs/reference/gallery-data.md.

// Pages opened from a folder may neither fetch nor import. A script element may load any file beside the page.

const KEPT_ROW_FILES = 24; // of 4,096 rows each, a few MB when unpacked

let facts = null; // what gallery.js says: stamp, count, facets, columns …
const arrived = new Map(); // name → {stamp, text} of data files that nobody has asked for yet
const loading = new Map(); // name → promise of its unpacked parts
const rowFiles = new Map(); // number → the rows' columns, the one that was used last at the end

function galleryData(name, stamp, text) {
  arrived.set(name, { stamp, text });
}

// Loads a data file of the gallery's present writing. Rejects where a file is missing, or belongs to another writing.
function loadData(name) {
  if (!loading.has(name)) {
    loading.set(name, fetchParts(name, facts.stamp).catch((error) => {
      loading.delete(name);
      throw error;
    }));
  }
  return loading.get(name);
}

async function fetchParts(name, stamp) {
  if (!arrived.has(name) || arrived.get(name).stamp !== stamp) await runScript(`data/${name}.js?${stamp}`);
  const found = arrived.get(name);
  arrived.delete(name);
  if (!found || found.stamp !== stamp) throw new Error(`${name} was renewed`);
  return unpack(found.text);
}

function runScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => { script.remove(); reject(new Error(`${address} cannot be loaded`)); };
    document.head.append(script);
  });
}

// Base64 of gzip of: length of a JSON text, the JSON text, the bytes of the parts.
async function unpack(text) {
  const stream = new Blob([decodeBase64(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const headers = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = Math.ceil((4 + length) / 8) * 8;
  return headers.map((header) => readPart(header, buffer, start));
}

function decodeBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
  return bytes;
}

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

function readPart(header, buffer, offset) {
  if (header.kind === "text") {
    const bytes = new Uint8Array(buffer, offset + (header.start || 0), header.length);
    return { ...header, text: new TextDecoder().decode(bytes) };
  }
  const kind = ARRAYS[header.type];
  if (!kind) return header;
  return { ...header, array: new kind(buffer, offset + header.start, header.length / kind.BYTES_PER_ELEMENT) };
}

function fileName(kind, number) {
  return `${kind}-${String(number).padStart(3, "0")}`;
}

// The file of rows that holds a place, once it is loaded.
async function loadRows(number) {
  const [part] = await loadData(fileName("rows", number));
  loading.delete(fileName("rows", number)); // it is kept below, as long as there is room
  rowFiles.delete(number);
  rowFiles.set(number, part);
  for (const oldest of rowFiles.keys()) {
    if (rowFiles.size <= KEPT_ROW_FILES) break;
    rowFiles.delete(oldest);
  }
  return part;
}

// A row as an object; null while its file is not loaded.
function rowAt(place) {
  const part = rowFiles.get(Math.floor(place / facts.rowsPerFile));
  return part ? pickRow(part, place % facts.rowsPerFile) : null;
}

async function loadRow(place) {
  const number = Math.floor(place / facts.rowsPerFile);
  return pickRow(rowFiles.get(number) || await loadRows(number), place % facts.rowsPerFile);
}

// What only an opened series shows.
async function loadDetails(place) {
  const [part] = await loadData(fileName("details", Math.floor(place / facts.rowsPerFile)));
  return pickRow(part, place % facts.rowsPerFile);
}

// Columns hold a value for each row; what is the same in all rows of a file is there once.
function pickRow({ columns, same }, at) {
  const row = { ...same };
  for (const name in columns) row[name] = columns[name][at];
  return row;
}

// A column of all rows: {values, array} of codes, or {array} of numbers.
async function loadColumn(name) {
  if (facts.facets[name]) return (await loadFacets()).get(name);
  return (await loadData(`column-${name}`))[0];
}

async function loadFacets() {
  return new Map((await loadData("facets")).map((part) => [part.name, part]));
}

// A column of texts: one string, in which each row is a line, and where the lines begin.
async function loadLines(name) {
  const parts = await loadData(`column-${name}`);
  const lines = parts.find((part) => part.kind === "text");
  if (!lines.starts) lines.starts = findLines(lines.text);
  return { text: lines.text, starts: lines.starts, places: parts.find((part) => part.kind === "numbers")?.array };
}

function findLines(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return Uint32Array.from(starts);
}

// Places of the lines that hold a part of text.
function* findInLines({ text, starts, places }, wanted) {
  for (let at = text.indexOf(wanted); at >= 0; ) {
    const line = lastAtMost(starts, at);
    yield places ? places[line] : line;
    at = text.indexOf(wanted, starts[line + 1]);
  }
}

// The last entry of a rising array that is not larger than a number.
function lastAtMost(rising, number) {
  let low = 0, high = rising.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rising[middle] <= number) low = middle; else high = middle - 1;
  }
  return low;
}

// The name of the file that has a UUID, or those that begin so; null where there is none.
function uuidFile(uuid) {
  if (!facts.uuidDigits) return facts.count ? "uuid" : null;
  const prefix = uuid.slice(0, facts.uuidDigits).toLowerCase();
  if (prefix.length < facts.uuidDigits) return null;
  const name = /^[0-9a-f]+$/.test(prefix) ? prefix : "other";
  return facts.uuidFiles.includes(name) ? `uuid-${name}` : null;
}

// The place of a series; null where it is not in this gallery.
async function findSeries(uuid) {
  const file = uuidFile(uuid);
  if (!file) return null;
  const lines = await loadLines(file);
  for (const place of findInLines(lines, `${uuid.toLowerCase()}\n`)) {
    const row = await loadRow(place);
    if (row.series_uuid.toLowerCase() === uuid.toLowerCase()) return place;
  }
  return null;
}

// Forgets all data, for those of another writing.
function forgetData() {
  loading.clear();
  rowFiles.clear();
}

async function readFacts() {
  const found = arrived.get("gallery");
  arrived.delete("gallery");
  if (!found) throw new Error("data/gallery.js cannot be loaded");
  const [read] = await unpack(found.text);
  return read;
}

// Addresses of the files of a series. Names may hold any character, so each part is encoded.
function addressOf(key) {
  return facts.pictures + key.split("/").map(encodeURIComponent).join("/");
}

function pictureOf(row, name = facts.name) {
  if (!row.preview) return null;
  const key = row.preview.replaceAll("{prefix}", row.series_uuid.slice(0, 2)).replaceAll("{uuid}", row.series_uuid);
  return addressOf(name === facts.name ? key : key.replace(`previews/${facts.name}/`, `previews/${name}/`));
}

function titleOf(row) {
  return row.series_description || row.title || row.series_uuid;
}
