"""Draw the figure of an object below its headline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card
from dsp_batch.model.figure import Document, Figure, Recording, Solid, Spectra
from dsp_batch.model.series import ByteArray
from dsp_batch.render.band import BAND, write_band
from dsp_batch.render.card import PAPER
from dsp_batch.render.figures.ecg import SECONDS, draw_ecg, is_electric, name_leads
from dsp_batch.render.figures.page import caption_page, draw_page
from dsp_batch.render.figures.solid import caption_solid, draw_solid
from dsp_batch.render.figures.spectra import draw_spectra
from dsp_batch.render.figures.traces import MOST_ROWS, draw_traces
from dsp_batch.render.text import Canvas, Color, cut_text, measure_text

_PALE: Color = (196, 216, 232)

_PAGE_BAND = 0.12
"""Height of the band over that of the picture of a page, which needs the room."""


def draw_figure(figure: Figure, card: Card, size: int) -> tuple[ByteArray, Card]:
    """Draw a figure.

    Args:
        figure: What is drawn.
        card: What is said of the object.
        size: Height and width of the square that the picture fits.

    Returns:
        RGB, shape (height, width, 3); and the card with what the figure says more.

    Raises:
        PixelError: It cannot be drawn.
    """
    band = round(size * BAND)
    height = size - band
    match figure:
        case Solid():
            pixels, notes = draw_solid(figure, (height, size))
            card = caption_solid(figure, card)
            card = replace(card, notes=(*card.notes, *notes))
        case Recording():
            card = _caption_recording(figure, card)
            is_paper = figure.form == "ecg" and is_electric(figure)
            pixels = draw_ecg(figure, size) if is_paper else draw_traces(figure, (height, size))
        case Spectra():
            pixels = draw_spectra(figure, (height, size))
        case Document():
            band = round(size * _PAGE_BAND)
            pixels, count = draw_page(figure, size - band, size)
            card = caption_page(count, card)
    return _write_headline(pixels[: size - band], card, band), card


def _write_headline(pixels: ByteArray, card: Card, band: int) -> ByteArray:
    height, width = pixels.shape[:2]
    canvas = Canvas((height + band, width), PAPER)
    write_band(canvas, card, width, band)
    _write_title(canvas, card, width, band)
    canvas.paste((0, band), np.ascontiguousarray(pixels))
    return canvas.pixels()


def _write_title(canvas: Canvas, card: Card, width: int, band: int) -> None:
    """Write the title into the band, to the right of the kind, where there is room for it."""
    margin, size = max(width // 32, 3), max(round(width / 42), 8)
    taken = 2 * margin + round(measure_text(card.kind, round(band * 0.44), bold=True)) + size
    if card.headline and width - taken > 8 * size:
        text = cut_text(card.title, width - taken, size)
        canvas.write((width - margin - measure_text(text, size), band * 0.46), text, size, _PALE)


def _caption_recording(recording: Recording, card: Card) -> Card:
    """Say how many leads or channels are drawn, and for how long."""
    notes = list(recording.notes)
    seconds = f"{format_number(round(recording.seconds, 2))} s"
    if recording.form == "ecg" and is_electric(recording):
        names, noun = name_leads(recording), "lead"
        if recording.seconds > SECONDS + 0.5:
            notes.append(f"the first {SECONDS:g} of {seconds} are drawn")
    else:
        names, noun = ", ".join(trace.label for trace in recording.traces[:MOST_ROWS]), "channel"
        if len(recording.traces) > MOST_ROWS:
            notes.append(f"the first {MOST_ROWS} of {len(recording.traces)} channels are drawn")
    count = names.count(",") + 1
    return replace(
        card,
        headline=f"{count_noun(count, noun)} · {seconds}",
        lines=(cut_text(f"{noun}s: {names}", 4096, 12), *card.lines),
        n_items=count,
        notes=(*card.notes, *notes),
    )
