"""Tiles of one shape from frames of any shape, and mosaics from tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dsp_batch.core.encoding import resize_image
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import ByteArray

_LONGEST_SIDE = 16383
"""Largest height and width of an image, in pixels: the limit of WebP, and of JPEG so that options mean one thing."""

_CROSS_GRAY = 96

_MOST_LINES = 6
"""Rows and columns of the grid of a preview, at most."""

MOST_TILES = _MOST_LINES**2
"""Tiles of a preview, at most."""

_LARGEST_SCALE = 4
"""Number of times that a preview enlarges a frame, at most: more shows nothing but blur."""


def tile_shape(rows: int, columns: int, aspect: float, width: int) -> tuple[int, int]:
    """Find the tile that shows a frame of square or oblong pixels undistorted.

    Args:
        rows: Rows of the frame.
        columns: Columns of the frame.
        aspect: Height of a pixel of the frame over its width, in mm.
        width: Width wanted, in pixels.

    Returns:
        Height, rounded half up and at least 1, and width.

    Raises:
        OptionsError: The tile would be too high for an image file.
    """
    height = width * rows * aspect / columns
    if not height < _LONGEST_SIDE + 0.5:
        raise OptionsError(
            f"a frame of {rows} × {columns} pixels of aspect {aspect:g} would be {height:.0f} pixels high, more than "
            f"{_LONGEST_SIDE}: give a smaller --image-width than {width}",
            reason="too-large",
        )
    return _round_size(height), width


def lay_out_tiles(
    count: int, frame: tuple[int, int], aspect: float, size: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Lay out the grid of a preview: as square as the shape of the tiles allows, as large as fits into a square.

    Args:
        count: Number of tiles, 1 to 36.
        frame: Rows and columns of the frames.
        aspect: Height of a pixel of the frames over its width, in mm.
        size: Side of the square, in pixels.

    Returns:
        Rows and columns of tiles, 6 at most, of which only the last row may have blanks; and height and width of a
        tile, at most 4 times the rows and columns of a frame.

    Example:
        >>> lay_out_tiles(7, (512, 512), 1.0, 768)
        ((3, 3), (256, 256))
    """
    ratio = frame[0] * aspect / frame[1]

    def measure(grid: tuple[int, int]) -> tuple[float, int, int]:
        oblong = abs(math.log(grid[0] * ratio / grid[1]))
        return round(oblong, 9), grid[0] * grid[1] - count, -grid[1]

    grids = [(-(-count // columns), columns) for columns in range(1, min(count, _MOST_LINES) + 1)]
    rows, columns = min((grid for grid in grids if grid[0] <= _MOST_LINES), key=measure)
    highest = min(size // rows, _LARGEST_SCALE * frame[0])
    width = min(size // columns, _LARGEST_SCALE * frame[1], max(int((highest + 0.5) / ratio), 1))
    return (rows, columns), (min(_round_size(width * ratio), highest), width)


def fit_tile(display: ByteArray, aspect: float, shape: tuple[int, int]) -> ByteArray:
    """Scale a frame into a tile: as large as fits, undistorted, centered, black around it.

    Args:
        display: Display values, (rows, columns) or (rows, columns, 3). Not modified.
        aspect: Height of a pixel of the frame over its width, in mm.
        shape: Height and width of the tile. A frame that `tile_shape` gives the same shape fills it wholly.

    Returns:
        The tile, gray or RGB as the frame is: (height, width) or (height, width, 3).
    """
    height, width = shape
    rows, columns = display.shape[:2]
    ratio = rows * aspect / columns  # physical height over width
    inner_height, inner_width = _round_size(min(width * ratio, height + 1.0)), width
    if inner_height > height:
        inner_height, inner_width = height, _round_size(min(height / ratio, width))
    inner = resize_image(display, (inner_height, inner_width))
    if inner.shape[:2] == shape:
        return inner
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    tile = np.zeros((height, width, *display.shape[2:]), np.uint8)
    tile[top : top + inner_height, left : left + inner_width] = inner
    return tile


def failed_tile(shape: tuple[int, int]) -> ByteArray:
    """Draw the tile of a frame that could not be decoded: black, with a small gray cross in the center.

    Args:
        shape: Height and width.

    Returns:
        The tile, gray, (height, width).
    """
    height, width = shape
    arm = min(height, width) // 10
    down = np.abs(np.arange(height) - height // 2)[:, np.newaxis]
    across = np.abs(np.arange(width) - width // 2)
    cross = (np.abs(down - across) <= arm // 8) & (down <= arm) & (across <= arm)
    return np.where(cross, np.uint8(_CROSS_GRAY), np.uint8(0))


def check_mosaic(grid: tuple[int, int], shape: tuple[int, int]) -> None:
    """Refuse a mosaic that no image file can hold, before anything is read or allocated for it.

    Args:
        grid: Rows and columns of tiles.
        shape: Height and width of a tile.

    Raises:
        OptionsError: A side would be too long.
    """
    height, width = grid[0] * shape[0], grid[1] * shape[1]
    if max(height, width) > _LONGEST_SIDE:
        raise OptionsError(
            f"a mosaic of {grid[1]} × {grid[0]} tiles would be {width} × {height} pixels, more than {_LONGEST_SIDE} "
            "on a side: give fewer tiles or a smaller --image-width",
            reason="too-large",
        )


def compose_mosaic(tiles: Sequence[ByteArray], grid: tuple[int, int], shape: tuple[int, int]) -> ByteArray:
    """Lay tiles side by side, rows first.

    Args:
        tiles: Gray or RGB tiles of the shape below, at most as many as the grid holds.
        grid: Rows and columns of tiles.
        shape: Height and width of a tile.

    Returns:
        The mosaic: gray, (height, width), when all tiles are; else RGB, (height, width, 3). Cells without a tile are
        black.

    Raises:
        OptionsError: A side would be too long for an image file.
    """
    check_mosaic(grid, shape)
    height, width = shape
    channels = (3,) if any(tile.ndim == 3 for tile in tiles) else ()
    mosaic = np.zeros((grid[0] * height, grid[1] * width, *channels), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, grid[1])
        area = mosaic[row * height : (row + 1) * height, column * width : (column + 1) * width]
        area[:] = tile[:, :, np.newaxis] if area.ndim > tile.ndim else tile
    return mosaic


def _round_size(pixels: float) -> int:
    return max(1, int(pixels + 0.5))
