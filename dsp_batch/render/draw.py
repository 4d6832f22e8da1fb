"""Draw tiles from pictures, and make one image of tiles: window, fit, compose, encode."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.tiling import check_mosaic, compose_mosaic, failed_tile, fit_tile, tile_shape
from dsp_batch.core.windowing import apply_supplement, choose_voi, display_values, needs_percentiles, percentile_window
from dsp_batch.errors import OptionsError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import EncodedImage, LookupTable, StoredFrame
from dsp_batch.model.notes import count_notes, gather_notes
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.options import Contrast, ImageVerbOptions
from dsp_batch.render.compose import Composed, PictureSet, compose_pictures, is_in_color, split_pictures
from dsp_batch.render.read import transform_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tiles:
    """The tiles of an image in reading order."""

    tiles: tuple[ByteArray, ...]
    shape: tuple[int, int]
    """Height and width of each tile, in pixels."""

    drawn: int
    """Number of tiles that show something, without failed ones."""

    failures: tuple[str, ...]
    """One line for each picture that could not be drawn."""

    window: Window | None
    """The window of the first picture, where it has one."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out, or read otherwise than it is declared."""


def draw_tiles(some: PictureSet, contrasts: Sequence[Contrast], width: int) -> Tiles:
    """Draw each picture under each contrast, holding no more than one of them where that can be.

    Args:
        some: The pictures.
        contrasts: One tile a picture for each of these, side by side.
        width: Width of a tile in pixels.

    Raises:
        OptionsError: A tile would be too large.
        PixelError: Nothing could be decoded.
        StorageError: The frames could not be read.
    """
    composed, automatic = _open_pictures(some, contrasts)
    first: StoredFrame | None = None
    shape = (1, 1)
    tiles: list[ByteArray | None] = []
    failures: list[str] = []
    notes: list[tuple[str, ...]] = []
    for each in composed:
        if not isinstance(each, StoredFrame):
            failures.append(each.message)
            tiles.extend(None for _ in contrasts)
            continue
        notes.append(each.notes)
        if first is None:
            first = each
            shape = _tile_shape(some.index, each, width)
        tiles.extend(_draw_tile(each, choose_voi(contrast, each, automatic), shape) for contrast in contrasts)
    voi = None if first is None or first.is_color else choose_voi(contrasts[0], first, automatic)
    return Tiles(
        tiles=tuple(failed_tile(shape) if tile is None else tile for tile in tiles),
        shape=shape,
        drawn=len(tiles) - len(failures) * len(contrasts),
        failures=tuple(failures),
        window=voi if isinstance(voi, Window) else None,
        notes=gather_notes((*some.index.notes, *some.notes, *count_notes(notes, "frames"))),
    )


def encode_tiles(tiles: Tiles, options: ImageVerbOptions, suffix: str) -> EncodedImage:
    """Compose the tiles into one image and encode it.

    Args:
        tiles: At most as many as the grid of the options holds.
        options: The grid and the quality.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Raises:
        OptionsError: The image would be too large.
    """
    check_mosaic(options.grid, tiles.shape)
    pixels = compose_mosaic(tiles.tiles, options.grid, tiles.shape)
    return EncodedImage(
        data=encode_image(pixels, suffix, options.quality),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=tiles.drawn,
        failures=tiles.failures,
        window=tiles.window,
        notes=tiles.notes,
    )


def _tile_shape(index: SeriesIndex, frame: StoredFrame, width: int) -> tuple[int, int]:
    rows, columns = frame.values.shape[:2]
    try:
        return tile_shape(rows, columns, frame.aspect, width)
    except OptionsError as error:
        raise OptionsError(f"{index.url}: {error.message}", error.reason) from error


def _open_pictures(some: PictureSet, contrasts: Sequence[Contrast]) -> tuple[Iterable[Composed], Window | None]:
    """Begin to compose the pictures, and find the automatic window where one is needed.

    The window serves all of them, so that tiles compare.

    Pictures that are too large to be held until the window is known are read a second time.
    """
    if not _need_percentiles(some, contrasts):
        return compose_pictures(some), None
    fits = len(split_pictures(some)) == 1
    drawn = list(compose_pictures(some)) if fits else compose_pictures(some)
    automatic = percentile_window(each for each in drawn if isinstance(each, StoredFrame))
    return drawn if fits else compose_pictures(some), automatic


def _need_percentiles(some: PictureSet, contrasts: Sequence[Contrast]) -> bool:
    """Tell from headers whether a picture will be drawn with the automatic window."""
    first = [picture.frames[0] for picture in some.pictures if picture.frames and not is_in_color(some, picture)]
    transforms = [transform_of(some.index_of(frame), frame.instance, frame.frame) for frame in first]
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
