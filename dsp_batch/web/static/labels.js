"use strict";
// Labels that a person gives to series: kept in this browser, exported and imported as CSV.

const labels = new Map(); // uuid → {label, note}
const undone = []; // [uuid, what it had before], the last decision at the end
const MOST_UNDONE = 1000;

let labelColumn = null; // a facet of its own: {values, array}

function labelsKey() {
  return `dsp-batch gallery labels ${facts.id}`;
}

function labelOf(uuid) {
  return labels.get(uuid)?.label || "";
}

// Reads what this browser has kept.
function readLabels() {
  labels.clear();
  const kept = readStorage();
  for (const [uuid, value] of Object.entries(kept)) labels.set(uuid, value);
}

function readStorage() {
  try {
    return JSON.parse(localStorage.getItem(labelsKey())) || {};
  } catch (error) { // a browser may forbid storage to pages from disk
    say(`Labels last until the page is closed: ${error.message}`);
    return {};
  }
}

function keepLabels() {
  try {
    localStorage.setItem(labelsKey(), JSON.stringify(Object.fromEntries(labels)));
  } catch (error) {
    say(`Labels last until the page is closed, export them: ${error.message}`);
  }
}

// Finds the rows of all labels, so that they can be filtered by.
async function placeLabels() {
  labelColumn = null;
  for (const [uuid, { label }] of labels) {
    const place = await findSeries(uuid);
    if (place !== null && label) noteLabel(place, label);
  }
}

function noteLabel(place, label) {
  labelColumn ||= { name: "label", values: [""], array: new Uint16Array(facts.count) };
  let code = labelColumn.values.indexOf(label);
  if (code < 0) code = labelColumn.values.push(label) - 1;
  labelColumn.array[place] = code;
}

// Gives a label to a series, or takes it away with "".
async function giveLabel(place, label) {
  const { series_uuid: uuid } = await loadRow(place);
  undone.push([place, labelOf(uuid)]);
  if (undone.length > MOST_UNDONE) undone.shift();
  setLabel(place, uuid, label);
}

function setLabel(place, uuid, label) {
  const note = labels.get(uuid)?.note || "";
  if (label || note) labels.set(uuid, { label, note }); else labels.delete(uuid);
  noteLabel(place, label);
  keepLabels();
  say(label ? `label ${label}` : "no label");
  refreshTiles();
  showLabelInDetail(place);
  if (filters.facets.get("label")?.size) refilter(); else recount();
}

function setNote(uuid, note) {
  const label = labelOf(uuid);
  if (label || note) labels.set(uuid, { label, note }); else labels.delete(uuid);
  keepLabels();
}

async function undoLabel() {
  const last = undone.pop();
  if (!last) { say("nothing to undo"); return; }
  const [place, label] = last;
  const { series_uuid: uuid } = await loadRow(place);
  setLabel(place, uuid, label);
  focusTile(place);
}

// The next series without a label, behind the one in focus; from the beginning again at the end.
function nextUndecided(from) {
  const start = from === null ? 0 : view.places.indexOf(from) + 1;
  for (let step = 0; step < view.places.length; step += 1) {
    const place = view.places[(start + step) % view.places.length];
    if (!labelColumn?.array[place]) return place;
  }
  return null;
}

function onLabelKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return false;
  const place = find("detail").open ? opened.place : focus.place;
  if (/^[0-9]$/.test(event.key) && place !== null) giveLabel(place, event.key === "0" ? "" : event.key);
  else if (event.key === "u") undoLabel();
  else if (event.key === "n") goToUndecided(place);
  else return false;
  event.preventDefault();
  return true;
}

function goToUndecided(from) {
  const place = nextUndecided(from);
  if (place === null) { say("all series that are shown have a label"); return; }
  focusTile(place);
  find("grid").focus();
  if (find("detail").open) openDetail(place);
}

function exportLabels() {
  const lines = [...labels].map(([uuid, { label, note }]) => csvLine([uuid, label, note]));
  saveFile("labels.csv", csvLine(["uuid", "label", "note"]) + lines.join(""), "text/csv");
}

async function importLabels(file) {
  const [head, ...rows] = parseCsv((await file.text()).replace(/^\ufeff/, ""));
  const names = (head || []).map((name) => name.trim().toLowerCase());
  const [uuid, label, note] = ["uuid", "label", "note"].map((name) => names.indexOf(name));
  if (uuid < 0 || label < 0) { say(`${file.name} has no columns uuid and label`); return; }
  const plain = (text) => (text || "").trim().replace(/^'(?=[=+\-@])/, ""); // as it was before the export defused it
  for (const row of rows) {
    const value = { label: plain(row[label]), note: note < 0 ? "" : plain(row[note]) };
    if (value.label || value.note) labels.set(row[uuid].trim().toLowerCase(), value);
    else labels.delete(row[uuid].trim().toLowerCase());
  }
  keepLabels();
  await placeLabels();
  say(`${rows.length} labels imported`);
  refreshTiles();
  refilter();
}

function openLabels() {
  find("labels-export").addEventListener("click", exportLabels);
  find("labels-import").addEventListener("click", () => find("labels-file").click());
  find("labels-file").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    if (file) await importLabels(file).catch(reportError);
    event.target.value = ""; // the same file may be chosen again
  });
}
