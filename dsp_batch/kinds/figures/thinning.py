"""Thin a surface of more triangles than can be drawn in time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dsp_batch.model.series import FloatArray

MOST_TRIANGLES = 100_000
"""Triangles that are drawn: a second's work."""

_CELLS = 127
"""Cells along each axis in which vertices are joined, at first. A triangle of three cells must fit into 63 bits."""

_CELL_BITS = 21


def thin_triangles(triangles: FloatArray) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Join the vertices of a surface that lie in one small cell, until it has few enough triangles.

    Unlike leaving out triangles, this makes no holes.

    Args:
        triangles: Corners, shape (triangles, 3, 3). Not modified.

    Returns:
        The triangles that are left, and the number of the triangle that each of them was.
    """
    everything = np.arange(len(triangles))
    cells = _CELLS
    kept, chosen = triangles, everything
    while len(kept) > MOST_TRIANGLES:
        kept, chosen = _join_vertices(triangles, cells)
        cells //= 2
    return kept, chosen


def _join_vertices(triangles: FloatArray, cells: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    points = triangles.reshape(-1, 3)
    low = points.min(axis=0)
    step = max(float((points.max(axis=0) - low).max()) / cells, np.finfo(np.float32).tiny)
    places = ((points - low) / step).astype(np.int64)
    numbers = (places[:, 0] << 14 | places[:, 1] << 7 | places[:, 2]).reshape(-1, 3)
    first = np.zeros(1 << _CELL_BITS, np.int64)
    first[numbers.ravel()[::-1]] = np.arange(numbers.size)[::-1]  # the first vertex of each cell stands for all of it
    a, b, c = np.sort(numbers, axis=1).T
    keys = a << 2 * _CELL_BITS | b << _CELL_BITS | c
    keys[(a == b) | (b == c)] = -1  # what has become a line or a point
    unique, chosen = np.unique(keys, return_index=True)
    chosen = np.sort(chosen[unique >= 0])
    return points[first[numbers[chosen]]], chosen
