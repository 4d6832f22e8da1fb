"""Write the table of a card beside a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from dsp_batch.model.card import Card
from dsp_batch.model.scene import Color
from dsp_batch.model.series import ByteArray
from dsp_batch.render.text import Canvas, cut_text

PICTURE_SHARE = 0.6
"""Width of the picture over that of picture and table."""

_TEXT = 17 / 768
_LEAST_TEXT = 9
_LINE = 1.35

_PAPER: Color = (250, 250, 247)
_INK: Color = (24, 28, 32)
_GRAY: Color = (104, 112, 120)


def write_table_beside(picture: ByteArray, card: Card, colors: Mapping[int, Color], width: int) -> ByteArray:
    """Write the rows of a card to the right of a picture.

    Args:
        picture: RGB, (height, width, 3). Not modified.
        card: What the object says.
        colors: Number of a row, from 1 → color of what is drawn of it; rows without a color have no square.
        width: Width of both, in pixels.

    Returns:
        RGB, (height, width, 3); a low picture lies in the middle of a higher sheet.
    """
    size = max(round(width * _TEXT), _LEAST_TEXT)
    lines = list(_list_lines(card))
    wanted = round((len(lines) + 3) * size * _LINE)
    height = max(picture.shape[0], min(wanted, round(width * PICTURE_SHARE)))
    sheet = np.zeros((height, width, 3), np.uint8)
    top = (height - picture.shape[0]) // 2
    sheet[top : top + picture.shape[0], : picture.shape[1]] = picture
    canvas = Canvas.over(sheet)
    left, room = picture.shape[1] + size * 0.7, width - picture.shape[1] - size * 1.4
    canvas.fill((picture.shape[1], 0, width, height), _PAPER)
    baseline = size * 1.6
    canvas.write((left, baseline), cut_text(card.title, room, size, bold=True), size, _INK, bold=True)
    baseline += size * 0.3
    shown = max(int((height - baseline - size * 0.5) / (size * _LINE)), 0)
    is_cut = len(lines) > shown
    for number, text, is_head in lines[: shown - 1 if is_cut else shown]:
        baseline += size * _LINE
        color = colors.get(number)
        if is_head and color:
            box = round(left), round(baseline - size * 0.72), round(left + size * 0.72), round(baseline)
            canvas.fill(box, color)
        indent = size * 1.1
        said = f"{number} {text}" if is_head and len(colors) > 1 else text
        cut = cut_text(said, room - indent, size, bold=is_head)
        canvas.write((left + indent, baseline), cut, size, _INK if is_head else _GRAY, bold=is_head)
    if is_cut:
        more = len({number for number, _, _ in lines[max(shown - 1, 0) :]})
        canvas.write((left, baseline + size * _LINE), f"… {more:,} more", size, _GRAY)
    return canvas.pixels()


def _list_lines(card: Card) -> Iterator[tuple[int, str, bool]]:
    """List the lines of a table in a narrow column: number of the row, text, and whether it begins the row."""
    for number, row in enumerate(card.rows, 1):
        yield number, row[0], True
        for at, cell in enumerate(row[1:], 1):
            if cell:
                head, _, unit = (card.columns[at] if at < len(card.columns) else "").partition(", ")
                yield number, " ".join(part for part in (head, cell, unit) if part and part != "answers"), False
