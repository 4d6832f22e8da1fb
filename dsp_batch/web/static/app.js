"use strict";
// Starts the page, and keeps its parts in step: a change of filters, order, groups or size ends up here.

const SECONDS_BETWEEN_LOOKS = 4; // for new data while a run goes on

let matching = 0; // number of the last matching that was begun
let lastMatch = null;

async function start() {
  facts = await readFacts();
  selection.chosen = new Uint8Array(facts.count);
  document.title = facts.title;
  find("title").textContent = facts.title;
  openGrid();
  openGridKeys();
  openSidebar();
  openLabels();
  openExport();
  openDetailDialog();
  openOverview();
  openKeys();
  openTools();
  const wanted = readAddress();
  readLabels();
  showTools();
  // The first pictures before all else: facets are larger than the rows that the screen shows.
  if (!location.hash.slice(1)) await showFirstRows();
  buildSidebar();
  await refilter();
  await followAddress(wanted);
  await placeLabels();
  if (labels.size) await refilter();
  window.addEventListener("hashchange", () => takeAddress().catch(reportError));
  if (facts.live) setInterval(() => lookForNews().catch(reportError), SECONDS_BETWEEN_LOOKS * 1000);
}

async function showFirstRows() {
  await loadRows(0);
  view.places = Uint32Array.from({ length: facts.count }, (_, place) => place);
  showStatus();
  layOutGrid();
  await new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); });
}

// Matches, orders and lays out all rows. Of several in a row, the last counts.
async function refilter(fromTop = false) {
  matching += 1;
  const number = matching;
  const match = await matchRows(labelColumn);
  const grouped = await groupPlaces(match.places);
  if (number !== matching) return;
  lastMatch = match;
  Object.assign(view, grouped);
  showFilters();
  showFacets(match);
  showStatus();
  if (overview.isOpen) layOutOverview(); else layOutGrid();
  if (fromTop) { longScroll.moveTo(0); find("overview").scrollTop = 0; drawLines(); }
  find("message").hidden = view.places.length > 0;
  find("message").textContent = facts.count ? "No series matches these filters." : "There is no series yet.";
  noteAddress();
}

// Counts anew without changing what is shown: for labels, which are given one after another.
async function recount() {
  const match = await matchRows(labelColumn);
  showFacets(match);
}

function showStatus() {
  find("status").replaceChildren(
    makeNumber(view.places.length), " of ", makeNumber(facts.count), " series, ", makeNumber(selection.count), " selected",
    facts.live ? make("span", { class: "live" }, " · a run is going on") : "",
  );
}

function openTools() {
  find("sort").addEventListener("change", (event) => { sorting.column = event.target.value; refilter(true); });
  find("descending").addEventListener("click", () => {
    sorting.descending = !sorting.descending;
    showTools();
    refilter(true);
  });
  find("group").addEventListener("change", (event) => { grouping.by = event.target.value; refilter(true); });
  find("size").addEventListener("input", (event) => {
    tile.size = Number(event.target.value);
    layOutGrid();
    if (focus.place !== null) showSpot();
    noteAddress();
  });
  document.addEventListener("keydown", onPageKey);
}

// Brings the controls of the bar to what the state says.
function showTools() {
  const sortable = { "": "study", ...facts.columns, ...facts.facets };
  find("sort").replaceChildren(...Object.entries(sortable).map(([value, title]) => make("option", { value }, title)));
  find("sort").value = sorting.column;
  find("group").replaceChildren(...Object.keys(LEVELS).map((by) => make("option", { value: by }, by)));
  find("group").value = grouping.by;
  find("descending").setAttribute("aria-pressed", sorting.descending);
  find("size").value = tile.size;
}

function onPageKey(event) {
  if (isTyping(event)) {
    if (event.key === "Escape" && event.target === find("search")) find("grid").focus();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || onLabelKey(event)) return;
  if (event.key === "?") find("keys").showModal();
  else if (event.key === "/") find("search").focus();
  else return;
  event.preventDefault();
}

const KEYS = [
  ["Arrows, Page Up, Page Down", "move"],
  ["Home, End", "first and last series"],
  ["Enter", "open a series; fold or unfold a group"],
  ["Space, Ctrl+click", "select or deselect one"],
  ["Shift+click, Shift+Arrows", "select up to here"],
  ["Ctrl+A", "select all that the filters leave"],
  ["Escape", "select none; close"],
  ["] and [", "next and previous tile of a mosaic"],
  ["1 to 9", "give a label"],
  ["0", "take the label away"],
  ["u", "undo the last label"],
  ["n", "next series without a label"],
  ["/", "search"],
  ["?", "these keys"],
];

function openKeys() {
  const rows = KEYS.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, what)));
  find("keys").append(
    make("h2", { id: "keys-title" }, "Keys"), make("table", {}, make("tbody", {}, ...rows)), makeButton("Close", () => find("keys").close()),
  );
  find("keys-open").addEventListener("click", () => find("keys").showModal());
}

async function takeAddress() {
  if (location.hash.slice(1) === await writeAddress()) return;
  const wanted = readAddress();
  showTools();
  await refilter();
  await followAddress(wanted);
}

// Takes up a new writing of the data, once it is complete.
async function lookForNews() {
  await runScript(`data/gallery.js?${Date.now()}`);
  const news = await readFacts();
  if (news.stamp === facts.stamp) return;
  const known = await rememberSeries();
  if (!known) { say("There is new data: load the page again."); return; }
  facts = news;
  forgetData();
  permutations.clear();
  atlases.clear();
  selection.chosen = new Uint8Array(facts.count);
  selection.count = 0;
  buildSidebar();
  showTools();
  await placeLabels();
  await refilter();
  focus.place = known.focused && await findSeries(known.focused);
  selection.anchor = null;
  await followAddress({ open: null, selected: known.selected });
}

// Names what is selected and in focus: places change with the data. Null where too much is selected to name it.
async function rememberSeries() {
  if (selection.count > MOST_SELECTED) return null;
  const selected = [];
  for (let place = selection.chosen.indexOf(1); place >= 0; place = selection.chosen.indexOf(1, place + 1)) {
    selected.push((await loadRow(place)).series_uuid);
  }
  return { selected, focused: focus.place === null ? null : rowAt(focus.place)?.series_uuid || null };
}

function reportError(error) {
  // Data of an older writing are gone while a run goes on: the next look finds the new ones.
  if (facts?.live && /renewed|loaded/.test(error.message)) return;
  say(`${error.message}: load the page again`);
}

start().catch(reportError);
