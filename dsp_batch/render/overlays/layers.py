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
