"""Write names on a picture: labels, the names of marks, and a legend in its lower left corner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsp_batch.model.scene import Color, Key, Label
from dsp_batch.render.text import Canvas, cut_text, measure_text

MOST_NAMES = 12
"""Names in a legend, at most."""

_TEXT = 17 / 768
"""Size of text over the longer side of the picture."""

_LEAST_TEXT = 9
"""Pixels of the smallest text that can be read."""

_LINE = 1.35
"""Distance of two lines over the size of the text."""

_NARROWEST = 128
"""Pixels of the narrowest picture that has a legend."""

_WIDEST = 0.6
"""Width of a legend over that of the picture, at most."""

_GRAY: Color = (168, 172, 176)
_DARK: Color = (16, 16, 16)


def text_size(shape: tuple[int, int]) -> int:
    """Choose the size of text on a picture of this height and width, in pixels."""
    return max(round(max(shape) * _TEXT), _LEAST_TEXT)


def write_labels(canvas: Canvas, labels: Iterable[Label], shape: tuple[int, int]) -> None:
    """Write labels, whose places are pixels of the picture, and move those that would leave it."""
    size = text_size(shape)
    for label in labels:
        text = cut_text(label.text, shape[1] * 0.9, size, bold=True)
        right = shape[1] - measure_text(text, size, bold=True) - size / 4
        left = min(max(label.at[0], size / 4), max(right, 0))
        canvas.write_over((left, min(max(label.at[1], size), shape[0] - size / 4)), text, size, label.color)


def write_legend(canvas: Canvas, keys: Sequence[Key], shape: tuple[int, int], footer: str = "") -> None:
    """Write a legend, the names of what is drawn first, and how many it leaves out.

    Args:
        canvas: The picture.
        keys: The names.
        shape: Height and width of the picture. A narrow one has no legend.
        footer: A line below the names; empty for none.
    """
    size = text_size(shape)
    room = max(int(shape[0] * 0.8 / (size * _LINE)), 1)
    if shape[1] < _NARROWEST:
        return
    ordered = [key for key in keys if key.color] + [key for key in keys if not key.color]
    shown = len(ordered) if len(ordered) <= min(MOST_NAMES, room) else min(MOST_NAMES, room) - 1
    rest = [Key(name=f"… {len(ordered) - shown:,} more", color=None)] if shown < len(ordered) else []
    lines = [*ordered[:shown], *rest, *([Key(name=footer, color=None)] if footer else [])]
    top = shape[0] - len(lines) * size * _LINE - size * 0.4
    for number, key in enumerate(lines):
        baseline = top + (number + 0.9) * size * _LINE
        left = size * 0.6
        if key.color:
            box = round(left), round(baseline - size * 0.72), round(left + size * 0.72), round(baseline)
            canvas.fill((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), _DARK)
            canvas.fill(box, key.color)
            left += size * 1.1
        name = cut_text(key.name, shape[1] * _WIDEST, size, bold=True)
        canvas.write_over((left, baseline), name, size, (255, 255, 255) if key.color else _GRAY)
