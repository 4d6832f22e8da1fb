"""The nouns of what is drawn over an image: shapes, marks, labels and the keys of a legend.

Places are column and row of the image beneath in pixels, 0/0 at the outer corner of its first pixel.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from dsp_batch.model.series import FloatArray

Color = tuple[int, int, int]
"""A color as RGB of 8 bit."""

_GOLDEN_RATIO = 0.618034
"""Distance of hues that stay distinct however many there are, as a fraction of the circle."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stroke:
    """A line or a polygon."""

    points: FloatArray
    """Column and row of each corner, shape (n, 2)."""

    color: Color
    is_closed: bool = False
    filled: float = 0.0
    """Share of the color within a closed shape, from 0 (the image alone) to 1 (the color alone)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A ring and a cross of fixed size around a point, with its name."""

    at: tuple[float, float]
    color: Color
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text of one line."""

    at: tuple[float, float]
    """Where it begins, on its baseline."""

    text: str
    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An entry of a legend."""

    name: str
    color: Color | None
    """Color that the name stands for; None for what is named and not drawn."""


_DARKEST = 90
"""Luminance below which a color is not seen on a dark image, of 255."""


def lighten(color: Color) -> Color:
    """Mix as much white into a dark color as it takes to be seen on a dark image."""
    luminance = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    white = max(_DARKEST - luminance, 0.0) / (255 - luminance) if luminance < 255 else 0.0
    red, green, blue = (round(each + (255 - each) * white) for each in color)
    return red, green, blue


def spread_hue(number: int) -> Color:
    """Choose a color that differs from those of the numbers next to it."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN_RATIO % 1, 0.65, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
