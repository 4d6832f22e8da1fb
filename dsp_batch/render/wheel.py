"""Draw the wheel of the angles from which beams come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.text import Color

_RING, _DOT = 0.82, 0.075
"""Radius of the ring, and of the dots on it, over half the size of the wheel."""

_PEN = 0.035
"""Half the width of lines over half the size of the wheel."""

_MOST_ANGLES = 720


def draw_wheel(beams: Sequence[Sequence[float]], size: int, colors: tuple[Color, Color]) -> ByteArray:
    """Draw a ring with a spoke for the first angle of each beam, and dots where it goes from there.

    Args:
        beams: Gantry angles of each beam in degrees: 0 is above, and they grow clockwise (IEC 61217).
        size: Height and width, in pixels.
        colors: Color of the paper, and of the ink.

    Returns:
        RGB, shape (size, size, 3).
    """
    half = size / 2
    y, x = (np.mgrid[0:size, 0:size] + 0.5 - half) / half
    soft = 1.2 / half
    distance = np.abs(np.hypot(x, y) - _RING) - _PEN / 2
    for angles in beams:
        across, up = _point_at(angles[0])
        along = (x * across - y * up).clip(0.12, _RING)
        distance = np.minimum(distance, np.hypot(x - along * across, y + along * up) - _PEN)
    dots = dict.fromkeys(round(angle, 1) % 360 for angles in beams for angle in angles)
    for angle in list(dots)[:_MOST_ANGLES]:
        across, up = _point_at(angle)
        distance = np.minimum(distance, np.hypot(x - _RING * across, y + _RING * up) - _DOT)
    share = (0.5 - distance / soft).clip(0, 1)[..., None]
    paper, ink = (np.array(color, np.float64) for color in colors)
    pixels: FloatArray = paper * (1 - share) + ink * share
    return np.rint(pixels).astype(np.uint8)


def _point_at(angle: float) -> tuple[float, float]:
    """Find the point of the unit circle at an angle: how far to the right, and how far up."""
    turn = np.deg2rad(angle)
    return float(np.sin(turn)), float(np.cos(turn))
