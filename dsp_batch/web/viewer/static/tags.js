"use strict";
// The elements of the file on the screen: a table whose sequences unfold, filtered by keyword, tag or value.

const TAGS_A_QUESTION = 250;
const LONGEST_VALUE = 400; // characters that a line shows
const MILLISECONDS_OF_TYPING = 150;

class Tags {
  constructor() {
    Object.assign(this, { file: null, nodes: [], children: new Map(), unfolded: new Set(), words: [], isOpen: false, timer: null });
    find("tags-search").addEventListener("input", (event) => {
      this.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.draw(), MILLISECONDS_OF_TYPING);
    });
    find("tags-rows").addEventListener("click", (event) => this.onClick(event));
    find("tags-rows").addEventListener("keydown", (event) => { if (event.key === "Enter") this.onClick(event); });
  }

  toggle(isOpen = !this.isOpen) {
    this.isOpen = isOpen;
    find("tags").hidden = !isOpen;
    find("tags-toggle").setAttribute("aria-pressed", String(isOpen));
  }

  // Shows the elements of a file. What was unfolded stays so from file to file.
  async show(file) {
    if (!this.isOpen || file === this.file) return;
    this.file = file;
    const nodes = file === null ? [] : await this.readAll("");
    if (file !== this.file) return;
    this.nodes = nodes;
    this.children.clear();
    for (const path of this.unfolded) await this.readItems(path);
    if (file === this.file) this.draw();
  }

  async readAll(path) {
    const { file } = this, nodes = [];
    for (;;) {
      const page = await askJson(`file/${file}/tags`, { path: path || null, offset: nodes.length, limit: TAGS_A_QUESTION });
      nodes.push(...page.nodes);
      if (!page.nodes.length || nodes.length >= page.total) return nodes;
    }
  }

  // The items of a sequence, each with its elements.
  async readItems(path) {
    const sequence = this.sequenceAt(path);
    if (!sequence) return;
    const items = [];
    for (let item = 0; item < sequence.items; item += 1) items.push(await this.readAll(`${path}.${item}`));
    this.children.set(path, items);
  }

  sequenceAt(path) {
    const inner = [...this.children.values()].flat(2);
    return [...this.nodes, ...inner].find((node) => node.path === path) ?? null;
  }

  draw() {
    find("tags-rows").replaceChildren(...this.linesOf(this.nodes, 1));
    const { length } = find("tags-rows").children;
    find("tags-none").hidden = length > 0 || this.file === null;
  }

  linesOf(nodes, level) {
    return nodes.flatMap((node) => {
      const inner = this.children.get(node.path) && this.unfolded.has(node.path)
        ? this.children.get(node.path).flatMap((item, number) => [drawItem(number, level + 1), ...this.linesOf(item, level + 2)])
        : [];
      const isShown = this.matches(node) || inner.some((line) => !line.classList.contains("item"));
      return isShown ? [this.drawNode(node, level), ...inner] : [];
    });
  }

  matches(node) {
    const text = `${writeTag(node.tag)} ${node.tag} ${node.keyword ?? ""} ${node.vr} ${writeValue(node)}`.toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  drawNode(node, level) {
    const line = make(
      "tr", { "aria-level": level, class: node.varies ? "varies" : null, "aria-expanded": node.path === undefined ? null : String(this.unfolded.has(node.path)) },
      make("td", { class: "tag" }, writeTag(node.tag)), make("td", {}, node.vr), make("td", { class: "keyword" }, node.keyword || "private"),
      make("td", { class: "value" }, shorten(writeValue(node))),
    );
    line.node = node;
    line.tabIndex = 0;
    line.title = node.varies ? "Varies across the series. Click copies." : "Click copies.";
    line.style.setProperty("--level", level);
    return line;
  }

  async onClick(event) {
    const node = event.target.closest("tr")?.node;
    if (!node) return;
    if (node.path === undefined) {
      await navigator.clipboard.writeText(writeValue(node));
      say(`copied ${node.keyword || writeTag(node.tag)}`);
      return;
    }
    if (!this.unfolded.delete(node.path)) {
      this.unfolded.add(node.path);
      if (!this.children.has(node.path)) await this.readItems(node.path);
    }
    this.draw();
  }
}

function drawItem(number, level) {
  const line = make("tr", { "aria-level": level, class: "item" }, make("td", { class: "tag", colspan: "4" }, `Item ${number + 1}`));
  line.style.setProperty("--level", level);
  return line;
}

function writeTag(tag) {
  return `(${tag.slice(0, 4)},${tag.slice(4)})`;
}

function writeValue(node) {
  if (node.path !== undefined) return node.items === 1 ? "1 item" : `${node.items} items`;
  if (node.value === undefined) return `${node.length} bytes`;
  if (node.value === null) return "";
  return Array.isArray(node.value) ? node.value.map(writeOne).join("\\") : writeOne(node.value);
}

function writeOne(value) {
  return value !== null && typeof value === "object" ? Object.values(value).join("=") : String(value ?? "");
}

function shorten(text) {
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE)}…` : text;
}
