"""Draw tiles from pictures, and make one image of tiles: window, fit, compose, encode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from dsp_batch.model.contrast import Contrast
from dsp_batch.model.frame import EncodedImage, StoredFrame, WindowSource
from dsp_batch.model.notes import count_notes, gather_notes
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.options import FrameOptions
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


class TileStream:
    """Tiles of pictures in reading order, each drawn when it is asked for, and what is known of those drawn so far.

    It holds no tile. A picture that could not be drawn is a failed tile.

    Args:
        chosen: The pictures.
        contrasts: One tile a picture for each of these, side by side.
        layout: Lays out the tiles.
    """

    def __init__(self, chosen: PictureSet, contrasts: Sequence[Contrast], layout: Layout) -> None:
        self._chosen, self._contrasts, self._layout = chosen, contrasts, layout
        self.grid, self.shape = (1, 1), (1, 1)
        self.window: Window | None = None
        self.window_source: WindowSource | None = None
        self.failed: list[int] = []
        self.failures: list[str] = []
        self.exposures: list[Exposure] = []
        self._frame_notes: list[tuple[str, ...]] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences about the series, the choice of its pictures, and the frames that were drawn."""
        chosen = self._chosen
        return gather_notes((*chosen.index.notes, *chosen.notes, *count_notes(self._frame_notes, "frames")))

    def __iter__(self) -> Iterator[ByteArray]:
        """Draw the tiles, holding no more than one picture where that can be.

        Raises:
            OptionsError: A tile would be too large.
            PixelError: Nothing could be decoded.
            StorageError: The frames could not be read.
        """
        composed, automatic = _open_pictures(self._chosen, self._contrasts)
        place, has_begun = 0, False
        for each in composed:
            places = range(place, place + len(self._contrasts))
            place = places.stop
            if not isinstance(each, StoredFrame):
                self.failures.append(each.message)
                self.failed += places
                yield from (failed_tile(self.shape) for _ in places if has_begun)
                continue
            if not has_begun:
                self._begin(each, automatic)
                # Failed tiles before the first picture wait for it, because it tells how large they are.
                yield from (failed_tile(self.shape) for _ in range(places.start))
                has_begun = True
            self._frame_notes.append(each.notes)
            for contrast in self._contrasts:
                display = display_values(each, choose_voi(contrast, each, automatic))
                self.exposures += [] if each.is_color else [_measure_exposure(each, display)]
                yield _finish_tile(each, display, self.shape)

    def _begin(self, first: StoredFrame, automatic: Window | None) -> None:
        """Lay out the tiles after the first picture, and keep its window."""
        self.grid, self.shape = self._layout(first)
        if not first.is_color:
            voi = choose_voi(self._contrasts[0], first, automatic)
            self.window = voi if isinstance(voi, Window) else None
            self.window_source = name_window_source(self._contrasts[0], first)


def draw_tiles(chosen: PictureSet, contrasts: Sequence[Contrast], layout: Layout) -> Tiles:
    """Draw each picture under each contrast, and hold the tiles; arguments and errors are those of `TileStream`."""
    stream = TileStream(chosen, contrasts, layout)
    tiles = tuple(stream)
    return Tiles(
        tiles=tiles,
        shape=stream.shape,
        grid=stream.grid,
        failed=tuple(stream.failed),
        failures=tuple(stream.failures),
        window=stream.window,
        window_source=stream.window_source,
        exposures=tuple(stream.exposures),
        notes=stream.notes,
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


def _open_pictures(chosen: PictureSet, contrasts: Sequence[Contrast]) -> tuple[Iterable[Composed], Window | None]:
    """Begin to compose the pictures, and find the automatic window where one is needed.

    The window serves all of them, so that tiles compare.

    Pictures that are too large to be held until the window is known are read a second time.
    """
    if not _need_percentiles(chosen, contrasts):
        return compose_pictures(chosen), None
    fits = len(split_pictures(chosen)) == 1
    drawn = list(compose_pictures(chosen)) if fits else compose_pictures(chosen)
    automatic = percentile_window(each for each in drawn if isinstance(each, StoredFrame))
    return drawn if fits else compose_pictures(chosen), automatic


def _need_percentiles(chosen: PictureSet, contrasts: Sequence[Contrast]) -> bool:
    """Tell from headers whether a picture will be drawn with the automatic window."""
    first = [picture.frames[0] for picture in chosen.pictures if picture.frames and not is_in_color(chosen, picture)]
    transforms = [transform_of(chosen.index_of(frame), frame.instance, frame.frame) for frame in first]
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
