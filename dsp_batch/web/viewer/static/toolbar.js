"use strict";
// The controls around the pictures. They show, and act on, the series in the panel that is active.

const CT_PRESETS = [ // center and width in HU, as the presets of the command line
  ["ct-abdomen", 50, 350], ["ct-bone", 300, 2000], ["ct-brain", 40, 80], ["ct-liver", 30, 150],
  ["ct-lung", -500, 1500], ["ct-mediastinum", 50, 350], ["ct-soft-tissue", 50, 400],
];
const TOOL_NAMES = { window: "Window", pan: "Pan", zoom: "Zoom", scroll: "Scroll", region: "Region" };

class Toolbar {
  // `page` is the page whose active series is acted upon.
  constructor(page) {
    this.page = page;
    find("preset").append(...[EMBEDDED, FULL_DYNAMIC, AUTO, TYPED, ...CT_PRESETS.map(([name]) => name)].map((name) => make("option", {}, name)));
    find("preset").addEventListener("change", (event) => this.choosePreset(event.target.value));
    for (const id of ["center", "width"]) find(id).addEventListener("change", () => this.typeWindow());
    this.openTools();
    this.openPlacement();
    this.openFrames();
    this.overlayList = new OverlayList(page);
  }

  openTools() {
    for (const [tool, name] of Object.entries(TOOL_NAMES)) {
      const key = Object.keys(TOOLS).find((letter) => TOOLS[letter] === tool);
      const button = makeButton(name, () => this.page.setTool(tool), { role: "radio", title: `${name} (${key.toUpperCase()})` });
      button.dataset.tool = tool;
      find("pointer-tools").append(button);
    }
  }

  openPlacement() {
    const turns = {
      "flip-horizontal": "flipHorizontally", "flip-vertical": "flipVertically", "rotate-left": "rotateLeft", "rotate-right": "rotateRight",
    };
    for (const [id, turn] of Object.entries(turns)) {
      find(id).addEventListener("click", () => {
        const { active } = this.page;
        if (!active.viewing) return;
        active.viewing.placement[turn]();
        this.page.moved(active);
      });
    }
    find("reset").addEventListener("click", () => this.page.reset(this.page.active));
  }

  openFrames() {
    const act = (id, kind, run) => find(id).addEventListener(kind, (event) => { if (this.viewing) run(this.viewing, event.target); });
    act("previous", "click", () => this.page.step(this.page.active, -1));
    act("next", "click", () => this.page.step(this.page.active, 1));
    act("play", "click", (viewing) => viewing.cine.toggle());
    act("frame", "input", (viewing, input) => this.page.step(this.page.active, Number(input.value) - 1 - viewing.at));
    act("rate", "change", (viewing, input) => {
      viewing.cine.rate = Math.max(0.1, Math.min(FASTEST_RATE, Number(input.value) || USUAL_RATE));
      this.show();
    });
    act("loop", "change", (viewing, input) => { viewing.cine.loops = input.checked; });
    act("sweep", "change", (viewing, input) => { viewing.cine.sweeps = input.checked; });
  }

  get viewing() { return this.page.active.viewing; }

  choosePreset(name) {
    const { viewing } = this;
    if (!viewing) return;
    const preset = CT_PRESETS.find(([each]) => each === name), shown = viewing.shown?.window;
    if (preset) viewing.setWindow({ preset: name, center: preset[1], width: preset[2] });
    else if (name !== TYPED) viewing.setWindow({ preset: name });
    else if (shown) viewing.setWindow({ preset: TYPED, center: shown.center, width: shown.width });
  }

  typeWindow() {
    const center = find("center").valueAsNumber, width = find("width").valueAsNumber;
    const isUsable = Number.isFinite(center) && width > 0;
    for (const id of ["center", "width"]) find(id).setAttribute("aria-invalid", String(!isUsable));
    if (isUsable && this.viewing) this.viewing.setWindow({ preset: TYPED, center, width });
  }

  show() {
    const { viewing } = this, { series } = viewing ?? {}, count = viewing?.frames.length ?? 0;
    this.showWindow(viewing);
    this.overlayList.show();
    find("frames").hidden = count === 0;
    for (const control of find("frames").querySelectorAll("button, input")) control.disabled = count < 2;
    find("frame").max = Math.max(count, 1);
    find("frame").value = (viewing?.at ?? 0) + 1;
    find("counter").textContent = count ? `${viewing.at + 1} / ${count}` : "";
    find("play").textContent = viewing?.cine.isPlaying ? "Stop" : "Play";
    if (document.activeElement !== find("rate")) find("rate").value = viewing ? Number(viewing.cine.rate.toFixed(2)) : "";
    find("loop").checked = viewing?.cine.loops ?? true;
    find("sweep").checked = viewing?.cine.sweeps ?? false;
    find("measured").textContent = viewing?.cine.measured ? `${viewing.cine.measured.toFixed(1)} fps shown` : "";
    for (const button of find("pointer-tools").children) {
      button.setAttribute("aria-checked", String(button.dataset.tool === this.page.tool));
    }
    for (const option of find("preset").options) {
      option.hidden = option.value.startsWith("ct-") && series?.modality !== "CT";
    }
  }

  // Colors have no window: nothing is to be chosen.
  showWindow(viewing) {
    const window = viewing?.shown?.window ?? null;
    find("preset").value = viewing?.window.preset ?? EMBEDDED;
    for (const [id, value] of Object.entries({ center: window?.center, width: window?.width })) {
      if (document.activeElement !== find(id)) find(id).value = value === undefined ? "" : Number(value.toFixed(2));
    }
    for (const id of ["preset", "center", "width"]) find(id).disabled = !window;
  }
}
