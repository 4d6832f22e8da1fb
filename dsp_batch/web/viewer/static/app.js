"use strict";
// Starts the page, and keeps its parts in step: the series that are open, the panels they are in, and the controls.

const NARROW = matchMedia("(max-width: 820px)");
const MOST_OPEN = 12; // series; the one that was opened first is closed for another

class Page {
  constructor() {
    this.tool = "window";
    this.opened = []; // viewings, one for each tab
    this.panels = [new Panel(this)];
    this.active = this.panels[0];
    this.regions = new Regions(() => this.panels.forEach((panel) => panel.requestDraw()));
    this.toolbar = new Toolbar(this);
    this.explorer = new Explorer((entry) => this.choose(entry));
    this.tags = new Tags();
    find("panels").append(this.active.element);
    this.listen();
    openKeys(this);
    this.refresh();
  }

  listen() {
    find("panels-count").addEventListener("change", (event) => this.setPanels(Number(event.target.value)));
    find("tags-toggle").addEventListener("click", () => { this.tags.toggle(); this.showTags(); });
    find("overlays").addEventListener("change", (event) => {
      for (const viewing of this.opened) viewing.setOverlays(event.target.checked);
    });
    find("regions-export").addEventListener("click", () => this.exportRegions().catch(reportError));
    find("explorer-toggle").addEventListener("click", () => this.showExplorer(find("explorer").hidden));
  }

  showExplorer(isShown) {
    find("explorer").hidden = !isShown;
    find("explorer-toggle").setAttribute("aria-pressed", String(isShown));
  }

  // Opens a series that was chosen in the tree; keys act on its frames from now on. On a narrow screen the tree covers
  // the picture, so it makes way.
  choose(entry) {
    if (NARROW.matches) this.showExplorer(false);
    this.active.element.focus({ preventScroll: true });
    this.open(entry).catch(reportError);
  }

  // Opens a series in the active panel, or goes to its tab.
  async open(entry) {
    let viewing = this.opened.find((each) => each.entry.id === entry.id);
    const isNew = !viewing;
    if (isNew) {
      viewing = new Viewing(entry, () => this.changed(viewing));
      viewing.overlays = find("overlays").checked;
      this.opened.push(viewing);
      if (this.opened.length > MOST_OPEN) this.close(this.opened.find((each) => !this.isShown(each)) ?? this.opened[0]);
    }
    this.put(viewing);
    if (isNew) await viewing.open();
  }

  isShown(viewing) {
    return this.panels.some((panel) => panel.viewing === viewing);
  }

  put(viewing) {
    this.active.show(viewing);
    this.explorer.setCurrent(viewing?.entry);
    noteAddress(viewing);
    this.refresh();
    this.showTags();
    this.loadRegions();
  }

  openNeighbour(by) {
    const entry = this.explorer.neighbour(this.active.viewing?.entry, by);
    if (entry) this.open(entry).catch(reportError);
  }

  close(viewing) {
    viewing.close();
    this.opened.splice(this.opened.indexOf(viewing), 1);
    for (const panel of this.panels) {
      if (panel.viewing === viewing) panel.show(this.opened.find((each) => !this.isShown(each)) ?? null);
    }
    this.refresh();
  }

  setPanels(count) {
    while (this.panels.length > count) this.panels.pop().element.remove();
    while (this.panels.length < count) {
      const panel = new Panel(this);
      this.panels.push(panel);
      find("panels").append(panel.element);
      panel.show(this.opened.find((viewing) => !this.isShown(viewing)) ?? null);
    }
    if (!this.panels.includes(this.active)) this.activate(this.panels[0]);
    find("panels").dataset.count = count;
    find("together-label").hidden = count === 1;
    this.refresh();
  }

  activate(panel) {
    if (this.active === panel) return;
    this.active = panel;
    this.explorer.setCurrent(panel.viewing?.entry);
    this.refresh();
    this.showTags();
  }

  setTool(tool) {
    this.tool = tool;
    this.refresh();
  }

  // Goes some frames on; the other panels go to the same place.
  step(panel, by) {
    const { viewing } = panel;
    if (!viewing?.frames.length) return;
    viewing.step(by);
    if (!find("together").checked) return;
    for (const other of this.panels) {
      if (other !== panel && other.viewing && other.viewing !== viewing) other.viewing.goAlong(viewing);
    }
  }

  // Side by side, what is moved in one panel is moved in all that show the same number of pixels.
  moved(panel) {
    panel.requestDraw();
  }

  zoomBy(factor) {
    const { active } = this;
    if (!active.viewing?.shown) return;
    active.viewing.placement.zoomAt(factor, { x: active.width / 2, y: active.height / 2 }, active.width, active.height);
    this.moved(active);
  }

  reset(panel) {
    const { viewing } = panel;
    if (!viewing?.shown) return;
    viewing.placement.reset();
    if (viewing.frames.length && viewing.window.preset !== EMBEDDED) viewing.setWindow({ preset: EMBEDDED });
    panel.requestDraw();
  }

  changed(viewing) {
    for (const panel of this.panels) if (panel.viewing === viewing) panel.requestDraw();
    if (viewing === this.active.viewing) {
      this.toolbar.show();
      this.showTags();
      this.loadRegions();
    }
  }

  refresh() {
    this.toolbar.show();
    this.drawTabs();
    for (const panel of this.panels) {
      panel.element.classList.toggle("active", panel === this.active && this.panels.length > 1);
      panel.requestDraw();
    }
  }

  drawn(panel) {
    if (panel === this.active) this.pointed(panel);
  }

  pointed(panel) {
    if (panel === this.active || panel.pointer) find("readout").textContent = describePointer(panel);
  }

  drawTabs() {
    find("tabs").replaceChildren(...this.opened.map((viewing) => {
      const isActive = viewing === this.active.viewing, title = titleOfSeries(viewing.entry);
      const tab = makeButton(title, () => this.put(viewing), { role: "tab", "aria-selected": String(isActive), title });
      const close = makeButton("×", () => this.close(viewing), { class: "close", "aria-label": `Close ${title}` });
      return make("span", { class: isActive ? "tab active" : "tab", role: "presentation" }, tab, close);
    }));
  }

  showTags() {
    const { viewing } = this.active;
    if (!viewing) return;
    const file = viewing.current?.file ?? viewing.entry.first_file ?? null;
    if (!viewing.cine.isPlaying) this.tags.show(file).catch(reportError);
  }

  loadRegions() {
    const file = this.active.viewing?.current?.file;
    if (file !== undefined && !this.active.viewing.cine.isPlaying) this.regions.load(file).catch(reportError);
  }

  toggleRegionFrames() {
    const region = this.regions.selectedRegion, frame = this.active.viewing?.current?.frame;
    if (!region || frame === undefined) return;
    this.regions.setFrames(region.frames.length ? [] : [frame]);
    say(region.frames.length ? "the region holds for all frames of its file" : "the region holds for this frame");
  }

  async exportRegions() {
    const text = await (await ask("annotations/export.csv")).text();
    saveFile("regions.csv", text, "text/csv");
  }
}

// "column 12, row 34, stored 1040, value 16 HU, -12.3, 45.6, 78.9 mm"; nothing where no pixel is pointed at.
function describePointer(panel) {
  const { viewing, pointer } = panel, pixel = pointer && panel.pixelAt(pointer);
  if (!pixel || !viewing.frames.length) return "";
  const parts = [`column ${pixel.column}, row ${pixel.row}`];
  const samples = viewing.shown.samples, found = readPixel(samples, pixel.column, pixel.row);
  if (found) {
    const unit = viewing.series.unit && samples.perPixel === 1 ? ` ${viewing.series.unit}` : "";
    parts.push(`stored ${found.stored}, value ${writeReal(found.value)}${unit}`);
  }
  const point = pointOf(viewing.plane, pixel.column, pixel.row);
  if (point) parts.push(`${point.map((each) => each.toFixed(1)).join(", ")} mm`);
  return parts.join(", ");
}

function writeReal(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(7))) : value;
}

// The series that is open stands in the address, so that the page can be loaded again.
function noteAddress(viewing) {
  history.replaceState(null, "", viewing ? `#series=${encodeURIComponent(viewing.entry.id)}` : location.pathname);
}

function reportError(error) {
  if (!isAborted(error)) say(error.message);
}

// A cache directory opens with its gallery, unless a series is asked for. Tells whether it does.
async function showGallery(isFirst) {
  let health = await askJson("health");
  while (isFirst && health.gallery_pending) {
    await new Promise((resolve) => { setTimeout(resolve, MILLISECONDS_BETWEEN_LOOKS); });
    health = await askJson("health");
  }
  find("gallery-link").hidden = !health.gallery;
  if (!health.gallery) return false;
  find("gallery-link").href = health.gallery;
  if (isFirst) location.replace(health.gallery);
  return isFirst;
}

async function start() {
  takeToken();
  const wanted = new URLSearchParams(location.hash.slice(1)).get("series");
  if (await showGallery(wanted === null)) return;
  const page = new Page();
  const found = page.explorer.follow();
  await page.explorer.first(wanted);
  const entry = wanted ? page.explorer.entries.get(wanted) : page.explorer.firstReady();
  if (entry) await page.open(entry); else if (wanted) say("the series of this address is not there");
  await found;
  for (const viewing of page.opened) await viewing.above.open(); // the scan may have found more of them since
}

start().catch(reportError);
