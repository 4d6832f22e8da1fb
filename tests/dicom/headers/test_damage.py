"""A cut or damaged object is a clear error, never a shorter header and never another exception."""

from __future__ import annotations

import random
import struct
import time
from itertools import accumulate

import pytest
from data_folder import DATA, list_objects, needs_data, parse_file
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from written_objects import DEFLATED, NATIVE_SYNTAXES, add_pixels, make_dataset, parse_object, write_dataset

from dsp_batch.dicom.headers import inflate
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import Reply

SECONDS = 2.0
"""Of processor time: more than any damaged object of a few MB may take."""


def make_small_dataset() -> Dataset:
    """Nested sequences of both kinds of length, text, numbers and binary values, and no more than that."""
    item = make_dataset(PatientName="A^B", PixelSpacing=[0.5, 0.5])
    dataset = make_dataset(PatientName="Somebody^Else", ReferencedImageSequence=[item, item])
    dataset.ReferencedSeriesSequence = [make_dataset(ReferencedImageSequence=[item])]
    dataset["ReferencedImageSequence"].is_undefined_length = True
    for nested in dataset.ReferencedImageSequence:
        nested.is_undefined_length_sequence_item = True
    dataset.add_new(0x00190010, "LO", "VENDOR")
    dataset.add_new(0x00191001, "OB", bytes(range(100)))
    return add_pixels(dataset)


def find_boundaries(dataset: Dataset, syntax: str) -> list[int]:
    """Where each element of the dataset begins when pydicom writes it, and where the last one ends."""
    tags = sorted(dataset.keys())
    return [len(write_dataset(Dataset({tag: dataset[tag] for tag in tags[:n]}), syntax)) for n in range(len(tags) + 1)]


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_cut_anywhere_a_header_is_an_error_or_ends_with_a_whole_element(syntax: str) -> None:
    """Only a cut between two elements cannot be told from an object without pixels.

    The same holds for some bytes more where they are zeros: so begins a tag that is big endian, and so ends padding.
    """
    dataset = make_small_dataset()
    data = write_dataset(dataset, syntax)
    boundaries = find_boundaries(dataset, syntax)
    tags = sorted(dataset.keys())
    whole = parse_object(data)
    assert boundaries[-1] == len(data)

    for cut in range(boundaries[-2]):
        done = sum(boundary <= cut for boundary in boundaries) - 1
        expected = None
        if done >= 1 and not data[boundaries[done] : cut].strip(b"\0"):
            expected = {tag for tag in whole.elements if tag >> 16 == 2} | {int(tag) for tag in tags[:done]}
        try:
            found = set(parse_object(data[:cut]).elements)
        except HeaderError:
            found = None
        assert found == expected, f"cut at byte {cut}"


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_an_object_cut_within_its_pixels_keeps_its_whole_header(syntax: str) -> None:
    data = write_dataset(make_small_dataset(), syntax)
    whole = parse_object(data)
    assert whole.pixel_data_offset is not None

    for cut in range(whole.pixel_data_offset, len(data)):
        header = parse_object(data[:cut])
        assert header.elements == whole.elements
        assert header.pixel_data_length == whole.pixel_data_length


def test_a_deflated_object_cut_anywhere_is_an_error() -> None:
    data = write_dataset(make_small_dataset(), DEFLATED)
    whole = parse_object(data)

    for cut in range(len(data) - 1):  # the last byte pads to an even length
        with pytest.raises(HeaderError):
            parse_object(data[:cut])
    assert parse_object(data[:-1]).elements == whole.elements


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("length", [20_000, 70_000])
def test_a_cut_behind_a_value_that_was_left_out_is_an_error(syntax: str, length: int) -> None:
    """Regression: the few bytes behind such a value are not in hand, and were taken for padding."""
    dataset = make_dataset()
    dataset.add_new(0x00190010, "LO", "VENDOR")
    dataset.add_new(0x00191001, "OB", b"\1" * length)
    behind = len(write_dataset(dataset, syntax))
    dataset.Rows = 4
    data = write_dataset(dataset, syntax)

    for cut in {*range(behind - 20, len(data))} - {behind}:
        with pytest.raises(HeaderError):
            parse_object(data[:cut])


def test_an_object_shorter_than_it_was_listed_is_an_error() -> None:
    """It was replaced while it was read, or the listing is stale."""
    data = write_dataset(make_dataset(TextValue="x" * 40_000))
    reader = read_header("a.dcm", len(data))
    (first,) = next(reader)
    (second,) = reader.send(Reply([data[first.start : first.stop]], len(data)))
    with pytest.raises(HeaderError, match="listed"):
        reader.send(Reply([data[second.start : second.stop - 100]], len(data)))


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 100, 4096])
def test_zeros_behind_the_last_element_are_padding(syntax: str, count: int) -> None:
    data = write_dataset(make_dataset(PatientName="A^B"), syntax)

    assert parse_object(data + bytes(count)).elements == parse_object(data).elements


def test_a_large_file_of_zeros_behind_a_header_is_damage_and_found_soon() -> None:
    """A download that was cut off leaves such files, with their size reserved."""
    data = write_dataset(make_dataset(PatientName="A^B")) + bytes(8 << 20)

    begin = time.process_time()
    with pytest.raises(HeaderError, match="zeros"):
        parse_object(data)
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\0", "no DICM"),
        (bytes(200), "no DICM"),
        (b"not a DICOM object, a long text " * 100, "no DICM"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "no DICM"),
        (bytes(128) + b"DICM", "neither SOP Class UID"),
        (b"DICM", "neither SOP Class UID"),
        (bytes(128) + b"DIC", "no DICM"),
    ],
)
def test_what_is_no_dicom_is_said_to_be_none(data: bytes, message: str) -> None:
    with pytest.raises(HeaderError, match=message) as caught:
        parse_object(data)
    assert caught.value.reason == "not-dicom"


def test_a_dataset_that_is_no_instance_is_no_instance() -> None:
    dataset = Dataset()
    dataset.PatientName = "A^B"

    with pytest.raises(HeaderError, match="neither SOP Class UID, SOP Instance UID nor Rows") as caught:
        parse_object(write_dataset(dataset))
    assert caught.value.reason == "not-dicom"


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "Rows"])
def test_any_one_of_three_elements_makes_an_instance(keyword: str) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, 5 if keyword == "Rows" else "1.2")

    assert len([tag for tag in parse_object(write_dataset(dataset)).elements if tag >> 16 > 2]) == 1


def nest(depth: int, *, undefined: bool) -> bytes:
    """Sequences in sequences, explicit little endian."""
    if undefined:
        head = struct.pack("<HH2sHLHHL", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
        return head * depth + struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth
    lengths = list(accumulate([20] * depth))
    heads = ((8, 0x1140, b"SQ", 0, length - 12, 0xFFFE, 0xE000, length - 20) for length in reversed(lengths))
    return b"".join(struct.pack("<HH2sHLHHL", *head) for head in heads)


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("depth", [1, 30, 33, 300, 3000, 30_000])
def test_a_depth_bomb_does_not_go_off(depth: int, *, undefined: bool) -> None:
    data = write_dataset(make_dataset(PatientName="A^B")) + nest(depth, undefined=undefined)

    begin = time.process_time()
    try:
        header = parse_object(data)
    except HeaderError as error:
        assert undefined
        assert depth > 32
        assert "nested" in error.message  # noqa: PT017  # shallow ones do not fail
    else:
        decoder = HeaderDecoder(header)
        found = {tag: decoder.json(tag, element) for tag, element in header.elements.items()}
        assert found[0x00081140]["vr"] == "SQ"
        assert found[0x00100010]["Value"] == [{"Alphabetic": "A^B"}]
    assert time.process_time() - begin < SECONDS


def decode_or_fail(data: bytes) -> None:
    """Read and decode a header; a HeaderError is an answer, anything else is a defect."""
    try:
        header = parse_object(data)
    except HeaderError as error:
        assert "\n" not in error.message  # noqa: PT017  # any message will do
        return
    decoder = HeaderDecoder(header)
    for tag, element in header.elements.items():
        decoder.json(tag, element)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NATIVE_SYNTAXES), st.lists(st.tuples(st.integers(132, 1000), st.integers(0, 255)), max_size=8))
@example(ExplicitVRBigEndian, [(0x90, 0xFF)])
def test_changed_bytes_give_a_header_or_a_clear_error(syntax: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(write_dataset(make_small_dataset(), syntax))
    for offset, value in changes:
        data[offset % len(data)] = value

    decode_or_fail(bytes(data))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"DICM", bytes(128) + b"DICM", b"\x08\0\x16\0", b"\0\x08\0\x16"]))
def test_garbage_gives_a_clear_error(garbage: bytes, prefix: bytes) -> None:
    decode_or_fail(prefix + garbage)


def test_a_deflate_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(add_pixels(make_dataset(), frames=100, size=128), DEFLATED)
    monkeypatch.setattr(inflate, "MAX_INFLATED_HEADER", 1 << 16)
    monkeypatch.setattr(inflate, "MAX_INFLATED", 1 << 20)

    with pytest.raises(HeaderError, match="grows beyond 1 MB") as caught:
        parse_object(data)
    assert caught.value.reason == "too-large"


def test_noise_in_place_of_a_deflated_dataset_is_an_error() -> None:
    data = write_dataset(make_dataset(), DEFLATED)
    meta = data[: data.index(DEFLATED.encode()) + len(DEFLATED) + 1]

    with pytest.raises(HeaderError, match="deflated dataset"):
        parse_object(meta + random.Random(5).randbytes(500))


@needs_data
@pytest.mark.parametrize("name", [path.name for path in list_objects(DATA / "broken")] if DATA.is_dir() else [])
def test_broken_files_give_a_header_or_a_clear_error_soon(name: str) -> None:
    begin = time.process_time()
    try:
        header = parse_file(DATA / "broken" / name)
    except HeaderError as error:
        assert error.reason in ("not-dicom", "bad-header")  # noqa: PT017  # not every file fails
        assert "\n" not in error.message  # noqa: PT017  # likewise
    else:
        decoder = HeaderDecoder(header)
        assert {decoder.json(tag, element)["vr"] for tag, element in header.elements.items()}
    assert time.process_time() - begin < SECONDS


_NO_INSTANCES = {
    "DICOMDIR": "not-dicom",
    "DICOMDIR-empty.dcm": "not-dicom",
    "GH626.dcm": "bad-header",
    "UN_sequence.dcm": "not-dicom",
    "deid.dicom": "not-dicom",
    "deid.dicom.ultrasound": "not-dicom",
    "deid.dicom.xray.chest": "not-dicom",
    "meta_missing_tsyntax.dcm": "not-dicom",
    "no_meta.dcm": "not-dicom",
    "no_preamble_dicm_in_data": "not-dicom",
    "rtplan_truncated.dcm": "bad-header",
}
"""Broken files without SOP class, SOP instance and rows, or cut within an element: what their index.csv tells."""


@needs_data
def test_broken_files_that_are_no_instances_are_told_from_those_that_are() -> None:
    reasons = {}
    for path in list_objects(DATA / "broken"):
        try:
            parse_file(path)
        except HeaderError as error:
            reasons[path.name] = error.reason

    assert reasons == _NO_INSTANCES
