"""Find the pixels of a layer that lie beneath the pixels of a picture."""

from __future__ import annotations

import numpy as np

from dsp_batch.kinds.overlays.layers import PlaneLayer
from dsp_batch.model.series import FloatArray


def sample_places(shape: tuple[int, int], layer: PlaneLayer) -> tuple[FloatArray, FloatArray]:
    """Compute column and row of a layer beneath the center of each pixel of a picture.

    Args:
        shape: Height and width of the picture, which shows all of the image beneath.
        layer: The layer.

    Returns:
        Two arrays that broadcast to that shape. Where the layer is not turned against the image, each varies along one
        axis alone.
    """
    height, width = shape
    across = (np.arange(width) + 0.5) * layer.shape[1] / width
    down = (np.arange(height) + 0.5)[:, np.newaxis] * layer.shape[0] / height
    (a, b, c), (d, e, f) = layer.mapping.tolist()
    columns = a * across + c + (b * down if abs(b) > _STRAIGHT else 0.0)
    rows = e * down + f + (d * across if abs(d) > _STRAIGHT else 0.0)
    return columns, rows


_STRAIGHT = 1e-9
"""Slant below which a layer counts as not turned."""


def sample_values(shape: tuple[int, int], layer: PlaneLayer, values: FloatArray) -> FloatArray:
    """Interpolate the values of a layer beneath the center of each pixel of a picture; 0 outside of the layer.

    Args:
        shape: Height and width of the picture, which shows all of the image beneath.
        layer: Where the values lie.
        values: Shape (rows, columns).
    """
    columns, rows = sample_places(shape, layer)
    return _interpolate(values, rows - 0.5, columns - 0.5)


def _interpolate(values: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """Interpolate between the four nearest values; 0 outside of the grid."""
    inside = (rows >= -0.5) & (rows <= values.shape[0] - 0.5) & (columns >= -0.5) & (columns <= values.shape[1] - 0.5)
    rows, columns = rows.clip(0, values.shape[0] - 1), columns.clip(0, values.shape[1] - 1)
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    below, right = np.minimum(top + 1, values.shape[0] - 1), np.minimum(left + 1, values.shape[1] - 1)
    down, across = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    upper = values[top, left] * (1 - across) + values[top, right] * across
    lower = values[below, left] * (1 - across) + values[below, right] * across
    mixed: FloatArray = np.where(inside, upper * (1 - down) + lower * down, 0)
    return mixed
