"use strict";
// Which rows match the filters, in which order, and how many would match each value of a facet.

const filters = {
  facets: new Map(), // name → set of chosen values; "" is "no value"
  ranges: new Map(), // column → {from, to}
  search: "",
};
const sorting = { column: "", descending: false };

const RANGES = { n_instances: "Instances", study_date: "Date", megabytes: "MB" };

const permutations = new Map(); // column → places of all rows, sorted by it

// Numbers of misses that rule a row out of every count: a search or a range is no facet.
const OUT = 2;

// Matches all rows. Gives {places, counts, facets}: rows that match, in order; facet → count of each code.
async function matchRows(labelColumn) {
  const facets = new Map(await loadFacets());
  if (labelColumn) facets.set("label", labelColumn);
  const misses = new Uint8Array(facts.count);
  await Promise.all([matchSearch(misses), ...[...filters.ranges].map(([name, range]) => matchRange(misses, name, range))]);
  const missed = matchFacets(facets, misses);
  const counts = new Map([...facets].map(([name, column], number) => [name, countCodes(column, misses, missed, number)]));
  return { places: await orderPlaces(misses), counts, facets };
}

function matchFacets(facets, misses) {
  const missed = new Uint8Array(misses.length); // the facet that a row misses, where it misses one alone
  [...facets].forEach(([name, column], number) => {
    const chosen = filters.facets.get(name);
    if (!chosen?.size) return;
    const fits = Uint8Array.from(column.values, (value) => (chosen.has(value) ? 1 : 0));
    const codes = column.array;
    for (let place = 0; place < codes.length; place += 1) {
      if (!fits[codes[place]]) { misses[place] += 1; missed[place] = number; }
    }
  });
  return missed;
}

// How many rows have each value, of those that every other filter leaves.
function countCodes(column, misses, missed, number) {
  const counts = new Uint32Array(column.values.length);
  const codes = column.array;
  for (let place = 0; place < codes.length; place += 1) {
    if (misses[place] === 0 || (misses[place] === 1 && missed[place] === number)) counts[codes[place]] += 1;
  }
  return counts;
}

async function matchRange(misses, name, { from, to }) {
  if (from === null && to === null) return;
  const { array } = await loadColumn(name);
  const low = from ?? -Infinity, high = to ?? Infinity;
  for (let place = 0; place < array.length; place += 1) {
    if (!(array[place] >= low && array[place] <= high)) misses[place] |= OUT; // NaN is in no range
  }
}

// All words must be found, each in any of the searched columns.
async function matchSearch(misses) {
  const words = filters.search.toLowerCase().split(/\s+/).filter(Boolean);
  for (const word of words) {
    const found = new Uint8Array(misses.length);
    await findWord(found, word);
    for (let place = 0; place < misses.length; place += 1) if (!found[place]) misses[place] |= OUT;
  }
}

const SEARCHED = ["series_description", "study_description", "patient_id", "title"];

async function findWord(found, word) {
  const named = SEARCHED.filter((name) => facts.columns[name]);
  const columns = await Promise.all(named.map(loadColumn));
  for (const column of columns) {
    const { array } = column;
    column.lower ||= column.values.map((value) => value.toLowerCase());
    const fits = Uint8Array.from(column.lower, (value) => (value.includes(word) ? 1 : 0));
    if (!fits.includes(1)) continue;
    for (let place = 0; place < array.length; place += 1) if (fits[array[place]]) found[place] = 1;
  }
  for (const file of identifierFiles(word)) {
    for (const place of findInLines(await loadLines(file), word)) found[place] = 1;
  }
}

// Files of UIDs and UUIDs that a word may be found in. With a million rows they are large: they are loaded only for
// words that look like a part of one.
function identifierFiles(word) {
  const files = /^[0-9.]{3,}$/.test(word) && word.includes(".") ? facts.texts.slice() : [];
  const file = word.length >= 4 && /\d/.test(word) ? uuidFile(word) : null;
  return file ? [...files, file] : files;
}

async function orderPlaces(misses) {
  const order = sorting.column ? await sortAll(sorting.column) : null;
  const places = new Uint32Array(misses.length);
  let count = 0;
  for (let rank = 0; rank < misses.length; rank += 1) {
    const place = order ? order[rank] : rank;
    if (!misses[place]) { places[count] = place; count += 1; }
  }
  const ordered = places.slice(0, count);
  return sorting.descending ? reverseKnown(ordered) : ordered;
}

// All rows in the order of a column, once for each column. Rows without a value come last.
async function sortAll(name) {
  if (!permutations.has(name)) {
    const { array, values } = await loadColumn(name);
    const keys = Float64Array.from(array, (value) => (Number.isNaN(value) || (values && value === 0) ? Infinity : value));
    const order = Uint32Array.from(keys, (_, place) => place);
    order.sort((one, other) => (keys[one] < keys[other] ? -1 : keys[one] > keys[other] ? 1 : one - other));
    order.unknown = Uint8Array.from(keys, (key) => (key === Infinity ? 1 : 0));
    permutations.set(name, order);
  }
  return permutations.get(name);
}

// Largest first; rows without a value stay last.
function reverseKnown(places) {
  const unknown = sorting.column ? permutations.get(sorting.column).unknown : [];
  let known = places.length;
  while (known && unknown[places[known - 1]]) known -= 1;
  places.subarray(0, known).reverse();
  return places;
}
