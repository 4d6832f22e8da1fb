"""The columns of elements that vary: their types, their values, and what is no column."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from index_files import columns_by_tag, field_of, open_index_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from written_objects import add_pixels, index_objects, make_dataset, write_dataset

from dsp_batch.dicom.headers.elements import LARGE_VALUE
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.index.series_index import SeriesIndex


def index_values(keyword: str, *values: Any, syntax: str = ExplicitVRLittleEndian) -> SeriesIndex:
    """The index of a series whose instances differ in one element; None leaves it out."""
    objects = []
    for number, value in enumerate(values, start=1):
        dataset = make_dataset(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number)
        if value is not None:
            setattr(dataset, keyword, value)
        objects.append(write_dataset(dataset, syntax))
    return index_objects(*objects)


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


def test_frame_positions_lie_on_the_axis_of_their_instance_whatever_stack_they_are_of() -> None:
    axial, coronal = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
    planes = [(axial, [1, 2, 30]), (axial, [1, 2, 20]), (axial, [1, 2, 10]), (coronal, [5, 6, 7]), (coronal, [5, 9, 7])]
    dataset = add_pixels(make_dataset(), frames=len(planes))
    dataset.PerFrameFunctionalGroupsSequence = []
    for orientation, position in planes:
        group = Dataset()
        group.PlaneOrientationSequence, group.PlanePositionSequence = [Dataset()], [Dataset()]
        group.PlaneOrientationSequence[0].ImageOrientationPatient = orientation
        group.PlanePositionSequence[0].ImagePositionPatient = position
        dataset.PerFrameFunctionalGroupsSequence.append(group)

    index = index_objects(write_dataset(dataset))

    assert index.values("PrimaryAxis") == ["Z"]
    assert index.values("FramePosition") == [[30, 20, 10, 7, 7]]


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


@pytest.mark.parametrize("reverse", [True, False])
def test_a_private_value_that_all_have_is_no_column_though_some_hide_its_vr(*, reverse: bool) -> None:
    dataset = make_dataset()
    dataset.add_new(0x00190010, "LO", "NOBODY KNOWS")
    dataset.add_new(0x00191001, "LO", "same")
    syntaxes = [ImplicitVRLittleEndian, ExplicitVRLittleEndian][:: -1 if reverse else 1]

    _, description = open_index_file(index_objects(*(write_dataset(dataset, syntax) for syntax in syntaxes)))

    assert description["constants"]["00191001"] == {"vr": "LO", "Value": ["same"]}


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

    always = {0x00200013, 0x00080018, 0x00201041, 0x00280008, 0x00020010}
    media_storage_sop_instance_uid = 0x00020003
    assert columns_by_tag(table).keys() - always == {media_storage_sop_instance_uid}
    assert {"00100010", "00180081", "00081140", "00280010"} <= description["constants"].keys()
