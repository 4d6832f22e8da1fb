"""Write text on pictures, in the one font that is bundled, so that pictures are the same everywhere."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dsp_batch.model.series import ByteArray

Color = tuple[int, int, int]

_FONTS = Path(__file__).parent / "fonts"
_FILES = {False: _FONTS / "DejaVuSans.ttf", True: _FONTS / "DejaVuSans-Bold.ttf"}

_ABSENT = "\uffff"
"""A code point that is no character: every font draws it as it draws characters that it lacks."""

_PLACEHOLDER = "□"

_EDGE: Color = (16, 16, 16)


@lru_cache(maxsize=64)
def _open_font(size: int, *, bold: bool) -> ImageFont.FreeTypeFont:
    # Basic layout: the other one needs a library of the system, and would draw otherwise where it is absent.
    return ImageFont.truetype(_FILES[bold], size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    font = _open_font(16, bold=False)
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask(_ABSENT))


def replace_missing(text: str) -> str:
    """Replace the characters that the font lacks by a square."""
    return "".join(character if _has_glyph(character) else _PLACEHOLDER for character in text)


def measure_text(text: str, size: int, *, bold: bool = False) -> float:
    """Measure the width of a text in pixels."""
    return _open_font(size, bold=bold).getlength(replace_missing(text))


def cut_text(text: str, width: float, size: int, *, bold: bool = False) -> str:
    """Cut a text that is wider than it may be, and end it in an ellipsis.

    Args:
        text: One line.
        width: Pixels that there are.
        size: Size of the font, in pixels.
        bold: True for bold type.
    """
    text = text.strip()
    if measure_text(text, size, bold=bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = measure_text(f"{text[:middle].rstrip()}…", size, bold=bold) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return f"{text[:low].rstrip()}…"


class Canvas:
    """A sheet to write on.

    Args:
        shape: Height and width, in pixels.
        color: Color of the paper.
    """

    def __init__(self, shape: tuple[int, int], color: Color) -> None:
        self._image = Image.new("RGB", (shape[1], shape[0]), color)
        self._pen = ImageDraw.Draw(self._image)

    @classmethod
    def over(cls, picture: ByteArray) -> Canvas:
        """Take a picture, RGB, (height, width, 3), as the sheet."""
        canvas = cls((1, 1), (0, 0, 0))
        canvas._image = Image.fromarray(picture)
        canvas._pen = ImageDraw.Draw(canvas._image)
        return canvas

    def fill(self, box: tuple[int, int, int, int], color: Color) -> None:
        """Fill a box: left, top, right and bottom, the last two behind its last pixels."""
        left, top, right, bottom = box
        if right > left and bottom > top:
            self._pen.rectangle((left, top, right - 1, bottom - 1), fill=color)

    def write(self, at: tuple[float, float], text: str, size: int, color: Color, *, bold: bool = False) -> None:
        """Write one line. `at` is where it begins on its baseline: distance from the left, and from the top."""
        self._pen.text(at, replace_missing(text), fill=color, font=_open_font(size, bold=bold), anchor="ls")

    def write_over(self, at: tuple[float, float], text: str, size: int, color: Color) -> None:
        """Write one line with a dark edge, so that it is read on any picture. `at` is as in `write`."""
        edge = max(round(size / 9), 1)
        font = _open_font(size, bold=True)
        self._pen.text(at, replace_missing(text), color, font, anchor="ls", stroke_width=edge, stroke_fill=_EDGE)

    def paste(self, at: tuple[int, int], pixels: ByteArray) -> None:
        """Put a picture on the sheet. `at` is its distance from the left, and from the top."""
        self._image.paste(Image.fromarray(pixels), at)

    def pixels(self) -> ByteArray:
        """Return the sheet as RGB, shape (height, width, 3)."""
        return np.asarray(self._image)
