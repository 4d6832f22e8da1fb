"""Draw a dose over the image that it was planned on, with a bar of its colors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from dsp_batch.kinds.maps import color_doses
from dsp_batch.kinds.objects.quantities import format_number
from dsp_batch.kinds.overlays.layers import PlaneLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import ByteArray, StoredArray
from dsp_batch.render.compose import PictureSet, read_frames_of
from dsp_batch.render.overlays.layers import sample_values
from dsp_batch.render.overlays.legend import text_size
from dsp_batch.render.overlays.work import OverlayWork, draw_backdrop, in_color
from dsp_batch.render.text import Canvas
from dsp_batch.render.titles import title_series

LOWEST_SHOWN = 0.1
"""Dose over the largest one below which nothing is painted."""

OPACITY = 0.55
"""Share of the color of a dose where it is painted."""

_BAR_HEIGHT, _BAR_WIDTH = 0.4, 0.025
"""Height and width of the bar over those of the picture."""


def draw_dose(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    """Draw the plane with the largest dose over its image; None where there is no dose at all."""
    planes = [*(layer.picture for layer in scene.dose), *scene.other_dose]
    pictures = PictureSet(index=work.index, source=work.source, pictures=planes)
    peaks = [
        max((float(frame.values.max()) for frame in frames.values()), default=0.0)
        for frames in read_frames_of(pictures)
    ]
    largest, place = max(peaks), int(np.argmax(peaks[: len(scene.dose)]))
    if not largest > 0:
        return None
    layer = scene.dose[place]
    frame = next(iter(next(read_frames_of(replace(pictures, pictures=[layer.picture]))).values()))
    tiles = draw_backdrop(layer.backdrop, work, work.options.size)
    painted = paint_dose(in_color(tiles.tiles[0]), layer, frame.values, largest)
    header = work.index.attributes(layer.picture.about.instance)
    unit = {"GY": "Gy", "RELATIVE": ""}.get(header.text("DoseUnits") or "", header.text("DoseUnits") or "")
    most = largest * frame.transform.slope
    marks = [(share, f"{format_number(most * share)} {unit}".strip()) for share in (1.0, 0.5, LOWEST_SHOWN)]
    return work.encode(
        write_dose_bar(painted, marks),
        tiles,
        n_tiles=1,
        drawn_as="overlay",
        context="drawn",
        title=title_series(work.index, describe=work.options.describe),
        summary=(f"maximum {marks[0][1]}",),
        notes=gather_notes((*work.index.notes, *tiles.notes)),
    )


def paint_dose(picture: ByteArray, layer: PlaneLayer, dose: StoredArray, largest: float) -> ByteArray:
    """Paint the doses of a plane that are more than a tenth of the largest one.

    Args:
        picture: RGB of the image beneath, (height, width, 3). Not modified.
        layer: Where the plane lies.
        dose: Stored values of the plane, (rows, columns).
        largest: Largest stored value of the whole grid.

    Returns:
        RGB, (height, width, 3).
    """
    share = sample_values((picture.shape[0], picture.shape[1]), layer, dose.astype(np.float32)) / np.float32(largest)
    shown = share >= LOWEST_SHOWN
    colors = color_doses()[np.rint(share[shown].clip(0, 1) * 255).astype(np.uint8)]
    painted = picture.copy()
    painted[shown] = np.rint(painted[shown] * (1 - OPACITY) + colors * np.float32(OPACITY)).astype(np.uint8)
    return painted


def write_dose_bar(picture: ByteArray, marks: Iterable[tuple[float, str]]) -> ByteArray:
    """Write a bar of the colors of doses at the right edge.

    Args:
        picture: RGB, (height, width, 3). Not modified.
        marks: Shares of the largest dose, and the texts beside them.
    """
    height, width = picture.shape[:2]
    size = text_size((height, width))
    long, wide = round(height * _BAR_HEIGHT), max(round(width * _BAR_WIDTH), 4)
    top, left = (height - long) // 2, width - round(size * 5.5) - wide
    if left < width // 3:
        return picture
    barred = picture.copy()
    shares = np.linspace(1, LOWEST_SHOWN, long)
    barred[top : top + long, left : left + wide] = color_doses()[np.rint(shares * 255).astype(int)][:, np.newaxis]
    canvas = Canvas.over(barred)
    for share, text in marks:
        at = top + (1 - share) / (1 - LOWEST_SHOWN) * long
        canvas.write_over((left + wide + size * 0.4, at + size * 0.35), text, size, (255, 255, 255))
    return canvas.pixels()
