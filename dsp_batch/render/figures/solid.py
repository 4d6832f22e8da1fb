"""Draw a solid, seen from the front and a little from above and from its left, with its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsp_batch.core.encoding import resize_image
from dsp_batch.model.card import Card
from dsp_batch.model.figure import Solid
from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.figures.rasterize import rasterize

_RIGHT = np.array([0.90631, 0.42262, 0.0])
_UP = np.array([-0.16514, 0.35414, 0.92050])
_TOWARD_EYE = np.array([0.38902, -0.83425, 0.39073])
"""Directions of the picture in the patient: to the right, upward, and to the eye. 25° to the side, 23° from above."""

_LIGHT = np.array([-0.35, 0.55, 0.76])
"""Direction of the light, in the picture: from above and from the left."""

_AMBIENT = 0.3
_OVERSAMPLING = 2
_MARGIN = 0.06
_TOP, _BOTTOM = (250, 250, 247), (222, 228, 233)
"""Colors of the paper."""


def caption_solid(solid: Solid, card: Card) -> Card:
    """Say how large the solid is."""
    size = measure_solid(solid)
    unit = " mm" if solid.in_mm else ""
    what = " × ".join(f"{each:.0f}" if each >= 10 else f"{each:.2g}" for each in size) + unit
    exact = " × ".join(f"{each:,.1f}" for each in size) + (unit or ", unit not told")
    return replace(
        card,
        headline=what,
        lines=(f"size: {exact}", f"triangles: {solid.count:,}", *card.lines),
        n_items=solid.count,
        notes=(*card.notes, *solid.notes),
    )


def measure_solid(solid: Solid) -> tuple[float, float, float]:
    """Measure the extent of a solid along the three axes."""
    points = solid.triangles.reshape(-1, 3)
    extent = points.max(axis=0) - points.min(axis=0)
    return float(extent[0]), float(extent[1]), float(extent[2])


def draw_solid(solid: Solid, shape: tuple[int, int]) -> tuple[ByteArray, tuple[str, ...]]:
    """Draw a solid.

    Args:
        solid: The surfaces.
        shape: Height and width of the picture.

    Returns:
        RGB, shape (height, width, 3), and notes.
    """
    height, width = shape[0] * _OVERSAMPLING, shape[1] * _OVERSAMPLING
    corners = solid.triangles.astype(np.float64) @ np.stack([_RIGHT, -_UP, _TOWARD_EYE]).T
    low, high = corners.reshape(-1, 3).min(axis=0), corners.reshape(-1, 3).max(axis=0)
    room = np.array([width, height]) * (1 - 2 * _MARGIN)
    scale = float((room / np.maximum(high - low, 1e-6)[:2]).min())
    corners[..., :2] = (corners[..., :2] - (low + high)[:2] / 2) * scale + np.array([width - 1, height - 1]) / 2
    corners[..., 2] *= scale
    fade = np.linspace(0, 1, height)[:, None, None]
    fading = (np.array(_TOP) * (1 - fade) + np.array(_BOTTOM) * fade).astype(np.uint8)
    paper = np.broadcast_to(fading, (height, width, 3))
    picture = rasterize(corners, _shade(corners, solid.colors), paper)
    notes = () if picture.is_whole else ("the solid has more surface than could be drawn",)
    return resize_image(picture.pixels, shape), notes


def _shade(corners: FloatArray, colors: FloatArray) -> FloatArray:
    """Shade triangles by the light that falls on them. Whichever side of a triangle is seen is its outer one."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals = normals / lengths * np.where(normals[:, 2:] < 0, -1.0, 1.0)
    light = _LIGHT * [1, -1, 1] / np.linalg.norm(_LIGHT)
    share = _AMBIENT + (1 - _AMBIENT) * (normals @ light).clip(0)
    shaded: FloatArray = colors * share[:, None]
    return shaded
