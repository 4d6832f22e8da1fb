"""Draw spectra over their chemical shift: one large, or those of a grid of voxels."""

from __future__ import annotations

import numpy as np

from dsp_batch.model.figure import Spectra
from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.render.figures.ink import Sheet, blend
from dsp_batch.render.figures.traces import find_step
from dsp_batch.render.text import Canvas, Color

_BRIGHTEST = 97.0
"""Percentile of the peaks of all voxels that is the top of the scale."""

MOST_CELLS = 32
"""Voxels along a side of the grid that are drawn: the middle ones."""

_PAPER: Color = (250, 250, 247)
_LINE: Color = (222, 225, 226)
_INK: Color = (28, 62, 92)
_GRAY: Color = (104, 112, 120)

_PROTON_PPM = (5.2, 0.2)
"""Part of a spectrum of protons in tissue that is shown, where it is referred to that of water."""

_METABOLITES_PPM = (4.2, 0.5)
"""Part whose largest peak decides the scale: water would hide all others, and is cut off."""

_WATER_PPM = (4.3, 5.2)
"""References that mean that the middle of the spectrum is that of water."""


def draw_spectra(spectra: Spectra, shape: tuple[int, int]) -> ByteArray:
    """Draw spectra.

    Args:
        spectra: A grid of them, all of which have one scale.
        shape: Height and width of the picture, in pixels.

    Returns:
        RGB, shape (height, width, 3).
    """
    height, width = shape
    size = max(round(width / 48), 8)
    values = _cut_middle(spectra.values)
    rows, columns, _ = values.shape
    values, ends = _cut_shown(spectra, values)
    low, high = _find_scale(values, ends, spectra)
    canvas = Canvas(shape, _PAPER)
    margin, axis = max(width // 48, 2), round(size * 1.9) if rows == columns == 1 else max(width // 48, 2)
    cell = (height - margin - axis) / rows, (width - 2 * margin) / columns
    if rows == columns == 1:
        _write_axis(canvas, ends, (margin, width - margin, height), size)
    else:
        _draw_cells(canvas, (rows, columns), cell, margin)
    sheet = Sheet(shape, pen=max(width / (480 if rows == 1 else 700), 1.0))
    for row in range(rows):
        for column in range(columns):
            share = ((values[row, column] - low) / (high - low)).clip(-0.05, 1.0)
            bottom = margin + (row + 0.96) * cell[0]
            sheet.draw(bottom - share * cell[0] * 0.9, margin + (column + 0.03) * cell[1], cell[1] * 0.94)
    canvas.paste((0, 0), blend(canvas.pixels(), sheet.coverage(), _INK))
    return canvas.pixels()


def _cut_middle(values: FloatArray) -> FloatArray:
    rows, columns = (
        slice(max(n - MOST_CELLS, 0) // 2, max(n - MOST_CELLS, 0) // 2 + MOST_CELLS) for n in values.shape[:2]
    )
    return values[rows, columns]


def _is_of_protons(spectra: Spectra) -> bool:
    middle = (spectra.first_ppm + spectra.last_ppm) / 2
    return spectra.nucleus in ("1H", "") and _WATER_PPM[0] < middle < _WATER_PPM[1]


def _find_points(ends: tuple[float, float], count: int, span: tuple[float, float]) -> slice:
    """Find the points of a part of a spectrum, whose first one has the largest shift."""
    step = (ends[1] - ends[0]) / max(count - 1, 1)
    first, last = (int(np.clip(round((ppm - ends[0]) / step), 0, count - 1)) for ppm in span)
    return slice(first, last + 1)


def _cut_shown(spectra: Spectra, values: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
    """Cut out the part that is shown, and tell the shifts of its ends."""
    ends = spectra.first_ppm, spectra.last_ppm
    if not _is_of_protons(spectra):
        return values, ends
    part = _find_points(ends, values.shape[-1], _PROTON_PPM)
    if part.stop - part.start < 8:
        return values, ends
    step = (ends[1] - ends[0]) / (values.shape[-1] - 1)
    return values[..., part], (ends[0] + part.start * step, ends[0] + (part.stop - 1) * step)


def _find_scale(values: FloatArray, ends: tuple[float, float], spectra: Spectra) -> tuple[float, float]:
    part = values
    if _is_of_protons(spectra):
        inside = values[..., _find_points(ends, values.shape[-1], _METABOLITES_PPM)]
        part = inside if inside.size else values
    # Of a grid, some voxels at the edge of the head are far brighter than those inside, and are cut off.
    peaks = part.max(axis=-1)
    low, high = min(float(np.percentile(values, 0.5)), 0.0), float(np.percentile(peaks, _BRIGHTEST))
    return (low, high) if high > low else (low, low + 1.0)


def _draw_cells(canvas: Canvas, grid: tuple[int, int], cell: tuple[float, float], margin: int) -> None:
    bottom, right = round(margin + grid[0] * cell[0]), round(margin + grid[1] * cell[1])
    for row in range(grid[0] + 1):
        at = round(margin + row * cell[0])
        canvas.fill((margin, at, right, at + 1), _LINE)
    for column in range(grid[1] + 1):
        at = round(margin + column * cell[1])
        canvas.fill((at, margin, at + 1, bottom), _LINE)


def _write_axis(canvas: Canvas, ends: tuple[float, float], box: tuple[int, int, int], size: int) -> None:
    """Write the chemical shift below the spectrum. It falls from left to right."""
    left, right, height = box
    step = find_step(abs(ends[0] - ends[1]) / 8)
    for ppm in np.arange(np.ceil(min(ends) / step), np.floor(max(ends) / step) + 1) * step:
        x = left + (0.03 + 0.94 * (ppm - ends[0]) / (ends[1] - ends[0])) * (right - left)
        canvas.fill((round(x), round(size * 0.5), round(x) + 1, height - round(size * 1.4)), _LINE)
        canvas.write((x - size * 0.5, height - size * 0.3), f"{ppm + 0.0:g}", round(size * 0.9), _GRAY)
    canvas.write((right - size * 2.5, height - size * 0.3), "ppm", round(size * 0.9), _GRAY)
