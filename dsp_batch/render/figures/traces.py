"""Draw the channels of a recording below each other, each on a scale of its own."""

from __future__ import annotations

import numpy as np

from dsp_batch.kinds.objects.quantities import format_number, format_unit
from dsp_batch.model.figure import Recording, Trace
from dsp_batch.model.series import ByteArray
from dsp_batch.render.figures.ink import Sheet, blend
from dsp_batch.render.text import Canvas, Color, cut_text

MOST_ROWS = 32
"""Channels that are drawn."""

_PAPER: Color = (250, 250, 247)
_STRIPE: Color = (238, 240, 240)
_INK: Color = (28, 62, 92)
_TEXT: Color = (24, 28, 32)
_GRAY: Color = (104, 112, 120)
_LABELS = 0.24
"""Width of the labels over that of the picture."""

_FILLED = 0.84
"""Height of a curve over that of its row."""


def draw_traces(recording: Recording, shape: tuple[int, int]) -> ByteArray:
    """Draw channels from the start to the end of a recording, with their units and their range.

    Args:
        recording: The channels.
        shape: Height and width of the picture, in pixels.

    Returns:
        RGB, shape (height, width, 3).
    """
    height, width = shape
    size = max(round(width / 48), 8)
    axis = round(size * 1.8)
    traces = recording.traces[:MOST_ROWS]
    row = (height - axis) / len(traces)
    left = round(width * _LABELS)
    canvas = Canvas(shape, _PAPER)
    sheet = Sheet(shape, pen=max(width / 640, 1.0))
    seconds = max(recording.seconds, 1e-9)
    for number, trace in enumerate(traces):
        top = round(number * row)
        if number % 2 == 0:
            canvas.fill((0, top, width, round(top + row)), _STRIPE)
        low, high = find_range(trace, is_sound=recording.form == "audio")
        heights = top + row / 2 - ((trace.values - (low + high) / 2) / (high - low)) * row * _FILLED
        scale = (width - left) / seconds
        sheet.draw(heights, left + trace.delay * scale, (len(trace.values) - 1) / recording.rate * scale)
    canvas.paste((0, 0), blend(canvas.pixels(), sheet.coverage(), _INK))
    for number, trace in enumerate(traces):
        _write_label(canvas, trace, (round(number * row), round((number + 1) * row)), (left, size))
    _write_axis(canvas, seconds, (left, width, height), size)
    return canvas.pixels()


def find_range(trace: Trace, *, is_sound: bool = False) -> tuple[float, float]:
    """Find the least and the largest value of a channel; of sound, which swings about zero, the same on both sides."""
    finite = trace.values[np.isfinite(trace.values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if is_sound:
        high = max(abs(low), abs(high))
        low = -high
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _write_label(canvas: Canvas, trace: Trace, rows: tuple[int, int], measures: tuple[int, int]) -> None:
    """Write the name of a channel, and below it its range where there is room for that."""
    width, size = measures
    top, bottom = rows
    room = width - size
    size = max(min(size, bottom - top - 1), 6)
    middle = (top + bottom) / 2
    if bottom - top < 2.6 * size:
        canvas.write((size / 2, middle + size * 0.35), cut_text(trace.label, room, size), size, _TEXT)
        return
    low, high = find_range(trace)
    text = f"{format_number(low)} … {format_number(high)} {format_unit(trace.unit)}".strip()
    small = max(round(size * 0.85), 6)
    canvas.write((size / 2, middle - size * 0.2), cut_text(trace.label, room, size, bold=True), size, _TEXT, bold=True)
    canvas.write((size / 2, middle + size), cut_text(text, room, small), small, _GRAY)


def _write_axis(canvas: Canvas, seconds: float, box: tuple[int, int, int], size: int) -> None:
    """Write the time below the curves, at round seconds."""
    left, width, height = box
    step = find_step(seconds / 6)
    for at in np.arange(0, seconds + step / 1000, step):
        x = left + at / seconds * (width - left)
        canvas.fill((round(x), height - round(size * 1.8), round(x) + 1, height - round(size * 1.3)), _GRAY)
        text = f"{at:g} s"
        canvas.write((min(x, width - len(text) * size * 0.6), height - size * 0.3), text, round(size * 0.85), _GRAY)


def find_step(least: float) -> float:
    """Find the smallest round number that is not below another: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(least, 1e-9)))
    return float(next(power * each for each in (1, 2, 5, 10) if power * each >= least * 0.999))
