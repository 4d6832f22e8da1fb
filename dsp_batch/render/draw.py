"""Draw tiles from pictures, and make one image of tiles: window, fit, compose, encode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.tiling import compose_mosaic, failed_tile, fit_tile, tile_shape
from dsp_batch.core.windowing import (
    apply_supplement,
    choose_voi,
    display_values,
    name_window_source,
    needs_percentiles,
    percentile_window,
)
from dsp_batch.errors import OptionsError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import EncodedImage, StoredFrame, WindowSource
from dsp_batch.model.notes import count_notes, gather_notes
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.options import Contrast, FrameOptions
from dsp_batch.render.compose import Composed, PictureSet, compose_pictures, is_in_color, split_pictures
from dsp_batch.render.read import transform_of


class Exposure(NamedTuple):
    """The pixels of a monochrome tile before it is scaled, to tell whether its window shows anything."""

    pixels: int
    black: int
    white: int

    varies: bool
    """True where the stored values of the frame differ from one another."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tiles:
    """The tiles of an image in reading order."""

    tiles: tuple[ByteArray, ...]
    shape: tuple[int, int]
    """Height and width of each tile, in pixels."""

    grid: tuple[int, int]
    """Rows and columns of tiles."""

    failed: tuple[int, ...]
    """Places of the tiles that could not be drawn, from 0."""

    failures: tuple[str, ...]
    """One line for each picture that could not be drawn."""

    window: Window | None
    """The window of the first picture, where it has one."""

    window_source: WindowSource | None = None
    """Where the window or the lookup table of the first picture comes from; None for color."""

    exposures: tuple[Exposure, ...] = ()
    """The exposure of each monochrome tile."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out, or read otherwise than it is declared."""

    @property
    def drawn(self) -> int:
        """Number of tiles that show something, without failed ones."""
        return len(self.tiles) - len(self.failed)


Layout = Callable[[StoredFrame], tuple[tuple[int, int], tuple[int, int]]]
"""Function that lays out the tiles, from the first frame: rows and columns of the grid, height and width of a tile."""


def draw_tiles(some: PictureSet, contrasts: Sequence[Contrast], layout: Layout) -> Tiles:
    """Draw each picture under each contrast, holding no more than one of them where that can be.

    Args:
        some: The pictures.
        contrasts: One tile a picture for each of these, side by side.
        layout: Lays out the tiles.

    Raises:
        OptionsError: A tile would be too large.
        PixelError: Nothing could be decoded.
        StorageError: The frames could not be read.
    """
    composed, automatic = _open_pictures(some, contrasts)
    first: StoredFrame | None = None
    grid, shape = (1, 1), (1, 1)
    tiles: list[ByteArray | None] = []
    failures: list[str] = []
    notes: list[tuple[str, ...]] = []
    exposures: list[Exposure] = []
    for each in composed:
        if not isinstance(each, StoredFrame):
            failures.append(each.message)
            tiles.extend(None for _ in contrasts)
            continue
        notes.append(each.notes)
        if first is None:
            first = each
            grid, shape = layout(each)
        for contrast in contrasts:
            display = display_values(each, choose_voi(contrast, each, automatic))
            exposures += [] if each.is_color else [_measure_exposure(each, display)]
            tiles.append(_finish_tile(each, display, shape))
    is_gray = first is not None and not first.is_color
    voi = choose_voi(contrasts[0], first, automatic) if first is not None and is_gray else None
    return Tiles(
        tiles=tuple(failed_tile(shape) if tile is None else tile for tile in tiles),
        shape=shape,
        grid=grid,
        failed=tuple(place for place, tile in enumerate(tiles) if tile is None),
        failures=tuple(failures),
        window=voi if isinstance(voi, Window) else None,
        window_source=name_window_source(contrasts[0], first) if first is not None and is_gray else None,
        exposures=tuple(exposures),
        notes=gather_notes((*some.index.notes, *some.notes, *count_notes(notes, "frames"))),
    )


def lay_out_mosaic(index: SeriesIndex, options: FrameOptions) -> Layout:
    """Make the layout of a mosaic: the grid and the width of a tile are given, its height follows from the frame."""

    def lay_out(frame: StoredFrame) -> tuple[tuple[int, int], tuple[int, int]]:
        rows, columns = frame.values.shape[:2]
        try:
            return options.grid, tile_shape(rows, columns, frame.aspect, options.image_width)
        except OptionsError as error:
            raise OptionsError(f"{index.root}/{index.series_uuid}: {error.message}", error.reason) from error

    return lay_out


def encode_tiles(tiles: Tiles, suffix: str, quality: int) -> EncodedImage:
    """Compose the tiles into one image and encode it.

    Args:
        tiles: At most as many as their grid holds.
        suffix: `.webp`, `.jpg` or `.jpeg`.
        quality: 0 (smallest) to 100 (best).

    Raises:
        OptionsError: The image would be too large.
    """
    pixels = compose_mosaic(tiles.tiles, tiles.grid, tiles.shape)
    return EncodedImage(
        data=encode_image(pixels, suffix, quality),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=tiles.drawn,
        failures=tiles.failures,
        window=tiles.window,
        window_source=tiles.window_source,
        drawn_as="image" if tiles.grid == (1, 1) else "mosaic",
        notes=tiles.notes,
    )


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


def _measure_exposure(frame: StoredFrame, display: ByteArray) -> Exposure:
    black, white = (int(np.count_nonzero(display == value)) for value in (0, 255))
    return Exposure(display.size, black, white, bool((frame.values != frame.values.flat[0]).any()))


def _finish_tile(frame: StoredFrame, display: ByteArray, shape: tuple[int, int]) -> ByteArray:
    """Color display values, burn graphics in, and scale them into a tile."""
    if frame.transform.supplement is not None:
        display = apply_supplement(display, frame.values, frame.transform.supplement)
    if frame.color_map is not None and display.ndim == 2:
        display = frame.color_map[display]
    if frame.overlay is not None:
        display = np.where(frame.overlay if display.ndim == 2 else frame.overlay[..., None], np.uint8(255), display)
    return fit_tile(display, frame.aspect, shape)
