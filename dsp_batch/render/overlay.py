"""Draw what an object says over the image that it speaks of, or on a plain plane without it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.tiling import lay_out_tiles
from dsp_batch.errors import PixelError, StorageError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.overlays.images import list_images
from dsp_batch.kinds.overlays.registry import find_overlay
from dsp_batch.kinds.overlays.scene import Backdrop, Scene, SegmentLayer
from dsp_batch.kinds.registry import describe_series, name_references
from dsp_batch.kinds.segmentation import SegmentMask, list_masks
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.scene import Key, Label, lighten
from dsp_batch.model.series import ByteArray
from dsp_batch.options import PreviewOptions, parse_contrast
from dsp_batch.render.card import summarize_card, summarize_lines, title_card
from dsp_batch.render.compose import FrameSource, PictureSet, hold_pictures, read_frames_of
from dsp_batch.render.draw import Tiles
from dsp_batch.render.exposure import draw_visibly
from dsp_batch.render.legend import text_size, write_labels, write_legend
from dsp_batch.render.segments import paint_segments
from dsp_batch.render.strokes import Overlayer
from dsp_batch.render.text import Canvas
from dsp_batch.render.titles import title_series

_log = logging.getLogger(__name__)

LEAST_QUALITY = 70
"""Quality of a picture with text, at least: less blurs it."""

_PLANE = (22, 26, 30)
_GRID = (52, 58, 64)


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
    at_hand = list_images(index, [each.index for each in source.references]) if options.context != "off" else []
    for images in (at_hand, []) if at_hand else ([],):
        scene = overlay.lay_out(instances, images)
        if scene is None:
            continue
        try:
            drawn = _draw_scene(scene, index, source, options, suffix)
        except (PixelError, StorageError) as error:
            if scene.backdrop is None:
                raise
            _log.debug("%s is drawn without its image: %s", index.url, error.message)
            continue
        if drawn is not None:
            return drawn
    return None


def _draw_scene(
    scene: Scene, index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str
) -> EncodedImage | None:
    if scene.segments:
        return _draw_segments(scene, index, source, options, suffix)
    tiles = _draw_backdrop(scene.backdrop, index, source, options) if scene.backdrop else None
    picture = _in_color(tiles.tiles[0]) if tiles else _draw_plane(scene, options.size)
    pixels = _lay_scene_over(scene, picture)
    card = describe_series(index, describe=options.describe)
    return EncodedImage(
        data=encode_image(pixels, suffix, max(options.quality, LEAST_QUALITY)),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=1 if tiles else 0,
        window=tiles.window if tiles else None,
        window_source=tiles.window_source if tiles else None,
        drawn_as="overlay" if tiles else "picture",
        context="drawn" if tiles else source.missing,
        title=title_card(card),
        summary=summarize_card(card),
        n_items=card.n_items,
        references=name_references(index),
        notes=gather_notes((*index.notes, *card.notes, *scene.notes, *(tiles.notes if tiles else ()))),
    )


def _draw_segments(
    scene: Scene, index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str
) -> EncodedImage | None:
    """Draw the position of a segmentation that shows most, over its image; None where all of them are blank."""
    pictures = PictureSet(index=index, source=source, pictures=[layer.picture for layer in scene.segments])
    best: tuple[int, SegmentLayer, list[SegmentMask]] | None = None
    for layer, frames in zip(scene.segments, read_frames_of(pictures), strict=True):
        masks = list_masks(layer.picture, index.attributes(layer.picture.about.instance), frames)
        size = sum(int(np.count_nonzero(mask.covered)) for mask in masks)
        if masks and (best is None or (len(masks), size) > (len(best[2]), best[0])):
            best = size, layer, masks
    if best is None:
        return None
    _, layer, masks = best
    tiles = _draw_backdrop(layer.backdrop, index, source, options)
    legend = tuple(Key(name=mask.name, color=lighten(mask.color)) for mask in masks)
    keyed = replace(scene, legend=legend)
    pixels = _lay_scene_over(keyed, paint_segments(_in_color(tiles.tiles[0]), layer, masks))
    count = sum(len(index.attributes(row).items("SegmentSequence")) for row in range(len(index)))
    return EncodedImage(
        data=encode_image(pixels, suffix, max(options.quality, LEAST_QUALITY)),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=1,
        window=tiles.window,
        window_source=tiles.window_source,
        drawn_as="overlay",
        context="drawn",
        title=title_series(index, describe=options.describe),
        summary=summarize_lines(key.name for key in legend),
        n_items=count,
        references=name_references(index),
        notes=gather_notes((*index.notes, *tiles.notes)),
    )


def _draw_backdrop(backdrop: Backdrop, index: SeriesIndex, source: FrameSource, options: PreviewOptions) -> Tiles:
    """Draw the image beneath as large as it may be."""
    pictures = PictureSet(
        index=source.references[backdrop.series - 1].index if backdrop.series else index,
        source=_source_of(backdrop.series, source),
        pictures=[backdrop.picture],
        overlays=options.overlays,
    )

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(1, (rows, columns), frame.aspect, options.size)

    return draw_visibly(hold_pictures(pictures), parse_contrast(options.contrast), lay_out)


def _source_of(series: int, source: FrameSource) -> FrameSource:
    """Make the source of the frames of one of the series that are drawn together."""
    store = source.references[series - 1].store if series else source.store
    return replace(source, store=store, references=(), missing=None)


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
    """Draw shapes, marks and names over a picture."""
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
