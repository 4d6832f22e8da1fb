"""Draw the one picture of any series: its frames as a grid, its only frame, or a card that describes it."""

from __future__ import annotations

import math
from dataclasses import replace

from dsp_batch.core.tiling import MOST_TILES, lay_out_tiles
from dsp_batch.errors import SeriesError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import holds_images_alone
from dsp_batch.model.contrast import parse_contrast
from dsp_batch.model.frame import EncodedImage, StoredFrame, TileGrid
from dsp_batch.model.notes import gather_notes
from dsp_batch.model.series import FrameOrder
from dsp_batch.options import PreviewOptions
from dsp_batch.render.choose import SeriesPictures, begin_choice, list_pictures, spread_pictures
from dsp_batch.render.compose import FrameSource, PictureSet, hold_pictures
from dsp_batch.render.draw import Layout, Tiles, encode_tiles
from dsp_batch.render.exposure import draw_visibly
from dsp_batch.render.titles import title_series


def draw_preview(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage:
    """Draw a series, whatever it holds.

    Args:
        index: The series.
        source: The source of its frames, and of the series that it draws upon.
        options: Size, contrast and quality.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Raises:
        PixelError: The series has frames, and none of them could be decoded.
        StorageError: The frames could not be read.
    """
    if holds_images_alone(index):
        return _draw_alone(index, source, options, suffix)
    from dsp_batch.render.overlays.overlay import draw_overlay  # noqa: PLC0415  # rooms that images do without

    overlaid, notes = draw_overlay(index, source, options, suffix)
    image = overlaid or _draw_alone(index, source, options, suffix)
    return replace(image, notes=gather_notes((*image.notes, *notes)))


def _draw_alone(index: SeriesIndex, source: FrameSource, options: PreviewOptions, suffix: str) -> EncodedImage:
    """Draw a series by itself: a grid of its pictures, or what an object without pixels says."""
    try:
        every = list_pictures(index, source)
    except SeriesError as error:
        if error.reason not in ("no-pixels", "raw-data"):
            raise
        from dsp_batch.render.described import draw_object  # noqa: PLC0415  # as above

        return replace(draw_object(index, source, options, suffix), context=source.missing)
    empty = begin_choice(index, source, every, overlays=options.overlays)
    chosen = hold_pictures(spread_pictures(empty, every, (0.0, 1.0), MOST_TILES))
    tiles = draw_visibly(chosen, parse_contrast(options.contrast), _lay_out_grid(len(chosen.pictures), options.size))
    image = encode_tiles(tiles, suffix, options.quality)
    title = title_series(index, describe=options.describe)
    grid = _describe_grid(chosen, every, tiles)
    return replace(image, grid=grid, title=title, context=source.missing)


def _lay_out_grid(count: int, size: int) -> Layout:
    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        return lay_out_tiles(count, (rows, columns), frame.aspect, size)

    return lay_out


def _describe_grid(chosen: PictureSet, every: SeriesPictures, tiles: Tiles) -> TileGrid:
    ranks = {picture: rank for rank, picture in enumerate(every.pictures)}
    shown = [ranks[picture] for picture in chosen.pictures]
    abouts = [picture.about for picture in chosen.pictures]
    uids = chosen.index.texts("SOPInstanceUID")
    return TileGrid(
        columns=tiles.grid[1],
        rows=tiles.grid[0],
        tile_width=tiles.shape[1],
        tile_height=tiles.shape[0],
        blank=tuple(range(len(tiles.tiles), tiles.grid[0] * tiles.grid[1])),
        failed=tiles.failed,
        positions=_pick_numbers(every.order, "primary_position", shown),
        times=_pick_numbers(every.order, "time", shown),
        instances=tuple(uids[about.instance] for about in abouts),
        frames=tuple(about.frame for about in abouts),
    )


def _pick_numbers(order: FrameOrder, name: str, ranks: list[int]) -> tuple[float | None, ...]:
    numbers = getattr(order, name)[ranks].tolist()
    return tuple(number if math.isfinite(number) else None for number in numbers)
