"""The schema of the index: which columns of which types, what goes where, and what a later run needs."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_files import open_index_file
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from written_objects import add_pixels, gather_headers, index_objects, make_dataset, write_dataset

from dsp_batch.errors import HeaderError, SeriesError
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import parse_index, serialize_index

LEADING = {
    "Index": pa.uint32(),
    "FileName": pa.string(),
    "SeriesUID": pa.string(),
    "StorageRoot": pa.string(),
    "PrimaryPosition": pa.float32(),
    "PrimaryAxis": pa.string(),
    "InstanceNumber": pa.int32(),
    "SOPInstanceUID": pa.string(),
    "SliceLocation": pa.float32(),
}
ALWAYS = {
    "ObjectSize": pa.int64(),
    "PixelDataOffset": pa.int64(),
    "PixelDataLength": pa.int64(),
    "TransferSyntaxUID": pa.string(),
    "NumberOfFrames": pa.int32(),
}


def make_slice(number: int, z: float, **values: Any) -> bytes:
    dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number, **values))
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-1.5, 2.5, z]
    return write_dataset(dataset)


def test_the_first_columns_and_those_that_are_always_there_have_their_types() -> None:
    for objects in ([make_slice(1, 0)], [make_slice(1, 0), make_slice(2, 5)], [write_dataset(make_dataset())]):
        table, _ = open_index_file(index_objects(*objects))
        assert table.column_names[:9] == list(LEADING)
        assert {name: table.schema.field(name).type for name in LEADING | ALWAYS} == LEADING | ALWAYS


def test_the_columns_tell_where_each_instance_is_from_and_where_it_lies() -> None:
    objects = [make_slice(1, -20), make_slice(2, 30, SliceLocation=7.5), make_slice(3, 10)]

    rows = open_index_file(index_objects(*objects))[0].to_pylist()

    assert [row["Index"] for row in rows] == [0, 1, 2]
    assert [row["FileName"] for row in rows] == ["1.dcm", "2.dcm", "0.dcm"]
    assert {row["SeriesUID"] for row in rows} == {"38902e14-b11f-4548-910e-771ee757dc82"}
    assert {row["StorageRoot"] for row in rows} == {"/root"}
    assert [row["PrimaryPosition"] for row in rows] == [30, 10, -20]
    assert [row["PrimaryAxis"] for row in rows] == ["Z", "Z", "Z"]
    assert [row["InstanceNumber"] for row in rows] == [2, 3, 1]
    assert [row["SOPInstanceUID"] for row in rows] == ["1.2.2", "1.2.3", "1.2.1"]
    assert [row["SliceLocation"] for row in rows] == [7.5, None, None]
    assert [row["NumberOfFrames"] for row in rows] == [1, 1, 1]
    assert [row["TransferSyntaxUID"] for row in rows] == [ExplicitVRLittleEndian] * 3
    for row in rows:
        data = objects[int(row["FileName"][0])]
        assert row["ObjectSize"] == len(data)
        pixels = data[row["PixelDataOffset"] : row["PixelDataOffset"] + row["PixelDataLength"]]
        assert pixels == np.arange(16, dtype="<u2").tobytes()


def test_without_positions_the_instance_number_is_the_place() -> None:
    objects = [write_dataset(make_dataset(SOPInstanceUID=f"1.{n}", InstanceNumber=n)) for n in (12, 3, 7)]

    rows = open_index_file(index_objects(*objects))[0].to_pylist()

    assert [(row["PrimaryAxis"], row["PrimaryPosition"], row["InstanceNumber"]) for row in rows] == [
        ("I", 3, 3),
        ("I", 7, 7),
        ("I", 12, 12),
    ]
    assert [row["PixelDataOffset"] for row in rows] == [None] * 3
    assert [row["NumberOfFrames"] for row in rows] == [None] * 3


def test_encapsulated_and_deflated_pixels_have_no_place() -> None:
    dataset = add_pixels(make_dataset())
    deflated = write_dataset(dataset, "1.2.840.10008.1.2.1.99")
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x02\0\0\0\xff\xd8\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True

    for data in (deflated, write_dataset(dataset, JPEGBaseline8Bit)):
        (row,) = open_index_file(index_objects(data))[0].to_pylist()
        assert row["PixelDataOffset"] is row["PixelDataLength"] is None
        assert row["NumberOfFrames"] == 1


def test_a_frame_time_that_varies_leaves_its_name_to_the_times_of_the_frames() -> None:
    """Regression: two columns of one name were a KeyError."""
    cines = [
        write_dataset(add_pixels(make_dataset(SOPInstanceUID=f"1.{n}", InstanceNumber=n, FrameTime=n * 10), frames=3))
        for n in (1, 2)
    ]

    index = parse_index(serialize_index(index_objects(*cines), "1"))

    assert index.table.column("FrameTime").to_pylist() == [[0, 10, 20], [0, 20, 40]]
    assert [index.attributes(row).number("FrameTime") for row in (0, 1)] == [10, 20]


@pytest.mark.parametrize("frame_time", [None, 40])
def test_a_multi_frame_object_tells_of_its_frames(frame_time: float | None) -> None:
    dataset = add_pixels(make_dataset(), frames=3)
    if frame_time:
        dataset.FrameTime = frame_time
    dataset.PerFrameFunctionalGroupsSequence = [make_dataset() for _ in range(3)]
    for number, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item.PlanePositionSequence = [make_dataset(ImagePositionPatient=[0, 0, 10 - 2.5 * number])]
        item.PlaneOrientationSequence = [make_dataset(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    data = write_dataset(dataset)

    table, _ = open_index_file(index_objects(data))

    types = {name: table.schema.field(name).type.value_type for name in table.column_names if name.startswith("Frame")}
    assert types.pop("FramePosition") == pa.float32()
    assert types.pop("FrameTime") == pa.float64()
    (row,) = table.to_pylist()
    assert row["FramePosition"] == [10, 7.5, 5]
    assert row["FrameTime"] == ([0, 40, 80] if frame_time else None)
    assert row["FrameLength"] == [32, 32, 32]
    assert [data[at : at + 2] for at in row["FrameOffset"]] == [b"\0\0", b"\x10\0", b"\x20\0"]


@pytest.mark.parametrize(("size", "is_known"), [(4, True), (3, False)])
def test_frames_of_one_bit_pixels_have_a_place_where_they_begin_on_a_byte(size: int, *, is_known: bool) -> None:
    """Regression: three frames of nine bits, padded to four bytes, were given a byte each."""
    dataset = add_pixels(make_dataset(), frames=3, size=size)
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.PixelData = bytes(6 if is_known else 4)

    (row,) = open_index_file(index_objects(write_dataset(dataset)))[0].to_pylist()

    assert row["FrameLength"] == ([2, 2, 2] if is_known else None)
    assert row["FrameOffset"] == ([row["PixelDataOffset"] + 2 * frame for frame in range(3)] if is_known else None)


@pytest.mark.parametrize("missing", [2, 33])
def test_frames_of_pixels_that_are_cut_have_no_place(missing: int) -> None:
    dataset = add_pixels(make_dataset(), frames=3)
    dataset.PixelData = dataset.PixelData[:-missing] + bytes(missing % 2)

    (row,) = open_index_file(index_objects(write_dataset(dataset)))[0].to_pylist()

    assert row["FrameLength"] is row["FrameOffset"] is None


def test_a_number_of_frames_that_the_object_cannot_hold_is_damage() -> None:
    """Regression: a table of two thousand million frames fills any memory."""
    data = write_dataset(add_pixels(make_dataset(NumberOfFrames=2_000_000_000)))

    index = index_objects(data)

    assert index.values("NumberOfFrames") == [1]
    assert len(index.frames.frame) == 1


def test_the_description_tells_what_was_read() -> None:
    rejected = {"a.txt": HeaderError("no DICOM", "not-dicom"), "b": HeaderError("cut", "bad-header")}
    series = gather_headers([make_slice(1, 0), make_slice(2, 5)], listed=9, rejected=rejected, partial=True)

    _, description = open_index_file(build_index(series), "7.8.9")

    assert isinstance(description["format"], int)
    assert description["program"] == "7.8.9"
    assert description["partial"] is True
    assert description["objects"] == {
        "listed": 9,
        "instances": 2,
        "rejected": {"not-dicom": 1, "bad-header": 1},
    }
    assert description["constants"]["00280010"] == {"vr": "US", "Value": [4]}


def test_an_index_reads_back_as_it_was() -> None:
    series = gather_headers([make_slice(2, 0, EchoTime=1), make_slice(1, 5, EchoTime=2.5)], listed=3, partial=True)
    index = build_index(series)

    reread = parse_index(serialize_index(index, "1"))

    assert reread.table.equals(index.table)
    assert (reread.constants, reread.objects, reread.partial) == (index.constants, index.objects, True)
    assert (reread.series_uuid, reread.root) == (index.series_uuid, index.root)
    assert reread.attributes(0).number("EchoTime") == 2.5
    assert reread.attributes(0).integer("Rows") == 4
    assert reread.order.permutation.tolist() == [0, 1]
    assert reread.values("Rows") == [4, 4]


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"no parquet at all, but a text of some length", None])
def test_a_file_that_is_no_index_is_a_clear_error(damage: bytes | None) -> None:
    whole = serialize_index(index_objects(make_slice(1, 0)), "1")

    with pytest.raises(SeriesError, match="not readable as an index"):
        parse_index(whole[: len(whole) // 2] if damage is None else damage)


def test_a_table_without_description_is_no_index() -> None:
    import io

    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"Index": [1]}), sink)

    with pytest.raises(SeriesError, match="not readable as an index"):
        parse_index(sink.getvalue())


def test_a_series_without_any_instance_is_an_error_that_names_the_first_reason() -> None:
    series = gather_headers([], listed=2, rejected={"a.txt": HeaderError("it has no DICM prefix", "not-dicom")})

    with pytest.raises(SeriesError, match=r"no DICOM instance among its 2 objects; the first, a\.txt: it has no DICM"):
        build_index(series)


def test_indices_of_many_kinds_open_as_one_table(tmp_path: Any) -> None:
    import pandas as pd
    import pyarrow.dataset as ds

    kinds = [
        [make_slice(1, 0, EchoTime="0.5"), make_slice(2, 5, EchoTime="0.25")],
        [write_dataset(add_pixels(make_dataset(), frames=3))],
        [write_dataset(make_dataset())],
    ]
    (tmp_path / "indices").mkdir()
    for number, objects in enumerate(kinds):
        (tmp_path / "indices" / f"{number}_index.parquet").write_bytes(serialize_index(index_objects(*objects), "1"))
    paths = sorted((tmp_path / "indices").glob("*_index.parquet"))

    frame = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    schema = pa.unify_schemas([ds.dataset(path).schema.remove_metadata() for path in paths])
    table = ds.dataset(paths, schema=schema).to_table()

    assert len(frame) == table.num_rows == 4
    assert frame["ObjectSize"].notna().all()
    assert table.column("EchoTime").to_pylist() == [0.25, 0.5, None, None]
    assert table.column("FrameLength").to_pylist() == [None, None, [32, 32, 32], None]


@given(st.lists(st.sampled_from(["1.2.1", "1.2.2", "1.2.3", None]), min_size=1, max_size=8), st.randoms())
@settings(deadline=None)
def test_an_index_holds_the_commonest_series_of_its_folder_and_counts_the_others(
    uids: list[str | None], random: Random
) -> None:
    objects = [make_slice(number, number, SeriesInstanceUID=uid) for number, uid in enumerate(uids)]

    index = build_index(gather_headers(objects))

    counts = Counter(uid for uid in uids if uid)
    kept = min(counts, key=lambda uid: (-counts[uid], uid), default=None)
    assert sorted(index.values("InstanceNumber")) == [n for n, uid in enumerate(uids) if uid in (kept, None)]
    left_out = sum(counts.values()) - (counts[kept] if kept else 0)
    assert index.objects["instances"] == len(uids) - left_out == len(index)
    assert [int(note.split()[0]) for note in index.notes] == ([left_out] if left_out else [])
    shuffled = random.sample(objects, len(objects))
    assert sorted(build_index(gather_headers(shuffled)).values("InstanceNumber")) == sorted(
        index.values("InstanceNumber")
    )
