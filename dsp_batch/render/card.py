"""Draw a card: a headline that is still read at 128 pixels, and below it a table or lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsp_batch.model.card import Card
from dsp_batch.model.series import ByteArray
from dsp_batch.render.band import BAND, fit_size, write_band
from dsp_batch.render.text import Canvas, Color, cut_text, measure_text

MOST_ROWS = 22
"""Rows of a table that are shown, at most."""

_BODY = 18 / 768
"""Size of body text over that of the card, where the card is large enough for it."""

_LEAST_BODY = 9
"""Pixels of the smallest text that can be read. Small cards show fewer lines instead of smaller ones."""

_LARGEST_BODY = 1.8
"""Size of the largest body text over that of the smallest: a card that says little says it large."""

_TITLE = 1.3
"""Size of the title over that of body text."""

_NARROWEST = 5
"""Width of a column over the size of its text, at least: the last columns of a table are left out on a small card."""

_LINE = 1.28
"""Distance of two lines over the size of the text."""

PAPER: Color = (250, 250, 247)
_INK: Color = (24, 28, 32)
_GRAY: Color = (104, 112, 120)
_STRIPE: Color = (238, 240, 240)

_MOST_SUMMARY = 2048
"""Bytes of the summary of a card, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measures:
    """The measures of a card of some size, in pixels."""

    size: int
    body: int
    """Size of body text."""

    @property
    def band(self) -> int:
        """Height of the headline band."""
        return round(self.size * BAND)

    @property
    def margin(self) -> int:
        """Width of what is left free on either side."""
        return max(self.size // 32, 3)

    @property
    def line(self) -> int:
        """Distance of two lines of body text."""
        return round(self.body * _LINE)

    @property
    def inner(self) -> int:
        """Width between the margins."""
        return self.size - 2 * self.margin

    @property
    def room(self) -> int:
        """Number of lines of body text between the title and the lower margin."""
        title = round(self.body * _TITLE * 1.9) + round(self.line * 0.6)
        return max((self.size - self.band - title - self.margin // 2) // self.line, 0)


class _Column(NamedTuple):
    """One column of a table, in pixels."""

    left: float
    width: float
    is_of_numbers: bool


class _RowStyle(NamedTuple):
    """How a row is written."""

    baseline: int
    size: int
    """Size of the text."""

    colors: tuple[Color, Color]
    """Color of the first cell, and of the others."""

    bold: bool


def draw_card(card: Card, size: int) -> ByteArray:
    """Draw a card.

    Args:
        card: What it says.
        size: Height and width, in pixels. The card is laid out for it, never scaled.

    Returns:
        RGB, shape (size, size, 3).
    """
    measures = _choose_measures(card, size)
    canvas = Canvas((size, size), PAPER)
    write_band(canvas, card, size, measures.band)
    top = _write_title(canvas, card, measures)
    top = _write_lines(canvas, card, measures, top)
    _write_table(canvas, card, measures, top)
    return canvas.pixels()


def _choose_measures(card: Card, size: int) -> _Measures:
    """Choose the largest text at which a card shows all that it says, else the smallest one."""
    least = max(round(size * _BODY), _LEAST_BODY)
    count = len(card.lines) + len(card.rows) + bool(card.columns)
    for body in range(round(least * _LARGEST_BODY), least, -2):
        measures = _Measures(size=size, body=body)
        if count <= min(measures.room, MOST_ROWS) and _are_whole(card, measures):
            return measures
    return _Measures(size=size, body=least)


def _are_whole(card: Card, measures: _Measures) -> bool:
    """Tell whether no text of the card is cut at this size."""
    if any(measure_text(line, measures.body) > measures.inner for line in card.lines):
        return False
    rows = [row for row in (card.columns, *card.rows) if row]
    if not rows:
        return True
    wanted = _measure_columns(rows, measures)
    return sum(wanted) + measures.body * (len(wanted) - 1) <= measures.inner


def summarize_card(card: Card) -> tuple[str, ...]:
    """List the lines of a card as text, as many as a result row has room for."""
    head = (" · ".join(card.columns),) if card.columns else ()
    return summarize_lines(
        [*card.lines, *head, *(" · ".join(row) if card.columns else ": ".join(row) for row in card.rows)]
    )


def summarize_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Take as many lines of text as a result row has room for."""
    kept: list[str] = []
    for line in lines:
        if len(json.dumps([*kept, line], ensure_ascii=False).encode()) > _MOST_SUMMARY:
            break
        kept.append(line)
    return tuple(kept)


def title_card(card: Card) -> str:
    """Put the headline of a card into one line."""
    return " · ".join(part for part in (card.kind, card.headline, card.title) if part)


def _write_title(canvas: Canvas, card: Card, measures: _Measures) -> int:
    """Write the title below the band, and return the distance of the next line from the top."""
    wanted = round(measures.body * _TITLE)
    size = fit_size(card.title, measures.inner, wanted, bold=True)
    top = measures.band + round(wanted * 1.9)
    canvas.write((measures.margin, top), cut_text(card.title, measures.inner, size, bold=True), size, _INK, bold=True)
    return top + round(measures.line * 0.6)


def _write_lines(canvas: Canvas, card: Card, measures: _Measures, top: int) -> int:
    room = min(_count_room(measures, top), MOST_ROWS)
    shown = len(card.lines) if len(card.lines) <= room else max(room - 1, 0)
    for line in card.lines[:shown]:
        canvas.write(
            (measures.margin, top + measures.body), cut_text(line, measures.inner, measures.body), measures.body, _INK
        )
        top += measures.line
    if shown < len(card.lines):
        _write_rest(canvas, len(card.lines) - shown, measures, top)
        return measures.size
    return top


def _write_table(canvas: Canvas, card: Card, measures: _Measures, top: int) -> None:
    """Write the head and as many rows as there is room for, and count the others."""
    most = min(_count_room(measures, top) - bool(card.columns), MOST_ROWS + 1)
    if not card.rows or most < 1:
        return
    shown = len(card.rows) if len(card.rows) <= min(most, MOST_ROWS) else most - 1
    count = min(max(map(len, (card.columns, *card.rows))), max(measures.inner // (_NARROWEST * measures.body), 2))
    rows = [_fit_row(row, count) for row in card.rows[:shown]]
    head = [_fit_row(card.columns, count)] if card.columns else []
    columns = _place_columns([*head, *rows], measures, has_head=bool(head))
    base, colors = round(measures.body * 1.02), (_INK if head else _GRAY, _INK)
    for row in head:
        _write_row(canvas, row, columns, _RowStyle(top + base, measures.body, (_GRAY, _GRAY), bold=True))
        top += measures.line
    for number, row in enumerate(rows):
        if number % 2 == 0:
            canvas.fill((measures.margin // 2, top, measures.size - measures.margin // 2, top + measures.line), _STRIPE)
        _write_row(canvas, row, columns, _RowStyle(top + base, measures.body, colors, bold=False))
        top += measures.line
    if shown < len(card.rows):
        _write_rest(canvas, len(card.rows) - shown, measures, top)


def _write_row(
    canvas: Canvas,
    row: Sequence[str],
    columns: Sequence[_Column],
    at: _RowStyle,
) -> None:
    """Write the cells of a row, numbers to the right of their column."""
    for number, (text, column) in enumerate(zip(row, columns, strict=True)):
        cut = cut_text(text, column.width, at.size, bold=at.bold)
        indent = column.width - measure_text(cut, at.size, bold=at.bold) if column.is_of_numbers else 0.0
        color = at.colors[min(number, 1)]
        canvas.write((column.left + indent, at.baseline), cut, at.size, color, bold=at.bold)


def _write_rest(canvas: Canvas, count: int, measures: _Measures, top: int) -> None:
    canvas.write((measures.margin, top + round(measures.body * 1.05)), f"… {count:,} more", measures.body, _GRAY)


def _count_room(measures: _Measures, top: int) -> int:
    """Count the lines that fit between a distance from the top and the lower margin."""
    return max((measures.size - measures.margin // 2 - top) // measures.line, 0)


def _fit_row(row: Sequence[str], count: int) -> tuple[str, ...]:
    return (*row[:count], *("" for _ in range(count - len(row))))


def _place_columns(rows: Sequence[Sequence[str]], measures: _Measures, *, has_head: bool) -> list[_Column]:
    """Find where each column begins and how wide it may be: what it needs, as far as there is room for all.

    Where there is not, the widest columns give way first.
    """
    if not rows:
        return []
    gap = measures.body
    wanted = _measure_columns(rows, measures)
    room = measures.inner - gap * (len(wanted) - 1)
    most = float(room)
    while sum(min(each, most) for each in wanted) > room and most > 1:
        most *= 0.95
    widths = [min(each, most) + 1 for each in wanted]
    return [
        _Column(
            left=measures.margin + sum(widths[:at]) + gap * at,
            width=width,
            is_of_numbers=has_head and at > 0 and all(map(_is_number, (row[at] for row in rows[1:]))),
        )
        for at, width in enumerate(widths)
    ]


def _is_number(text: str) -> bool:
    """Tell whether a text is written as numbers are; a cell without a number is one too."""
    return not text.strip("0123456789.,+-−—eE% ")


def _measure_columns(rows: Sequence[Sequence[str]], measures: _Measures) -> list[float]:
    """Measure the width that each column needs. The first row may be a head, in bold type."""
    count = max(map(len, rows))
    return [
        max(measure_text(row[at], measures.body, bold=row is rows[0]) for row in rows if at < len(row))
        for at in range(count)
    ]
