"use strict";
// The detail of a series: its previews side by side, what is known of it, and where to go on.

const opened = { place: null };
const detailScrubber = new Scrubber();

async function openDetail(place) {
  const row = await loadRow(place);
  opened.place = place;
  focusTile(place);
  noteAddress();
  drawDetail(place, row);
  if (!find("detail").open) find("detail").showModal();
  const details = await loadDetails(place).catch((error) => { reportError(error); return {}; });
  if (opened.place !== place) return; // another one has been opened since
  find("detail-facts").replaceChildren(...buildSummary(details), buildTable({ ...row, ...details }));
}

function drawDetail(place, row) {
  const focused = find("detail").contains(document.activeElement) ? document.activeElement.textContent : null;
  detailScrubber.hide();
  find("detail").replaceChildren(
    make("header", {},
      make("h2", { id: "detail-title" }, titleOf(row)),
      makeButton("Previous", () => stepDetail(-1)),
      makeButton("Next", () => stepDetail(1)),
      makeButton("Close", () => find("detail").close(), { autofocus: "" }),
    ),
    make("p", { class: "subtitle" }, describeRow(row)),
    make("div", { class: "pictures" }, ...buildPictures(row)),
    row.error ? make("p", { class: "error" }, row.error) : "",
    buildDecision(place, row),
    make("ul", { class: "links" }, ...buildLinks(row)),
    buildCommand(row),
    make("div", { id: "detail-facts" }),
  );
  // The buttons are new ones: whoever was on "Next" stays there, and keys go on to reach the dialog.
  const buttons = [...find("detail").querySelectorAll("header button")];
  if (focused !== null) (buttons.find((button) => button.textContent === focused) || buttons.at(-1)).focus();
}

function buildPictures(row) {
  const names = [facts.name, ...(row.products ? row.products.split(" ") : [])];
  if (!row.preview) return [make("p", { class: `why ${row.status}` }, [row.status, row.reason].filter(Boolean).join(": "))];
  return names.map((name) => {
    const frame = make("div", { class: "frame" }, make("img", { src: pictureOf(row, name), alt: `${name} of ${titleOf(row)}` }));
    if (name === facts.name) frame.addEventListener("pointermove", (event) => scrubDetail(frame, row, event.clientX));
    frame.addEventListener("pointerleave", () => detailScrubber.hide());
    return make("figure", {}, frame, make("figcaption", {}, name));
  });
}

function scrubDetail(frame, row, clientX) {
  detailScrubber.follow(frame, row, clientX);
}

// The label, and a note that goes with it.
function buildDecision(place, row) {
  const note = make("input", { type: "text", maxlength: "1000" });
  note.value = labels.get(row.series_uuid)?.note || "";
  note.addEventListener("change", () => setNote(row.series_uuid, note.value.trim()));
  const label = make("output", { id: "detail-label" }, labelOf(row.series_uuid) || "none");
  return make("p", { class: "decision" }, make("span", {}, "Label: ", label), make("label", {}, "Note ", note));
}

function showLabelInDetail(place) {
  const row = rowAt(place);
  if (opened.place === place && row && find("detail-label")) find("detail-label").textContent = labelOf(row.series_uuid) || "none";
}

function buildLinks(row) {
  const links = [];
  const uuid = encodeURIComponent(row.series_uuid);
  if (facts.viewer) links.push(["Open in the viewer", `${facts.viewer}#series=${uuid}`]);
  if (row.viewer) {
    const address = row.viewer.replaceAll("{study}", row.study_instance_uid).replaceAll("{series}", row.series_instance_uid);
    links.push([/\/slim\//.test(address) ? "Open in Slim" : "Open in OHIF", address]);
  }
  if (row.n_instances) links.push(["Index of all headers (Parquet)", `${facts.pictures}indices/${uuid}_index.parquet`]);
  if (row.source_doi) links.push(["Citation", `https://doi.org/${row.source_doi.replace(/^https?:\/\/(dx\.)?doi\.org\//i, "")}`]);
  // Only web addresses and files beside the page: a link from a header could run a script.
  return links.filter(([, address]) => /^(https?:|\.|file:)/.test(address) || !address.includes(":")).map(([text, address]) =>
    // The viewer keeps its token in this tab, so it opens here.
    make("li", {}, make("a", { href: address, target: address.startsWith("..") ? "_self" : "_blank", rel: "noopener noreferrer" }, text)));
}

function buildCommand(row) {
  const command = facts.runs[row.run];
  if (!command) return "";
  const output = command.includes(" build-index ") ? `${row.series_uuid}.parquet` : `${row.series_uuid}.webp`;
  // A folder that a scan has found may hold several series.
  const inFolder = typeof row.folder === "string";
  const series = inFolder ? `${row.root}/${row.folder}`.replace(/\/$/, "") : row.series_uuid;
  const uid = inFolder && row.series_instance_uid ? ` --series-uid ${quoteShell(row.series_instance_uid)}` : "";
  const text = (command + uid)
    .replace("{series}", () => quoteShell(series))
    .replace("{output}", () => quoteShell(output))
    .replace("{root}", () => quoteShell(row.root));
  const box = make("p", { class: "command" }, make("code", {}, text));
  if (navigator.clipboard) {
    box.append(" ", makeButton("Copy command", () => navigator.clipboard.writeText(text).then(() => say("copied"), reportError)));
  }
  return box;
}

function quoteShell(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`;
}

function buildSummary(details) {
  let lines = [];
  try {
    lines = details.summary ? JSON.parse(details.summary) : [];
  } catch {
    lines = [details.summary]; // of another version: one line of plain text
  }
  return lines.length ? [make("ul", { class: "summary" }, ...lines.map((line) => make("li", {}, String(line))))] : [];
}

function buildTable(values) {
  const hidden = new Set(["grid", "summary", "products", "preview", "viewer"]);
  const rows = Object.entries(values)
    .filter(([name, value]) => !hidden.has(name) && value !== null && value !== undefined && value !== "")
    .map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, writeValue(value))));
  return make("table", {}, make("tbody", {}, ...rows));
}

function writeValue(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function stepDetail(by) {
  const place = view.places[view.places.indexOf(opened.place) + by];
  if (place !== undefined) openDetail(place);
}

function openDetailDialog() {
  const dialog = find("detail");
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // the event comes late: it has been opened again
    opened.place = null;
    detailScrubber.hide();
    dialog.replaceChildren();
    find("grid").focus();
    noteAddress();
  });
  dialog.addEventListener("keydown", (event) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = opened.place === null ? null : rowAt(opened.place);
    const frame = dialog.querySelector(".frame");
    if (event.key === "ArrowRight") stepDetail(1);
    else if (event.key === "ArrowLeft") stepDetail(-1);
    else if (event.key === "]" && frame) detailScrubber.step(frame, row, 1);
    else if (event.key === "[" && frame) detailScrubber.step(frame, row, -1);
    else return;
    event.preventDefault();
  });
}
