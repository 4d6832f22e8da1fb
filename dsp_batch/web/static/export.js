"use strict";
// Taking a selection away: as a manifest that dsp-batch and s5cmd read, as a table, or as a list of its licenses.

const FORMATS = [
  ["s5cmd manifest", "manifest.s5cmd", "text/plain", writeS5cmd],
  ["CSV", "series.csv", "text/csv", writeCsv],
  ["Plain list", "series.txt", "text/plain", writePlain],
  ["Python list", "series.py", "text/x-python", writePython],
  ["Licenses and citations", "licenses.csv", "text/csv", writeLicenses],
];

function openExport() {
  const dialog = find("export");
  const buttons = FORMATS.map((format) => makeButton(format[0], () => exportAs(format)));
  dialog.append(
    make("h2", { id: "export-title" }, "Export"),
    make("p", { id: "export-what" }),
    make("div", { class: "formats" }, ...buttons),
    make("p", { class: "hint" }, "dsp-batch reads the first four as manifests; s5cmd runs the first."),
    makeButton("Close", () => dialog.close()),
  );
  find("export-open").addEventListener("click", () => {
    const count = selection.count || view.places.length;
    find("export-what").replaceChildren(
      makeNumber(count), selection.count ? " selected series" : " series: nothing is selected, so all that are shown",
    );
    dialog.showModal();
  });
}

async function exportAs([title, file, type, write]) {
  const places = chosenPlaces();
  const rows = [];
  for (let at = 0; at < places.length; at += 1) {
    rows.push(await loadRow(places[at]));
    if (at % 50000 === 49999) say(`${at + 1} of ${places.length} series`);
  }
  saveFile(file, write(rows), type);
  say(`${title}: ${rows.length} series`);
}

// What is selected, in the order of the page and then what the filters hide; all that is shown where nothing is.
function chosenPlaces() {
  if (!selection.count) return [...view.places];
  const shown = [...view.places].filter((place) => selection.chosen[place]);
  if (shown.length === selection.count) return shown;
  const known = new Set(shown);
  selection.chosen.forEach((chosen, place) => { if (chosen && !known.has(place)) shown.push(place); });
  return shown;
}

// The address of a series: s3://bucket/UUID, or file:///folder/UUID for series on disk.
function seriesAddress(row) {
  const address = `${row.root || ""}/${row.folder ?? row.series_uuid}`.replace(/\/$/, ""); // a scan finds other folders
  if (!address.startsWith("/")) return address;
  return `file://${address.split("/").map(encodeURIComponent).join("/")}`;
}

// A blank ends a word in these files, and a line break ends the line.
function quoteWord(text) {
  return /[\s"'\\]/.test(text) ? `"${text.replaceAll(/[\r\n]/g, " ").replaceAll(/["\\]/g, "\\$&")}"` : text;
}

function writeS5cmd(rows) {
  const endpoints = new Set(rows.map((row) => row.endpoint_url).filter(Boolean));
  const server = endpoints.size === 1 ? ` --endpoint-url ${[...endpoints][0]}` : "";
  const head = `# ${rows.length} series, chosen in a gallery\n# s5cmd --no-sign-request${server} run manifest.s5cmd\n`;
  return head + rows.map((row) => `cp ${quoteWord(`${seriesAddress(row)}/*`)} .\n`).join("");
}

function writePlain(rows) {
  return rows.map((row) => `${seriesAddress(row)}\n`).join("");
}

// Manifests of IDC call the address series_aws_url, whatever storage it is on.
function writeCsv(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => !INTERNAL.has(name));
  const others = names.filter((name) => name !== "series_uuid");
  const head = csvLine(["series_uuid", "series_aws_url", "label", "note", ...others]);
  return head + rows.map((row) => csvLine([
    row.series_uuid,
    seriesAddress(row),
    labelOf(row.series_uuid),
    labels.get(row.series_uuid)?.note,
    ...others.map((name) => row[name]),
  ])).join("");
}

const INTERNAL = new Set(["preview", "viewer", "grid", "products", "run", "root", "folder"]); // of the page alone, or in the address

// A list that Python, as a literal, and dsp-batch, as JSON, read alike.
function writePython(rows) {
  return `[\n${rows.map((row) => `  ${JSON.stringify(seriesAddress(row))}`).join(",\n")}\n]\n`;
}

// How many of the series have each license and source.
function writeLicenses(rows) {
  const counts = new Map();
  for (const row of rows) {
    const key = JSON.stringify([row.license || "", row.source_doi || "", row.collection_id || ""]);
    counts.set(key, (counts.get(key) || 0) + 1);
  }
  const lines = [...counts].sort().map(([key, count]) => {
    const [license, doi, collection] = JSON.parse(key);
    return csvLine([license, doi, doi && `https://doi.org/${doi.replace(/^https?:\/\/(dx\.)?doi\.org\//i, "")}`, collection, count]);
  });
  return csvLine(["license", "source_doi", "citation", "collection_id", "series"]) + lines.join("");
}
