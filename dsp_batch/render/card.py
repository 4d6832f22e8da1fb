"""Draw a card: a headline that is still read at 128 pixels, and below it a table or lines of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dsp_batch.model.card import Card
from dsp_batch.model.series import ByteArray
from dsp_batch.render.text import Color, Page, cut_text, measure_text

MOST_ROWS = 22
"""Rows of a table that are shown, at most."""

_BAND = 0.19
"""Height of the headline band over that of the card."""

_BODY = 18 / 768
"""Size of body text over that of the card, where the card is large enough for it."""

_LEAST_BODY = 9
"""Pixels of the smallest text that can be read. Small cards show fewer lines instead of smaller ones."""

_LINE = 1.4
"""Distance of two lines over the size of the text."""

_PAPER: Color = (250, 250, 247)
_BAND_COLOR: Color = (28, 62, 92)
_WHITE: Color = (255, 255, 255)
_PALE: Color = (196, 216, 232)
_INK: Color = (24, 28, 32)
_GRAY: Color = (104, 112, 120)
_STRIPE: Color = (238, 240, 240)

_MOST_SUMMARY = 2048
"""Bytes of the summary of a card, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measures:
    """The measures of a card of some size, in pixels."""

    size: int
    band: int
    margin: int
    body: int
    line: int

    @property
    def inner(self) -> int:
        """Width between the margins."""
        return self.size - 2 * self.margin


def draw_card(card: Card, size: int) -> ByteArray:
    """Draw a card.

    Args:
        card: What it says.
        size: Height and width, in pixels. The card is laid out for it, never scaled.

    Returns:
        RGB, shape (size, size, 3).
    """
    body = max(round(size * _BODY), _LEAST_BODY)
    measures = _Measures(
        size=size, band=round(size * _BAND), margin=max(size // 32, 3), body=body, line=round(body * _LINE)
    )
    page = Page((size, size), _PAPER)
    _write_band(page, card, measures)
    top = _write_title(page, card, measures)
    top = _write_lines(page, card, measures, top)
    _write_table(page, card, measures, top)
    return page.pixels()


def summarize_card(card: Card) -> tuple[str, ...]:
    """List the lines of a card as text, as many as a result row has room for."""
    head = (" · ".join(card.columns),) if card.columns else ()
    lines = [*card.lines, *head, *(" · ".join(row) if card.columns else ": ".join(row) for row in card.rows)]
    kept: list[str] = []
    for line in lines:
        if len(json.dumps([*kept, line], ensure_ascii=False).encode()) > _MOST_SUMMARY:
            break
        kept.append(line)
    return tuple(kept)


def title_card(card: Card) -> str:
    """Put the headline of a card into one line."""
    return " · ".join(part for part in (card.kind, card.headline, card.title) if part)


def _write_band(page: Page, card: Card, measures: _Measures) -> None:
    """Write kind and count as large as the band allows: two lines of it are legible at a sixth of their size."""
    band, margin = measures.band, measures.margin
    page.fill((0, 0, measures.size, band), _BAND_COLOR)
    large = _fit_size(card.kind, measures.inner, round(band * 0.44), bold=True)
    page.write((margin, band * 0.46), cut_text(card.kind, measures.inner, large, bold=True), large, _WHITE, bold=True)
    second = card.headline or card.title
    small = _fit_size(second, measures.inner, round(band * 0.33))
    page.write((margin, band * 0.86), cut_text(second, measures.inner, small), small, _PALE)


def _fit_size(text: str, width: int, size: int, *, bold: bool = False) -> int:
    """Find the size at which a text fits, not below two thirds of the size that is wanted."""
    least = max(size * 2 // 3, 6)
    while size > least and measure_text(text, size, bold=bold) > width:
        size -= 1
    return max(size, least)


def _write_title(page: Page, card: Card, measures: _Measures) -> int:
    """Write the title below the band, and return the distance of the next line from the top."""
    size = round(measures.body * 1.3)
    top = measures.band + round(size * 1.9)
    page.write((measures.margin, top), cut_text(card.title, measures.inner, size, bold=True), size, _INK, bold=True)
    return top + round(measures.line * 0.6)


def _write_lines(page: Page, card: Card, measures: _Measures, top: int) -> int:
    room = min(_count_room(measures, top), MOST_ROWS)
    shown = len(card.lines) if len(card.lines) <= room else max(room - 1, 0)
    for line in card.lines[:shown]:
        page.write(
            (measures.margin, top + measures.body), cut_text(line, measures.inner, measures.body), measures.body, _INK
        )
        top += measures.line
    if shown < len(card.lines):
        _write_rest(page, len(card.lines) - shown, measures, top)
        return measures.size
    return top


def _write_table(page: Page, card: Card, measures: _Measures, top: int) -> None:
    if not card.rows:
        return
    body, line = measures.body, measures.line
    room = _count_room(measures, top) - bool(card.columns)
    most = min(room, MOST_ROWS)
    shown = len(card.rows) if len(card.rows) <= most else max(min(room - 1, MOST_ROWS), 0)
    rows = [_pad(row, max(map(len, card.rows))) for row in card.rows[:shown]]
    head = _pad(card.columns, len(rows[0])) if card.columns and rows else ()
    lefts, widths = _place_columns([head, *rows] if head else rows, measures)
    if head:
        for text, left, width in zip(head, lefts, widths, strict=True):
            page.write((left, top + body), cut_text(text, width, body, bold=True), body, _GRAY, bold=True)
        top += line
    for number, row in enumerate(rows):
        if number % 2 == 0:
            page.fill((measures.margin // 2, top, measures.size - measures.margin // 2, top + line), _STRIPE)
        for column, (text, left, width) in enumerate(zip(row, lefts, widths, strict=True)):
            color = _GRAY if column == 0 and not head else _INK
            page.write((left, top + round(body * 1.05)), cut_text(text, width, body), body, color)
        top += line
    if shown < len(card.rows) and room > 0:
        _write_rest(page, len(card.rows) - shown, measures, top)


def _write_rest(page: Page, count: int, measures: _Measures, top: int) -> None:
    page.write((measures.margin, top + round(measures.body * 1.05)), f"… {count:,} more", measures.body, _GRAY)


def _count_room(measures: _Measures, top: int) -> int:
    """Count the lines that fit between a distance from the top and the lower margin."""
    return max((measures.size - measures.margin // 2 - top) // measures.line, 0)


def _pad(row: Sequence[str], count: int) -> tuple[str, ...]:
    return (*row, *("" for _ in range(count - len(row))))


def _place_columns(rows: Sequence[Sequence[str]], measures: _Measures) -> tuple[list[int], list[float]]:
    """Find where each column begins and how wide it may be: what it needs, as far as there is room for all.

    Where there is not, the widest columns give way first.
    """
    if not rows:
        return [], []
    gap = measures.body
    wanted = [
        max(measure_text(row[at], measures.body, bold=row is rows[0]) for row in rows) for at in range(len(rows[0]))
    ]
    room = measures.inner - gap * (len(wanted) - 1)
    most = float(room)
    while sum(min(each, most) for each in wanted) > room and most > 1:
        most *= 0.95
    widths = [min(each, most) + 1 for each in wanted]
    lefts = [measures.margin + round(sum(widths[:at]) + gap * at) for at in range(len(widths))]
    return lefts, widths
