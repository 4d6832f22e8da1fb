"""Draw an ECG on millimeter paper, at 25 mm in a second and 10 mm for a millivolt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dsp_batch.model.figure import Recording, Trace
from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.figures.ink import Sheet, blend
from dsp_batch.render.text import Canvas, Color

MM_PER_SECOND, MM_PER_MILLIVOLT = 25.0, 10.0
SECONDS = 10.0
"""Seconds that the paper is long."""

MILLIVOLTS = {"mV": 1.0, "uV": 0.001, "V": 1000.0, "nV": 1e-6}
"""Unit of UCUM → millivolts."""

_LAYOUT = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
_RHYTHM = "II"
_MOST_STRIPS = 6
"""Strips of an ECG that has not the 12 leads."""

_STRIP_MM = 25.0
"""Height of a strip."""

_MARGIN_MM = 10.0
"""Width of the paper before the curves, for the pulse of one millivolt."""

_PAPER: Color = (255, 250, 248)
_FINE, _COARSE = (250, 224, 220), (240, 190, 184)
_INK: Color = (24, 28, 48)
_GRAY: Color = (104, 112, 120)
_FINEST_GRID = 2.5
"""Pixels of a millimeter below which only every fifth line is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A piece of a lead on the paper."""

    trace: Trace
    strip: int
    start_mm: float
    """Distance of its left end from that of the curves."""

    begin: float
    """Seconds from the start of the recording."""

    seconds: float


def is_electric(recording: Recording) -> bool:
    """Tell whether all channels are voltages, so that an ECG can be drawn to scale."""
    return bool(recording.traces) and all(trace.unit in MILLIVOLTS for trace in recording.traces)


def draw_ecg(recording: Recording, width: int) -> ByteArray:
    """Draw an ECG: the 12 leads in three rows of four and a rhythm strip, or up to six other leads in a strip each.

    Args:
        recording: It `is_electric`.
        width: Width of the picture, in pixels: 10 seconds, whatever the recording is long.

    Returns:
        RGB, shape (height, width, 3).
    """
    pieces = list(_lay_out(recording))
    scale = width / (SECONDS * MM_PER_SECOND + _MARGIN_MM)
    strips = max((piece.strip for piece in pieces), default=0) + 1
    height = round((strips + 0.4) * _STRIP_MM * scale)
    canvas = Canvas((height, width), _PAPER)
    _draw_grid(canvas, (height, width), scale)
    sheet = Sheet((height, width), pen=max(width / 500, 1.0))
    for strip in range(strips):
        _draw_pulse(sheet, _find_middle(strip, scale), scale)
    for piece in pieces:
        _draw_piece(sheet, piece, recording.rate, scale)
    canvas.paste((0, 0), blend(canvas.pixels(), sheet.coverage(), _INK))
    size = max(round(width / 48), 8)
    for piece in pieces:
        left = (_MARGIN_MM + piece.start_mm) * scale + 3
        canvas.write((left, _find_middle(piece.strip, scale) - 8 * scale), piece.trace.label, size, _INK, bold=True)
    canvas.write((_MARGIN_MM * scale + 3, height - 2 * scale), "25 mm/s · 10 mm/mV", round(size * 0.85), _GRAY)
    return canvas.pixels()


def _lay_out(recording: Recording) -> Iterator[_Piece]:
    """Lay out the leads. Rows go on in time from lead to lead, as far as the recording is long enough."""
    leads = {trace.label: trace for trace in recording.traces}
    if not all(name in leads for row in _LAYOUT for name in row):
        for strip, trace in enumerate(recording.traces[:_MOST_STRIPS]):
            yield _Piece(trace=trace, strip=strip, start_mm=0.0, begin=0.0, seconds=SECONDS)
        return
    length = SECONDS / len(_LAYOUT[0])
    for strip, row in enumerate(_LAYOUT):
        for column, name in enumerate(row):
            begin = min(column * length, max(recording.seconds - length, 0.0))
            start_mm = column * length * MM_PER_SECOND
            yield _Piece(trace=leads[name], strip=strip, start_mm=start_mm, begin=begin, seconds=length)
    yield _Piece(trace=leads[_RHYTHM], strip=len(_LAYOUT), start_mm=0.0, begin=0.0, seconds=SECONDS)


def _draw_grid(canvas: Canvas, shape: tuple[int, int], scale: float) -> None:
    height, width = shape
    for step, color in ((1, _FINE), (5, _COARSE)):
        if step * scale < _FINEST_GRID:
            continue
        for mm in np.arange(0, width / scale, step):
            canvas.fill((round(mm * scale), 0, round(mm * scale) + 1, height), color)
        for mm in np.arange(0, height / scale, step):
            canvas.fill((0, round(mm * scale), width, round(mm * scale) + 1), color)


def _find_middle(strip: int, scale: float) -> float:
    """Find the baseline of a strip, in pixels from the top: a line of the grid."""
    return (strip + 0.6) * _STRIP_MM * scale


def _draw_pulse(sheet: Sheet, middle: float, scale: float) -> None:
    """Draw the pulse of one millivolt for a fifth of a second."""
    top = middle - MM_PER_MILLIVOLT * scale
    steps = ((1.0, 2.0, middle), (2.0, 7.0, top), (7.0, 8.0, middle))
    for begin, end, height in steps:
        sheet.draw(np.full(2, height), begin * scale, (end - begin) * scale)
    for at in (2.0, 7.0):
        sheet.draw(np.array([middle, top]), at * scale, 1.0)


def _draw_piece(sheet: Sheet, piece: _Piece, rate: float, scale: float) -> None:
    values = cut_seconds(piece.trace, rate, piece.begin, piece.seconds)
    millivolts = values * MILLIVOLTS[piece.trace.unit]
    level = float(np.nanmedian(millivolts)) if np.isfinite(millivolts).any() else 0.0
    # A drift of the electrodes would put the curve off the paper: its median is the baseline.
    heights = _find_middle(piece.strip, scale) - (millivolts - level) * MM_PER_MILLIVOLT * scale
    seconds = max(len(values) - 1, 0) / rate
    sheet.draw(heights, (_MARGIN_MM + piece.start_mm) * scale, seconds * MM_PER_SECOND * scale)


def cut_seconds(trace: Trace, rate: float, begin: float, seconds: float) -> FloatArray:
    """Cut the values of some seconds out of a trace, its delay counted."""
    first = max(round((begin - trace.delay) * rate), 0)
    return trace.values[first : first + round(seconds * rate) + 1]


def name_leads(recording: Recording) -> str:
    """Name the leads that are drawn, in the order of the recording."""
    drawn = {piece.trace.label for piece in _lay_out(recording)}
    return ", ".join(trace.label for trace in recording.traces if trace.label in drawn)
