"""Display images as presentation states order it (PS3.4 N.2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dsp_batch.core.tiling import compose_mosaic, fit_tile, lay_out_tiles
from dsp_batch.core.windowing import display_values
from dsp_batch.errors import PixelError
from dsp_batch.kinds.overlays.layers import DisplayedArea, StateImage
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.scene import Label, Mark, Stroke
from dsp_batch.model.series import ByteArray, FloatArray
from dsp_batch.model.window import Window
from dsp_batch.render.compose import read_frames_of
from dsp_batch.render.overlays.legend import text_size, write_labels
from dsp_batch.render.overlays.strokes import Overlayer
from dsp_batch.render.overlays.work import OverlayWork
from dsp_batch.render.text import Canvas, measure_text

_PLANE = (22, 26, 30)

_TEXT_LINE = 1.35
"""Distance of two lines of a text over its size."""


def draw_states(scene: Scene, work: OverlayWork) -> EncodedImage:
    """Draw the images that presentation states order side by side."""
    states = scene.states
    (rows, columns), aspect = turned_shape(states[0])
    grid, shape = lay_out_tiles(len(states), (rows, columns), aspect, work.options.size)
    tiles = [draw_state(state, _show_state(state, work), shape) for state in states]
    count = sum(state.backdrop is not None for state in states)
    voi = states[0].transform.voi if states[0].transform else None
    return replace(
        work.encode(
            compose_mosaic(tiles, grid, shape),
            None,
            n_tiles=count,
            drawn_as="overlay" if count else "picture",
            context="drawn" if count else work.source.missing,
            **work.describe(),
        ),
        window=voi if isinstance(voi, Window) else None,
        window_source="embedded" if count and voi is not None else None,
    )


def _show_state(state: StateImage, work: OverlayWork) -> ByteArray | None:
    """Read the image of a state and display it.

    Raises:
        PixelError: The image cannot be decoded.
    """
    if state.backdrop is None:
        return None
    ref = state.backdrop.picture.frames[0]
    frames = next(read_frames_of(work.open_pictures(state.backdrop)))
    if ref not in frames:
        raise PixelError("the image that a presentation state refers to cannot be read")
    return display_state(state, frames[ref])


def turned_shape(state: StateImage) -> tuple[tuple[int, int], float]:
    """Return rows and columns of the displayed area after it is turned, and the aspect of its pixels then."""
    area = state.area
    if state.rotation % 2:
        return (area.columns, area.rows), 1 / area.aspect
    return (area.rows, area.columns), area.aspect


def display_state(state: StateImage, frame: StoredFrame) -> ByteArray:
    """Display the area of an image that its state orders, without graphics.

    The order is: modality, VOI, presentation LUT or palette, shutter, area, rotation, flip.

    Args:
        state: What the state orders.
        frame: The frame as it is stored.

    Returns:
        RGB in pixels of the image, of the shape that `turned_shape` gives.
    """
    shown = _color_values(state, frame)
    if state.shutter is not None and state.shutter.shape == shown.shape[:2]:
        shown = np.where(state.shutter[..., np.newaxis], np.array(state.shutter_color, np.uint8), shown)
    area = state.area
    cut = np.zeros((area.rows, area.columns, 3), np.uint8)
    top, left = max(-area.top, 0), max(-area.left, 0)
    part = shown[max(area.top, 0) : area.top + area.rows, max(area.left, 0) : area.left + area.columns]
    cut[top : top + part.shape[0], left : left + part.shape[1]] = part
    turned = np.rot90(cut, -state.rotation)
    return np.ascontiguousarray(turned[:, ::-1] if state.is_mirrored else turned)


def _color_values(state: StateImage, frame: StoredFrame) -> ByteArray:
    """Map stored values to colors. Those of color images are shown as they are."""
    if frame.is_color or state.transform is None or state.transform.voi is None:
        return frame.values if frame.is_color else np.repeat(frame.values[..., np.newaxis], 3, axis=2)
    has_lut = state.presentation_lut is not None
    transform = replace(state.transform, inverted=state.transform.inverted and not has_lut)
    display = display_values(replace(frame, transform=transform), state.transform.voi)
    if state.presentation_lut is not None:
        inputs = np.linspace(0, 1, len(state.presentation_lut))
        table = np.interp(np.linspace(0, 1, 256), inputs, state.presentation_lut)
        display = np.rint(table * 255).astype(np.uint8)[display]
    if state.color_map is not None:
        colored: ByteArray = state.color_map[display]
        return colored
    return np.repeat(display[..., np.newaxis], 3, axis=2)


def draw_state(state: StateImage, picture: ByteArray | None, shape: tuple[int, int]) -> ByteArray:
    """Draw a displayed area into a tile, and the graphics over it.

    `TRUE SIZE` and `MAGNIFY` are scaled to fit like any other: a preview has a size of its own.

    Args:
        state: What the state orders.
        picture: The displayed area from `display_state`; None for a plain canvas.
        shape: Height and width of the tile, of the shape of the area.

    Returns:
        RGB, (height, width, 3).
    """
    _, aspect = turned_shape(state)
    tile = np.full((*shape, 3), _PLANE, np.uint8) if picture is None else fit_tile(picture, aspect, shape)
    sheet = Overlayer(shape, (1.0, 1.0))
    for graphic in state.graphics:
        places = _place(state, graphic.points, shape, is_of_display=graphic.is_of_display)
        if graphic.is_points:
            sheet.draw_marks(Mark(at=(float(x), float(y)), color=graphic.color) for x, y in places)
        else:
            stroke = Stroke(
                points=places,
                color=graphic.color,
                is_closed=graphic.is_closed,
                filled=1.0 if graphic.is_filled and graphic.is_closed else 0.0,
            )
            sheet.draw_strokes([stroke])
    canvas = Canvas.over(sheet.lay_over(tile))
    size = text_size(shape)
    for text in state.texts:
        ((x, y),) = _place(state, np.array([text.at]), shape, is_of_display=text.is_of_display)
        widest = max(measure_text(line.strip(), size, bold=True) for line in text.lines)
        x = min(x, shape[1] - widest - size / 2)  # the lines of a text begin below one another
        lines = [
            Label(at=(float(x), float(y) + (number + 0.85) * size * _TEXT_LINE), text=line.strip(), color=text.color)
            for number, line in enumerate(text.lines)
        ]
        write_labels(canvas, lines, shape)
    return canvas.pixels()


def lay_out_whole(state: StateImage) -> StateImage:
    """Return a state that shows all of its image, neither turned nor mirrored, its graphics where they lie in it."""
    rows, columns = state.shape
    graphics = (
        replace(each, points=_find_pixels(state, each.points), is_of_display=False) if each.is_of_display else each
        for each in state.graphics
    )
    texts = (
        replace(each, at=_find_pixels(state, np.array([each.at]))[0], is_of_display=False)
        if each.is_of_display
        else each
        for each in state.texts
    )
    return replace(
        state,
        area=DisplayedArea(left=0, top=0, columns=columns, rows=rows, aspect=1.0),
        rotation=0,
        is_mirrored=False,
        graphics=tuple(graphics),
        texts=tuple(texts),
    )


def _find_pixels(state: StateImage, points: FloatArray) -> FloatArray:
    """Find the places of the image that places of the display, from 0 to 1, lie over."""
    x, y = points[:, 0], points[:, 1]
    if state.is_mirrored:
        x = 1 - x
    for _ in range(state.rotation):
        x, y = y, 1 - x
    area = state.area
    return np.stack([area.left + x * area.columns, area.top + y * area.rows], axis=1)


def _place(state: StateImage, points: FloatArray, shape: tuple[int, int], *, is_of_display: bool) -> FloatArray:
    """Find the pixels of a tile that places of graphics mean: of the image before it is turned, or of the display."""
    if is_of_display:
        placed: FloatArray = points * (shape[1], shape[0])
        return placed
    area = state.area
    x, y = points[:, 0] - area.left, points[:, 1] - area.top
    width, height = float(area.columns), float(area.rows)
    for _ in range(state.rotation):
        x, y, width, height = height - y, x, height, width
    if state.is_mirrored:
        x = width - x
    return np.stack([x * shape[1] / width, y * shape[0] / height], axis=1)
