from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dsp_batch.core.tiling import check_mosaic, compose_mosaic, failed_tile, fit_tile, lay_out_tiles, tile_shape
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import ByteArray

sizes = st.integers(1, 300)
aspects = st.floats(0.1, 10)


def make_white(rows: int, columns: int, *channels: int) -> ByteArray:
    return np.full((rows, columns, *channels), 255, np.uint8)


def lit_shape(tile: ByteArray) -> tuple[int, int]:
    """Height and width of the box around everything that is not black."""
    gray = tile if tile.ndim == 2 else tile.max(axis=2)
    return int(gray.any(axis=1).sum()), int(gray.any(axis=0).sum())


@pytest.mark.parametrize(
    ("rows", "columns", "aspect", "width", "shape"),
    [
        (512, 512, 1.0, 128, (128, 128)),
        (256, 512, 1.0, 128, (64, 128)),
        (256, 256, 2.0, 128, (256, 128)),
        (64, 512, 5.0 / 0.5, 100, (125, 100)),
        (1, 1000, 1.0, 128, (1, 128)),
        (1, 2, 1.0, 5, (3, 5)),  # 2.5 rounds up
        (3062, 2394, 1.0, 128, (164, 128)),
    ],
)
def test_tiles_have_the_physical_aspect_of_the_frame(
    rows: int, columns: int, aspect: float, width: int, shape: tuple[int, int]
) -> None:
    assert tile_shape(rows, columns, aspect, width) == shape


@pytest.mark.parametrize(("rows", "aspect"), [(16384, 1.0), (128, 1e308), (128, float("inf")), (128, float("nan"))])
def test_a_tile_too_high_for_an_image_file_is_refused(rows: int, aspect: float) -> None:
    with pytest.raises(OptionsError, match="16383") as caught:
        tile_shape(rows, 1, aspect, 1)
    assert caught.value.reason == "too-large"


def test_the_highest_tile_is_allowed() -> None:
    assert tile_shape(16383, 1, 1.0, 1) == (16383, 1)


@given(rows=sizes, columns=sizes, aspect=aspects, width=st.integers(1, 60))
def test_a_frame_fills_a_tile_of_its_own_shape(rows: int, columns: int, aspect: float, width: int) -> None:
    assume(width * rows * aspect / columns <= 16383)  # what is higher is refused
    shape = tile_shape(rows, columns, aspect, width)

    tile = fit_tile(make_white(rows, columns), aspect, shape)

    assert tile.shape == shape
    assert (tile >= 254).all()  # Pillow's averages of large boxes may fall short by one


@given(rows=sizes, columns=sizes, aspect=aspects, height=st.integers(1, 80), width=st.integers(1, 80))
def test_other_frames_touch_two_sides_undistorted(
    rows: int, columns: int, aspect: float, height: int, width: int
) -> None:
    tile = fit_tile(make_white(rows, columns), aspect, (height, width))

    assert tile.shape == (height, width)
    lit_height, lit_width = lit_shape(tile)
    assert lit_height == height or lit_width == width
    ratio = rows * aspect / columns
    assert abs(lit_height - lit_width * ratio) <= max(1, ratio) or 1 in (lit_height, lit_width)


def test_a_smaller_picture_lies_in_the_middle_on_black() -> None:
    tile = fit_tile(make_white(20, 40), 1.0, (40, 40))

    assert not tile[:10].any()
    assert (tile[10:30] == 255).all()
    assert not tile[30:].any()


def test_color_frames_make_color_tiles() -> None:
    assert fit_tile(make_white(20, 40, 3), 1.0, (40, 40)).shape == (40, 40, 3)
    assert fit_tile(make_white(40, 40, 3), 1.0, (40, 40)).shape == (40, 40, 3)


def test_mosaics_fill_rows_first_and_leave_missing_tiles_black() -> None:
    tiles = [np.full((2, 3), gray, np.uint8) for gray in (10, 20, 30, 40)]

    mosaic = compose_mosaic(tiles, (2, 3), (2, 3))

    assert mosaic.shape == (4, 9)
    assert mosaic[::2, ::3].tolist() == [[10, 20, 30], [40, 0, 0]]
    assert mosaic[1::2, 2::3].tolist() == [[10, 20, 30], [40, 0, 0]]


def test_one_color_tile_makes_the_mosaic_color() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200

    mosaic = compose_mosaic([np.full((2, 2), 90, np.uint8), red], (1, 3), (2, 2))

    assert mosaic.shape == (2, 6, 3)
    assert mosaic[0, ::2].tolist() == [[90, 90, 90], [200, 0, 0], [0, 0, 0]]


def test_a_mosaic_without_tiles_is_black() -> None:
    assert compose_mosaic([], (2, 2), (3, 5)).shape == (6, 10)
    assert not compose_mosaic([], (2, 2), (3, 5)).any()


@pytest.mark.parametrize("grid", [(1, 128), (128, 1), (1_000_000, 1_000_000)])
def test_a_mosaic_too_large_for_an_image_file_is_refused(grid: tuple[int, int]) -> None:
    with pytest.raises(OptionsError, match=r"16383.*--image-width") as caught:
        compose_mosaic([], grid, (128, 128))
    assert caught.value.reason == "too-large"


def test_the_largest_mosaic_is_allowed() -> None:
    check_mosaic((127, 16383), (129, 1))


@given(height=st.integers(1, 200), width=st.integers(1, 200))
def test_failed_tiles_show_a_small_cross_in_the_center(height: int, width: int) -> None:
    tile = failed_tile((height, width))

    assert tile.shape == (height, width)
    assert tile[height // 2, width // 2] > 50
    lit_height, lit_width = lit_shape(tile)
    assert lit_height == lit_width <= max(1, min(height, width) // 3)
    assert tile[0, 0] == 0 or min(height, width) < 3
    assert np.count_nonzero(tile) <= max(1, tile.size // 16)


def test_the_cross_is_diagonal() -> None:
    tile = failed_tile((101, 101))
    down, across = np.nonzero(tile)

    assert (np.abs(np.abs(down - 50) - np.abs(across - 50)) <= 1).all()
    assert {(-1, -1), (-1, 1), (1, -1), (1, 1)} <= set(zip(np.sign(down - 50), np.sign(across - 50), strict=True))


@given(st.integers(1, 36), st.integers(1, 3000), st.integers(1, 3000), aspects, st.integers(64, 4096))
def test_a_preview_is_filled_and_fits_its_square(count: int, rows: int, columns: int, aspect: float, size: int) -> None:
    (down, across), (height, width) = lay_out_tiles(count, (rows, columns), aspect, size)

    assert 1 <= down <= 6
    assert 1 <= across <= 6
    assert 0 <= down * across - count < across  # blanks in the last row alone
    assert down * height <= size
    assert across * width <= size
    assert height <= 4 * rows
    assert width <= 4 * columns


@given(st.integers(1, 36), st.integers(100, 3000), st.integers(100, 3000), st.integers(64, 4096))
def test_tiles_of_a_preview_are_as_large_as_fits(count: int, rows: int, columns: int, size: int) -> None:
    (down, across), (height, width) = lay_out_tiles(count, (rows, columns), 1.0, size)

    assert abs(height - width * rows / columns) <= max(0.5, rows / columns)
    larger = width + 1
    taller = int(larger * rows / columns + 0.5)
    assert across * larger > size or down * taller > size or larger > 4 * columns or taller > 4 * rows


@pytest.mark.parametrize(
    ("count", "frame", "grid"),
    [
        (1, (512, 512), (1, 1)),
        (2, (512, 512), (1, 2)),
        (2, (256, 1024), (2, 1)),
        (3, (512, 512), (2, 2)),
        (5, (512, 512), (2, 3)),
        (10, (512, 512), (3, 4)),
        (30, (512, 512), (5, 6)),
        (36, (100, 1000), (6, 6)),
        (4, (1000, 100), (1, 4)),
    ],
)
def test_the_grid_of_a_preview_is_as_square_as_its_tiles_allow(
    count: int, frame: tuple[int, int], grid: tuple[int, int]
) -> None:
    assert lay_out_tiles(count, frame, 1.0, 768)[0] == grid
