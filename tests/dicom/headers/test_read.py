"""Headers are read by few small ranges, in every encoding, and equal what pydicom reads."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from typing import Any

import pydicom
import pytest
from dataset_strategies import datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from json_oracle import expected_elements
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
from recording import record_reader
from written_objects import (
    DEFLATED,
    NATIVE_SYNTAXES,
    add_pixels,
    make_dataset,
    parse_object,
    write_dataset,
)

from dsp_batch.dicom.headers.elements import LARGE_VALUE
from dsp_batch.dicom.headers.read import WHOLE_OBJECT, read_header
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.dicom.headers.walk import FIRST_RANGE
from dsp_batch.model.series import InstanceHeader, RawElement

PRIVATE_CREATOR, PRIVATE_DATA, ROWS, PATIENT_NAME = 0x00190010, 0x00191001, 0x00280010, 0x00100010


def make_private_series_header(length: int = 161_000) -> Dataset:
    """An MR-like header: a large private value before group 0028, as some vendors write it."""
    dataset = add_pixels(make_dataset(PatientName="A^B"), size=200)
    dataset.add_new(PRIVATE_CREATOR, "LO", "VENDOR")
    dataset.add_new(PRIVATE_DATA, "OB", bytes(range(1, 251)) * (length // 250))
    return dataset


def json_of(header: InstanceHeader) -> dict[str, Any]:
    decoder = HeaderDecoder(header)
    return {f"{tag:08X}": decoder.json(tag, element) for tag, element in header.elements.items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(datasets(), st.sampled_from([*NATIVE_SYNTAXES, DEFLATED]), st.booleans())
def test_any_dataset_in_any_encoding_reads_as_pydicom_reads_it(dataset: Dataset, syntax: str, meta: bool) -> None:  # noqa: FBT001  # drawn
    meta = meta or syntax == DEFLATED
    data = write_dataset(dataset, syntax, meta=meta)
    reference = pydicom.dcmread(io.BytesIO(data), force=True)

    header = parse_object(data)

    expected = expected_elements(reference.file_meta) if meta else {}
    expected |= expected_elements(reference, big_endian=syntax == ExplicitVRBigEndian)
    assert json_of(header) == expected
    assert header.size == len(data)
    assert header.transfer_syntax_uid == syntax
    assert header.pixel_data_offset is header.fragments_offset is None


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
@pytest.mark.parametrize("meta", [True, False])
def test_native_pixel_data_is_placed_and_not_read(syntax: str, meta: bool) -> None:  # noqa: FBT001  # a parameter
    data = write_dataset(add_pixels(make_dataset(), size=400), syntax, meta=meta)

    recording = record_reader(read_header("a.dcm", len(data)), data)

    header = recording.value
    assert header is not None
    assert header.transfer_syntax_uid == syntax
    assert (header.pixel_data_offset, header.pixel_data_length) == (len(data) - 320_000, 320_000)
    assert header.fragments_offset is None
    assert max(header.elements) < 0x7FE00000
    assert recording.steps == [((0, FIRST_RANGE),)]


def test_encapsulated_pixel_data_begins_with_its_offset_table() -> None:
    dataset = add_pixels(make_dataset())
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    data = write_dataset(dataset, JPEGBaseline8Bit)

    header = parse_object(data)

    assert header.fragments_offset is not None
    assert data[header.fragments_offset :].startswith(b"\xfe\xff\x00\xe0")
    assert data[header.fragments_offset - 12 : header.fragments_offset] == b"\xe0\x7f\x10\x00OB\0\0" + b"\xff" * 4
    assert header.pixel_data_offset is header.pixel_data_length is None


def test_pixels_of_a_deflated_object_have_no_place_in_it() -> None:
    header = parse_object(write_dataset(add_pixels(make_dataset(PatientName="A^B")), DEFLATED))

    assert header.elements[PATIENT_NAME].value == b"A^B "
    assert header.pixel_data_offset is header.pixel_data_length is header.fragments_offset is None


def test_small_objects_are_read_whole_in_one_request() -> None:
    data = write_dataset(add_pixels(make_dataset(TextValue="x" * 20_000)))
    assert FIRST_RANGE < len(data) <= WHOLE_OBJECT

    recording = record_reader(read_header("a.dcm", len(data)), data)

    assert recording.steps == [((0, WHOLE_OBJECT),)]


def test_a_size_that_was_not_listed_costs_no_request() -> None:
    data = write_dataset(add_pixels(make_dataset(), size=400))

    recording = record_reader(read_header("a.dcm", None), data)

    assert recording.steps == [((0, FIRST_RANGE),)]
    assert recording.value == parse_object(data)


def test_a_large_private_value_before_the_rows_costs_a_second_small_range() -> None:
    dataset = make_private_series_header()
    data = write_dataset(dataset)

    recording = record_reader(read_header("a.dcm", len(data)), data)

    header = recording.value
    assert header is not None
    assert header.elements[PRIVATE_DATA] == RawElement("OB", None, 161_000)
    assert header.elements[ROWS].value == b"\xc8\x00"
    assert header.pixel_data_offset == len(data) - 80_000
    assert len(recording.ranges) == 2
    assert recording.ranges[1].start > 161_000
    assert recording.bytes_read <= 2 * FIRST_RANGE


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_large_values_are_read_where_they_are_asked_for(syntax: str) -> None:
    dataset = make_private_series_header()
    dataset.add_new(0x00191002, "UN", b"\7" * 50_000)
    data = write_dataset(dataset, syntax)
    value = dataset[PRIVATE_DATA].value

    whole, one = (parse_object(data, bulk=bulk) for bulk in (None, frozenset({PRIVATE_DATA})))

    assert whole.elements[PRIVATE_DATA].value == one.elements[PRIVATE_DATA].value == value
    assert whole.elements[0x00191002].value == b"\7" * 50_000
    assert one.elements[0x00191002] == RawElement("UN", None, 50_000)
    assert whole.elements.keys() == one.elements.keys() == parse_object(data).elements.keys()


@pytest.mark.parametrize(("length", "is_read"), [(LARGE_VALUE, True), (LARGE_VALUE + 2, False)])
def test_values_of_16_kib_are_read_and_longer_ones_left_out(length: int, *, is_read: bool) -> None:
    dataset = make_private_series_header()
    dataset.add_new(PRIVATE_DATA, "OB", b"\1" * length)

    element = parse_object(write_dataset(dataset)).elements[PRIVATE_DATA]

    assert element.length == length
    assert (element.value is not None) == is_read


def test_long_texts_and_sequences_are_always_read() -> None:
    item = make_dataset(ImageComments="y" * 9000)
    dataset = make_dataset(TextValue="x" * 60_000, ReferencedImageSequence=[item] * 5)
    dataset["ReferencedImageSequence"].is_undefined_length = True
    data = write_dataset(add_pixels(dataset, size=100))

    header = parse_object(data)

    assert json_of(header)["0040A160"] == {"vr": "UT", "Value": ["x" * 60_000]}
    assert header.elements[0x00081140].length > 45_000
    assert json_of(header) == expected_elements(
        (reference := pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)).file_meta
    ) | expected_elements(reference)


def test_a_header_that_grows_needs_few_requests() -> None:
    dataset = make_dataset()
    for number in range(4000):
        dataset.add_new(0x00191000 + number % 240 + (number // 240 << 16) * 2, "LO", f"{number:050}")
    data = write_dataset(add_pixels(dataset, size=200))

    recording = record_reader(read_header("a.dcm", len(data)), data)

    header = recording.value
    assert header is not None
    pixels = header.pixel_data_offset
    assert pixels is not None
    assert pixels > 200_000
    assert len(recording.ranges) <= 6
    assert recording.bytes_read <= 2 * pixels


def test_no_byte_is_asked_for_twice() -> None:
    dataset = make_private_series_header()
    dataset.TextValue = "x" * 100_000
    data = write_dataset(dataset)

    ranges = sorted(record_reader(read_header("a.dcm", len(data)), data).ranges)

    assert len(ranges) > 2
    assert all(first.stop <= second.start for first, second in pairwise(ranges))


@pytest.mark.parametrize(
    ("declared", "actual"),
    [(ImplicitVRLittleEndian, ExplicitVRLittleEndian), (ExplicitVRLittleEndian, ImplicitVRLittleEndian)],
)
def test_the_encoding_is_what_it_is_and_not_what_is_declared(declared: str, actual: str) -> None:
    dataset = add_pixels(make_dataset(PatientName="A^B", ReferencedImageSequence=[make_dataset()]))
    truth = write_dataset(dataset, actual, meta=False)
    data = write_dataset(make_dataset(), declared)
    data = data[: data.index(b"\x08\x00\x16\x00")] + truth

    header, plain = parse_object(data), parse_object(truth)

    body = {tag: element for tag, element in header.elements.items() if tag >> 16 != 2}
    assert body == plain.elements
    assert header.implicit_vr == plain.implicit_vr == (actual == ImplicitVRLittleEndian)
    assert header.transfer_syntax_uid == declared


def test_a_prefix_without_preamble_is_found() -> None:
    data = write_dataset(make_dataset(PatientName="A^B"))

    assert parse_object(data[128:]).elements == parse_object(data).elements


def test_an_object_that_begins_with_its_meta_group_is_found() -> None:
    data = write_dataset(make_dataset(PatientName="A^B"))

    assert parse_object(data[132:]).elements == parse_object(data).elements


def test_group_lengths_are_left_out() -> None:
    dataset = make_dataset(PatientName="A^B")
    dataset.add_new(0x00080000, "UL", 38)
    data = write_dataset(dataset, ImplicitVRLittleEndian)

    assert 0x00080000 not in parse_object(data).elements
    assert 0x00020000 not in parse_object(data).elements


@pytest.mark.parametrize(("syntax", "order"), [(ExplicitVRLittleEndian, "<"), (ExplicitVRBigEndian, ">")])
def test_unknown_sequences_are_encoded_with_implicit_vr_little_endian(syntax: str, order: str) -> None:
    """PS3.5 6.2.2: so is a sequence of VR UN and undefined length, in whatever dataset."""
    item = write_dataset(make_dataset(PatientName="A^B"), ImplicitVRLittleEndian, meta=False)
    value = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + item + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    value += struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    head = struct.pack(f"{order}HH2sHL", 0x0029, 0x1010, b"UN", 0, 0xFFFFFFFF)
    rows = struct.pack(f"{order}HH2sHH", 0x0028, 0x0010, b"US", 2, 7)

    found = json_of(parse_object(write_dataset(make_dataset(), syntax) + head + value + rows))

    assert found["00291010"]["vr"] == "SQ"
    assert found["00291010"]["Value"][0]["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}
    assert found["00280010"] == {"vr": "US", "Value": [7]}


def test_private_vrs_come_from_the_creator_where_the_encoding_leaves_them_out() -> None:
    dataset = make_dataset()
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", 1000)
    other = dataset.private_block(0x0019, "NOBODY KNOWS", create=True)
    other.add_new(0x0C, "IS", 1000)

    header = parse_object(write_dataset(dataset, ImplicitVRLittleEndian))

    assert header.elements[0x0019100C].vr == "IS"
    assert header.elements[0x0019110C].vr == "UN"


def test_sequences_of_undefined_length_cost_what_they_hold() -> None:
    """Each further range is as long as what is in hand, so that even a scan from the start stays linear."""
    items = [make_dataset(ImageComments="z" * 200) for _ in range(3000)]
    dataset = add_pixels(make_dataset(ReferencedImageSequence=items), size=200)
    dataset["ReferencedImageSequence"].is_undefined_length = True
    data = write_dataset(dataset)

    recording = record_reader(read_header("a.dcm", len(data)), data)

    assert recording.value is not None
    assert recording.value.elements[0x00081140].length > 600_000
    assert len(recording.ranges) <= 8
