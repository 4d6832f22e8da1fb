"use strict";
// Where the patient lies: letters at the edges, points in millimetres, and the scale (PS3.3 C.7.6.2.1.1).

const LETTERS = [["L", "R"], ["P", "A"], ["H", "F"]]; // of +x, +y, +z and their opposites
const SMALLEST_SHARE = 0.2; // of a direction that is still named: beyond it a plane counts as oblique
const SCALE_LENGTHS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]; // mm

// Letters of a direction in the patient, the strongest first: "L", "PL", "HAR".
function nameDirection(vector) {
  const length = Math.hypot(...vector);
  if (!length) return "";
  return vector
    .map((share, axis) => ({ letter: LETTERS[axis][share < 0 ? 1 : 0], share: Math.abs(share / length) }))
    .filter(({ share }) => share > SMALLEST_SHARE)
    .sort((one, other) => other.share - one.share)
    .map(({ letter }) => letter)
    .join("");
}

function combine(one, first, other, second) {
  return [0, 1, 2].map((axis) => one * first[axis] + other * second[axis]);
}

// {left, right, top, bottom} of a plane on the screen, after flips and turns. Null without an orientation.
function edgeLetters(orientation, turn) {
  if (orientation?.length !== 6) return null;
  const alongRow = orientation.slice(0, 3), alongColumn = orientation.slice(3);
  const back = turn.inverse();
  const toPatient = (x, y) => {
    const { x: column, y: row } = back.transformPoint({ x, y });
    return nameDirection(combine(column, alongRow, row, alongColumn));
  };
  return { left: toPatient(-1, 0), right: toPatient(1, 0), top: toPatient(0, -1), bottom: toPatient(0, 1) };
}

// The point of the patient at a pixel's centre, in mm. Null where the frame has no place in space.
function pointOf(plane, column, row) {
  if (plane?.position?.length !== 3 || plane.orientation?.length !== 6 || plane.spacing?.length !== 2) return null;
  const [betweenRows, betweenColumns] = plane.spacing;
  const step = combine(
    column * betweenColumns, plane.orientation.slice(0, 3), row * betweenRows, plane.orientation.slice(3),
  );
  return plane.position.map((start, axis) => start + step[axis]);
}

// {length, text}: a round number of mm that takes at most a quarter of the screen. Null without a spacing.
function scaleBar(spacing, zoom, width) {
  if (!spacing?.[1] || !zoom) return null;
  const pxPerMm = zoom / spacing[1];
  const fitting = SCALE_LENGTHS.filter((length) => length * pxPerMm <= width / 4);
  const length = fitting.at(-1);
  return length ? { length: length * pxPerMm, text: `${length} mm` } : null;
}
