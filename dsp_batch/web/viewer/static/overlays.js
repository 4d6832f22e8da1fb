"use strict";
// What other series say of the frames of one: which may lie over it, which of them are chosen, and their pictures.

const FRAMES_OF_OVERLAYS = 64; // frames whose overlays are kept
const OVERLAYS_AHEAD = 8; // frames whose overlays are fetched while one rests
const STATE = "PR"; // the kind of presentation states
const MOST_KEYS = 12; // of a legend; more would hide the picture

class SeriesOverlays {
  // `viewing` is the series beneath; `changed()` is called whenever something is to be drawn anew.
  constructor(viewing, changed) {
    Object.assign(this, { viewing, changed });
    this.entries = []; // {series, kind, description, legend} of each series that may lie over this one
    this.chosen = new Set(); // identifiers of those that are shown
    this.opacity = 1;
    // Number of a frame → identifier of a series → {bitmap, numbers, turn}, null where it says nothing.
    this.pictures = new Map();
    this.asked = new Set();
    this.waiting = new Waiting(2);
  }

  // Asks which series there are. More may come as long as the scan goes on.
  async open() {
    if (!this.viewing.frames.length) return;
    this.entries = await askJson(`series/${encodeURIComponent(this.viewing.entry.id)}/overlays`);
    this.changed();
  }

  choose(series, isShown) {
    if (isShown) this.chosen.add(series); else this.chosen.delete(series);
    this.want([this.viewing.at]);
    this.viewing.rest();
    this.changed();
  }

  setOpacity(share) {
    this.opacity = share;
    this.changed();
  }

  // Asks for the overlays of some frames, and gives up those that were asked for before and have not begun.
  want(frames) {
    this.waiting.clear();
    for (const at of frames) {
      for (const series of this.chosen) {
        const isWanted = () => !this.pictures.get(at)?.has(series) && !this.asked.has(`${series}/${at}`);
        if (isWanted()) this.waiting.add({ isWanted, run: () => this.load(at, series) });
      }
    }
  }

  // Those of the frame at rest, and of the next ones in the direction of travel.
  fetchAhead(at, direction) {
    const ahead = Array.from({ length: OVERLAYS_AHEAD + 1 }, (_, step) => at + step * direction);
    this.want(ahead.filter((number) => number >= 0 && number < this.viewing.frames.length));
  }

  async load(at, series) {
    const { file, frame } = this.viewing.frames[at], name = `${series}/${at}`;
    this.asked.add(name);
    try {
      this.keep(at, series, await readOverlay(`file/${file}/frame/${frame}/overlay`, series));
    } catch (error) {
      this.keep(at, series, null);
      say(error.message);
    } finally {
      this.asked.delete(name);
    }
    if (at === this.viewing.shown?.at) this.changed();
  }

  keep(at, series, picture) {
    const ofFrame = this.pictures.get(at) ?? new Map();
    this.pictures.delete(at);
    this.pictures.set(at, ofFrame.set(series, picture));
    if (this.pictures.size > FRAMES_OF_OVERLAYS) this.pictures.delete(this.pictures.keys().next().value);
  }

  // {entry, picture} of each chosen series that says something of a frame, as far as it has come.
  showing(at) {
    const ofFrame = this.pictures.get(at);
    return this.entries
      .filter(({ series }) => this.chosen.has(series) && ofFrame?.get(series))
      .map((entry) => ({ entry, picture: ofFrame.get(entry.series) }));
  }

  draw(context, at, { columns, rows }) {
    for (const { entry, picture } of this.showing(at)) {
      context.globalAlpha = entry.kind === STATE ? 1 : this.opacity; // the frame as it is ordered is no mixture
      context.drawImage(picture.bitmap, 0, 0, columns, rows);
    }
    context.globalAlpha = 1;
  }

  // How a frame is turned: as the state orders it whose picture is on top.
  turnOf(at) {
    return this.showing(at).findLast(({ entry }) => entry.kind === STATE)?.picture.turn ?? new DOMMatrix();
  }

  // Keys of what is seen in a frame: {label, color}. Where several series are, each key tells which it is of.
  legend(at) {
    const showing = this.showing(at), nameOf = (label, { kind }) => (showing.length > 1 ? `${label} (${kind})` : label);
    return showing.flatMap(({ entry, picture }) => entry.legend
      .filter(({ number }) => picture.numbers.has(number))
      .map(({ label, color }) => ({ label: nameOf(label, entry), color })));
  }

  close() {
    this.waiting.clear();
    this.pictures.clear();
  }
}

// {bitmap, numbers of the keys that are seen, how a state turns the frame}; null where the series says nothing of the
// frame. That is asked for as a clear picture: browsers write each 404 to their console.
async function readOverlay(path, series) {
  const answer = await ask(path, { series, blank: 1 }), numbers = answer.headers.get("X-Overlay-Numbers");
  if (!numbers) return null;
  return {
    bitmap: await createImageBitmap(await answer.blob()),
    numbers: new Set(numbers.split(",").map(Number)),
    turn: turnMatrix(Number(answer.headers.get("X-Overlay-Rotation")), answer.headers.get("X-Overlay-Flip") === "true"),
  };
}

function nameOverlay({ kind, description, legend, series }) {
  return `${kind} ${description ?? (legend.length === 1 ? legend[0].label : series.slice(0, 8))}`;
}

// The list of series to choose from, of the series in the panel that is active.
class OverlayList {
  constructor(page) {
    this.page = page;
    this.entries = null; // those that are listed
    find("opacity").addEventListener("input", (event) => this.overlays?.setOpacity(Number(event.target.value) / 100));
  }

  get overlays() { return this.page.active.viewing?.above; }

  show() {
    const { overlays } = this, entries = overlays?.entries ?? [];
    find("above").hidden = entries.length === 0;
    if (entries !== this.entries) this.list(overlays, entries);
    find("opacity").value = Math.round((overlays?.opacity ?? 1) * 100);
    find("above-count").textContent = overlays?.chosen.size ? `${overlays.chosen.size} of ${entries.length}` : entries.length;
  }

  list(overlays, entries) {
    this.entries = entries;
    find("above-list").replaceChildren(...entries.map((entry) => {
      const box = make("input", { type: "checkbox" });
      box.checked = overlays.chosen.has(entry.series);
      box.addEventListener("change", () => overlays.choose(entry.series, box.checked));
      return make("label", {}, box, ` ${nameOverlay(entry)}`);
    }));
  }
}

// Shows the keys of what lies over the picture of a panel.
function drawLegend(panel) {
  const { viewing } = panel, keys = viewing?.shown && viewing.frames.length ? viewing.above.legend(viewing.shown.at) : [];
  const shown = keys.slice(0, keys.length > MOST_KEYS ? MOST_KEYS - 1 : MOST_KEYS), rest = keys.length - shown.length;
  const text = JSON.stringify(keys);
  if (panel.legend.dataset.keys === text) return;
  panel.legend.dataset.keys = text;
  panel.legend.hidden = keys.length === 0;
  panel.legend.replaceChildren(
    ...shown.map(({ label, color }) => {
      const patch = make("span", { class: "patch" });
      patch.style.background = `rgb(${color.join(" ")})`;
      return make("li", {}, patch, label);
    }),
    ...(rest ? [make("li", {}, `… ${rest} more`)] : []),
  );
}
