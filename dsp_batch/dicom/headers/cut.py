"""Cut what is too long to be read whole: the first bytes of a sequence become one with lengths that fit them."""

from __future__ import annotations

import struct

from dsp_batch.dicom.headers.elements import (
    ITEM,
    ITEM_END,
    MAX_DEPTH,
    SEQUENCE_END,
    UNDEFINED,
    ElementHead,
    Encoding,
    NeedMore,
    nested_encoding,
    parse_head,
    resolve_vr,
)

LONGEST_VALUE = 32 << 20
"""Bytes of a sequence, or of a text, that are read. The content of a report and the contours of a structure set are
sequences; nearly all of IDC's are below 1 MB, and the largest has 85 MB."""

CUT_VRS = frozenset({"SQ", "UT", "UC", "UR", "LT", "ST"})
"""VRs of values that are cut: of numbers the last one would be another."""

UNCUT = frozenset({0x52009229, 0x52009230})
"""Sequences that are read however long they are: the functional groups, without which no frame can be placed."""

_LONGEST_LETTER = 4
"""Bytes of a letter in UTF-8, at most."""

_LEVELS = 2 * MAX_DEPTH
"""Levels of items and sequences that are walked over, as many as `parse_items` reads."""


def cut_text(data: bytes) -> bytes:
    """Keep the first bytes of a text, without the beginning of a letter of several bytes in UTF-8 (PS3.5 6.1)."""
    end = len(data)
    while end and len(data) - end < _LONGEST_LETTER and 0x80 <= data[end - 1] < 0xC0:
        end -= 1
    return data[: end - 1] if end and data[end - 1] >= 0xC0 else data[:end]


def cut_sequence(data: bytes, encoding: Encoding) -> bytes:
    """Keep what is whole of a sequence: its items, and of the last one the elements and items that are whole.

    Args:
        data: The first bytes of its value.
        encoding: The encoding inside it.

    Returns:
        The value of a sequence (PS3.5 7.5), empty where the first item has no whole element.
    """
    return _cut_level(data, 0, encoding, 0)[0]


def _cut_level(data: bytes, begin: int, encoding: Encoding, depth: int) -> tuple[bytes, int | None]:
    """Walk over the items of a sequence, or over the elements of an item.

    Returns:
        What is whole of it, and where it ends; None where that is not within the data.
    """
    at = begin
    while (head := _find_head(data, at, encoding)) is not None:
        if head.tag in (ITEM_END, SEQUENCE_END):
            return data[begin : head.start], head.start
        end = head.start + head.length
        if head.length == UNDEFINED or end > len(data):
            inner, after = _descend(data, head, encoding, depth)
            if after is None or head.length != UNDEFINED:
                return data[begin:at] + _write_shorter(data[at : head.start], head, inner, encoding), None
            end = after
        at = end
    return data[begin:at], None


def _find_head(data: bytes, at: int, encoding: Encoding) -> ElementHead | None:
    try:
        return parse_head(data, at, encoding, len(data))
    except NeedMore:
        return None


def _descend(data: bytes, head: ElementHead, encoding: Encoding, depth: int) -> tuple[bytes, int | None]:
    """Walk over what lies in an item or in an element whose end is not known, or not within the data."""
    if depth == _LEVELS:
        return b"", None
    return _cut_level(data, head.start, nested_encoding(encoding, head.vr), depth + 1)


def _write_shorter(begin: bytes, head: ElementHead, inner: bytes, encoding: Encoding) -> bytes:
    """Write an item or a sequence that has become shorter: the last four bytes of its head are the length.

    Of any other element nothing is kept: half of a value is another value.
    """
    vr = resolve_vr(head, None) if head.vr in ("", "UN") else head.vr
    if head.tag != ITEM and vr != "SQ":
        return b""
    return begin[:-4] + struct.pack(f"{encoding.order}L", len(inner)) + inner
