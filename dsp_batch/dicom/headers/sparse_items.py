"""Walk over the items of a sequence without reading the large values in them."""

from __future__ import annotations

import struct
from typing import Protocol

from dsp_batch.dicom.headers.elements import (
    BINARY_VRS,
    ITEM,
    ITEM_END,
    LARGE_VALUE,
    MAX_DEPTH,
    SEQUENCE_END,
    UNDEFINED,
    ElementHead,
    Encoding,
    NeedMore,
    NoItemError,
    format_tag,
    nested_encoding,
    parse_head,
    resolve_vr,
)
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import Reader
from dsp_batch.model.series import NestedValue

SPARSE_SEQUENCES = frozenset({0x006A0002})
"""Sequences whose items hold large values that a header is read without: Annotation Group Sequence (006A,0002)."""

_MOST_ELEMENTS = 1 << 16
"""Elements of all items, at most."""


class SparseBytes(Protocol):
    """The part of an object that is in memory, and the way to more of it."""

    data: bytes
    base: int
    size: int

    def fetch(self, start: int, stop: int) -> Reader[None]:
        """Read [start, stop) and some more into memory, and keep what is in memory from `start` on."""

    def restrain(self) -> None:
        """Let the next request ask for little beyond what is needed."""


class ItemWalk:
    """One pass over the items of a sequence.

    Args:
        walk: The object.
    """

    def __init__(self, walk: SparseBytes) -> None:
        self._walk = walk
        self._count = 0
        self.left_out: list[NestedValue] = []
        """The values that were not read."""

    def read_items(
        self, head: ElementHead, encoding: Encoding, depth: int = 0, item: int | None = None
    ) -> Reader[tuple[bytes, int]]:
        """Read the items of a sequence.

        Args:
            head: Head of the sequence, its start counted from the start of the object.
            encoding: The encoding of the dataset that holds the sequence.
            depth: Number of sequences around it.
            item: Number, from 0, of the item of the outermost sequence that it is in; None for that sequence itself.

        Returns:
            The value of the sequence, without what was left out and with lengths that fit that, and the byte behind it.

        Raises:
            HeaderError: The items are damaged.
        """
        if depth > MAX_DEPTH:
            raise HeaderError(f"sequences are nested more than {MAX_DEPTH} deep")
        encoding = nested_encoding(encoding, head.vr)
        position, value, number = head.start, bytearray(), 0
        end = None if head.length == UNDEFINED else head.start + head.length
        while end is None or position < end:
            tag, _, start, length = yield from self._parse_head(position, encoding)
            if tag == SEQUENCE_END:
                return bytes(value), start
            if tag != ITEM:
                raise NoItemError(f"element {format_tag(tag)} stands where a sequence item should")
            stop = None if length == UNDEFINED else start + length
            place = number if item is None else item
            body, position = yield from self._read_item(start, stop, encoding, depth, place)
            value += struct.pack(f"{encoding.order}HHL", ITEM >> 16, ITEM & 0xFFFF, len(body)) + body
            number += 1
        return bytes(value), position

    def _read_item(
        self, position: int, stop: int | None, encoding: Encoding, depth: int, item: int
    ) -> Reader[tuple[bytes, int]]:
        body = bytearray()
        while stop is None or position < stop:
            head = yield from self._parse_head(position, encoding)
            if head.tag == ITEM_END:
                return bytes(body), head.start
            self._count += 1
            if self._count > _MOST_ELEMENTS:
                raise HeaderError(f"a sequence has more than {_MOST_ELEMENTS} elements", "too-large")
            vr = head.vr or resolve_vr(head, None)
            if vr == "SQ" or head.length == UNDEFINED:
                begin = yield from self._read(position, head.start)
                value, position = yield from self.read_items(head, encoding, depth + 1, item)
                body += begin[:-4] + struct.pack(f"{encoding.order}L", len(value)) + value
                continue
            end = head.start + head.length
            if vr in BINARY_VRS and head.length > LARGE_VALUE:
                self.left_out.append(NestedValue(item, head.tag, vr, head.start, head.length))
            else:
                body += yield from self._read(position, end)
            position = end
        return bytes(body), position

    def _parse_head(self, position: int, encoding: Encoding) -> Reader[ElementHead]:
        """Parse the head of the element at a byte of the object, its start counted from the start of the object."""
        walk = self._walk
        while True:
            try:
                head = parse_head(walk.data, position - walk.base, encoding, walk.size - walk.base)
                return head._replace(start=head.start + walk.base)
            except NeedMore as need:
                walk.restrain()
                yield from walk.fetch(position, need.stop + walk.base)

    def _read(self, start: int, stop: int) -> Reader[bytes]:
        walk = self._walk
        if stop > walk.base + len(walk.data):
            walk.restrain()
            yield from walk.fetch(start, stop)
        return bytes(walk.data[start - walk.base : stop - walk.base])
