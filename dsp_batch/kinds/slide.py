"""Draw whole slides: one small picture of the slide, never its label and never gigapixels (PS3.3 A.32.8, C.8.12)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.errors import PixelError, SeriesError
from dsp_batch.kinds.card import describe_label
from dsp_batch.kinds.kind import Contents, Kind, Picture, StoredFrames
from dsp_batch.kinds.slide_level import Level, TileOffset, list_levels
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import ByteArray, FrameRef

MIN_SIDE = 512
"""Smallest number of pixels that the longer side of a level should have, to show more than a few spots."""

MAX_STITCHED = 1 << 24
"""Pixels that are stitched at most: 16 million are 50 MB in RGB. A larger level is thinned out to that."""

_MAX_SIDE = 1 << 16
"""Rows and columns that are stitched at most, each: no slide is as thin as a header may say."""

MAX_STORED_BYTES = 64 << 20
"""Bytes that are read of a level at most, as its tiles are stored."""

MAX_SAMPLED_TILES = 1024
"""Tiles that are read at most of a level that is too large to be read whole: each takes a request of its own."""

_MOST_CROSSINGS = 1 << 18
"""Places of a grid where tiles are looked for at most: of a sparse level most may be empty."""


def list_slide_pictures(contents: Contents) -> list[Picture]:
    """Choose the one picture of the slide: its thumbnail, else its smallest useful level, else its overview.

    Where none of these is small enough to be read, the smallest level is drawn from some of its tiles. Instances of a
    concatenation are one level. Several series in one, with another focal plane or optical path, are one slide all the
    same.

    Returns:
        One picture; none where the headers tell of no tile.

    Raises:
        SeriesError: The slide has only a label.

    References:
        DICOM PS3.3 C.8.12.4.1.1 (Image Type), C.7.6.17.3 (Dimension Organization Type TILED_FULL).
    """
    flavors: dict[str, list[int]] = {}
    for row, attributes in contents.instances.items():
        flavors.setdefault(_flavor(attributes), []).append(row)
    if set(flavors) == {"LABEL"}:
        raise SeriesError("it holds nothing but a LABEL, which may name the patient and is never drawn", "no-pixels")
    levels = {flavor: list_levels(contents, rows) for flavor, rows in flavors.items()}
    small = {name: [each for each in some if each.stored_bytes <= MAX_STORED_BYTES] for name, some in levels.items()}
    level = (
        max(small.get("THUMBNAIL", ()), key=lambda each: each.pixels, default=None)
        or _choose_level(small.get("VOLUME", ()))
        or next(iter(small.get("OVERVIEW", ())), None)
        or min(levels.get("VOLUME", ()), key=lambda each: each.pixels, default=None)
    )
    tiles = level.lay_out_tiles() if level else {}
    return [_sample_level(level, tiles)] if level and tiles else []


def _flavor(attributes: Attributes) -> str:
    """Read the third value of Image Type. Slides that do not tell it count as volumes."""
    values = attributes.texts("ImageType")
    return values[2].strip().upper() if len(values) > 2 and values[2].strip() else "VOLUME"


def _choose_level(levels: Sequence[Level]) -> Level | None:
    """Choose the smallest level of a useful size, else the largest smaller one."""
    useful = [level for level in levels if max(level.matrix) >= MIN_SIDE]
    if useful:
        return min(useful, key=lambda level: level.pixels)
    return max(levels, key=lambda level: level.pixels, default=None)


def _sample_level(level: Level, tiles: Mapping[TileOffset, FrameRef]) -> Picture:
    """Make the picture of a level: of all its tiles, or of as many as may be read, spread evenly and moved together."""
    matrix = level.matrix
    notes: tuple[str, ...] = ()
    drawn = tiles
    if level.stored_bytes > MAX_STORED_BYTES:
        most = max(min(MAX_SAMPLED_TILES, len(tiles) * MAX_STORED_BYTES // level.stored_bytes), 1)
        drawn, matrix = _spread_tiles(level, tiles, most)
        megabytes = level.stored_bytes >> 20
        notes = (f"{len(drawn)} of {len(tiles)} tiles are drawn: the smallest level of the slide has {megabytes} MB",)
    step = max(math.ceil(math.sqrt(matrix[0] * matrix[1] / MAX_STITCHED)), -(-max(matrix) // _MAX_SIDE))
    return Picture(frames=tuple(drawn.values()), tile_offsets=tuple(drawn), matrix=matrix, step=step, notes=notes)


def _spread_tiles(
    level: Level, tiles: Mapping[TileOffset, FrameRef], most: int
) -> tuple[dict[TileOffset, FrameRef], tuple[int, int]]:
    """Take the tiles where some rows and columns of the grid cross, as many as give no more tiles than are wanted.

    Returns:
        Tiles by their new offsets, as if those left out were not there, and the shape of the matrix that they fill.
    """
    # The tiles at the lower and the right edge are mostly padding.
    grid = max(level.matrix[0] // level.tile[0], 1), max(level.matrix[1] // level.tile[1], 1)
    in_grid: dict[tuple[int, int], FrameRef] = {}
    for (top, left), frame in tiles.items():
        in_grid.setdefault((top // level.tile[0], left // level.tile[1]), frame)
    crossings = min(most * grid[0] * grid[1] / len(in_grid), _MOST_CROSSINGS)
    while True:
        shape = _fit_grid(grid, max(int(crossings), 1))
        rows, columns = map(_spread_lines, grid, shape)
        spread = {
            (i * level.tile[0], j * level.tile[1]): in_grid[row, column]
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
            if (row, column) in in_grid
        }
        if len(spread) <= most:
            break
        crossings *= 0.9  # a sparse level may have more tiles where lines cross than elsewhere
    if not spread:  # and so few elsewhere that no lines cross at one
        return {(0, 0): next(iter(tiles.values()))}, level.tile
    return spread, (len(rows) * level.tile[0], len(columns) * level.tile[1])


def _fit_grid(grid: tuple[int, int], most: int) -> tuple[int, int]:
    """Find the largest grid of nearly the same shape that has no more crossings than are wanted."""
    down, across = grid
    shapes = [(rows, max(round(rows * across / down), 1)) for rows in range(1, min(down, most) + 1)]
    fitting = [(rows, columns) for rows, columns in shapes if rows * columns <= most]
    return fitting[-1] if fitting else (1, min(most, across))


def _spread_lines(count: int, lines: int) -> list[int]:
    """Take some of the rows or columns of a grid, the middle one of each of that many parts."""
    return [(2 * line + 1) * count // (2 * lines) for line in range(lines)]


def compose_slide(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:
    """Stitch the tiles of a level.

    Args:
        picture: Tiles of one level, and where they go.
        attributes: The header of the instance that holds the first one.
        frames: Decoded tiles; where one is missing the background shows.

    Returns:
        The total pixel matrix, in color or, of fluorescence, in stored values.
    """
    first = next((frames[ref] for ref in picture.frames if ref in frames), None)
    if first is None:
        raise PixelError("no tile of the slide could be read")
    (rows, columns), step = picture.matrix, picture.step
    shape = (-(-rows // step), -(-columns // step), *first.values.shape[2:])
    canvas = np.empty(shape, first.values.dtype)
    canvas[...] = _background(attributes) if first.is_color else 0
    for (top, left), ref in zip(picture.tile_offsets, picture.frames, strict=True):
        if 0 <= top < rows and 0 <= left < columns and ref in frames:
            tile = frames[ref].values[-top % step : rows - top : step, -left % step : columns - left : step]
            at_row, at_column = -(-top // step), -(-left // step)
            canvas[at_row : at_row + tile.shape[0], at_column : at_column + tile.shape[1]] = tile
    return StoredFrame(values=canvas, transform=first.transform, aspect=first.aspect)


def _background(attributes: Attributes) -> ByteArray:
    """Choose the color of absent tiles: the recommended one, else white, as glass is."""
    lab = attributes.numbers("RecommendedAbsentPixelCIELabValue")
    return np.array(convert_from_lab(lab) if len(lab) == 3 else (255, 255, 255), np.uint8)


SLIDE = Kind(list_pictures=list_slide_pictures, compose=compose_slide, describe=describe_label)
