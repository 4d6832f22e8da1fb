"""Draw curves with soft edges, in NumPy."""

from __future__ import annotations

import numpy as np

from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.text import Color

_FINENESS = 2
"""Points of a drawing along each side of a pixel."""


class Sheet:
    """A sheet to draw curves on, in one color and with one pen.

    Args:
        shape: Height and width, in pixels.
        pen: Width of the pen, in pixels.
    """

    def __init__(self, shape: tuple[int, int], pen: float) -> None:
        self.shape = shape
        self._pen = max(round(pen * _FINENESS), 1)
        self._rows, self._columns = shape[0] * _FINENESS, shape[1] * _FINENESS
        # Where ink begins and ends in each column, from the top: it is summed up once, for all curves.
        self._changes = np.zeros((self._rows + 1, self._columns), np.int16)

    def draw(self, heights: FloatArray, left: float, width: float) -> None:
        """Draw a curve of values that lie at equal distances.

        Args:
            heights: Distance of each value from the top, in pixels; NaN for a gap.
            left: Where the first value lies, in pixels from the left.
            width: Distance from the first to the last value, in pixels.
        """
        if len(heights) < 2 or width <= 0:
            return
        first, last = max(round(left * _FINENESS), 0), min(round((left + width) * _FINENESS), self._columns - 1)
        if last < first:
            return
        edges = (np.arange(first, last + 2) / _FINENESS - left) / width * (len(heights) - 1)
        edges = edges.clip(0, len(heights) - 1)
        low, high = _bound(np.asarray(heights, np.float64), edges)
        self._ink(low * _FINENESS, high * _FINENESS, first)

    def _ink(self, low: FloatArray, high: FloatArray, first: int) -> None:
        """Ink columns from one distance from the top to another, a pen around them."""
        rows, half = self._rows, self._pen / 2
        is_known = np.isfinite(low) & np.isfinite(high)
        low, high = (np.where(is_known, each, 0.0).clip(-rows, 2 * rows) for each in (low, high))
        start = np.where(is_known, np.rint(low - half), 0).clip(0, rows).astype(np.int64)
        stop = np.where(is_known, np.rint(high + half), 0).clip(0, rows).astype(np.int64)
        # A pen is as wide as it is high: what a column has, its neighbors have too.
        for shift in range(-(self._pen // 2), (self._pen + 1) // 2):
            at = np.arange(len(start)) + first + shift
            inside = (at >= 0) & (at < self._columns)
            self._changes[start[inside], at[inside]] += 1
            self._changes[np.maximum(stop, start)[inside], at[inside]] -= 1

    def coverage(self) -> FloatArray:
        """Return how much of each pixel is inked, 0 … 1, shape (height, width)."""
        height, width = self.shape
        is_inked = np.cumsum(self._changes[:-1], axis=0, dtype=np.int16) > 0
        fine = is_inked.reshape(height, _FINENESS, width, _FINENESS)
        coverage: FloatArray = fine.mean(axis=(1, 3), dtype=np.float32)
        return coverage


def blend(pixels: ByteArray, coverage: FloatArray, color: Color) -> ByteArray:
    """Blend a color into pixels, as far as each is covered."""
    share = coverage[..., None]
    blended = pixels * (1 - share) + np.array(color, np.float32) * share
    return np.rint(blended).astype(np.uint8)


def _bound(heights: FloatArray, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find the least and the largest value of a curve between each two edges, which are counted in values."""
    at_edges = np.interp(edges, np.arange(len(heights)), heights)
    low, high = np.minimum(at_edges[:-1], at_edges[1:]), np.maximum(at_edges[:-1], at_edges[1:])
    begins = np.ceil(edges[:-1]).astype(np.int64)
    ends = np.floor(edges[1:]).astype(np.int64) + 1
    holds = ends > begins
    if not holds.any():
        return low, high
    bounds = np.stack([begins[holds], np.minimum(ends[holds], len(heights))], axis=1).ravel()
    padded = np.append(heights, np.nan)  # the last bound may be the end
    with np.errstate(invalid="ignore"):
        low[holds] = np.fmin(low[holds], np.fmin.reduceat(padded, bounds)[::2])
        high[holds] = np.fmax(high[holds], np.fmax.reduceat(padded, bounds)[::2])
    return low, high
