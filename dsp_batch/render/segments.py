"""Paint the segments of a position over its image: outlines, and a quarter of the color within."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dsp_batch.kinds.overlays.layers import SegmentLayer
from dsp_batch.kinds.segmentation import SegmentMask
from dsp_batch.model.series import BoolArray, ByteArray, FloatArray

_FILL = 0.25
"""Share of the color of a segment within its outline."""

_OUTLINE = 2 / 768
"""Width of an outline over the longer side of the picture."""


class _Sampling(NamedTuple):
    """Pixel of a layer for each pixel of a picture, and whether there is one."""

    rows: FloatArray
    columns: FloatArray

    def sample(self, mask: BoolArray) -> BoolArray:
        """Take the nearest pixel of a mask for each pixel of the picture; False outside of it."""
        rows, columns = self.rows.astype(np.intp), self.columns.astype(np.intp)
        inside = (self.rows >= 0) & (self.rows < mask.shape[0]) & (self.columns >= 0) & (self.columns < mask.shape[1])
        found: BoolArray = mask[rows.clip(0, mask.shape[0] - 1), columns.clip(0, mask.shape[1] - 1)] & inside
        return found


def paint_segments(picture: ByteArray, layer: SegmentLayer, masks: Iterable[SegmentMask]) -> ByteArray:
    """Paint segments over a picture.

    Args:
        picture: RGB of the image beneath, (height, width, 3). Not modified.
        layer: Where the segmentation lies.
        masks: The segments.

    Returns:
        RGB, (height, width, 3).
    """
    painted = picture.copy()
    sampling = _place_pixels(picture.shape[:2], layer)
    width = max(round(max(picture.shape[:2]) * _OUTLINE), 1)
    for mask in masks:
        covered = sampling.sample(mask.covered)
        color = np.array(mask.color, np.float32)
        painted[covered] = np.rint(painted[covered] * (1 - _FILL) + color * _FILL).astype(np.uint8)
        painted[_find_outline(covered, width)] = mask.color
    return painted


def _place_pixels(shape: tuple[int, ...], layer: SegmentLayer) -> _Sampling:
    """Find the pixel of the layer beneath the center of each pixel of the picture."""
    height, width = shape
    across = (np.arange(width) + 0.5) * layer.shape[1] / width
    down = (np.arange(height) + 0.5)[:, np.newaxis] * layer.shape[0] / height
    (a, b, c), (d, e, f) = layer.mapping
    return _Sampling(rows=np.floor(d * across + e * down + f), columns=np.floor(a * across + b * down + c))


def _find_outline(covered: BoolArray, width: int) -> BoolArray:
    """Find the pixels of a segment that lie within some pixels of its edge. Beyond the picture it goes on."""
    inner = covered.copy()
    for axis in (0, 1):
        for step in range(1, width + 1):
            for sign in (-1, 1):
                moved = np.roll(covered, sign * step, axis)
                edge = slice(0, step) if sign > 0 else slice(-step, None)
                moved[(edge, slice(None)) if axis == 0 else (slice(None), edge)] = True
                inner &= moved
    outline: BoolArray = covered & ~inner
    return outline
