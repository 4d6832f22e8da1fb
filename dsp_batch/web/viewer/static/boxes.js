"use strict";
// Regions on a picture: drawn, chosen, moved and resized by pointer.

const HANDLE = 7; // px around a corner that take hold of it

// The box of a region on the screen, with its corners in the order of the image: {x, y, width, height}.
function boxOnScreen(panel, [ymin, xmin, ymax, xmax]) {
  const { placement } = panel.viewing;
  const one = placement.toScreen({ x: xmin, y: ymin }, panel.width, panel.height);
  const other = placement.toScreen({ x: xmax, y: ymax }, panel.width, panel.height);
  return {
    x: Math.min(one.x, other.x), y: Math.min(one.y, other.y),
    width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y),
  };
}

function regionsOn(panel) {
  const { viewing } = panel;
  return viewing?.current ? panel.page.regions.on(viewing.current.file, viewing.current.frame) : [];
}

function drawBoxes(panel) {
  const shapes = regionsOn(panel).map(({ region, place }) => {
    const isSelected = panel.page.regions.isSelected(panel.viewing.current.file, place);
    return drawBox(boxOnScreen(panel, region.box), isSelected);
  });
  const region = panel.drag?.region;
  if (region?.isNew && region.box) shapes.push(drawBox(boxOnScreen(panel, region.box), true));
  panel.boxes.replaceChildren(...shapes.flat());
}

function drawBox(box, isSelected) {
  const shape = (attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const outline = shape({ ...box, class: isSelected ? "region selected" : "region" });
  if (!isSelected) return [outline];
  const corners = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([right, down]) => shape({
    x: box.x + right * box.width - 3, y: box.y + down * box.height - 3, width: 6, height: 6, class: "handle",
  }));
  return [outline, ...corners];
}

// What a pointer takes hold of: a corner or the inside of a region, or the beginning of a new one.
function beginRegion(panel, point) {
  const { regions } = panel.page, { file, frame } = panel.viewing.current ?? {};
  if (file === undefined) return {};
  const at = imagePoint(panel, point);
  for (const { region, place } of regionsOn(panel).reverse()) {
    const box = boxOnScreen(panel, region.box);
    const near = (value, edge) => Math.abs(value - edge) <= HANDLE;
    const isWithin = point.x > box.x - HANDLE && point.x < box.x + box.width + HANDLE
      && point.y > box.y - HANDLE && point.y < box.y + box.height + HANDLE;
    if (!isWithin) continue;
    regions.select(file, place);
    const isCorner = (near(point.x, box.x) || near(point.x, box.x + box.width))
      && (near(point.y, box.y) || near(point.y, box.y + box.height));
    return { file, place, start: at, before: region.box, anchor: isCorner ? farCorner(region.box, at) : null };
  }
  regions.select(null, null);
  return { file, frame, isNew: true, anchor: at, start: at };
}

function imagePoint(panel, point) {
  return panel.viewing.placement.toImage(point, panel.width, panel.height);
}

function farCorner([ymin, xmin, ymax, xmax], { x, y }) {
  return { x: Math.abs(x - xmin) > Math.abs(x - xmax) ? xmin : xmax, y: Math.abs(y - ymin) > Math.abs(y - ymax) ? ymin : ymax };
}

function dragRegion(panel, region, point) {
  if (region.file === undefined) return;
  const at = imagePoint(panel, point);
  region.box = region.anchor ? boxBetween(panel, region.anchor, at) : boxMoved(panel, region, at);
  if (!region.isNew) panel.page.regions.preview(region.file, region.place, region.box);
  panel.requestDraw();
}

// A box of whole pixels within the image.
function boxBetween(panel, one, other) {
  const { columns, rows } = panel.viewing.placement;
  const within = (value, most) => Math.max(0, Math.min(most, Math.round(value)));
  return [
    within(Math.min(one.y, other.y), rows), within(Math.min(one.x, other.x), columns),
    within(Math.max(one.y, other.y), rows), within(Math.max(one.x, other.x), columns),
  ];
}

function boxMoved(panel, { before: [ymin, xmin, ymax, xmax], start }, at) {
  const { columns, rows } = panel.viewing.placement;
  const right = Math.max(-xmin, Math.min(columns - xmax, Math.round(at.x - start.x)));
  const down = Math.max(-ymin, Math.min(rows - ymax, Math.round(at.y - start.y)));
  return [ymin + down, xmin + right, ymax + down, xmax + right];
}

function endRegion(panel, region) {
  const { regions } = panel.page, { box } = region;
  if (!box) return;
  const isLarge = box[2] - box[0] >= SMALLEST_REGION && box[3] - box[1] >= SMALLEST_REGION;
  if (region.isNew && isLarge) regions.add(region.file, box, [region.frame]);
  else if (!region.isNew && isLarge) regions.settle(region.file, region.place, region.before, box);
  else if (!region.isNew) regions.preview(region.file, region.place, region.before);
  panel.requestDraw();
}
