"""From the headers of a series to a finished preview: which pictures, their bytes, their tiles, one image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.selection import select_position, select_range
from dsp_batch.core.tiling import check_mosaic, compose_mosaic, failed_tile, fit_tile, tile_shape
from dsp_batch.core.windowing import apply_supplement, choose_voi, display_values, needs_percentiles, percentile_window
from dsp_batch.errors import OptionsError
from dsp_batch.index.series_index import SeriesView
from dsp_batch.model.frame import EncodedImage, LookupTable, StoredFrame
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.options import Contrast, ContrastMosaicOptions, ImageOptions, MosaicOptions
from dsp_batch.render.choose import list_drawables
from dsp_batch.render.completion import choose_pictures
from dsp_batch.render.compose import Drawn, Painting, Source, is_in_color, paint_pictures, split_pictures
from dsp_batch.render.filling import nearest_picture, spread_pictures
from dsp_batch.render.read import transform_of


def render_mosaic(view: SeriesView, source: Source, options: MosaicOptions, suffix: str) -> EncodedImage:
    """Draw a grid of pictures spread evenly over a range of the series.

    Args:
        view: The series.
        source: Where its objects are read.
        options: The range, the grid and the contrast.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Raises:
        SeriesError: The series has nothing to draw.
        OptionsError: The range holds nothing, or the image would be too large.
        PixelError: Nothing could be decoded.
        StorageError: The frames could not be read.
    """
    rows, columns = options.grid
    whole = Painting(view=view, source=source, overlays=options.overlays)
    painting = choose_pictures(whole, partial(_spread, start=options.start, end=options.end, tiles=rows * columns))
    tiles = _draw_tiles(painting, options.column_contrasts, options.image_width)
    return _finish(tiles, (rows, columns), options.quality, suffix)


def render_image(view: SeriesView, source: Source, options: ImageOptions, suffix: str) -> EncodedImage:
    """Draw one picture. Arguments and errors are those of `render_mosaic`."""
    whole = Painting(view=view, source=source, overlays=options.overlays)
    painting = choose_pictures(whole, partial(_choose_one, options=options))
    tiles = _draw_tiles(painting, options.column_contrasts, options.image_width)
    return _finish(tiles, (1, 1), options.quality, suffix)


def render_contrast_mosaic(
    view: SeriesView, source: Source, options: ContrastMosaicOptions, suffix: str
) -> EncodedImage:
    """Draw the same pictures under several contrasts. Arguments and errors are those of `render_mosaic`."""
    whole = Painting(view=view, source=source, overlays=options.overlays)
    if options.position is not None:
        rows, painting = 1, choose_pictures(whole, partial(_choose_one, options=options))
    else:
        rows, start = options.tile_height, options.start or 0.0
        painting = choose_pictures(whole, partial(_spread, start=start, end=options.end, tiles=rows))
    tiles = _draw_tiles(painting, options.column_contrasts, options.image_width)
    return _finish(tiles, (rows, len(options.column_contrasts)), options.quality, suffix)


def _spread(whole: Painting, start: float, end: float, tiles: int) -> Painting:
    """Pictures spread evenly over a range."""
    drawables = list_drawables(whole.view)
    pictures = [drawables.pictures[place] for place in select_range(drawables.order, start, end)]
    return spread_pictures(replace(whole, pictures=pictures), tiles)


def _choose_one(whole: Painting, options: ImageOptions | ContrastMosaicOptions) -> Painting:
    """The picture at a position; an offset is walked exactly, whatever is there."""
    drawables = list_drawables(whole.view)
    place = select_position(drawables.order, options.position or 0.0, options.slice_offset or 0)
    painting = replace(whole, pictures=[drawables.pictures[place]])
    return painting if options.slice_offset else nearest_picture(painting, drawables, place)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tiles:
    """The tiles of an image in reading order."""

    tiles: tuple[ByteArray, ...]
    shape: tuple[int, int]
    drawn: int
    failures: tuple[str, ...]
    window: Window | None


def _draw_tiles(painting: Painting, contrasts: Sequence[Contrast], width: int) -> _Tiles:
    """Draw each picture under each contrast, holding no more than one of them where that can be."""
    drawn, automatic = _open_pictures(painting, contrasts)
    first: StoredFrame | None = None
    shape = (1, 1)
    tiles: list[ByteArray | None] = []
    failures: list[str] = []
    for each in drawn:
        if not isinstance(each, StoredFrame):
            failures.append(each.message)
            tiles.extend(None for _ in contrasts)
            continue
        if first is None:
            first = each
            shape = _tile_shape(painting.view, each, width)
        tiles.extend(_draw_tile(each, choose_voi(contrast, each, automatic), shape) for contrast in contrasts)
    voi = None if first is None or first.is_color else choose_voi(contrasts[0], first, automatic)
    return _Tiles(
        tiles=tuple(failed_tile(shape) if tile is None else tile for tile in tiles),
        shape=shape,
        drawn=len(tiles) - len(failures) * len(contrasts),
        failures=tuple(failures),
        window=voi if isinstance(voi, Window) else None,
    )


def _tile_shape(view: SeriesView, frame: StoredFrame, width: int) -> tuple[int, int]:
    rows, columns = frame.values.shape[:2]
    try:
        return tile_shape(rows, columns, frame.aspect, width)
    except OptionsError as error:
        raise OptionsError(f"{view.root}/{view.series_uuid}: {error.message}", error.reason) from error


def _open_pictures(painting: Painting, contrasts: Sequence[Contrast]) -> tuple[Iterable[Drawn], Window | None]:
    """The pictures, and the automatic window where one is needed: it serves all of them, so that tiles compare.

    Pictures that are too large to be held until the window is known are read a second time.
    """
    if not _need_percentiles(painting, contrasts):
        return paint_pictures(painting), None
    fits = len(split_pictures(painting)) == 1
    drawn = list(paint_pictures(painting)) if fits else paint_pictures(painting)
    automatic = percentile_window(each for each in drawn if isinstance(each, StoredFrame))
    return drawn if fits else paint_pictures(painting), automatic


def _need_percentiles(painting: Painting, contrasts: Sequence[Contrast]) -> bool:
    """Whether a picture will be drawn with the automatic window, told from headers."""
    view = painting.view
    transforms = [
        transform_of(view, *picture.frames[0]) for picture in painting.pictures if not is_in_color(view, picture)
    ]
    return any(needs_percentiles(contrast, transform) for contrast in contrasts for transform in transforms)


def _draw_tile(frame: StoredFrame, voi: Window | LookupTable, shape: tuple[int, int]) -> ByteArray:
    display = display_values(frame, voi)
    if frame.transform.supplement is not None:
        display = apply_supplement(display, frame.values, frame.transform.supplement)
    if frame.color_map is not None and display.ndim == 2:
        display = frame.color_map[display]
    if frame.overlay is not None:
        display = np.where(frame.overlay if display.ndim == 2 else frame.overlay[..., None], np.uint8(255), display)
    return fit_tile(display, frame.aspect, shape)


def _finish(tiles: _Tiles, grid: tuple[int, int], quality: int, suffix: str) -> EncodedImage:
    check_mosaic(grid, tiles.shape)
    pixels = compose_mosaic(tiles.tiles, grid, tiles.shape)
    return EncodedImage(
        data=encode_image(pixels, suffix, quality),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=tiles.drawn,
        failures=tiles.failures,
        window=tiles.window,
    )
