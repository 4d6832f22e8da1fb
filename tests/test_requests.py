"""What a preview costs: requests and bytes, counted where they happen."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from phantom_enhanced import build_enhanced_mr
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.cache import Cache
from dsp_batch.dicom.headers.walk import FIRST_RANGE
from dsp_batch.errors import SeriesError
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ImageOptions, MosaicOptions
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_ct, build_report, write_collection
from dsp_batch.pipeline import draw_series, index_series
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import Usage, measure_usage

TILES = 36


def write_objects(root: Path, objects: list[bytes]) -> SeriesRef:
    folder = root / "series"
    folder.mkdir()
    for number, data in enumerate(objects):
        (folder / f"{number:05}.dcm").write_bytes(data)
    return SeriesRef(root=str(root), series_uuid="series")


def write_phantom(root: Path, series: PhantomSeries) -> SeriesRef:
    write_collection(root, [series])
    return SeriesRef(root=str(root), series_uuid=series.series_uuid)


def measure_preview(
    ref: SeriesRef, options: MosaicOptions | ImageOptions, cache: Cache | None = None
) -> tuple[EncodedImage, Usage]:
    with measure_usage() as usage:
        image = draw_series(ref, Store(ref.root), cache, options, ".webp")
    return image, usage


def test_a_cold_mosaic_lists_once_and_reads_each_header_and_each_tile_once(tmp_path: Path) -> None:
    count, size = 40, 160
    ref = write_phantom(tmp_path, build_ct(count=count, size=size))

    image, usage = measure_preview(ref, MosaicOptions())

    assert image.n_tiles == TILES
    assert usage.requests == 1 + count + TILES
    assert usage.bytes_read <= TILES * size * size * 2 + count * FIRST_RANGE


def test_the_first_header_of_a_large_series_is_read_alone_and_once(tmp_path: Path) -> None:
    count = 52
    ref = write_phantom(tmp_path, build_ct(count=count, size=144))

    _, usage = measure_preview(ref, MosaicOptions(tile_width=2))

    assert usage.requests == 1 + count + 4


def test_small_objects_are_read_once_for_header_and_pixels(tmp_path: Path) -> None:
    series = build_ct(count=52, size=64)
    ref = write_phantom(tmp_path, series)
    assert all(len(item.data) <= 32 * 1024 for item in series.objects)

    image, usage = measure_preview(ref, MosaicOptions())

    assert image.n_tiles == TILES
    assert usage.requests == 1 + 52
    assert usage.bytes_read == sum(len(item.data) for item in series.objects)


def test_a_series_of_no_more_objects_than_tiles_is_read_in_one_pass(tmp_path: Path) -> None:
    series = build_ct(count=12, size=160)
    ref = write_phantom(tmp_path, series)

    image, usage = measure_preview(ref, MosaicOptions())

    assert image.n_tiles == 12
    assert usage.requests == 1 + 12
    assert usage.bytes_read == sum(len(item.data) for item in series.objects)


def test_with_a_cached_index_a_mosaic_costs_its_tiles(tmp_path: Path) -> None:
    ref = write_phantom(tmp_path / "root", build_ct(count=40, size=160))
    cache = Cache(url=str(tmp_path / "cache"))
    cold = draw_series(ref, Store(ref.root), cache, MosaicOptions(), ".webp")
    (index_file,) = (tmp_path / "cache" / "indices").iterdir()

    image, usage = measure_preview(ref, MosaicOptions(), cache)

    assert image == cold
    assert usage.requests == 2 + TILES  # the index, a listing that shows that nothing has changed, and the tiles
    assert usage.bytes_read == index_file.stat().st_size + TILES * 160 * 160 * 2


def test_a_large_private_value_before_the_rows_costs_a_second_small_range(tmp_path: Path) -> None:
    count, private, pixels = 40, 161_000, 128 * 128 * 2
    objects = []
    for number in range(count):
        dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number), size=128)
        dataset.add_new(0x00190010, "LO", "VENDOR")
        dataset.add_new(0x00191001, "OB", bytes(private))
        objects.append(write_dataset(dataset))
    ref = write_objects(tmp_path, objects)

    image, usage = measure_preview(ref, MosaicOptions())

    assert image.n_tiles == TILES
    assert usage.requests <= 1 + 2 * count + TILES
    assert usage.bytes_read <= TILES * pixels + 2 * count * FIRST_RANGE


@pytest.mark.parametrize("frames", [30, 1250])
@pytest.mark.parametrize("position", [0.0, 0.5, 1.0])
def test_one_native_frame_of_many_costs_the_header_and_its_bytes(frames: int, position: float, tmp_path: Path) -> None:
    size = 64
    ref = write_objects(tmp_path, [write_dataset(add_pixels(make_dataset(), frames=frames, size=size))])

    image, usage = measure_preview(ref, ImageOptions(position=position))

    assert image.n_tiles == 1
    if frames == 30:  # no larger than a megabyte: read at once
        assert usage.requests == 2
    else:
        assert usage.requests == 3
        assert usage.bytes_read <= FIRST_RANGE + size * size * 2


def encode_jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize("has_table", [True, False])
def test_one_compressed_frame_of_1250_costs_the_header_the_table_and_its_bytes(
    tmp_path: Path, *, has_table: bool
) -> None:
    frames = [encode_jpeg(number % 10) for number in range(1250)]
    dataset = add_pixels(make_dataset(), frames=1250, size=64)
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = encapsulate(frames, has_bot=has_table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    data = write_dataset(dataset, JPEGBaseline8Bit)
    ref = write_objects(tmp_path, [data])
    largest = max(map(len, frames))

    _, last = measure_preview(ref, ImageOptions(position=1.0))
    _, first = measure_preview(ref, ImageOptions(position=0.0))

    if has_table:
        for usage in (first, last):
            assert usage.requests == 4
            assert usage.bytes_read <= FIRST_RANGE + 8 + 4 * 1250 + 3 * largest + (64 << 10)
    assert first.bytes_read < len(data) / 2
    assert last.bytes_read <= len(data) + FIRST_RANGE


def test_frames_of_one_object_are_asked_for_together(tmp_path: Path) -> None:
    ref = write_phantom(tmp_path, build_enhanced_mr(count=40, size=160))

    image, usage = measure_preview(ref, MosaicOptions(tile_width=2))

    assert image.n_tiles == 4
    assert usage.requests <= 1 + 2 + 4


def test_a_large_series_without_pixels_is_given_up_after_one_header(tmp_path: Path) -> None:
    (report,) = build_report().objects
    ref = write_objects(tmp_path, [report.data] * 60)

    with measure_usage() as usage, pytest.raises(SeriesError, match="no object with pixels"):
        draw_series(ref, Store(ref.root), None, MosaicOptions(), ".webp")

    assert usage.requests == 2


def test_a_large_series_whose_first_image_is_damaged_is_drawn(tmp_path: Path) -> None:
    first, *others = (
        add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number), size=32) for number in range(60)
    )
    del first.PixelData
    ref = write_objects(tmp_path, [write_dataset(each) for each in (first, *others)])

    image, _ = measure_preview(ref, MosaicOptions())

    assert image.n_tiles == TILES
    assert image.failures == ()


def test_an_index_of_objects_without_pixels_costs_one_request_each(tmp_path: Path) -> None:
    (report,) = build_report().objects
    ref = write_objects(tmp_path, [report.data] * 20)

    with measure_usage() as usage:
        index = index_series(ref, Store(ref.root), None)

    assert len(index) == 20
    assert usage.requests == 1 + 20
    assert usage.bytes_read == 20 * len(report.data)
