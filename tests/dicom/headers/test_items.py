"""Items of sequences are parsed in one pass: depth costs nothing, and damage stays where it is."""

from __future__ import annotations

import struct
import time

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian
from written_objects import make_dataset, parse_object, write_dataset

from dsp_batch.dicom.headers import elements
from dsp_batch.dicom.headers.elements import ElementHead, Encoding, EndSearch, NeedMore
from dsp_batch.dicom.headers.items import parse_items
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.errors import HeaderError

UNDEFINED = 0xFFFFFFFF
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
CODE = struct.pack("<HH2sH", 0x0008, 0x0100, b"SH", 4) + b"CODE"


def make_item(content: bytes, *, is_open: bool = True) -> bytes:
    length = UNDEFINED if is_open else len(content)
    return struct.pack("<HHL", 0xFFFE, 0xE000, length) + content + (ITEM_END if is_open else b"")


def make_sequence(*items: bytes, is_open: bool = True, vr: bytes = b"SQ") -> bytes:
    content = b"".join(items)
    length = UNDEFINED if is_open else len(content)
    head = struct.pack("<HH2sHL", 0x0040, 0xA730, vr, 0, length)
    return head + content + (SEQUENCE_END if is_open else b"")


def nest(content: bytes, depth: int) -> bytes:
    for _ in range(depth):
        content = make_sequence(make_item(content))
    return content


def decode(data: bytes) -> list[dict[str, object]]:
    """The items of the sequence that stands at the end of an object, as DICOM JSON."""
    header = parse_object(write_dataset(make_dataset()) + data)
    found: list[dict[str, object]] = HeaderDecoder(header).json(0x0040A730, header.elements[0x0040A730])["Value"]
    return found


def measure(depth: int) -> float:
    """Seconds of the processor for an object of 0.5 MB, the best of three."""
    data = write_dataset(make_dataset()) + nest(make_sequence(*[make_item(CODE * 60)] * 600), depth)
    taken = []
    for _ in range(3):
        begin = time.process_time()
        header = parse_object(data)
        HeaderDecoder(header).json(0x0040A730, header.elements[0x0040A730])
        taken.append(time.process_time() - begin)
    return min(taken)


def test_items_cost_the_same_at_any_depth() -> None:
    assert measure(30) < 2 * measure(1)


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("is_open_item", [True, False])
@pytest.mark.parametrize("depth", range(4))
def test_lengths_of_either_kind_say_the_same(depth: int, *, is_open: bool, is_open_item: bool) -> None:
    content = CODE
    for _ in range(depth + 1):
        content = make_sequence(
            make_item(b"", is_open=is_open_item), make_item(content, is_open=is_open_item), is_open=is_open
        )

    found: object = {"00080100": {"vr": "SH", "Value": ["CODE"]}}
    for _ in range(depth):
        found = {"0040A730": {"vr": "SQ", "Value": [{}, found]}}
    assert decode(content) == [{}, found]


@pytest.mark.parametrize("is_open", [True, False])
def test_implicit_items_inside_of_explicit_ones_are_read(*, is_open: bool) -> None:
    inner = struct.pack("<HHL", 0x0008, 0x1140, UNDEFINED) + make_item(struct.pack("<HHL", 0x0008, 0x0100, 2) + b"AB")
    implicit = make_sequence(make_item(inner + SEQUENCE_END, is_open=is_open), vr=b"UN")

    assert decode(make_sequence(make_item(implicit))) == [
        {
            "0040A730": {
                "vr": "SQ",
                "Value": [{"00081140": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["AB"]}}]}}],
            }
        }
    ]


def test_a_damaged_sequence_inside_of_an_item_costs_no_other() -> None:
    damaged = make_sequence(CODE, is_open=False)

    (item,) = decode(make_sequence(make_item(CODE + damaged)))

    assert item["00080100"] == {"vr": "SH", "Value": ["CODE"]}
    assert item["0040A730"].keys() == {"vr", "InlineBinary"}  # type: ignore[attr-defined]  # an element of JSON


@pytest.mark.parametrize("cut", [4, 20, -9, -1])
def test_items_that_are_cut_off_are_an_error(cut: int) -> None:
    value = make_item(CODE + make_sequence(make_item(CODE)))

    with pytest.raises(HeaderError, match="ends inside an item"):
        parse_items(value[: len(value) + cut if cut < 0 else 8 + cut], Encoding())


def test_a_character_set_with_zeros_in_an_item_is_an_unknown_one() -> None:
    charset = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 4) + b"I\0SO"
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 2) + b"\xc4 "

    (item,) = decode(make_sequence(make_item(charset + name)))

    assert item["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Ä"}]}


def test_a_search_for_an_end_goes_on_where_its_data_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    value = nest(make_sequence(*[make_item(CODE * 3)] * 1000), 5)[12:]
    looks = 0
    parse_head = elements.parse_head

    def count(data: bytes, at: int, encoding: Encoding, size: int) -> ElementHead:
        nonlocal looks
        looks += 1
        return parse_head(data, at, encoding, size)

    monkeypatch.setattr(elements, "parse_head", count)
    search = EndSearch(Encoding())
    end = None
    for stop in range(0, len(value) + 1000, 1000):
        try:
            end = search.run(value[:stop], 0, len(value))
        except NeedMore:
            continue
        break

    assert end == len(value)
    assert looks < 2 * 1000 + len(value) / 1000 + 50


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_large_values_are_left_in_a_sequence_of_unknown_vr_whatever_is_around_it(syntax: str) -> None:
    def write(tag: int, value: bytes) -> bytes:  # implicit VR little endian, as PS3.5 6.2.2 has it within UN
        return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value

    code = write(0x006A0009, write(0xFFFEE000, write(0x00080100, b"CODE")))
    groups = write(0xFFFEE000, code + write(0x00660016, bytes(20_000)))
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    head = struct.pack(f"{order}HH2sHL", 0x006A, 0x0002, b"UN", 0, len(groups))

    header = parse_object(write_dataset(make_dataset(), syntax) + head + groups)

    assert [(each.item, each.tag, each.vr, each.length) for each in header.nested] == [(0, 0x00660016, "OF", 20_000)]
    (group,) = HeaderDecoder(header).json(0x006A0002, header.elements[0x006A0002])["Value"]
    assert group == {"006A0009": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["CODE"]}}]}}
