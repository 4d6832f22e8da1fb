"""Rasterize triangles with a depth buffer, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.model.series import ByteArray, FloatArray

_MOST_ROWS = 1 << 19
"""Rows of triangles that are spread out at once."""

_MOST_FRAGMENTS = 1 << 16
"""Pixels of triangles that are spread out at once: few enough that they stay in the cache of a processor."""

MOST_PIXELS = 60_000_000
"""Pixels of all triangles that are drawn: a second's work. Surfaces of a body need a few millions."""


class Raster(NamedTuple):
    """A rasterized surface."""

    pixels: ByteArray
    """RGB, shape (rows, columns, 3)."""

    is_whole: bool
    """False where not all of it was drawn, for it would have taken too long."""


class _Rows(NamedTuple):
    """Rows of triangles, one entry for each."""

    triangle: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    """First column whose center lies in the triangle."""

    length: npt.NDArray[np.int64]


def rasterize(corners: FloatArray, colors: FloatArray, paper: ByteArray) -> Raster:
    """Draw triangles, the nearest in front.

    Args:
        corners: Column, row and nearness of each corner, shape (triangles, 3, 3). The center of the first pixel is
            (0, 0).
        colors: Color of each triangle, shape (triangles, 3).
        paper: What lies behind them, RGB, shape (rows, columns, 3). Not modified.
    """
    height, width = paper.shape[:2]
    corners = corners.astype(np.float64)
    nearness = np.full(height * width, -np.inf, np.float32)
    front = np.full(height * width, len(corners), np.int32)
    slopes = _find_slopes(corners)
    spent = 0
    for rows in _list_rows(corners, (height, width)):
        spent += int(rows.length.sum())
        if spent > MOST_PIXELS:
            break
        for part in _split(rows):
            _draw_rows(part, corners, slopes, _Buffers(nearness, front, width))
    drawn = np.flatnonzero(front < len(corners))
    pixels = paper.reshape(-1, 3).copy()
    pixels[drawn] = colors.clip(0, 255).astype(np.uint8)[front[drawn]]
    return Raster(pixels.reshape(paper.shape), is_whole=spent <= MOST_PIXELS)


class _Buffers(NamedTuple):
    """What is known of each pixel, row after row."""

    nearness: npt.NDArray[np.float32]
    front: npt.NDArray[np.int32]
    """Number of the triangle in front."""

    width: int
    """Pixels of a row."""


def _draw_rows(rows: _Rows, corners: FloatArray, slopes: FloatArray, buffers: _Buffers) -> None:
    """Draw rows of triangles into the buffers, which are modified."""
    triangle, length = rows.triangle, rows.length
    near = corners[triangle, 0, 2]
    near += slopes[triangle, 0] * (rows.left - corners[triangle, 0, 0])
    near += slopes[triangle, 1] * (rows.row - corners[triangle, 0, 1])
    along = np.arange(int(length.sum()), dtype=np.int64) - np.repeat(np.cumsum(length) - length, length)
    at = np.repeat(rows.row * buffers.width + rows.left, length) + along
    depth = np.repeat(slopes[triangle, 0].astype(np.float32), length) * along.astype(np.float32)
    depth += np.repeat(near.astype(np.float32), length)
    np.maximum.at(buffers.nearness, at, depth)
    is_front = depth >= buffers.nearness[at]
    buffers.front[at[is_front]] = np.repeat(triangle.astype(np.int32), length)[is_front]


def _find_slopes(corners: FloatArray) -> FloatArray:
    """Find how fast the nearness of each triangle grows along the columns and along the rows."""
    (x1, y1, z1), (x2, y2, z2) = (np.moveaxis(corners[:, k] - corners[:, 0], 1, 0) for k in (1, 2))
    area = x1 * y2 - x2 * y1
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.stack([(z1 * y2 - z2 * y1) / area, (x1 * z2 - x2 * z1) / area], axis=1)
    # Of a triangle that is seen edge-on, the plane has no nearness in a pixel.
    return np.where(np.isfinite(slopes), slopes, 0.0)


def _list_rows(corners: FloatArray, shape: tuple[int, int]) -> Iterator[_Rows]:
    """List the rows of pixels whose centers lie in each triangle, a bounded number at a time."""
    first = np.ceil(corners[:, :, 1].min(axis=1)).clip(0, shape[0]).astype(np.int64)
    last = np.floor(corners[:, :, 1].max(axis=1)).clip(-1, shape[0] - 1).astype(np.int64)
    counts = (last - first + 1).clip(0)
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _MOST_ROWS, "right")), start + 1)
        part = np.arange(start, stop)
        triangle = np.repeat(part, counts[start:stop])
        row = first[triangle] + np.arange(len(triangle)) - (ends[triangle] - counts[triangle] - done)
        left, right = _cut(corners[triangle], row)
        begin = np.ceil(left).clip(0, shape[1])
        length = (np.floor(right).clip(-1, shape[1] - 1) - begin + 1).clip(0)
        yield _Rows(triangle, row, begin.astype(np.int64), length.astype(np.int64))
        start = stop


def _cut(corners: FloatArray, rows: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Cut triangles by rows: the leftmost and the rightmost column of each."""
    left, right = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        (x1, y1), (x2, y2) = corners[:, one, :2].T, corners[:, other, :2].T
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = x1 + (rows - y1) * (x2 - x1) / (y2 - y1)
        crosses = (np.minimum(y1, y2) <= rows) & (rows <= np.maximum(y1, y2)) & (y1 != y2)
        left = np.where(crosses, np.minimum(left, crossing), left)
        right = np.where(crosses, np.maximum(right, crossing), right)
    nothing = ~np.isfinite(left)
    return np.where(nothing, 0.0, left), np.where(nothing, -1.0, right)


def _split(rows: _Rows) -> Iterator[_Rows]:
    """Split rows into parts of a bounded number of pixels."""
    ends = np.cumsum(rows.length)
    start = 0
    while start < len(ends):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _MOST_FRAGMENTS, "right")), start + 1)
        yield _Rows(*(column[start:stop] for column in rows))
        start = stop
