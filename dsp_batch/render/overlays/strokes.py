"""Draw lines, polygons and marks over a picture, smoothly: at twice its size, then scaled down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from dsp_batch.model.scene import Color, Mark, Stroke
from dsp_batch.model.series import ByteArray, FloatArray

_OVERSAMPLED = 2
_LARGEST_OVERSAMPLED = 2048
"""Side of the largest picture that is drawn at twice its size: memory grows with its square."""

_FARTHEST = 1 << 14
"""Places that lie farther out are moved there: Pillow draws lines of any length point by point."""

_STROKE = 2 / 768
"""Width of a line over the longer side of the picture."""

_RING = 12 / 768
"""Radius of the ring of a mark over the longer side of the picture."""


class Overlayer:
    """A transparent sheet over a picture.

    Args:
        shape: Height and width of the picture.
        scale: Pixels of the picture for each column, and for each row, of the image that places are counted in.
        thickness: Width of lines in pixels; None for what suits the picture.
    """

    def __init__(self, shape: tuple[int, int], scale: tuple[float, float], thickness: float | None = None) -> None:
        self._factor = _OVERSAMPLED if max(shape) <= _LARGEST_OVERSAMPLED else 1
        self._shape = shape
        self._scale = np.array(scale) * self._factor
        self._width = max(round((thickness or max(max(shape) * _STROKE, 1.0)) * self._factor), 1)
        self._image = Image.new("RGBA", (shape[1] * self._factor, shape[0] * self._factor), (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self._image)

    def draw_strokes(self, strokes: Iterable[Stroke]) -> None:
        """Draw lines and polygons, one over the other."""
        for stroke in strokes:
            corners = self._place(stroke.points)
            if stroke.filled > 0 and len(corners) > 2:
                self._pen.polygon(corners, fill=(*stroke.color, round(255 * stroke.filled)))
            if stroke.filled < 1:
                line = [*corners, *corners[:2]] if stroke.is_closed else corners
                self._pen.line(line, fill=(*stroke.color, 255), width=self._width, joint="curve")

    def draw_marks(self, marks: Iterable[Mark]) -> None:
        """Draw a ring and a cross around each point, of one size whatever the image."""
        radius = max(max(self._shape) * _RING, 5.0) * self._factor
        for mark in marks:
            ((x, y),) = self._place(np.array([mark.at]))
            color = (*mark.color, 255)
            self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=self._width)
            for begin, end in ((-1.7, -0.35), (0.35, 1.7)):
                self._pen.line((x + begin * radius, y, x + end * radius, y), fill=color, width=self._width)
                self._pen.line((x, y + begin * radius, x, y + end * radius), fill=color, width=self._width)

    def draw_points(self, points: FloatArray, color: Color) -> None:
        """Draw a dot at each place, shape (n, 2)."""
        radius = self._width * 1.25
        for x, y in self._place(points):
            self._pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*color, 255))

    def lay_over(self, picture: ByteArray) -> ByteArray:
        """Blend the sheet over a picture.

        Args:
            picture: RGB, (height, width, 3). Not modified.

        Returns:
            RGB, (height, width, 3).
        """
        drawn = np.asarray(self._scale_down()).astype(np.uint16)
        beneath = picture * (255 - drawn[..., 3:]) + 127
        blended: ByteArray = np.minimum(drawn[..., :3] + beneath // 255, 255).astype(np.uint8)
        return blended

    def show(self) -> ByteArray:
        """Return the sheet alone as RGBA, (height, width, 4), whose colors are not multiplied by their coverage."""
        return np.array(self._scale_down().convert("RGBA"))

    def _scale_down(self) -> Image.Image:
        # Colors are multiplied by their coverage first: a mean of colors alone would mix black into the edges.
        sheet = self._image.convert("RGBa")
        if self._factor > 1:
            sheet = sheet.resize((self._shape[1], self._shape[0]), Image.Resampling.BOX)
        return sheet

    def _place(self, points: FloatArray) -> Sequence[tuple[float, float]]:
        # Places count from the outer corner of the first pixel, Pillow from its center; but it draws a wide line half a
        # pixel to the upper left of its places, which makes up for that.
        placed = (points * self._scale).clip(-_FARTHEST, _FARTHEST)
        return [(float(x), float(y)) for x, y in placed]
