"""Headers that share what is the same in them are those that are read each on its own."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Sequence
from itertools import permutations

import pytest
from data_folder import DATA, list_objects, needs_data, parse_file, read_catalog
from dataset_strategies import datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from test_headers_data import compare_with_pydicom
from written_objects import DEFLATED, NATIVE_SYNTAXES, add_pixels, make_dataset, write_dataset

from dsp_batch.dicom.headers.read import HeaderHint, read_header
from dsp_batch.dicom.headers.walk import FIRST_RANGE
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import Reply
from dsp_batch.model.series import InstanceHeader

Outcome = InstanceHeader | str
"""A header, or why there is none."""


def read_alone(data: bytes) -> Outcome:
    return read_together([data])[0]


def read_together(
    objects: Sequence[bytes], *, first: int = FIRST_RANGE, turns: Sequence[int] = (), whole: bool = False
) -> list[Outcome]:
    """Read the headers of a series.

    Args:
        objects: The objects.
        first: Bytes of the first request, which may end anywhere.
        turns: Which of the readers that are not finished gets an answer next; the first one where this ends.
        whole: Ask for objects of up to 32 KB at once.
    """
    hint = HeaderHint(first=first)
    readers = {n: read_header("a.dcm", len(data) if whole else None, hint=hint) for n, data in enumerate(objects)}
    asked = {number: next(reader) for number, reader in readers.items()}
    outcomes: dict[int, Outcome] = {}
    turn = iter(turns)
    while asked:
        number = list(asked)[next(turn, 0) % len(asked)]
        data = objects[number]
        try:
            asked[number] = readers[number].send(Reply([data[a:b] for a, b in asked[number]], len(data)))
        except StopIteration as stop:
            outcomes[number] = stop.value
        except HeaderError as error:
            outcomes[number] = error.message
        if number in outcomes:
            del asked[number]
    return [outcomes[number] for number in range(len(objects))]


def check(outcomes: Sequence[Outcome], objects: Sequence[bytes]) -> None:
    """Hold headers that were read together against the same read alone: elements, their order, and all else."""
    for outcome, data in zip(outcomes, objects, strict=True):
        alone = read_alone(data)
        assert outcome == alone
        if isinstance(outcome, InstanceHeader) and isinstance(alone, InstanceHeader):
            assert list(outcome.elements) == list(alone.elements)


def make_rich_dataset(number: int = 0) -> Dataset:
    """Texts, numbers, sequences of both kinds, private blocks and pixels."""
    dataset = add_pixels(make_dataset(PatientName="A^B", SOPInstanceUID=f"1.2.{number}", InstanceNumber=number))
    dataset.ImagePositionPatient = [0, 0, number]
    dataset.ReferencedImageSequence = [make_dataset(PatientID="1"), make_dataset()]
    dataset.SourceImageSequence = [make_dataset(ReferencedImageSequence=[make_dataset()])]
    dataset["SourceImageSequence"].is_undefined_length = True
    block = dataset.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True)
    block.add_new(0x08, "CS", "ABC")
    block.add_new(0x31, "LO", "text")
    block.add_new(0xFF, "UN", b"\1\2")
    dataset.add_new(0x00180000, "UL", 4)  # a group length
    dataset.TextValue = "long text " * 30
    return dataset


RICH = {syntax: write_dataset(make_rich_dataset(), syntax) for syntax in (*NATIVE_SYNTAXES, DEFLATED)}
_SYNTAXES = st.sampled_from(NATIVE_SYNTAXES)
_TURNS = st.lists(st.integers(0, 5), max_size=12)


@st.composite
def damaged_copies(draw: st.DrawFn) -> bytes:
    """A copy of an object with bytes changed, put in, taken out, moved or doubled, or cut off."""
    data = RICH[draw(_SYNTAXES)]
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(132, max(len(data), 133))), draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["change", "insert", "remove", "double", "cut", "move"]))
        part, rest = data[at : at + length], data[at + length :]
        other = draw(st.integers(132, max(len(data), 133)))
        data = {
            "change": data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :],
            "insert": data[:at] + draw(st.binary(max_size=12)) + data[at:],
            "remove": data[:at] + rest,
            "double": data[:at] + part + part + rest,
            "cut": data[:at],
            "move": (data[:at] + rest)[:other] + part + (data[:at] + rest)[other:],
        }[kind]
    return data


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(damaged_copies(), min_size=2, max_size=6), st.integers(200, 2000), _TURNS, st.booleans())
def test_copies_with_any_damage_are_read_as_if_alone(
    objects: list[bytes],
    first: int,
    turns: list[int],
    whole: bool,  # noqa: FBT001  # drawn
) -> None:
    check(read_together(objects, first=first, turns=turns, whole=whole), objects)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.lists(datasets(), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([*NATIVE_SYNTAXES, DEFLATED])), min_size=2, max_size=6),
    st.integers(200, 3000),
    _TURNS,
)
def test_any_datasets_in_any_encodings_are_read_as_if_alone(
    drawn: list[Dataset], chosen: list[tuple[int, str]], first: int, turns: list[int]
) -> None:
    objects = [write_dataset(drawn[number % len(drawn)], syntax) for number, syntax in chosen]

    check(read_together(objects, first=first, turns=turns), objects)


def encode(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element of explicit VR little endian with a short length."""
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


_ELEMENTS = st.tuples(
    st.sampled_from([*range(0x00080050, 0x0008005A), *range(0x00180080, 0x00180088), 0x00180000]),
    st.sampled_from([b"LO", b"US", b"UN", b"\0\0"]),
    st.sampled_from([b"", b"ab", b"cd", b"abcd", encode(0x00080051, b"LO", b"ab")]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(_ELEMENTS, max_size=12), min_size=2, max_size=8))
def test_few_elements_in_any_order_repeated_and_nested_are_read_as_if_alone(
    series: list[list[tuple[int, bytes, bytes]]],
) -> None:
    """Values that look like elements, tags that come twice, the same elements at other offsets."""
    start = encode(0x00080018, b"UI", b"1.2\0")
    objects = [start + b"".join(encode(*element) for element in elements) for elements in series]

    check(read_together(objects), objects)


@pytest.mark.parametrize("syntax", RICH)
def test_one_changed_byte_changes_one_element(syntax: str) -> None:
    """Wherever it is, whatever it makes of the header, and though the headers before and after lack it."""
    whole = RICH[syntax]
    offsets = range(132, len(whole) - 32, 1 if syntax == ExplicitVRLittleEndian else 7)
    changed = [whole[:at] + bytes([whole[at] ^ 0x11]) + whole[at + 1 :] for at in offsets]
    objects = [each for pair in zip(changed, [whole] * len(changed), strict=True) for each in pair]

    check(read_together([whole, *objects]), [whole, *objects])


@pytest.mark.parametrize("syntax", RICH)
def test_headers_cut_at_any_byte_are_the_errors_that_they_are_alone(syntax: str) -> None:
    whole = RICH[syntax]
    objects = [whole, *(whole[:stop] for stop in range(132, len(whole), 3))]

    check(read_together(objects), objects)


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_a_first_range_that_ends_anywhere_changes_nothing(syntax: str) -> None:
    """What is not in hand must not be taken for a difference, nor for the same."""
    objects = [write_dataset(make_rich_dataset(number), syntax) for number in range(4)]
    alone = [read_alone(data) for data in objects]

    for first in range(200, len(objects[0]), 5):
        assert read_together(objects, first=first, turns=[0, 1, 2, 3] * 3) == alone


def test_equal_bytes_are_found_at_other_places() -> None:
    """A longer value in front moves all that follows."""
    objects = [write_dataset(make_rich_dataset()) for _ in range(2)]
    dataset = make_rich_dataset()
    dataset.PatientName = "A much longer name^Than the others have"
    objects.append(write_dataset(dataset))

    first, second, moved = read_together(objects)

    check([first, second, moved], objects)
    assert count_shared(first, second) == len(first.elements)
    assert count_shared(first, moved) >= len(first.elements) - 4  # of which two hold lengths of the file meta


def count_shared(one: Outcome, other: Outcome) -> int:
    """How many elements of two headers are the same objects."""
    assert isinstance(one, InstanceHeader)
    assert isinstance(other, InstanceHeader)
    return sum(element is other.elements.get(tag) for tag, element in one.elements.items())


@pytest.mark.parametrize("syntax", NATIVE_SYNTAXES)
def test_what_is_the_same_is_kept_once(syntax: str) -> None:
    objects = [write_dataset(make_rich_dataset(number), syntax) for number in range(10, 30)]

    headers = read_together(objects)

    check(headers, objects)
    varying = 4  # instance UID twice, number, position
    assert {len(header.elements) - count_shared(headers[0], header) for header in headers[1:]} <= {varying, varying - 1}


def test_a_header_of_another_kind_in_front_costs_the_others_nothing() -> None:
    """A localizer differs in more than the other instances do from each other."""
    localizer = make_rich_dataset()
    localizer.PatientName, localizer.PatientID, localizer.Rows, localizer.TextValue = "X^Y", "7", 9, "other"
    objects = [write_dataset(each) for each in [localizer, *map(make_rich_dataset, range(10, 20))]]

    headers = read_together(objects)

    check(headers, objects)
    for header in headers[3:]:
        assert count_shared(headers[2], header) >= len(header.elements) - 4


@pytest.mark.parametrize("creators", permutations(["SIEMENS MR HEADER", "NOBODY KNOWS 123", None]))
def test_the_creator_in_front_decides_though_the_elements_have_the_same_bytes(
    creators: tuple[str | None, ...],
) -> None:
    """PS3.5 7.8.1: the VR of a private element, where it is implicit, is that of its creator."""
    objects = []
    for creator in (*creators, *creators):
        dataset = make_dataset(PatientName="A^B", Rows=4)
        if creator:
            dataset.add_new(0x00190010, "LO", creator)
        for element in (0x08, 0x0C, 0x0D):
            dataset.add_new(0x00191000 + element, "IS", "1000")
        objects.append(write_dataset(dataset, ImplicitVRLittleEndian))

    headers = read_together(objects)

    check(headers, objects)
    vrs = [header.elements[0x0019100C].vr for header in headers if isinstance(header, InstanceHeader)]
    assert vrs == ["IS" if creator == "SIEMENS MR HEADER" else "UN" for creator in (*creators, *creators)]


def test_a_creator_behind_its_elements_decides_nothing() -> None:
    """Damage, but the same damage however the header is read."""
    creator = struct.pack("<HHL", 0x0019, 0x0010, 18) + b"SIEMENS MR HEADER "
    number = struct.pack("<HHL", 0x0019, 0x100C, 4) + b"1000"
    start, end = (struct.pack("<HHL", 0x0008, tag, 4) + b"1.2\0" for tag in (0x0016, 0x0018))
    objects = [start + part for part in (creator + number, number + creator, number + end, creator + end + number)]
    objects = [each for one in objects for other in objects for each in (one, other, one)]

    check(read_together(objects), objects)


def test_instances_of_several_encodings_do_not_mix() -> None:
    objects = [
        write_dataset(make_rich_dataset(number), syntax)
        for number in range(3)
        for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DEFLATED)
    ]

    headers = read_together(objects)

    check(headers, objects)
    assert {header.implicit_vr for header in headers if isinstance(header, InstanceHeader)} == {True, False}


def test_headers_of_thousands_of_elements_that_all_vary_cost_what_they_hold() -> None:
    """Damage may ask for a split anywhere; a split costs no more than the elements that are shared together."""
    objects = []
    for letter in b"abcdefgh":
        parts = [
            encode((0x0009 + 2 * (number // 4000) << 16) + 0x1000 + number % 1000, b"LO", bytes([letter, 32]))
            for number in range(3000)
        ]
        objects.append(encode(0x00080018, b"UI", b"1.2\0") + b"".join(parts))

    headers = read_together(objects)

    check(headers, objects)


FOLDERS = [f"series/{row['series_uuid']}" for row in read_catalog()] + ["codecs", "broken"]


@needs_data
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_headers_that_are_read_together_are_those_of_pydicom(folder: str) -> None:
    paths = list_objects(DATA / folder)
    objects = [path.read_bytes() for path in paths]

    headers = read_together(objects, turns=[1, 0, 2] * len(objects))

    check(headers, objects)
    for path, header in zip(paths, headers, strict=True):
        if isinstance(header, InstanceHeader) and folder != "broken":
            elements = parse_file(path, bulk=None).elements  # with the large values, as pydicom has them
            found = {tag: each if each.value is not None else elements[tag] for tag, each in header.elements.items()}
            compare_with_pydicom(path, dataclasses.replace(header, elements=found))
