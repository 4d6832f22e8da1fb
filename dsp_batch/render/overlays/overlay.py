"""Draw what an object says over the image that it speaks of, or on a plain plane without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from dsp_batch.core.tiling import lay_out_tiles
from dsp_batch.errors import PixelError, StorageError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.card import hide_descriptions
from dsp_batch.kinds.overlays.by_class import find_overlay
from dsp_batch.kinds.overlays.images import list_images
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.registry import name_references
from dsp_batch.model.contrast import parse_contrast
from dsp_batch.model.frame import EncodedImage, StoredFrame
from dsp_batch.model.notes import gather_notes
from dsp_batch.options import PreviewOptions
from dsp_batch.render.compose import FrameSource, PictureSet, hold_pictures
from dsp_batch.render.draw import encode_tiles
from dsp_batch.render.exposure import draw_visibly
from dsp_batch.render.figures.contents import read_contents
from dsp_batch.render.overlays.annotations import draw_annotations
from dsp_batch.render.overlays.blending import draw_blending
from dsp_batch.render.overlays.dose import draw_dose
from dsp_batch.render.overlays.scene import draw_plane, lay_scene_over
from dsp_batch.render.overlays.segments import draw_segments
from dsp_batch.render.overlays.states import draw_states
from dsp_batch.render.overlays.table import PICTURE_SHARE, write_table_beside
from dsp_batch.render.overlays.work import OverlayWork, draw_backdrop, in_color


def draw_overlay(
    index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str
) -> tuple[EncodedImage | None, tuple[str, ...]]:
    """Draw a series over the image that it speaks of, else alone.

    An image that cannot be read is done without: what an object says is worth more than why its image is gone.

    Args:
        index: The series.
        source: The source of its frames, and the series that it speaks of.
        options: Size, contrast and quality.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Returns:
        The picture, None where there is nothing to draw so; and sentences about what was left out.
    """
    found = find_overlay(index)
    if found is None:
        return None, ()
    overlay, instances = found
    notes: tuple[str, ...] = ()
    if overlay.reads:
        instances, notes = read_contents(index, source, overlay.reads, [*instances])
    if not options.describe:
        instances = hide_descriptions(instances)
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
            notes = (*notes, f"drawn without images of other series: {error.message}")
            continue
        if drawn is not None:
            return drawn, notes
    return None, notes


def _draw_scene(scene: Scene, work: OverlayWork) -> EncodedImage | None:
    for name, draw in _DRAWERS.items():
        if getattr(scene, name):
            return draw(scene, work)
    size = work.options.size
    tiles = None
    if scene.backdrop:
        tiles = draw_backdrop(scene.backdrop, work, round(size * PICTURE_SHARE) if scene.has_table else size)
    picture = lay_scene_over(scene, in_color(tiles.tiles[0]) if tiles else draw_plane(scene, size))
    if scene.has_table:
        picture = write_table_beside(picture, work.card, scene.table_colors, size)
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


def _draw_tiles(scene: Scene, work: OverlayWork) -> EncodedImage:
    """Draw images of other series as a grid."""
    some = hold_pictures(
        PictureSet(index=work.index, source=work.source, pictures=scene.tiles, overlays=work.options.overlays)
    )

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(len(scene.tiles), (rows, columns), frame.aspect, work.options.size)

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


_DRAWERS: Mapping[str, Callable[[Scene, OverlayWork], EncodedImage | None]] = {
    "annotations": draw_annotations,
    "segments": draw_segments,
    "dose": draw_dose,
    "tiles": _draw_tiles,
    "blending": draw_blending,
    "states": draw_states,
}
"""Field of a scene that is drawn in a way of its own → how."""
