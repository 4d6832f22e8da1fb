"use strict";
// The filters: search, ranges, and a facet for each column with few values.

const VALUES_SHOWN = 12; // of a facet, before "more"
const MOST_VALUES = 300; // of a facet that was asked for more; a box narrows them down
const SEARCH_DELAY = 150; // ms after the last letter

const facetBoxes = new Map(); // name → {element, list, wanted, isLong}

function openSidebar() {
  let timer = null;
  find("search").addEventListener("input", (event) => {
    filters.search = event.target.value; // at once: whoever shows the filters meanwhile must not take letters away
    clearTimeout(timer);
    timer = setTimeout(() => refilter(true), SEARCH_DELAY);
  });
  find("clear").addEventListener("click", clearFilters);
  find("filters-toggle").addEventListener("click", () => {
    const isOpen = document.body.classList.toggle("filters-open");
    find("filters-toggle").setAttribute("aria-expanded", isOpen);
  });
}

// The controls that go with the columns of this gallery.
function buildSidebar() {
  find("ranges").replaceChildren(...Object.keys(RANGES).filter((name) => facts.columns[name]).map(buildRange));
  find("facets").replaceChildren();
  facetBoxes.clear();
  showFilters();
}

function buildRange(name) {
  const title = RANGES[name], isDate = name === "study_date";
  const field = (end) => {
    const input = make("input", {
      type: "text",
      inputmode: isDate ? "numeric" : "decimal",
      "aria-label": `${title} ${end}`,
      placeholder: isDate ? "YYYY-MM-DD" : end,
      "data-column": name,
      "data-end": end,
    });
    input.addEventListener("input", () => setRange(name, end, input));
    return input;
  };
  return make("div", { class: "range" }, make("span", {}, title), field("from"), "–", field("to"));
}

function setRange(name, end, input) {
  const range = filters.ranges.get(name) || { from: null, to: null };
  const number = name === "study_date" ? readDate(input.value, end) : readDecimal(input.value);
  input.setAttribute("aria-invalid", Number.isNaN(number));
  if (Number.isNaN(number)) return;
  range[end] = number;
  if (range.from === null && range.to === null) filters.ranges.delete(name); else filters.ranges.set(name, range);
  refilter(true);
}

function readDecimal(text) {
  return text.trim() ? Number(text.trim().replace(",", ".")) : null;
}

// 2021, 2021-03, 2021-03-07 and 20210307 as the number 20210307; a part of a date means all of it.
function readDate(text, end) {
  const digits = text.replaceAll(/[-./\s]/g, "");
  if (!digits) return null;
  if (!/^(\d{4}|\d{6}|\d{8})$/.test(digits)) return NaN;
  return Number(digits.padEnd(8, end === "from" ? "0" : "9"));
}

function writeRange(name, number) {
  if (number === null || number === undefined) return "";
  if (name !== "study_date") return String(number);
  return String(number).replace(/[09]{4}$/, (rest) => (/^0+$|^9+$/.test(rest) ? "" : rest)).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
}

// Brings the controls to what the filters say.
function showFilters() {
  if (find("search").value !== filters.search) find("search").value = filters.search;
  for (const input of find("ranges").querySelectorAll("input")) {
    const text = writeRange(input.dataset.column, filters.ranges.get(input.dataset.column)?.[input.dataset.end]);
    if (input !== document.activeElement) input.value = text;
  }
  find("clear").hidden = !(filters.search || filters.ranges.size || [...filters.facets.values()].some((set) => set.size));
}

function clearFilters() {
  filters.search = "";
  filters.facets.clear();
  filters.ranges.clear();
  refilter(true);
}

// Shows how many rows each value of each facet would have.
function showFacets({ counts, facets }) {
  for (const [name, column] of facets) {
    if (!facetBoxes.has(name)) addFacet(name);
    fillFacet(name, column.values, counts.get(name));
  }
}

function addFacet(name) {
  const title = name === "label" ? "Label" : facts.facets[name];
  const list = make("ul");
  const element = make("fieldset", {}, make("legend", {}, title), list); // a fieldset is a group by role
  find("facets").append(element);
  facetBoxes.set(name, { element, list, title, wanted: "", isLong: false });
}

function fillFacet(name, values, counts) {
  const box = facetBoxes.get(name);
  const chosen = filters.facets.get(name) || new Set();
  const codes = [...values.keys()].filter((code) => box.totals?.[code] || counts[code] || chosen.has(values[code]));
  // In the order of the first counts: values that jump about cannot be clicked.
  box.totals ||= counts.slice();
  codes.sort((one, other) => box.totals[other] - box.totals[one] || one - other);
  const wanted = codes.filter((code) => (values[code] || "none").toLowerCase().includes(box.wanted));
  const most = box.isLong ? MOST_VALUES : VALUES_SHOWN;
  const shown = wanted.filter((code, rank) => rank < most || chosen.has(values[code]));
  const active = document.activeElement?.closest?.("li")?.dataset.value;
  box.list.replaceChildren(...shown.map((code) => buildValue(name, values[code], counts[code], chosen)));
  if (active !== undefined) [...box.list.children].find((item) => item.dataset.value === active)?.querySelector("input").focus();
  box.refill = () => fillFacet(name, values, counts);
  if (codes.length > VALUES_SHOWN && !box.more) addMore(box);
}

function buildValue(name, value, count, chosen) {
  const input = make("input", { type: "checkbox" });
  input.checked = chosen.has(value);
  input.addEventListener("change", () => {
    const set = filters.facets.get(name) || new Set();
    if (input.checked) set.add(value); else set.delete(value);
    filters.facets.set(name, set);
    refilter(true);
  });
  const text = make("span", { class: "value", title: value }, value || "none");
  return make("li", { class: count ? null : "empty", "data-value": value }, make("label", {}, input, text, " ", makeNumber(count)));
}

// Below a long facet: a button for more of its values, and a box that narrows them down.
function addMore(box) {
  box.more = make("button", { type: "button", class: "more", "aria-expanded": "false" }, `More of ${box.title}`);
  const narrow = make("input", { type: "text", "aria-label": `Find ${box.title}`, placeholder: "find a value", hidden: "" });
  narrow.addEventListener("input", () => { box.wanted = narrow.value.toLowerCase(); box.refill(); });
  box.more.addEventListener("click", () => {
    box.isLong = !box.isLong;
    box.more.setAttribute("aria-expanded", box.isLong);
    box.more.textContent = `${box.isLong ? "Fewer" : "More"} of ${box.title}`;
    narrow.hidden = !box.isLong;
    if (!box.isLong) { narrow.value = ""; box.wanted = ""; }
    box.refill();
  });
  box.element.append(narrow, box.more);
}
