"""Parse the items of a sequence, and of the sequences in them, in one pass (PS3.5 7.5)."""

from __future__ import annotations

from typing import NamedTuple

from dsp_batch.dicom.headers.elements import (
    BINARY_VRS,
    DELIMITER_GROUP,
    ITEM,
    ITEM_END,
    LITTLE_ENDIAN_HEAD,
    MAX_DEPTH,
    SEQUENCE_END,
    SHORT_VR_NAMES,
    SMALLEST_ELEMENT,
    UNDEFINED,
    ElementHead,
    Encoding,
    EndSearch,
    NeedMore,
    find_creator,
    format_tag,
    nested_encoding,
    parse_head,
    resolve_vr,
)
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import RawElement

_DELIMITER_BYTES = 8
"""Number of bytes of a sequence delimitation item, which is no part of the value of an encapsulated icon image."""

_LITTLE_ENDIAN_ITEM = b"\xfe\xff\x00\xe0"
_PLAIN = Encoding()
_ENCODINGS = {
    (True, False): _PLAIN,
    (True, True): Encoding(big_endian=True),
    (False, False): Encoding(implicit_vr=True),
    (False, True): Encoding(implicit_vr=True, big_endian=True),
}
"""Encodings by what the first element of an item tells, explicit VR, and by the byte order around it."""


class Item(NamedTuple):
    """The dataset of one item of a sequence."""

    elements: dict[int, RawElement]
    """Its elements by tag. A sequence among them has a value only where its items are damaged."""

    sequences: dict[int, list[Item]]
    """The items of the sequences among its elements, by tag."""

    encoding: Encoding
    """How its elements are encoded."""


class _Span(NamedTuple):
    """Bytes that are parsed: up to `stop`, inside `depth` sequences."""

    data: bytes
    stop: int
    depth: int


def parse_items(value: bytes, encoding: Encoding) -> list[Item]:
    """Parse the value of a sequence: its items and, to any depth, theirs.

    Args:
        value: The value field of the sequence.
        encoding: The encoding of the dataset that the sequence is in. An item may have another one: some writers nest
            implicit VR in explicit VR, and a sequence whose VR is UN always does (PS3.5 6.2.2).

    Raises:
        HeaderError: The data end within an item, or another element takes the place of an item. Damage in a sequence
            whose end is known all the same leaves the bytes of that sequence as they are.
    """
    try:
        items, _ = _parse_sequence(_Span(value, len(value), 0), 0, encoding, is_ended=False)
    except NeedMore as need:
        raise HeaderError(f"a sequence of {len(value)} bytes ends inside an item") from need
    return items


def _parse_sequence(span: _Span, at: int, encoding: Encoding, *, is_ended: bool) -> tuple[list[Item], int]:
    """Parse the items from `at` on, up to a sequence delimitation item.

    Args:
        span: Where they lie.
        at: First byte of the first item.
        encoding: The encoding around them.
        is_ended: True where the sequence has undefined length, so that the delimitation item has to be there.

    Returns:
        The items, and the first byte after them.
    """
    data, stop, depth = span
    items: list[Item] = []
    if encoding.big_endian and data[at : at + 4] == _LITTLE_ENDIAN_ITEM:
        encoding = Encoding(implicit_vr=True)  # its VR was UN (PS3.5 6.2.2)
    while at + SMALLEST_ELEMENT <= stop:
        tag, _, start, length = parse_head(data, at, encoding, stop)
        if tag == SEQUENCE_END:
            return items, start
        if tag != ITEM:
            raise HeaderError(f"element {format_tag(tag)} stands where a sequence item should")
        if length == UNDEFINED:
            item, at = _parse_item(span, start, encoding, is_ended=True)
        else:
            at = start + length
            if at > stop:
                raise NeedMore(at)
            item, _ = _parse_item(_Span(data, at, depth), start, encoding, is_ended=False)
        items.append(item)
    if is_ended:
        raise NeedMore(stop + SMALLEST_ELEMENT)
    return items, stop


def _parse_item(span: _Span, at: int, encoding: Encoding, *, is_ended: bool) -> tuple[Item, int]:
    """Parse the dataset of an item; arguments and result are as those of `_parse_sequence`."""
    data, stop, _ = span
    first = data[at + 4 : at + 6]
    item = Item({}, {}, _ENCODINGS[first.isalpha() and first.isupper(), encoding.big_endian])
    is_plain = item.encoding is _PLAIN
    while at < stop:
        if is_plain and (at := _parse_short(span, at, item.elements)) == stop:
            break
        if at + SMALLEST_ELEMENT > stop:
            raise NeedMore(at + SMALLEST_ELEMENT)
        head = parse_head(data, at, item.encoding, stop)
        if head.tag in (ITEM_END, SEQUENCE_END):
            if is_ended and head.tag == SEQUENCE_END:
                raise HeaderError("a sequence ends inside an item")
            return item, head.start
        at = _parse_element(span, head, item)
        if at > stop:
            raise NeedMore(at)
    if is_ended:
        raise NeedMore(stop + SMALLEST_ELEMENT)
    return item, at


def _parse_short(span: _Span, at: int, elements: dict[int, RawElement]) -> int:
    """Parse elements of explicit VR little endian with a short length: nearly all that are in items.

    Returns:
        First byte of the first element that is none of these, or not whole.
    """
    data, stop, _ = span
    unpack, names, build = LITTLE_ENDIAN_HEAD.unpack_from, SHORT_VR_NAMES, tuple.__new__
    last = stop - SMALLEST_ELEMENT
    while at <= last:
        group, number, vr_bytes, length = unpack(data, at)
        vr, end = names.get(vr_bytes), at + SMALLEST_ELEMENT + length
        if vr is None or group == DELIMITER_GROUP or end > stop:
            break
        if number:
            elements[group << 16 | number] = build(RawElement, (vr, data[at + SMALLEST_ELEMENT : end], length))
        at = end
    return at


def _parse_element(span: _Span, head: ElementHead, item: Item) -> int:
    """Parse one element into the item that it is in, and return where it ends."""
    data, stop, depth = span
    tag, vr, start, length = head
    if vr in ("", "UN"):
        _, creator = find_creator(tag, item.elements)
        vr = resolve_vr(head, creator)
    end = start + length
    if length != UNDEFINED and end > stop:
        return end
    if vr == "SQ" and depth < MAX_DEPTH:
        after = _parse_nested(span, head, item)
        if after is not None:
            return after
    if length == UNDEFINED:
        end = EndSearch(nested_encoding(item.encoding, head.vr)).run(data, start, stop)
    is_encapsulated = length == UNDEFINED and vr in BINARY_VRS
    value = data[start : end - _DELIMITER_BYTES if is_encapsulated else end]
    if tag & 0xFFFF:
        item.elements[tag] = RawElement(vr, value, len(value))
    return end


def _parse_nested(span: _Span, head: ElementHead, item: Item) -> int | None:
    """Parse a sequence in an item; return where it ends, or None where its items are damaged."""
    tag, _, start, length = head
    is_ended = length == UNDEFINED
    inner = _Span(span.data, span.stop if is_ended else start + length, span.depth + 1)
    try:
        items, after = _parse_sequence(inner, start, item.encoding, is_ended=is_ended)
    except (HeaderError, NeedMore):
        return None
    if tag & 0xFFFF:
        item.elements[tag], item.sequences[tag] = RawElement("SQ", None, length), items
    return after if is_ended else inner.stop
