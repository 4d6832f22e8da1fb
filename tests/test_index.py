"""The schema of the index: which columns of which types, what goes where, and what a later run needs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from index_files import field_of, open_index_file
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from written_objects import add_pixels, gather_headers, index_objects, make_dataset, write_dataset

from dsp_batch.dicom.headers import LARGE_VALUE
from dsp_batch.errors import HeaderError, SeriesError
from dsp_batch.index import SeriesIndex, build_index, parse_index, serialize_index

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


def index_values(keyword: str, *values: Any, syntax: str = ExplicitVRLittleEndian) -> SeriesIndex:
    """The index of a series whose instances differ in one element; None leaves it out."""
    objects = []
    for number, value in enumerate(values, start=1):
        dataset = make_dataset(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number)
        if value is not None:
            setattr(dataset, keyword, value)
        objects.append(write_dataset(dataset, syntax))
    return index_objects(*objects)


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


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("AcquisitionNumber", (1, -5), pa.int32()),  # IS
        ("AcquisitionNumber", (1, 2**31 - 1), pa.int32()),
        ("AcquisitionNumber", (1, 2**31), pa.int64()),
        ("AcquisitionNumber", (1, -(2**31) - 1), pa.int64()),
        ("SmallestImagePixelValue", (1, 65535), pa.int32()),  # US
        ("SelectorULValue", (1, 2**32 - 1), pa.int64()),
        ("SelectorULValue", (1, 2**31 - 1), pa.int32()),
        ("SelectorSLValue", (-(2**31), 0), pa.int32()),
        ("SelectorUVValue", (0, 2**63), pa.string()),
        ("EchoTime", ("0.1", "2"), pa.float32()),  # DS
        ("EchoTime", ("1.2345678", "2"), pa.float32()),
        ("EchoTime", ("1.234567890123", "2"), pa.float64()),
        ("EchoTime", ("16777217", "2"), pa.float64()),
        ("EchoTime", ("1e-50", "2"), pa.float64()),
        ("EchoTime", ("1e300", "2"), pa.float64()),
        ("SelectorFLValue", (0.1, 0.2), pa.float32()),
        ("SelectorFDValue", (0.5, 0.25), pa.float32()),
        ("SelectorFDValue", (0.1, 0.25), pa.float64()),
        ("StudyDescription", ("a", "b"), pa.string()),
        ("StudyDate", ("20200101", "20200102"), pa.string()),
        ("FrameOfReferenceUID", ("1.2", "1.3"), pa.string()),
        ("PixelSpacing", ([0.5, 0.5], [0.5, 0.7]), pa.list_(pa.float32())),
        ("ImageType", (["A", "B"], "A"), pa.list_(pa.string())),
        ("SelectorUSValue", ([1, 2], 3), pa.list_(pa.int32())),
        ("ReferencedImageSequence", ([make_dataset()], []), pa.string()),
    ],
)
def test_what_varies_is_a_column_of_the_type_of_its_vr(keyword: str, values: tuple[Any, ...], expected: Any) -> None:
    table, description = open_index_file(index_values(keyword, *values))

    assert table.schema.field(keyword).type == expected
    assert keyword not in json.dumps(description["constants"])


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("EchoTime", ("0.1", None, "2.50", ""), [np.float32(0.1), None, 2.5, None]),
        ("AcquisitionNumber", (7, None, 4000000000), [7, None, 4000000000]),
        ("SelectorUVValue", (0, None, 2**63), ["0", None, str(2**63)]),
        ("StudyDescription", ("a", None, "", "b c"), ["a", None, "", "b c"]),
        ("ImageType", (["A", "B"], None, "C", ""), [["A", "B"], None, ["C"], []]),
        ("PixelSpacing", ([0.5, 0.25], None, [1, 2]), [[0.5, 0.25], None, [1, 2]]),
        ("PatientName", ("A^B=C", None, "Jérôme"), ["A^B=C", None, "Jérôme"]),
    ],
)
def test_the_values_of_a_column_are_those_of_the_instances(keyword: str, values: Any, expected: Any) -> None:
    datasets = [make_dataset(SOPInstanceUID=f"1.{n}", InstanceNumber=n) for n in range(len(values))]
    for dataset, value in zip(datasets, values, strict=True):
        dataset.SpecificCharacterSet = "ISO_IR 192"
        if value is not None:
            setattr(dataset, keyword, value)

    table, _ = open_index_file(index_objects(*map(write_dataset, datasets)))

    assert table.column(keyword).to_pylist() == expected


def test_numbers_that_are_none_make_a_column_of_text() -> None:
    damaged = write_dataset(make_dataset(AcquisitionNumber=11)).replace(b"IS\x02\x0011", b"IS\x02\x001A")
    table, _ = open_index_file(index_objects(write_dataset(make_dataset(AcquisitionNumber=5)), damaged))

    assert sorted(table.column("AcquisitionNumber").to_pylist()) == ["1A", "5"]


@pytest.mark.parametrize("text", ["1A", "99999999999999999999", "-99999999999999999999"])
def test_an_instance_number_that_is_none_is_null(text: str) -> None:
    """Regression: one beyond 64 bits was an OverflowError."""
    dataset = make_dataset()
    dataset.add_new(0x00200013, "LO", text)
    data = write_dataset(dataset).replace(b"\x20\0\x13\0LO", b"\x20\0\x13\0IS")

    table, _ = open_index_file(index_objects(data))

    assert table.column("InstanceNumber").to_pylist() == [None]


def test_binary_values_are_their_size_and_hash() -> None:
    small, large = bytes(range(100)), b"\7" * (LARGE_VALUE + 2)
    objects = []
    for number, value in enumerate([small, large, b"", None]):
        dataset = make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number)
        if value is not None:
            dataset.add_new(0x00420011, "OB", value)
        objects.append(write_dataset(dataset))

    table, _ = open_index_file(index_objects(*objects))

    assert "EncapsulatedDocument" not in table.column_names
    assert table.schema.field("EncapsulatedDocument_Size").type == pa.int32()
    assert table.column("EncapsulatedDocument_Size").to_pylist() == [100, len(large), 0, None]
    assert table.column("EncapsulatedDocument_Hash").to_pylist() == [
        hashlib.sha256(small).hexdigest(),
        None,
        hashlib.sha256(b"").hexdigest(),
        None,
    ]


def test_a_large_binary_value_is_a_column_even_where_all_have_it() -> None:
    """It was not read, so that nobody knows whether it is the same."""
    dataset = make_dataset()
    dataset.add_new(0x00420011, "OB", b"\7" * (LARGE_VALUE + 2))

    table, description = open_index_file(index_objects(write_dataset(dataset)))

    assert table.column("EncapsulatedDocument_Size").to_pylist() == [LARGE_VALUE + 2]
    assert "00420011" not in description["constants"]


def test_sequences_that_vary_are_dicom_json() -> None:
    index = index_values("ReferencedImageSequence", [make_dataset()], [], None)

    column = open_index_file(index)[0].column("ReferencedImageSequence").to_pylist()

    (item,) = json.loads(column[0])
    assert item["00080018"] == {"vr": "UI", "Value": ["1.2.3"]}
    assert column[1:] == ["[]", None]


def test_damaged_sequences_are_kept_beside_whole_ones() -> None:
    whole = write_dataset(make_dataset(InstanceNumber=1, ReferencedImageSequence=[make_dataset()]))
    damaged = write_dataset(make_dataset(InstanceNumber=2)) + b"\x08\0\x40\x11SQ\0\0\x0a\0\0\x000123456789"

    index = index_objects(whole, damaged)

    reread = parse_index(serialize_index(index, "1"))
    assert reread.attributes(0).item("ReferencedImageSequence").text("SOPInstanceUID") == "1.2.3"
    assert reread.attributes(1).items("ReferencedImageSequence") == ()
    assert reread.attributes(1).binary("ReferencedImageSequence") == b"0123456789"


def test_private_elements_go_by_their_tag_and_tell_their_creator() -> None:
    objects = []
    for number in (1, 2):
        dataset = make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number)
        dataset.private_block(0x0019, "VENDOR ONE", create=True).add_new(1, "LO", f"a{number}")
        dataset.private_block(0x0019, "VENDOR TWO", create=True).add_new(1, "DS", number / 2)
        objects.append(write_dataset(dataset))

    table, description = open_index_file(index_objects(*objects))

    assert table.column("0019_1001").to_pylist() == ["a1", "a2"]
    assert table.column("0019_1101").to_pylist() == [0.5, 1.0]
    assert field_of(table, "0019_1001")[1] == {"tag": "00191001", "vr": "LO", "creator": "VENDOR ONE"}
    assert field_of(table, "0019_1101")[1]["creator"] == "VENDOR TWO"
    assert description["constants"]["00190010"] == {"vr": "LO", "Value": ["VENDOR ONE"]}


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize(
    ("vr", "values", "expected"),
    [("LO", ["hello", "you"], ["hello", "you"]), ("IS", [5, 70000], [5, 70000]), ("OB", [b"ab", b"cd"], None)],
)
def test_a_private_vr_that_some_instances_hide_is_told_by_the_others(
    vr: str, values: list[Any], expected: list[Any] | None, *, reverse: bool
) -> None:
    """Regression: implicit VR says UN of them, and text became a list of the codes of its letters."""
    objects = []
    for number, value in enumerate(values):
        dataset = make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number)
        dataset.add_new(0x00190010, "LO", "NOBODY KNOWS")
        dataset.add_new(0x00191001, vr, value)
        syntax = ImplicitVRLittleEndian if (number == 0) == reverse else ExplicitVRLittleEndian
        objects.append(write_dataset(dataset, syntax))

    table, _ = open_index_file(index_objects(*objects))

    if expected is None:
        assert table.column("0019_1001_Size").to_pylist() == [2, 2]
    else:
        assert table.column("0019_1001").to_pylist() == expected


def test_a_private_sequence_that_some_instances_hide_is_a_sequence_in_all() -> None:
    """Regression: bytes beside items were no JSON, and a TypeError."""
    objects = []
    for number, syntax in enumerate([ExplicitVRLittleEndian, ImplicitVRLittleEndian]):
        dataset = make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number)
        dataset.add_new(0x00190010, "LO", "NOBODY KNOWS")
        dataset.add_new(0x00191001, "SQ", [make_dataset(PatientName=f"Name{number}")])
        objects.append(write_dataset(dataset, syntax))

    index = index_objects(*objects)

    names = [index.attributes(row).item("0019_1001").text("PatientName") for row in (0, 1)]
    assert names == ["Name0", "Name1"]


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_what_is_the_same_is_no_column_even_where_it_is_encoded_otherwise(syntax: str) -> None:
    """Regression: a series of two transfer syntaxes had a column for each of its elements."""
    dataset = add_pixels(make_dataset(PatientName="A^B", EchoTime="0.5", ReferencedImageSequence=[make_dataset()]))
    other = write_dataset(dataset, syntax)
    dataset.SOPInstanceUID = "1.2.4"

    table, description = open_index_file(index_objects(write_dataset(dataset), other))

    body = [name for name in table.column_names if name not in LEADING | ALWAYS | {"FragmentsOffset": None}]
    assert body == ["MediaStorageSOPInstanceUID"]
    assert {"00100010", "00180081", "00081140", "00280010"} <= description["constants"].keys()


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
