"""Which frame comes where in a preview, what becomes of frames that fail, and what the files are."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.errors import OptionsError, PixelError, StorageError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.contrast import AUTO, parse_contrast
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, MosaicOptions
from dsp_batch.phantom.series import build_ct, build_ultrasound, write_collection
from dsp_batch.pipeline import index_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

WIDTH = 16
PLAIN = parse_contrast("255/127.5")
"""Shows stored values 0 … 255 as they are."""

Pixels = npt.NDArray[np.uint8]


def make_frame(values: npt.NDArray[np.uint16] | int, number: int, size: int = WIDTH) -> Dataset:
    """An axial slice of the given stored values; the first is the highest."""
    dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1), size=size)
    dataset.PixelData = np.broadcast_to(np.uint16(values), (size, size)).astype("<u2").tobytes()
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, -number]
    return dataset


def write_series(root: Path, datasets: Sequence[Dataset]) -> tuple[SeriesIndex, Store]:
    """Write a series and index it; its files may be changed before it is drawn."""
    (root / "series").mkdir(parents=True)
    for number, dataset in enumerate(datasets):
        (root / "series" / f"{number:03}.dcm").write_bytes(write_dataset(dataset))
    store = Store(str(root))
    index = index_series(SeriesRef(root=str(root), series_uuid="series"), store, None, draw_options=MosaicOptions())
    return replace(index, bodies={}), store


def flat_series(root: Path, *values: int) -> tuple[SeriesIndex, Store]:
    return write_series(root, [make_frame(value, number) for number, value in enumerate(values)])


def open_image(image: EncodedImage) -> Pixels:
    with Image.open(io.BytesIO(image.data)) as opened:
        assert opened.size == (image.width, image.height)
        return np.asarray(opened.convert("L"))


def tile_means(image: EncodedImage, rows: int, columns: int) -> list[list[int]]:
    """Mean gray of each tile, to the nearest ten."""
    pixels = open_image(image)
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    assert (height * rows, width * columns) == pixels.shape
    tiles = pixels.reshape(rows, height, columns, width).mean(axis=(1, 3))
    return [[round(value / 10) * 10 for value in row] for row in tiles.tolist()]


def mosaic(columns: int, rows: int | None = None, **more: object) -> MosaicOptions:
    options = {"image_width": WIDTH, "quality": 100, "contrast": PLAIN} | more
    return MosaicOptions(tile_width=columns, tile_height=rows, **options)  # type: ignore[arg-type]  # by name


def test_tiles_fill_rows_first_in_display_order(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 0, 50, 100, 150, 200, 250)

    image = render_preview(index, FrameSource(store=store), mosaic(3, 2), ".webp")

    assert tile_means(image, 2, 3) == [[0, 50, 100], [150, 200, 250]]
    assert (image.n_tiles, image.failures, image.window) == (6, (), PLAIN.window)


def test_a_grid_with_more_tiles_than_frames_keeps_its_size_and_is_black_there(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 100, 200)

    image = render_preview(index, FrameSource(store=store), mosaic(3), ".webp")

    assert (image.width, image.height) == (3 * WIDTH, 3 * WIDTH)
    assert tile_means(image, 3, 3) == [[100, 200, 0], [0, 0, 0], [0, 0, 0]]
    assert image.n_tiles == 2


def test_tiles_are_spread_evenly_over_the_range(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, *range(20, 220, 20))

    whole = render_preview(index, FrameSource(store=store), mosaic(2), ".webp")
    part = render_preview(index, FrameSource(store=store), mosaic(2, start=0.5, end=1.0), ".webp")

    assert tile_means(whole, 2, 2) == [[20, 80], [140, 200]]
    assert tile_means(part, 2, 2) == [[120, 140], [180, 200]]


def test_one_image_is_the_frame_at_the_position_and_the_offset_walks_from_there(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 0, 50, 100, 150, 200)

    def shown(position: float, offset: int = 0) -> int:
        options = ImageOptions(position=position, slice_offset=offset, image_width=WIDTH, quality=100, contrast=PLAIN)
        return tile_means(render_preview(index, FrameSource(store=store), options, ".webp"), 1, 1)[0][0]

    assert [shown(0.0), shown(0.5), shown(0.8), shown(1.0)] == [0, 100, 150, 200]
    assert [shown(0.5, 1), shown(0.5, -2), shown(0.0, 4)] == [150, 0, 200]


@pytest.mark.parametrize(
    ("position", "offset", "lowest", "highest"), [(0.0, -1, 0, 4), (0.5, 3, -2, 2), (1.0, 1, -4, 0)]
)
def test_an_offset_out_of_the_series_is_an_error_that_tells_the_valid_ones(
    position: float, offset: int, lowest: int, highest: int, tmp_path: Path
) -> None:
    index, store = flat_series(tmp_path, 0, 50, 100, 150, 200)
    options = (
        ImageOptions(position=position, slice_offset=offset),
        ContrastMosaicOptions(contrasts=(PLAIN,), position=position, slice_offset=offset),
    )

    for each in options:
        with pytest.raises(OptionsError, match=f"between {lowest} and {highest}") as caught:
            render_preview(index, FrameSource(store=store), each, ".webp")
        assert str(offset) in caught.value.message


def test_rows_of_a_contrast_mosaic_are_frames_and_columns_contrasts(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 0, 50, 100, 150, 200)
    contrasts = (PLAIN, parse_contrast("510/255"), parse_contrast("100/50"))

    options = ContrastMosaicOptions(
        contrasts=contrasts, start=0.0, end=1.0, tile_height=3, image_width=WIDTH, quality=100
    )
    image = render_preview(index, FrameSource(store=store), options, ".webp")

    assert tile_means(image, 3, 3) == [[0, 0, 0], [100, 50, 260], [200, 100, 260]]
    assert image.n_tiles == 9


def test_a_contrast_mosaic_at_a_position_is_one_row(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 0, 50, 100, 150, 200)
    contrasts = (parse_contrast("510/255"), PLAIN)

    options = ContrastMosaicOptions(contrasts=contrasts, position=0.5, slice_offset=1, image_width=WIDTH, quality=100)
    image = render_preview(index, FrameSource(store=store), options, ".webp")

    assert tile_means(image, 1, 2) == [[80, 150]]


def test_fewer_frames_than_rows_leave_black_rows(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 100, 200)

    options = ContrastMosaicOptions(contrasts=(PLAIN, PLAIN), start=0.0, tile_height=3, image_width=WIDTH, quality=100)

    assert tile_means(render_preview(index, FrameSource(store=store), options, ".webp"), 3, 2) == [
        [100, 100],
        [200, 200],
        [0, 0],
    ]


def damage(index: SeriesIndex, name: str) -> None:
    """Cut an object within its pixels, after its header was read."""
    path = Path(index.root) / "series" / name
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("lost", [True, False])
def test_a_frame_that_fails_is_a_crossed_tile_and_a_line_and_the_rest_is_drawn(tmp_path: Path, *, lost: bool) -> None:
    size = 64
    datasets = [make_frame(value, number, size) for number, value in enumerate([100, 150, 200, 250])]
    index, store = write_series(tmp_path, datasets)
    if lost:
        (tmp_path / "series" / "001.dcm").unlink()
    else:
        damage(index, "001.dcm")

    image = render_preview(index, FrameSource(store=store), mosaic(2, image_width=size), ".webp")

    (line,) = image.failures
    assert line
    assert "\n" not in line
    assert image.n_tiles == 3
    assert tile_means(image, 2, 2)[0][0] == 100
    assert tile_means(image, 2, 2)[1] == [200, 250]
    failed = open_image(image)[:size, size:]
    assert failed[size // 2, size // 2] > 60
    assert (failed < 20).mean() > 0.9
    assert (failed > 60).sum() > 8


def test_a_failed_frame_is_crossed_under_every_contrast(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 250, 250)
    damage(index, "000.dcm")

    options = ContrastMosaicOptions(contrasts=(PLAIN, PLAIN), start=0.0, tile_height=2, image_width=WIDTH, quality=100)
    image = render_preview(index, FrameSource(store=store), options, ".webp")

    assert len(image.failures) == 1
    assert tile_means(image, 2, 2)[1] == [250, 250]
    assert max(tile_means(image, 2, 2)[0]) <= 20
    assert image.n_tiles == 2


def test_when_no_frame_can_be_decoded_it_is_an_error_that_names_series_and_object(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 100, 200)
    damage(index, "000.dcm")
    damage(index, "001.dcm")

    for options in (mosaic(2), ImageOptions(position=0.0)):
        with pytest.raises(PixelError) as caught:
            render_preview(index, FrameSource(store=store), options, ".webp")
        assert caught.value.reason == "bad-pixels"
        assert f"{tmp_path}/series" in caught.value.message
        assert "000.dcm" in caught.value.message


def test_time_that_runs_out_is_an_error_and_no_crossed_tile(tmp_path: Path) -> None:
    index, store = flat_series(tmp_path, 100, 200)

    with pytest.raises(StorageError) as caught:
        render_preview(index, FrameSource(store=store, timeout=0.0), mosaic(2), ".webp")
    assert caught.value.reason == "timeout"


def test_one_automatic_window_serves_all_tiles(tmp_path: Path) -> None:
    """Half of the first frame and half of the second have one value, and look alike."""
    left = np.arange(WIDTH) < WIDTH // 2
    first, second = np.where(left, 1000, 2000), np.where(left, 2000, 3000)
    datasets = [make_frame(values.astype(np.uint16), number) for number, values in enumerate((first, second))]
    index, store = write_series(tmp_path, datasets)

    image = render_preview(index, FrameSource(store=store), mosaic(2, 1, contrast=AUTO), ".webp")

    shades = open_image(image).reshape(WIDTH, 4, WIDTH // 2)[:, :, 2:-2].mean(axis=(0, 2)).tolist()
    assert shades[0] < 10
    assert shades[1] == pytest.approx(127.5, abs=6)
    assert shades[2] == pytest.approx(shades[1], abs=3)
    assert shades[3] > 245
    assert image.window is not None
    assert image.window.center == pytest.approx(2000, abs=20)


@pytest.mark.parametrize("slices", [65535, 5])
def test_a_mosaic_of_more_slices_than_pixels_is_the_one_image_that_it_is(slices: int, tmp_path: Path) -> None:
    """Regression: slices without a pixel were a ZeroDivisionError."""
    dataset = make_frame(150, 0, size=2)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", slices)
    index, store = write_series(tmp_path, [dataset])

    image = render_preview(index, FrameSource(store=store), mosaic(2), ".webp")

    assert tile_means(image, 2, 2) == [[150, 0], [0, 0]]


def test_an_embedded_window_is_each_frame_s_own(tmp_path: Path) -> None:
    datasets = [make_frame(100, 0), make_frame(100, 1)]
    for dataset, center in zip(datasets, (100, 150), strict=True):
        dataset.WindowCenter, dataset.WindowWidth = center, 200
    index, store = write_series(tmp_path, datasets)

    image = render_preview(index, FrameSource(store=store), mosaic(2, 1, contrast=parse_contrast("embedded")), ".webp")

    assert tile_means(image, 1, 2) == [[130, 60]]


def test_physical_pixels_decide_the_height(tmp_path: Path) -> None:
    dataset = make_frame(100, 0)
    dataset.PixelSpacing = [2.0, 1.0]
    index, store = write_series(tmp_path, [dataset])

    image = render_preview(index, FrameSource(store=store), mosaic(2, 1), ".webp")

    assert (image.width, image.height) == (2 * WIDTH, 2 * WIDTH)


def test_frames_of_another_shape_are_fitted_into_the_tiles_of_the_first(tmp_path: Path) -> None:
    wide = make_frame(200, 1)
    wide.Rows = WIDTH // 2
    wide.PixelData = wide.PixelData[: WIDTH * WIDTH]
    index, store = write_series(tmp_path, [make_frame(200, 0), wide])

    image = render_preview(index, FrameSource(store=store), mosaic(2, 1), ".webp")

    tile = open_image(image)[:, WIDTH:]
    assert tile[WIDTH // 2].mean() == pytest.approx(200, abs=8)
    assert tile[:2].mean() < 30
    assert tile[-2:].mean() < 30


@pytest.mark.parametrize(("suffix", "kind"), [(".webp", "WEBP"), (".jpg", "JPEG"), (".jpeg", "JPEG")])
@pytest.mark.parametrize("quality", [0, 25, 100])
def test_files_open_in_pillow_with_the_size_that_was_promised(
    suffix: str, kind: str, quality: int, tmp_path: Path
) -> None:
    gray, color = build_ct(count=4, size=48), build_ultrasound(count=4, rows=48, columns=64)
    write_collection(tmp_path, [gray, color])
    store = Store(str(tmp_path))

    for series, modes in ((gray, ("L", "RGB")), (color, ("RGB",))):
        ref = SeriesRef(root=str(tmp_path), series_uuid=series.series_uuid)
        index = index_series(ref, store, None, draw_options=MosaicOptions())
        image = render_preview(
            index, FrameSource(store=store), MosaicOptions(image_width=40, tile_width=2, quality=quality), suffix
        )
        with Image.open(io.BytesIO(image.data)) as opened:
            opened.load()
            assert (opened.format, opened.size) == (kind, (image.width, image.height))
            assert opened.mode in modes
            assert opened.width == 80
            assert opened.height == 2 * (40 if series is gray else 30)


def test_a_better_quality_is_a_larger_file(tmp_path: Path) -> None:
    series = build_ct(count=4, size=128)
    write_collection(tmp_path, [series])
    store = Store(str(tmp_path))
    index = index_series(SeriesRef(root=str(tmp_path), series_uuid=series.series_uuid), store, None)

    for suffix in (".webp", ".jpg"):
        sizes = [
            len(render_preview(index, FrameSource(store=store), MosaicOptions(quality=q), suffix).data)
            for q in (0, 25, 90)
        ]
        assert sizes == sorted(set(sizes))


def test_a_preview_is_the_same_every_time(tmp_path: Path) -> None:
    series = build_ct(count=7, size=64)
    write_collection(tmp_path, [series])
    store = Store(str(tmp_path))
    ref = SeriesRef(root=str(tmp_path), series_uuid=series.series_uuid)

    first, second = (
        render_preview(
            index_series(ref, store, None, draw_options=drawn), FrameSource(store=store), MosaicOptions(), ".webp"
        )
        for drawn in (MosaicOptions(), None)
    )

    assert first == second
