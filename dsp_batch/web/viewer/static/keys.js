"use strict";
// The page by keyboard, and the list of keys.

const KEYS = [
  ["← →, [ ]", "previous and next frame"],
  ["Home, End", "first and last frame"],
  ["↑ ↓", "previous and next series"],
  ["Space", "play or stop"],
  ["W, P, Z, S, R", "drag to window, pan, zoom, scroll, draw a region"],
  ["Double click, 0", "reset zoom, position and window"],
  ["Wheel; Ctrl+wheel", "frames; zoom"],
  ["Right drag, middle drag", "zoom, pan"],
  ["+ and −", "zoom in and out"],
  ["H, V", "flip horizontally, vertically"],
  ["L, K", "rotate right, left"],
  ["T", "tags"],
  ["E", "list of series"],
  ["Delete", "delete the region that is chosen"],
  ["F", "the region holds for all frames, or for this one"],
  ["Ctrl+Z", "undo a change of regions"],
  ["/", "filter series"],
  ["Escape", "close, choose no region"],
  ["?", "these keys"],
];

function openKeys(page) {
  const rows = KEYS.map(([key, what]) => make("tr", {}, make("th", { scope: "row" }, key), make("td", {}, what)));
  find("keys").append(
    make("h2", { id: "keys-title" }, "Keys"), make("table", {}, make("tbody", {}, ...rows)), makeButton("Close", () => find("keys").close()),
  );
  find("keys-open").addEventListener("click", () => find("keys").showModal());
  document.addEventListener("keydown", (event) => onKey(page, event));
}

function pressButton(id) {
  return () => find(id).click();
}

const PAGE_KEYS = {
  ArrowLeft: (page) => page.step(page.active, -1),
  ArrowRight: (page) => page.step(page.active, 1),
  "[": (page) => page.step(page.active, -1),
  "]": (page) => page.step(page.active, 1),
  Home: (page) => page.step(page.active, -Infinity),
  End: (page) => page.step(page.active, Infinity),
  ArrowUp: (page) => page.openNeighbour(-1),
  ArrowDown: (page) => page.openNeighbour(1),
  " ": (page) => page.active.viewing?.cine.toggle(),
  0: (page) => page.reset(page.active),
  "+": (page) => page.zoomBy(1.25),
  "=": (page) => page.zoomBy(1.25),
  "-": (page) => page.zoomBy(0.8),
  h: pressButton("flip-horizontal"),
  v: pressButton("flip-vertical"),
  l: pressButton("rotate-right"),
  k: pressButton("rotate-left"),
  t: pressButton("tags-toggle"),
  e: pressButton("explorer-toggle"),
  f: (page) => page.toggleRegionFrames(),
  Delete: (page) => page.regions.removeSelected(),
  Backspace: (page) => page.regions.removeSelected(),
  Escape: (page) => page.regions.select(null, null),
  "/": () => find("search").focus(),
  "?": () => find("keys").showModal(),
};

function onKey(page, event) {
  if (find("keys").open || isTyping(event)) {
    if (event.key === "Escape" && isTyping(event)) event.target.blur();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { page.regions.undo(); event.preventDefault(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (isOfItsOwn(event)) return;
  if (key in TOOLS) page.setTool(TOOLS[key]);
  else if (key in PAGE_KEYS) PAGE_KEYS[key](page);
  else return;
  event.preventDefault();
}

// Controls keep the keys that mean something to them: Space presses a button, arrows move a slider.
function isOfItsOwn({ key, target }) {
  const isControl = ["BUTTON", "A"].includes(target.tagName) || target.type === "checkbox";
  if (isControl && [" ", "Enter"].includes(key)) return true;
  return target.type === "range" && (key.startsWith("Arrow") || key.startsWith("Page") || ["Home", "End"].includes(key));
}
