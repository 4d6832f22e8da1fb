"""Draw the strokes, marks and names of a scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsp_batch.core.tiling import lay_out_tiles
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.scene import Label
from dsp_batch.model.series import ByteArray
from dsp_batch.render.overlays.legend import text_size, write_labels, write_legend
from dsp_batch.render.overlays.strokes import Overlayer
from dsp_batch.render.text import Canvas

_PLANE = (22, 26, 30)
_GRID = (52, 58, 64)


def draw_plane(scene: Scene, size: int) -> ByteArray:
    """Draw a plain plane with its grid."""
    _, (height, width) = lay_out_tiles(1, scene.shape, scene.aspect, size)
    picture = np.full((height, width, 3), _PLANE, np.uint8)
    if scene.grid_pixels > 0:
        rows, columns = scene.shape
        down = np.arange(0, rows, scene.grid_pixels) * height / rows
        across = np.arange(0, columns, scene.grid_pixels) * width / columns
        picture[down.astype(int).clip(0, height - 1)] = _GRID
        picture[:, across.astype(int).clip(0, width - 1)] = _GRID
    return picture


def lay_scene_over(scene: Scene, picture: ByteArray) -> ByteArray:
    """Draw strokes, marks and names over a picture."""
    shape = picture.shape[0], picture.shape[1]
    scale = shape[1] / scene.shape[1], shape[0] / scene.shape[0]
    sheet = Overlayer(shape, scale)
    sheet.draw_strokes(scene.strokes)
    sheet.draw_marks(scene.marks)
    canvas = Canvas.over(sheet.lay_over(picture))
    gap = text_size(shape)
    named = [
        Label(
            at=(mark.at[0] * scale[0] + 1.4 * gap, mark.at[1] * scale[1] - 0.6 * gap), text=mark.name, color=mark.color
        )
        for mark in scene.marks
        if mark.name
    ]
    labels = [replace(each, at=(each.at[0] * scale[0], each.at[1] * scale[1] - 2)) for each in scene.labels]
    write_labels(canvas, [*named, *labels], shape)
    footer = f"grid {scene.grid_label}" if scene.grid_label and not scene.backdrop else ""
    write_legend(canvas, scene.legend, shape, footer)
    return canvas.pixels()
