"""A series that is not cached is drawn from the beginnings of its headers: what that saves, and changes nothing."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_folder import load_headers, load_real_index, make_ref, needs_data, open_store, parse_file, read_catalog
from phantom_bulk import MR1008, build_bulk
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRBigEndian, JPEGBaseline8Bit
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.cache import Cache
from dsp_batch.core.geometry import order_frames
from dsp_batch.dicom.headers.dictionary import name_of
from dsp_batch.dicom.headers.read import FIRST_RANGE, read_header, read_rest
from dsp_batch.errors import DspBatchError, SeriesError, StorageError
from dsp_batch.fetch import load_view
from dsp_batch.index.frames import list_frames
from dsp_batch.index.header_view import view_headers
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import InstanceHeader, SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, ImageVerbOptions, MosaicOptions, parse_contrast
from dsp_batch.phantom.series import write_collection
from dsp_batch.pipeline import preview_series, render_preview, use_all_cores
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

COUNT, TILES = 60, 36
BLOCK = 40_000
"""Bytes of a private value behind group 0028: more than the first range of a header."""

MADE = {"Index", "SeriesUID", "StorageRoot", "PrimaryPosition", "PrimaryAxis"}
MADE |= {"FramePosition", "FrameTime", "FrameOffset", "FrameLength"}
"""Columns that are made when an index is."""

ALL_SERIES = [row["series_uuid"] for row in read_catalog()]


@pytest.fixture(scope="module")
def bulk(tmp_path_factory: pytest.TempPathFactory) -> SeriesRef:
    """Images behind a large private block, more of them than a mosaic has tiles."""
    root = tmp_path_factory.mktemp("bulk")
    series = build_bulk(MR1008, count=COUNT)
    write_collection(root, [series])
    return SeriesRef(root=str(root), series_uuid=series.series_uuid)


def write_slice(number: int, *, pixels: bool = True, syntax: str | None = None, **values: Any) -> bytes:
    """A slice of CT behind a large private block; without pixels a second such block stands in their place."""
    dataset = make_dataset(
        SOPInstanceUID=f"1.2.{number}",
        InstanceNumber=number,
        ImagePositionPatient=[0, 0, -number],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
    dataset = add_pixels(dataset, size=32)
    dataset.PixelData = (bytes([number]) + bytes(range(255))) * 8
    if overlay := values.pop("overlay", b""):
        add_overlay(dataset, overlay)
    if early := values.pop("early", b""):
        dataset.add_new(0x00190010, "LO", "VENDOR")
        dataset.add_new(0x00191001, "OB", early)
    if late := values.pop("late", ""):
        dataset.add_new(0x00291000, "UT", late)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    for element in (0x10, 0x11) if not pixels else (0x10,):
        dataset.add_new(0x00290000 | element, "LO", "VENDOR")
        dataset.add_new(0x00290001 | element << 8, "OB", bytes(BLOCK))
    if not pixels:
        del dataset.PixelData
    if syntax == JPEGBaseline8Bit:
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    return write_dataset(dataset, **({"syntax": syntax} if syntax else {}))


def add_overlay(dataset: Dataset, data: bytes) -> None:
    """An overlay plane of 32 × 32 (PS3.3 C.9.2)."""
    elements = {0x10: ("US", 32), 0x11: ("US", 32), 0x40: ("CS", "G"), 0x50: ("SS", [1, 1]), 0x100: ("US", 1)}
    for element, (vr, value) in {**elements, 0x102: ("US", 0), 0x3000: ("OW", data)}.items():
        dataset.add_new(0x60000000 | element, vr, value)


def write_series(root: Path, objects: list[bytes]) -> SeriesRef:
    folder = root / "series"
    folder.mkdir(parents=True)
    for number, data in enumerate(objects):
        (folder / f"{number:03}.dcm").write_bytes(data)
    return SeriesRef(root=str(root), series_uuid="series")


def read_beginning(data: bytes) -> InstanceHeader:
    return read_bytes(read_header("a.dcm", len(data), only_place=True), data)


def draw(ref: SeriesRef, options: ImageVerbOptions, cache: Cache | None = None) -> EncodedImage:
    return preview_series(ref, Store(ref.root), cache, options, ".webp")


def test_headers_are_read_in_one_request_and_those_drawn_with_their_frames(bulk: SeriesRef) -> None:
    with measure_usage() as usage:
        image = draw(bulk, MosaicOptions())

    assert image.n_tiles == TILES
    assert usage.requests == 1 + COUNT + TILES
    size = sum(path.stat().st_size for path in Path(bulk.url).iterdir()) / COUNT
    assert usage.bytes_read < COUNT * 16 * 1024 + TILES * (size - MR1008.block_bytes)


@pytest.mark.parametrize(
    "options",
    [
        MosaicOptions(),
        MosaicOptions(start=0.2, end=0.4, tile_width=3),
        ImageOptions(position=0.7, slice_offset=2),
        ContrastMosaicOptions(contrasts=(parse_contrast("auto"), parse_contrast("ct-bone")), position=0.1),
        ContrastMosaicOptions(contrasts=(parse_contrast("auto"),), start=0.5),
    ],
)
def test_the_preview_is_the_one_of_the_index(bulk: SeriesRef, tmp_path: Path, options: ImageVerbOptions) -> None:
    assert draw(bulk, options) == draw(bulk, options, Cache(url=str(tmp_path)))


def test_the_presentation_of_what_is_drawn_counts(tmp_path: Path) -> None:
    """It lies behind what the places were told from."""
    plain = write_series(tmp_path / "plain", [write_slice(number) for number in range(1, 41)])
    objects = [write_slice(number, PresentationLUTShape="INVERSE") for number in range(1, 41)]
    inverse = write_series(tmp_path / "inverse", objects)
    assert read_beginning(objects[0]).unread_from is not None

    drawn = draw(inverse, MosaicOptions())

    assert drawn == draw(inverse, MosaicOptions(), Cache(url=str(tmp_path / "cache")))
    assert drawn.data != draw(plain, MosaicOptions()).data


@pytest.mark.parametrize("damage", ["no pixels", "cut off"])
def test_where_the_rest_of_a_header_shows_no_image_the_choice_is_made_again(tmp_path: Path, damage: str) -> None:
    bad = write_slice(1, pixels=False)
    objects = [bad if damage == "no pixels" else bad[: -BLOCK // 2], *(write_slice(n) for n in range(2, 61))]
    ref = write_series(tmp_path / "root", objects)
    assert read_beginning(objects[0]).unread_from is not None
    options = MosaicOptions(tile_width=3)

    image = draw(ref, options)

    assert image.n_tiles == 9
    assert image.failures == ()
    assert image == draw(ref, options, Cache(url=str(tmp_path / "cache")))


def test_a_series_of_which_nothing_is_an_image_is_told_by_the_rest_of_its_headers(tmp_path: Path) -> None:
    ref = write_series(tmp_path, [write_slice(number, pixels=False) for number in range(1, 41)])

    with pytest.raises(SeriesError, match="no object with pixels") as caught:
        draw(ref, MosaicOptions())

    assert caught.value.reason == "no-pixels"


def test_an_image_that_cannot_be_drawn_is_one_tile_that_fails(tmp_path: Path) -> None:
    objects = [write_slice(number, **({"BitsStored": 17} if number == 1 else {})) for number in range(1, 61)]
    ref = write_series(tmp_path / "root", objects)
    assert read_beginning(objects[0]).unread_from is not None

    image = draw(ref, MosaicOptions())

    assert image.n_tiles == TILES - 1
    assert len(image.failures) == 1
    assert image == draw(ref, MosaicOptions(), Cache(url=str(tmp_path / "cache")))


def test_functional_groups_in_the_rest_of_headers_place_images(tmp_path: Path) -> None:
    """They belong to multi-frame images, and may stand in others all the same."""
    objects = [
        write_slice(
            number,
            PixelData=bytes([number]) * 2048,
            SharedFunctionalGroupsSequence=[place_at(number * 7 % 61)],
        )
        for number in range(60)
    ]
    ref = write_series(tmp_path / "root", objects)
    assert read_beginning(objects[0]).unread_from is not None

    image = draw(ref, MosaicOptions(tile_width=3))

    assert image == draw(ref, MosaicOptions(tile_width=3), Cache(url=str(tmp_path / "cache")))


def place_at(height: int) -> Dataset:
    position, groups = Dataset(), Dataset()
    position.ImagePositionPatient = [0, 0, height]
    groups.PlanePositionSequence = [position]
    return groups


def test_whole_objects_in_memory_are_not_read_again(tmp_path: Path) -> None:
    ref = write_series(tmp_path, [write_slice(number) for number in range(1, 13)])

    with measure_usage() as usage:
        image = draw(ref, MosaicOptions())

    assert image.n_tiles == 12
    assert usage.requests == 1 + 12
    assert usage.bytes_read == sum(path.stat().st_size for path in Path(ref.url).iterdir())


@pytest.mark.parametrize("step", [0, 3], ids=["one overlay", "many overlays"])
def test_overlays_that_came_with_the_rest_of_a_header_are_not_read_again(tmp_path: Path, step: int) -> None:
    objects = [write_slice(number, overlay=bytes([15 + step * number]) * 128) for number in range(1, 61)]
    ref = write_series(tmp_path / "root", objects)

    with measure_usage() as usage:
        image = draw(ref, MosaicOptions())

    assert usage.requests == 1 + len(objects) + TILES
    assert image == draw(ref, MosaicOptions(), Cache(url=str(tmp_path / "cache")))
    assert image.data != draw(ref, MosaicOptions(overlays=False)).data


def test_where_the_choice_is_made_again_no_rest_is_read_twice_and_no_frame_that_is_not_drawn(tmp_path: Path) -> None:
    size, count = 128, 60
    pixels = bytes(size * size * 2)
    shape = {"Rows": size, "Columns": size, "PixelData": pixels}
    objects = [write_slice(1, pixels=False), *(write_slice(number, **shape) for number in range(2, count + 1))]
    ref = write_series(tmp_path, objects)

    with measure_usage() as usage:
        draw(ref, ImageOptions(position=0.0))

    assert usage.requests <= 1 + 2 * count + 1
    assert usage.bytes_read < 2 * count * FIRST_RANGE + 2 * len(pixels)


def test_requests_behind_a_large_value_ask_for_as_much_as_the_ones_before_used(tmp_path: Path) -> None:
    count = 60
    values = {"early": bytes(20_000), "late": "x" * 17_000}
    ref = write_series(tmp_path, [write_slice(number, **values) for number in range(count)])

    with measure_usage() as usage:
        draw(ref, ImageOptions(position=0.0))

    assert usage.requests == 1 + 2 * count + 1
    assert usage.bytes_read < count * 4 * 1024 + 2 * BLOCK + 17_000


def test_an_object_that_vanishes_between_its_header_and_its_rest_is_an_error(bulk: SeriesRef, tmp_path: Path) -> None:
    names = sorted(Path(bulk.url).iterdir())[:40]
    ref = write_series(tmp_path, [path.read_bytes() for path in names])
    store = Store(ref.root)
    view = load_view(ref, store, None)
    for path in Path(ref.url).iterdir():
        path.unlink()

    with pytest.raises(StorageError, match=r"(?i)not found|no such"):
        render_preview(view, use_all_cores(store), MosaicOptions(), ".webp")


@pytest.mark.parametrize(
    "values",
    [
        {"SOPClassUID": DigitalXRayImageStorageForPresentation},
        {"ImageType": ["DERIVED", "PRIMARY", "MOSAIC"]},
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": None},
        {"InstanceNumber": None},
        {"NumberOfFrames": 2},
        {"Rows": 4000},
        {"syntax": ExplicitVRBigEndian},
        {"syntax": JPEGBaseline8Bit},
    ],
    ids=str,
)
def test_a_header_that_leaves_its_place_open_is_read_to_its_end(values: dict[str, Any]) -> None:
    data = write_slice(5, **values)
    assert read_beginning(write_slice(5, SOPClassUID=CTImageStorage)).unread_from is not None

    header = read_beginning(data)

    assert header.unread_from is None
    assert header == read_bytes(read_header("a.dcm", len(data)), data)


def check_both_parts(beginning: InstanceHeader, whole: InstanceHeader, data: bytes) -> None:
    if beginning.unread_from is None:
        assert beginning == whole
        return
    assert beginning.elements.items() <= whole.elements.items()
    for ahead in (64, 1 << 14, len(data)):
        completed, piece = read_bytes(read_rest(beginning, ahead), data)
        assert completed == whole
        assert bytes(piece.data) == data[piece.start : piece.start + len(piece.data)]


def test_both_parts_of_a_header_are_the_whole_of_it(bulk: SeriesRef) -> None:
    for path in Path(bulk.url).iterdir():
        data = path.read_bytes()
        beginning = read_beginning(data)
        assert beginning.unread_from is not None
        check_both_parts(beginning, read_bytes(read_header("a.dcm", len(data)), data), data)


@needs_data
@pytest.mark.parametrize("series_uuid", ALL_SERIES)
def test_both_parts_of_real_headers_are_the_whole_of_them(series_uuid: str) -> None:
    for path in sorted(Path(make_ref(series_uuid).url).iterdir())[:5]:
        data = path.read_bytes()
        try:
            whole = parse_file(path)
        except DspBatchError as error:
            with pytest.raises(type(error)):
                read_beginning(data)
            continue
        beginning = read_bytes(read_header(path.name, len(data), only_place=True), data)
        check_both_parts(beginning, whole, data)


@needs_data
@pytest.mark.parametrize("series_uuid", ALL_SERIES)
def test_headers_tell_of_a_real_series_what_its_index_tells(series_uuid: str) -> None:
    try:
        index = load_real_index(series_uuid)
    except SeriesError as error:
        with pytest.raises(SeriesError, match=re.escape(error.message)):
            view_headers(load_headers(series_uuid))
        return
    view = view_headers(load_headers(series_uuid))

    for name in set(index.table.column_names) - MADE:
        assert view.values(name) == index.values(name), name
    for tag, constant in index.constants.items():
        assert view.find_column(name_of(int(tag, 16))) is None, tag
        assert view.headers.split(int(tag, 16)) == constant, tag
    for known in (view, index):
        anew = order_frames(list_frames(known))
        for column in fields(anew):
            np.testing.assert_array_equal(getattr(known.order, column.name), getattr(anew, column.name), column.name)


@needs_data
@pytest.mark.parametrize("series_uuid", ALL_SERIES)
def test_a_real_series_is_drawn_alike_with_and_without_its_index(series_uuid: str, tmp_path: Path) -> None:
    options = ImageOptions(position=0.37, image_width=64)
    drawn = [_outcome(series_uuid, options, cache) for cache in (None, Cache(url=str(tmp_path)))]

    assert drawn[0] == drawn[1]
    if (tmp_path / "indices").exists():
        assert _outcome(series_uuid, options, Cache(url=str(tmp_path))) == drawn[0]


def _outcome(series_uuid: str, options: ImageOptions, cache: Cache | None) -> EncodedImage | str:
    try:
        return preview_series(make_ref(series_uuid), open_store(), cache, options, ".webp")
    except DspBatchError as error:
        return error.message
