"""Write the headline band of cards and figures: kind and count, as large as it allows."""

from __future__ import annotations

from dsp_batch.model.card import Card
from dsp_batch.render.text import Canvas, Color, cut_text, measure_text
from dsp_batch.render.wheel import draw_wheel

BAND = 0.19
"""Height of the band of a square picture over that of the picture."""

_WHEEL = 0.84
"""Size of a wheel of angles over the height of the band."""

_BAND_COLOR: Color = (28, 62, 92)
_WHITE: Color = (255, 255, 255)
_PALE: Color = (196, 216, 232)


def write_band(canvas: Canvas, card: Card, width: int, height: int) -> None:
    """Write kind and count into a band at the top. Two lines of it are legible at a sixth of their size."""
    margin = max(width // 32, 3)
    inner = width - 2 * margin
    canvas.fill((0, 0, width, height), _BAND_COLOR)
    if card.angles:
        wheel = round(height * _WHEEL)
        inner -= wheel + margin
        place = (width - margin // 2 - wheel, (height - wheel) // 2)
        canvas.paste(place, draw_wheel(card.angles, wheel, (_BAND_COLOR, _PALE)))
    large = fit_size(card.kind, inner, round(height * 0.44), bold=True)
    canvas.write((margin, height * 0.46), cut_text(card.kind, inner, large, bold=True), large, _WHITE, bold=True)
    second = card.headline or card.title
    small = fit_size(second, inner, round(height * 0.33))
    canvas.write((margin, height * 0.86), cut_text(second, inner, small), small, _PALE)


def fit_size(text: str, width: int, size: int, *, bold: bool = False) -> int:
    """Find the size at which a text fits, not below two thirds of the size that is wanted."""
    least = max(size * 2 // 3, 6)
    while size > least and measure_text(text, size, bold=bold) > width:
        size -= 1
    return max(size, least)
