"use strict";
// Small makers of elements. Texts become text nodes, never markup.

const SECONDS_OF_A_NOTICE = 5;

function find(id) {
  return document.getElementById(id);
}

// make("button", {type: "button"}, "Open") is <button type="button">Open</button>.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(attribute, value);
  }
  element.append(...children);
  return element;
}

function makeButton(text, act, attributes = {}) {
  const button = make("button", { type: "button", ...attributes }, text);
  button.addEventListener("click", act);
  return button;
}

// 20210307 as 2021-03-07; anything else as it is.
function writeDate(date) {
  return String(date ?? "").replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
}

// A whole number whose thousands stand apart to the eye, but not in the text.
function makeNumber(number) {
  const parts = String(number).match(/^\d{1,3}(?=(?:\d{3})*$)|\d{3}/g) || [String(number)];
  return make("span", { class: "number" }, ...parts.map((part, at) => (at ? make("span", {}, part) : part)));
}

// Controls that take letters and digits as text: keys mean nothing else there.
function isTyping(event) {
  const target = event.target;
  if (target.tagName === "INPUT") return !["checkbox", "range", "button", "file"].includes(target.type);
  return target.tagName === "TEXTAREA" || target.tagName === "SELECT";
}

// Tells something in passing: shown for some seconds, and read out by screen readers.
let sayTimer = null;
function say(text) {
  find("notice").textContent = text;
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => { find("notice").textContent = ""; }, SECONDS_OF_A_NOTICE * 1000);
}

// Offers a text as a file.
function saveFile(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// A cell of CSV. A cell that a spreadsheet would take for a formula gets an apostrophe.
function csvCell(value) {
  let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  if (/^[=+\-@\t\r]/.test(text) && !/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvLine(values) {
  return values.map(csvCell).join(",") + "\r\n";
}

// Rows of a CSV text, quoted cells with line breaks included.
function parseCsv(text) {
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let at = 0; at <= text.length; at += 1) {
    const character = text[at];
    if (quoted && character !== undefined) {
      if (character !== '"') cell += character;
      else if (text[at + 1] === '"') { cell += '"'; at += 1; } else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === ",") { row.push(cell); cell = ""; }
    else if (character === "\n" || character === undefined) {
      row.push(cell.replace(/\r$/, ""));
      if (row.length > 1 || row[0]) rows.push(row);
      row = []; cell = "";
    } else cell += character;
  }
  return rows;
}
