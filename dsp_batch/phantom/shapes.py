"""Define shapes, patterns and noise to paint phantoms with, and the planes that cut them.

Only the arithmetic that IEEE 754 defines exactly is used (no sine, no exponential), so that every machine computes the
same values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Point = tuple[float, float, float]
Plane = Literal["axial", "coronal", "sagittal", "oblique"]

_SOFT_EDGE_MM = 1.5


class Points(NamedTuple):
    """Patient coordinates of the pixels of one plane, in mm; the three arrays broadcast to (rows, columns)."""

    x: Image
    """Coordinate toward the patient's left, in mm."""

    y: Image
    """Coordinate toward the back, in mm."""

    z: Image
    """Coordinate toward the head, in mm."""


class Ellipsoid(NamedTuple):
    """A solid ellipsoid along the patient axes."""

    center: Point
    radii: Point

    def depth(self, points: Points) -> Image:
        """Measure about how far inside each point lies, in mm; negative outside."""
        squares = [((p - c) / r) ** 2 for p, c, r in zip(points, self.center, self.radii, strict=True)]
        depth: Image = (1 - np.sqrt(squares[0] + squares[1] + squares[2])) * min(self.radii)
        return depth

    def box(self) -> tuple[Point, Point]:
        """Compute the lowest and highest coordinates of the shape."""
        return _grown(self.center, self.center, self.radii)


class Rod(NamedTuple):
    """A straight rod with round ends."""

    start: Point
    end: Point
    radius: float

    def depth(self, points: Points) -> Image:
        """Measure how far inside each point lies, in mm; negative outside."""
        offsets = [p - np.float32(s) for p, s in zip(points, self.start, strict=True)]
        along = [np.float32(e - s) for e, s in zip(self.end, self.start, strict=True)]
        length = sum(a * a for a in along)
        fraction = sum(o * a for o, a in zip(offsets, along, strict=True)) / length
        fraction = np.clip(fraction, 0, 1)
        squares = [(o - fraction * a) ** 2 for o, a in zip(offsets, along, strict=True)]
        depth: Image = np.float32(self.radius) - np.sqrt(squares[0] + squares[1] + squares[2])
        return depth

    def box(self) -> tuple[Point, Point]:
        """Compute the lowest and highest coordinates of the shape."""
        return _grown(self.start, self.end, (self.radius, self.radius, self.radius))


class Organ(NamedTuple):
    """A shape and the values that scanners measure in it."""

    shape: Ellipsoid | Rod
    value: float
    """HU in a CT, signal at rest in an MR."""

    uptake: float = 0.0
    """Tracer in a PET, relative to the background; signal gained at the peak of the bolus in an MR."""


def _grown(first: Point, second: Point, margin: Point) -> tuple[Point, Point]:
    low = tuple(min(a, b) - m for a, b, m in zip(first, second, margin, strict=True))
    high = tuple(max(a, b) + m for a, b, m in zip(first, second, margin, strict=True))
    return low, high  # type: ignore[return-value]  # zip forgets that there are three


def paint(image: Image, value: Image | float, depth: Image, edge: float = _SOFT_EDGE_MM) -> None:
    """Blend a value into an image where depth is positive, over a soft edge.

    Args:
        image: Shape (rows, columns); modified.
        value: The value to paint.
        depth: Distance of each pixel from the surface, in mm, positive inside.
        edge: Width of the blend, in mm.
    """
    coverage = np.clip(depth / np.float32(edge) + np.float32(0.5), 0, 1)
    image += (value - image) * coverage


def crop(image: Image, points: Points, box: tuple[Point, Point]) -> tuple[Image, Points] | None:
    """Cut out the part of an image that can show what lies in a box: painting only there saves most of the time.

    Returns:
        A view into the image and the coordinates of its pixels; None where the plane misses the box.
    """
    first, last = [0, 0], list(image.shape)
    for values, low, high in zip(points, *box, strict=True):
        inside = (values >= low - _SOFT_EDGE_MM) & (values <= high + _SOFT_EDGE_MM)
        for axis in (0, 1):
            hits = np.flatnonzero(inside.any(axis=1 - axis))
            if hits.size == 0:
                return None
            if values.shape[axis] > 1:
                first[axis] = max(first[axis], int(hits[0]))
                last[axis] = min(last[axis], int(hits[-1]) + 1)
    rows, columns = slice(first[0], last[0]), slice(first[1], last[1])
    whole = slice(None)
    cut = (p[rows if p.shape[0] > 1 else whole, columns if p.shape[1] > 1 else whole] for p in points)
    return image[rows, columns], Points(*cut)


def paint_organs(image: Image, values: tuple[float, ...], organs: tuple[Organ, ...], points: Points) -> None:
    """Paint organs into an image, which is modified, one over the other."""
    for organ, value in zip(organs, values, strict=True):
        if part := crop(image, points, organ.shape.box()):
            paint(part[0], value, organ.shape.depth(part[1]))


def wave(phase: Image) -> Image:
    """Compute a sine-like wave of period 1, made of parabolas."""
    part = phase - np.floor(phase) - np.float32(0.5)
    height: Image = np.float32(16) * part * (np.abs(part) - np.float32(0.5))
    return height


def weave(points: Points, period: float) -> Image:
    """Compute a smooth, organic pattern in space between about -1.5 and 1.5 (a gyroid).

    Args:
        points: Coordinates of the pixels.
        period: Size of the pattern, in mm.
    """
    x, y, z = (p / np.float32(period) for p in points)
    quarter = np.float32(0.25)
    pattern: Image = wave(x) * wave(y + quarter) + wave(y) * wave(z + quarter) + wave(z) * wave(x + quarter)
    return pattern


def noise(seed: int, shape: tuple[int, ...], smooth: int = 0) -> Image:
    """Generate noise of mean 0 and standard deviation about 1.

    Args:
        seed: Seed of the generator. Only its raw bits are used, so that every version of numpy makes the same noise.
        shape: Shape of the result.
        smooth: Number of times that neighbors are averaged along the last two axes.
    """
    count = int(np.prod(shape))
    words = np.asarray(np.random.PCG64(seed).random_raw((count + 1) // 2)).astype("<u8")
    quarters = words.view("<u2").reshape(-1, 2)[:count].astype(np.int32)
    image = (quarters[:, 0] - quarters[:, 1]).reshape(shape)
    deviation = 26755.0
    for _ in range(smooth):
        for axis in (-1, -2):
            image = np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)
            deviation *= 4
    # The binomial filters lower the deviation by a known factor: sqrt(4 pi n / 2) times, to a few percent.
    gain = {0: 1.0, 1: 2.67, 2: 3.66, 3: 4.43, 4: 5.09}[smooth]
    return (image * (gain / deviation)).astype(np.float32)


def decimals(*values: float) -> list[str]:
    """Write numbers as decimal strings of at most 16 characters (VR DS)."""
    return [f"{round(value, 5) + 0.0:.9g}" for value in values]


_DIRECTIONS: dict[str, tuple[Point, Point]] = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    # Turned about two axes by angles whose cosines are short decimals: the directions are exactly of unit length.
    "oblique": ((0.96, 0.28, 0.0), (-0.224, 0.768, -0.6)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Parallel planes through the middle of patient space. Slice 0 comes last on display: numbers run against it."""

    row_direction: tuple[float, float, float]
    """Direction from one column to the next, LPS, unit length."""

    column_direction: tuple[float, float, float]
    """Direction from one row to the next, LPS, unit length."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Middle of the stack, in mm."""

    rows: int
    columns: int
    row_spacing: float
    """Distance between rows, in mm."""

    column_spacing: float
    """Distance between columns, in mm."""

    count: int
    slice_spacing: float
    """Distance between slices along the normal, in mm."""

    def origin(self, number: int) -> tuple[float, ...]:
        """Compute the center of the first pixel of a slice, LPS, in mm."""
        normal = np.cross(self.row_direction, self.column_direction)
        along = (number - (self.count - 1) / 2) * self.slice_spacing
        across = np.multiply(self.row_direction, (self.columns - 1) / 2 * self.column_spacing)
        down = np.multiply(self.column_direction, (self.rows - 1) / 2 * self.row_spacing)
        return tuple(float(value) for value in self.center + along * normal - across - down)

    def points(self, number: int) -> Points:
        """Compute the coordinates of the pixels of a slice, in small arrays along the axes that the plane follows."""
        across = np.arange(self.columns) * self.column_spacing
        down = np.arange(self.rows) * self.row_spacing
        axes = zip(self.origin(number), self.row_direction, self.column_direction, strict=True)
        sums = (o + (across[None, :] * r if r else 0.0) + (down[:, None] * c if c else 0.0) for o, r, c in axes)
        return Points(*(np.atleast_2d(np.asarray(values, np.float32)) for values in sums))

    def plane_attributes(self, number: int) -> dict[str, Any]:
        """Build the Image Plane module of a slice (PS3.3 C.7.6.2)."""
        return {
            "ImagePositionPatient": decimals(*self.origin(number)),
            "ImageOrientationPatient": decimals(*self.row_direction, *self.column_direction),
            "PixelSpacing": decimals(self.row_spacing, self.column_spacing),
            "SliceThickness": decimals(self.slice_spacing)[0],
        }


def cut_stack(
    plane: Plane,
    shape: tuple[int, int],
    count: int,
    box_mm: tuple[float, float],
    center: Point = (0.0, 0.0, 0.0),
) -> Stack:
    """Lay parallel planes through a body.

    Args:
        plane: Direction of the planes.
        shape: Rows and columns.
        count: Number of planes.
        box_mm: Side of the square that each plane shows, and length of the stack.
        center: Middle of the stack, in mm.
    """
    row_direction, column_direction = _DIRECTIONS[plane]
    rows, columns = shape
    return Stack(
        row_direction=row_direction,
        column_direction=column_direction,
        center=center,
        rows=rows,
        columns=columns,
        row_spacing=box_mm[0] / rows,
        column_spacing=box_mm[0] / columns,
        count=count,
        slice_spacing=box_mm[1] / count,
    )
