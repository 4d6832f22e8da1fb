"""Draw the segments at a position over its image: outlines, and a quarter of the color within."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dsp_batch.kinds.overlays.layers import PlaneLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.segmentation import Segment, SegmentMask, list_masks
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.scene import Key, lighten
from dsp_batch.model.series import BoolArray, ByteArray, FloatArray
from dsp_batch.render.card import summarize_lines
from dsp_batch.render.compose import PictureSet, read_frames_of
from dsp_batch.render.overlays.layers import sample_places
from dsp_batch.render.overlays.scene import lay_scene_over
from dsp_batch.render.overlays.work import OverlayWork, draw_backdrop, in_color
from dsp_batch.render.titles import title_series

FILL = 0.25
"""Share of the color of a segment within its outline."""

_OUTLINE = 2 / 768
"""Width of an outline over the longer side of the picture."""


def draw_segments(scene: Scene, work: OverlayWork) -> EncodedImage | None:
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
    tiles = draw_backdrop(layer.backdrop, work, work.options.size)
    legend = tuple(Key(name=mask.segment.name, color=lighten(mask.segment.color)) for mask in masks)
    painted = paint_segments(in_color(tiles.tiles[0]), layer, masks)
    return work.encode(
        lay_scene_over(replace(scene, legend=legend), painted),
        tiles,
        n_tiles=1,
        drawn_as="overlay",
        context="drawn",
        title=title_series(index, describe=work.options.describe),
        summary=summarize_lines(key.name for key in legend),
        n_items=sum(len(index.attributes(row).items("SegmentSequence")) for row in range(len(index))),
        notes=gather_notes((*index.notes, *tiles.notes)),
    )


def paint_segments(picture: ByteArray, layer: PlaneLayer, masks: Iterable[SegmentMask]) -> ByteArray:
    """Paint segments over a picture.

    Args:
        picture: RGB of the image beneath, (height, width, 3). Not modified.
        layer: Where the segmentation lies.
        masks: The segments.

    Returns:
        RGB, (height, width, 3).
    """
    painted = picture.copy()
    for shape in place_segments((picture.shape[0], picture.shape[1]), layer, masks):
        color = np.array(shape.segment.color, np.float32)
        painted[shape.covered] = np.rint(painted[shape.covered] * (1 - FILL) + color * FILL).astype(np.uint8)
        painted[shape.outline] = shape.segment.color
    return painted


class PlacedSegment(NamedTuple):
    """The pixels of a picture that show a segment, (height, width)."""

    segment: Segment
    covered: BoolArray
    outline: BoolArray
    """Those of them that lie at its edge."""


def place_segments(shape: tuple[int, int], layer: PlaneLayer, masks: Iterable[SegmentMask]) -> Iterator[PlacedSegment]:
    """Find the pixels of a picture that segments lie on.

    Args:
        shape: Height and width of the picture, which shows all of the image beneath.
        layer: Where the segmentation lies.
        masks: The segments.
    """
    columns, rows = sample_places(shape, layer)
    width = max(round(max(shape) * _OUTLINE), 1)
    for mask in masks:
        covered = _sample(mask.covered, rows, columns)
        yield PlacedSegment(mask.segment, covered, _find_outline(covered, width))


def _sample(mask: BoolArray, rows: FloatArray, columns: FloatArray) -> BoolArray:
    """Take the pixel of a mask at each place; False outside of it."""
    row, column = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    found: BoolArray = mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)] & inside
    return found


def _find_outline(covered: BoolArray, width: int) -> BoolArray:
    """Find the pixels of a segment that lie within some pixels of its edge. Beyond the picture it goes on."""
    inner = covered.copy()
    for axis in (0, 1):
        for step in range(1, width + 1):
            for sign in (-1, 1):
                moved = np.roll(covered, sign * step, axis)
                edge = slice(0, step) if sign > 0 else slice(-step, None)
                moved[(edge, slice(None)) if axis == 0 else (slice(None), edge)] = True
                inner &= moved
    outline: BoolArray = covered & ~inner
    return outline
