"""Values and their JSON are those of pydicom, and damage in one hides no other."""

from __future__ import annotations

import io
import json
import math
import struct
import warnings
from typing import Any

import numpy as np
import pydicom
import pytest
from data_folder import DATA, list_objects, needs_data, parse_file, read_catalog, select_series
from dataset_strategies import VALUES
from hypothesis import given, settings
from hypothesis import strategies as st
from json_oracle import expected_elements
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from written_objects import NATIVE_SYNTAXES, make_dataset, parse_object, write_dataset

from dsp_batch.dicom.headers.elements import Encoding
from dsp_batch.dicom.headers.values import HeaderDecoder, decode_value, value_json
from dsp_batch.model.series import InstanceHeader, RawElement

_DATA_FOLDERS = [DATA / "series" / row["series_uuid"] for row in read_catalog() if row["kind"] != "OT character sets"]


def json_of(header: InstanceHeader) -> dict[str, Any]:
    decoder = HeaderDecoder(header)
    return {f"{tag:08X}": decoder.json(tag, element) for tag, element in header.elements.items()}


def decode(vr: str, value: bytes, *charsets: str) -> Any:
    return decode_value(RawElement(vr, value, len(value)), Encoding(), charsets)


@settings(max_examples=12, deadline=None)
@pytest.mark.parametrize("vr", sorted(VALUES))
@given(data=st.data(), syntax=st.sampled_from(NATIVE_SYNTAXES))
def test_values_of_each_vr_are_those_of_pydicom(vr: str, syntax: str, data: st.DataObject) -> None:
    dataset = make_dataset()
    setattr(dataset, f"Selector{vr}Value", data.draw(VALUES[vr]))
    written = write_dataset(dataset, syntax)

    found = json_of(parse_object(written))

    reference = pydicom.dcmread(io.BytesIO(written))
    expected = expected_elements(reference.file_meta)
    expected |= expected_elements(reference, big_endian=syntax == ExplicitVRBigEndian)
    assert found == expected


@needs_data
@pytest.mark.parametrize("folder", [*_DATA_FOLDERS, DATA / "codecs"], ids=lambda folder: folder.name)
def test_real_values_are_those_of_pydicom(folder: Any) -> None:
    for path in list_objects(folder)[::50]:
        found = json_of(parse_file(path, bulk=None))
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on odd values
            big_endian = dataset.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian
            expected = expected_elements(dataset.file_meta) | expected_elements(dataset, big_endian=big_endian)
        assert found == expected
        json.dumps(found, allow_nan=False)


@needs_data
def test_names_in_every_character_set_are_those_of_pydicom() -> None:
    scripts = set()
    for series_uuid in select_series("OT character sets"):
        for path in list_objects(DATA / "series" / series_uuid):
            dataset = pydicom.dcmread(path, force=True)
            if "SOPClassUID" not in dataset:
                continue
            expected = expected_elements(dataset)
            name = json_of(parse_file(path))["00100010"]
            assert name == expected["00100010"]
            scripts |= {character for value in name["Value"] for text in value.values() for character in text}
    assert len([character for character in scripts if ord(character) > 0x7F]) >= 25


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Buc^Jérôme"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 127", "قباني^لنزار"),
        ("ISO_IR 138", "שרון^דבורה"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东="),
        ("GB18030", "Wang^XiaoDong=王^小东="),
        ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_character_sets_hold_for_text_and_within_sequences(charset: str, name: str, syntax: str) -> None:
    dataset = make_dataset(SpecificCharacterSet=charset.split("\\"), PatientName=name)
    dataset.ReferencedPatientSequence = [Dataset()]
    dataset.ReferencedPatientSequence[0].PatientName = name
    dataset.StudyDescription = name.rpartition("=")[2].partition("^")[0]

    found = json_of(parse_object(write_dataset(dataset, syntax)))

    assert "=".join(found["00100010"]["Value"][0].values()) == name.rstrip("=")
    assert found["00081120"]["Value"][0]["00100010"] == found["00100010"]
    assert found["00081030"].get("Value", [""])[0] == dataset.StudyDescription


def test_an_item_may_have_a_character_set_of_its_own() -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 144"
    item.PatientName = "Люкceмбypг"
    dataset = make_dataset(SpecificCharacterSet="ISO_IR 100", PatientName="Jérôme", ReferencedPatientSequence=[item])

    found = json_of(parse_object(write_dataset(dataset)))

    assert found["00100010"]["Value"] == [{"Alphabetic": "Jérôme"}]
    assert found["00081120"]["Value"][0]["00100010"]["Value"] == [{"Alphabetic": "Люкceмбypг"}]


def test_a_backslash_within_a_character_separates_no_values() -> None:
    """In GB18030, as in Shift JIS, the second byte of a character may be 5C."""
    text = "乗"
    assert b"\\" in text.encode("gb18030")

    assert decode("LO", text.encode("gb18030") + b"\\" + text.encode("gb18030"), "GB18030") == [text, text]


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(["LO", "PN", "UT", "LT", "CS", "UI", "DS", "IS", "DA"]),
    st.binary(max_size=30),
    st.sampled_from([(), ("ISO_IR 100",), ("ISO_IR 192",), ("", "ISO 2022 IR 87"), ("GB18030",), ("NONSENSE",)]),
)
def test_any_bytes_are_some_text_without_a_word_of_warning(vr: str, value: bytes, charsets: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = value_json(vr, decode(vr, value, *charsets))

    json.dumps(found, allow_nan=False).encode()


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("IS", b"1A", ["1A"]),
        ("IS", b"12 \\+7\\-3", [12, 7, -3]),
        ("IS", b"3.0", [3]),
        ("IS", b"3.5", ["3.5"]),
        ("IS", b"", []),
        ("IS", b"  ", []),
        ("IS", b"1\\\\2", [1, None, 2]),
        ("DS", b"", []),
        ("DS", b"1.5\\abc ", [1.5, "abc"]),
        ("DS", b"1,5 \\-0,25\\1,2,3\\1,000.5", [1.5, -0.25, "1,2,3", "1,000.5"]),
        ("IS", b"3,0", [3]),
        ("IS", b"9" * 400, ["9" * 400]),
        ("DS", b"-1.5E-3", [-0.0015]),
        ("US", b"\x01\0\x02", [1]),
        ("FD", b"\x01", []),
        ("AT", b"\x28\0\x10\0\x28\0", ["00280010"]),
        ("LO", b" a \\ b\\", ["a", "b", ""]),
        ("LT", b" a\\b  ", [" a\\b"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("PN", b"", []),
    ],
)
def test_damaged_numbers_stay_text_and_padding_goes(vr: str, value: bytes, expected: list[Any]) -> None:
    assert decode(vr, value) == expected


def test_numbers_that_json_has_not_are_text() -> None:
    not_finite = struct.pack("<3d", math.nan, math.inf, -math.inf)

    assert value_json("FD", decode("FD", not_finite)) == {"vr": "FD", "Value": ["nan", "inf", "-inf"]}
    assert value_json("DS", decode("DS", b"NaN\\1")) == {"vr": "DS", "Value": ["nan", 1.0]}


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
@pytest.mark.parametrize("representation", [0, 1])
def test_pixel_representation_decides_the_sign_where_the_dictionary_leaves_it_open(
    representation: int, syntax: str
) -> None:
    dataset = make_dataset(PixelRepresentation=representation)
    vr, value = ("SS", -2000) if representation else ("US", 63536)
    dataset.add_new(0x00280120, vr, value)

    assert json_of(parse_object(write_dataset(dataset, syntax)))["00280120"] == {"vr": vr, "Value": [value]}


def test_binary_values_of_big_endian_objects_are_given_little_endian() -> None:
    """PS3.18 F.2.7."""
    words = np.arange(1, 5, dtype="<u2")
    dataset = make_dataset()
    dataset.add_new(0x00281201, "OW", words.astype(">u2").tobytes())  # pydicom writes words as they are given
    header = parse_object(write_dataset(dataset, ExplicitVRBigEndian))

    assert HeaderDecoder(header).decode(0x00281201, header.elements[0x00281201]) == words.tobytes()


def test_a_damaged_sequence_is_kept_as_bytes_and_hides_nothing() -> None:
    damage = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 10) + b"0123456789"
    rows = struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 7)

    found = json_of(parse_object(write_dataset(make_dataset()) + damage + rows))

    assert found["00081140"] == {"vr": "UN", "InlineBinary": "MDEyMzQ1Njc4OQ=="}
    assert found["00280010"] == {"vr": "US", "Value": [7]}


def test_a_damaged_sequence_within_a_sequence_hides_nothing_of_its_neighbours() -> None:
    damage = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 10) + b"0123456789"
    item = damage + struct.pack("<HH2sHH", 0x0028, 0x0010, b"US", 2, 7)
    outer = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    data = write_dataset(make_dataset()) + struct.pack("<HH2sHL", 0x0008, 0x2112, b"SQ", 0, len(outer)) + outer

    (found,) = json_of(parse_object(data))["00082112"]["Value"]

    assert found["00081140"]["vr"] == "UN"
    assert found["00280010"] == {"vr": "US", "Value": [7]}


def test_the_whole_header_can_be_asked_by_keyword() -> None:
    dataset = make_dataset(PatientName="A^B=C", PixelSpacing=[0.5, 0.25], Rows=7, ImageComments="")
    dataset.ReferencedImageSequence = [make_dataset(Columns=3)]
    dataset.add_new(0x00190010, "LO", "VENDOR")
    dataset.add_new(0x00191001, "OB", b"\1\2")

    attributes = HeaderDecoder(parse_object(write_dataset(dataset))).attributes()

    assert attributes.text("PatientName") == "A^B=C"
    assert attributes.numbers("PixelSpacing") == (0.5, 0.25)
    assert attributes.integer("Rows") == 7
    assert attributes.binary("0019_1001") == b"\1\2"
    assert attributes.item("ReferencedImageSequence").integer("Columns") == 3
    assert "ImageComments" not in attributes
    assert "NoSuchKeyword" not in attributes
