"""Read the graphics and texts of presentation states (PS3.3 C.10.5, C.10.7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.model.scene import Color
from dsp_batch.model.series import FloatArray

_WHITE: Color = (255, 255, 255)
_CORNERS = 72
"""Corners of the polygon that an ellipse is drawn as."""

_MOST_LINES = 20
"""Lines of a text that are drawn, at most."""

_STEPS = 12
"""Straight pieces between two points of an interpolated curve."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graphic:
    """A graphic object."""

    points: FloatArray
    """Corners, or points, shape (n, 2)."""

    is_points: bool
    is_closed: bool
    is_filled: bool
    is_of_display: bool
    """True where places are fractions of the displayed area, after it is turned; False for pixels of the image."""

    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNote:
    """A text object."""

    lines: tuple[str, ...]
    at: tuple[float, float]
    """Where the text begins: the upper left corner of its box, else its anchor."""

    is_of_display: bool
    color: Color


Chooses = Callable[[Attributes], bool]


def read_graphics(header: Attributes, chooses: Chooses) -> Iterator[Graphic]:
    """Read the graphic objects of those annotations that are chosen, lowest layer first."""
    for annotation, color in _list_annotations(header, chooses):
        for item in annotation.items("GraphicObjectSequence"):
            points = read_points(item)
            kind = item.text("GraphicType") or ""
            if len(points):
                corners, is_closed = trace_graphic(kind, points)
                yield Graphic(
                    points=corners,
                    is_points=kind == "POINT",
                    is_closed=is_closed,
                    is_filled=item.text("GraphicFilled") == "Y",
                    is_of_display=item.text("GraphicAnnotationUnits") == "DISPLAY",
                    color=color,
                )


def read_texts(header: Attributes, chooses: Chooses) -> Iterator[TextNote]:
    """Read the text objects of those annotations that are chosen."""
    for annotation, color in _list_annotations(header, chooses):
        for item in annotation.items("TextObjectSequence"):
            lines = (item.text("UnformattedTextValue") or "").splitlines()
            box = item.numbers("BoundingBoxTopLeftHandCorner")
            units = "BoundingBoxAnnotationUnits"
            if len(box) != 2:
                box, units = item.numbers("AnchorPoint"), "AnchorPointAnnotationUnits"
            if len(box) == 2 and all(map(math.isfinite, box)) and any(map(str.strip, lines)):
                yield TextNote(
                    lines=tuple(lines[:_MOST_LINES]),
                    at=(box[0], box[1]),
                    is_of_display=item.text(units) == "DISPLAY",
                    color=color,
                )


def read_points(item: Attributes) -> FloatArray:
    """Read Graphic Data (0070,0022): column and row of each point, shape (n, 2)."""
    numbers = np.array(item.numbers("GraphicData"))
    points: FloatArray = numbers[: len(numbers) // 2 * 2].reshape(-1, 2)
    return points if np.isfinite(points).all() else points[:0]


def trace_graphic(kind: str, points: FloatArray) -> tuple[FloatArray, bool]:
    """Trace a graphic as corners.

    Args:
        kind: `POINT`, `POLYLINE`, `INTERPOLATED`, `CIRCLE`, `ELLIPSE`, or as reports have it `MULTIPOINT`.
        points: Its points, shape (n, 2): the center of a circle and a point of it; the ends of the axes of an ellipse.

    Returns:
        Corners, and whether the last is joined with the first.
    """
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    if kind == "CIRCLE" and len(points) >= 2:
        radius = float(np.hypot(*(points[1] - points[0])))
        return points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1), True
    if kind == "ELLIPSE" and len(points) >= 4:
        center, major, minor = points[:2].mean(0), (points[1] - points[0]) / 2, (points[3] - points[2]) / 2
        return center + np.outer(np.cos(angles), major) + np.outer(np.sin(angles), minor), True
    is_closed = len(points) > 2 and bool((points[0] == points[-1]).all())
    if kind == "INTERPOLATED" and len(points) > 2:
        return _interpolate(points, is_closed=is_closed), is_closed
    return points, is_closed


def _interpolate(points: FloatArray, *, is_closed: bool) -> FloatArray:
    """Draw a smooth curve through points: Catmull and Rom's, as the standard leaves the kind of curve open."""
    ends = (points[-2:-1], points[1:2]) if is_closed else (points[:1], points[-1:])
    padded = np.concatenate([ends[0], points, ends[1]])
    t = np.linspace(0, 1, _STEPS, endpoint=False)[:, np.newaxis]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[-1:]])


def _list_annotations(header: Attributes, chooses: Chooses) -> list[tuple[Attributes, Color]]:
    """List annotations with the color of their layer, lowest layer first."""
    layers = {item.text("GraphicLayer"): item for item in header.items("GraphicLayerSequence")}
    found = [each for each in header.items("GraphicAnnotationSequence") if chooses(each)]
    orders = {name: item.integer("GraphicLayerOrder") or 0 for name, item in layers.items()}
    found.sort(key=lambda each: orders.get(each.text("GraphicLayer"), 0))
    return [(each, _read_color(layers.get(each.text("GraphicLayer")))) for each in found]


def _read_color(layer: Attributes | None) -> Color:
    lab = layer.numbers("GraphicLayerRecommendedDisplayCIELabValue") if layer else ()
    if len(lab) == 3:
        return convert_from_lab(lab)
    gray = layer.number("GraphicLayerRecommendedDisplayGrayscaleValue") if layer else None
    if gray is None:
        return _WHITE
    level = min(max(round(gray / 257), 0), 255)
    return level, level, level
