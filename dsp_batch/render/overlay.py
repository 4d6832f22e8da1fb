"""Draw what an object says over the image that it speaks of, or on a plain plane without it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.tiling import compose_mosaic, lay_out_tiles
from dsp_batch.errors import PixelError, StorageError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import Picture
from dsp_batch.kinds.objects.quantities import format_number
from dsp_batch.kinds.overlays.images import list_images
from dsp_batch.kinds.overlays.layers import Backdrop, PlaneLayer, StateImage
from dsp_batch.kinds.overlays.registry import find_overlay
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.registry import describe_series, name_references
from dsp_batch.kinds.segmentation import SegmentMask, list_masks
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.scene import Key, Label, lighten
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.options import PreviewOptions, parse_contrast
from dsp_batch.render.card import summarize_card, summarize_lines, title_card
from dsp_batch.render.compose import FrameSource, PictureSet, hold_pictures, read_frames_of
from dsp_batch.render.dose import LOWEST_SHOWN, paint_dose, write_dose_bar
from dsp_batch.render.draw import Tiles, encode_tiles
from dsp_batch.render.exposure import draw_visibly
from dsp_batch.render.legend import text_size, write_labels, write_legend
from dsp_batch.render.segments import paint_segments
from dsp_batch.render.states import display_state, draw_state, turned_shape
from dsp_batch.render.strokes import Overlayer
from dsp_batch.render.table import PICTURE_SHARE, write_table_beside
from dsp_batch.render.text import Canvas
from dsp_batch.render.titles import title_series

_log = logging.getLogger(__name__)

LEAST_QUALITY = 70
"""Quality of a picture with text, at least: less blurs it."""

_PLANE = (22, 26, 30)
_GRID = (52, 58, 64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OverlayWork:
    """A series that is drawn over an image, and how."""

    index: SeriesIndex
    source: FrameSource
    options: PreviewOptions
    suffix: str

    def open_pictures(self, backdrop: Backdrop) -> PictureSet:
        """Make the set of the one picture beneath."""
        series = self.source.references[backdrop.series - 1] if backdrop.series else None
        store = series.store if series else self.source.store
        return PictureSet(
            index=series.index if series else self.index,
            source=replace(self.source, store=store, references=(), missing=None),
            pictures=[backdrop.picture],
            overlays=self.options.overlays,
        )

    def encode(self, pixels: ByteArray, tiles: Tiles | None, **known: Any) -> EncodedImage:
        """Encode a finished picture, and tell what is known of it."""
        return EncodedImage(
            data=encode_image(pixels, self.suffix, max(self.options.quality, LEAST_QUALITY)),
            width=pixels.shape[1],
            height=pixels.shape[0],
            window=tiles.window if tiles else None,
            window_source=tiles.window_source if tiles else None,
            references=name_references(self.index),
            **known,
        )

    def describe(self) -> Mapping[str, Any]:
        """Tell what the card of the series says."""
        card = describe_series(self.index, describe=self.options.describe)
        return {
            "title": title_card(card),
            "summary": summarize_card(card),
            "n_items": card.n_items,
            "notes": gather_notes((*self.index.notes, *card.notes)),
        }


def draw_overlay(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage | None:
    """Draw a series over the image that it speaks of, else alone.

    An image that cannot be read is done without: what an object says is worth more than why its image is gone.

    Args:
        index: The series.
        source: The source of its frames, and the series that it speaks of.
        options: Size, contrast and quality.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Returns:
        The picture; None where there is nothing to draw so.
    """
    found = find_overlay(index)
    if found is None:
        return None
    overlay, instances = found
    work = OverlayWork(index=index, source=source, options=options, suffix=suffix)
    at_hand = list_images(index, [each.index for each in source.references]) if options.context != "off" else []
    for images in (at_hand, []) if at_hand else ([],):
        scene = overlay.lay_out(instances, images)
        if scene is None:
            continue
        try:
            drawn = _draw_scene(scene, work)
        except (PixelError, StorageError) as error:
            if scene.backdrop is None:
                raise
            _log.debug("%s is drawn without its image: %s", index.url, error.message)
            continue
        if drawn is not None:
            return drawn
    return None


def _draw_scene(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    if scene.segments:
        return _draw_segments(scene, work)
    if scene.dose:
        return _draw_dose(scene, work)
    if scene.tiles:
        return _draw_tiles(scene.tiles, work)
    if scene.states:
        return _draw_states(scene.states, work)
    size = work.options.size
    tiles = None
    if scene.backdrop:
        tiles = _draw_backdrop(scene.backdrop, work, round(size * PICTURE_SHARE) if scene.has_table else size)
    picture = _lay_scene_over(scene, _in_color(tiles.tiles[0]) if tiles else _draw_plane(scene, size))
    if scene.has_table:
        card = describe_series(work.index, describe=work.options.describe)
        picture = write_table_beside(picture, card, scene.table_colors, size)
    known = work.describe()
    notes = gather_notes((*known["notes"], *scene.notes, *(tiles.notes if tiles else ())))
    return work.encode(
        picture,
        tiles,
        n_tiles=1 if tiles else 0,
        drawn_as="overlay" if tiles else "picture",
        context="drawn" if tiles else work.source.missing,
        **{**known, "notes": notes},
    )


def _draw_segments(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    """Draw the position of a segmentation that shows most, over its image; None where all of them are blank."""
    index = work.index
    pictures = PictureSet(index=index, source=work.source, pictures=[layer.picture for layer in scene.segments])
    best: tuple[int, PlaneLayer, list[SegmentMask]] | None = None
    for layer, frames in zip(scene.segments, read_frames_of(pictures), strict=True):
        masks = list_masks(layer.picture, index.attributes(layer.picture.about.instance), frames)
        size = sum(int(np.count_nonzero(mask.covered)) for mask in masks)
        if masks and (best is None or (len(masks), size) > (len(best[2]), best[0])):
            best = size, layer, masks
    if best is None:
        return None
    _, layer, masks = best
    tiles = _draw_backdrop(layer.backdrop, work, work.options.size)
    legend = tuple(Key(name=mask.name, color=lighten(mask.color)) for mask in masks)
    painted = paint_segments(_in_color(tiles.tiles[0]), layer, masks)
    return work.encode(
        _lay_scene_over(replace(scene, legend=legend), painted),
        tiles,
        n_tiles=1,
        drawn_as="overlay",
        context="drawn",
        title=title_series(index, describe=work.options.describe),
        summary=summarize_lines(key.name for key in legend),
        n_items=sum(len(index.attributes(row).items("SegmentSequence")) for row in range(len(index))),
        notes=gather_notes((*index.notes, *tiles.notes)),
    )


def _draw_dose(scene: Scene, work: OverlayWork) -> EncodedImage | None:
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
    tiles = _draw_backdrop(layer.backdrop, work, work.options.size)
    painted = paint_dose(_in_color(tiles.tiles[0]), layer, frame.values, largest)
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


def _draw_tiles(pictures: tuple[Picture, ...], work: OverlayWork) -> EncodedImage:
    """Draw images of other series as a grid."""
    some = hold_pictures(
        PictureSet(index=work.index, source=work.source, pictures=pictures, overlays=work.options.overlays)
    )

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(len(pictures), (rows, columns), frame.aspect, work.options.size)

    tiles = draw_visibly(some, parse_contrast(work.options.contrast), lay_out)
    image = encode_tiles(tiles, work.suffix, work.options.quality)
    known = work.describe()
    notes = gather_notes((*known["notes"], *tiles.notes))
    return replace(
        image,
        drawn_as="mosaic",
        context="drawn",
        references=name_references(work.index),
        **{**known, "notes": notes},
    )


def _draw_states(states: tuple[StateImage, ...], work: OverlayWork) -> EncodedImage:
    """Draw the images that presentation states order side by side."""
    (rows, columns), aspect = turned_shape(states[0])
    grid, shape = lay_out_tiles(len(states), (rows, columns), aspect, work.options.size)
    tiles = [draw_state(state, _display_state(state, work), shape) for state in states]
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


def _display_state(state: StateImage, work: OverlayWork) -> ByteArray | None:
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


def _draw_backdrop(backdrop: Backdrop, work: OverlayWork, size: int) -> Tiles:
    """Draw the image beneath as large as fits a square of this size."""

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(1, (rows, columns), frame.aspect, size)

    pictures = hold_pictures(work.open_pictures(backdrop))
    return draw_visibly(pictures, parse_contrast(work.options.contrast), lay_out)


def _in_color(tile: ByteArray) -> ByteArray:
    return tile if tile.ndim == 3 else np.repeat(tile[..., np.newaxis], 3, axis=2)


def _draw_plane(scene: Scene, size: int) -> ByteArray:
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


def _lay_scene_over(scene: Scene, picture: ByteArray) -> ByteArray:
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
