"use strict";
// The state of the page in its address, so that a link shows the same elsewhere.

const MOST_SELECTED = 100; // series whose selection goes into the address

let noteTimer = null;

// Writes the state into the address, a moment later: browsers allow few changes a second.
function noteAddress() {
  clearTimeout(noteTimer);
  noteTimer = setTimeout(async () => {
    const text = await writeAddress();
    if (location.hash.slice(1) !== text) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }, 150);
}

async function writeAddress() {
  const state = new URLSearchParams();
  if (filters.search) state.set("q", filters.search);
  for (const [name, values] of filters.facets) for (const value of values) state.append(`f.${name}`, value);
  for (const [name, { from, to }] of filters.ranges) state.set(`r.${name}`, `${from ?? ""}~${to ?? ""}`);
  if (sorting.column) state.set("sort", sorting.column);
  if (sorting.descending) state.set("down", "1");
  if (grouping.by !== "none") state.set("group", grouping.by);
  if (tile.size !== 192) state.set("size", tile.size);
  if (opened.place !== null) state.set("open", (await loadRow(opened.place)).series_uuid);
  if (selection.count && selection.count <= MOST_SELECTED) {
    const uuids = [];
    for (let place = selection.chosen.indexOf(1); place >= 0; place = selection.chosen.indexOf(1, place + 1)) {
      uuids.push((await loadRow(place)).series_uuid);
    }
    state.set("sel", uuids.join(","));
  }
  return state.toString();
}

// Takes up what an address says; what this gallery does not have is passed over.
function readAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  filters.search = state.get("q") || "";
  filters.facets.clear();
  filters.ranges.clear();
  for (const [name, value] of state) {
    const column = name.slice(2);
    if (name.startsWith("f.") && (facts.facets[column] || column === "label")) {
      filters.facets.set(column, (filters.facets.get(column) || new Set()).add(value));
    } else if (name.startsWith("r.") && RANGES[column] && facts.columns[column]) {
      const [from, to] = value.split("~").map((text) => (text && Number.isFinite(Number(text)) ? Number(text) : null));
      filters.ranges.set(column, { from: from ?? null, to: to ?? null });
    }
  }
  const sort = state.get("sort");
  sorting.column = sort && (facts.columns[sort] || facts.facets[sort]) ? sort : "";
  sorting.descending = state.get("down") === "1";
  grouping.by = LEVELS[state.get("group")] ? state.get("group") : "none";
  tile.size = Math.max(64, Math.min(512, Number(state.get("size")) || 192));
  return { open: state.get("open"), selected: (state.get("sel") || "").split(",").filter(Boolean).slice(0, MOST_SELECTED) };
}

// Opens and selects the series that an address names.
async function followAddress({ open, selected }) {
  if (selected.length || selection.count) {
    selection.chosen.fill(0);
    selection.count = 0;
    for (const uuid of selected) {
      const place = await findSeries(uuid);
      if (place !== null) setSelected(place, 1);
    }
    selectionChanged();
  }
  const place = open ? await findSeries(open) : null;
  if (place !== null) await openDetail(place);
  else if (open) say(`${open} is not in this gallery`);
}
