"""Bytes to headers: a sparse walk that asks for small ranges and knows whether it has reached the end.

A header ends where Pixel Data begins or where the object ends. Anything else is a truncated object, never a short
header: a parser that takes what it was given would call a cut header complete.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dsp_batch.dicom.walk import (
    BINARY_VRS,
    PIXEL_TAGS,
    SMALLEST_ELEMENT,
    UNDEFINED,
    ElementHead,
    Encoding,
    NeedMore,
    find_end,
    nested_encoding,
    parse_head,
    resolve_vr,
    take_short,
)
from dsp_batch.errors import HeaderError
from dsp_batch.model import InstanceHeader, RawElement
from dsp_batch.reading import ByteRange, Reader, Reply, T

FIRST_RANGE = 16 * 1024
"""Bytes of the first request: the whole header of most CT, PET and many MR instances."""

WHOLE_OBJECT = 32 * 1024
"""Objects up to this size are read whole: a second request would cost more than the bytes."""

LARGE_VALUE = 16 * 1024
"""Binary values longer than this stay in the object unless asked for."""

MAX_GROWTH = 4 << 20
"""Bytes that one further request may add beyond what is known to be needed."""

MAX_PADDING = 64 * 1024
"""Zeros that may follow the last element; more are a file whose bytes never arrived."""

MAX_INFLATED = 1 << 30
"""Bytes that a deflated dataset may grow to."""

DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_ENCODINGS = {
    IMPLICIT_LITTLE: Encoding(implicit_vr=True),
    "1.2.840.113619.5.2": Encoding(implicit_vr=True),  # GE private: implicit VR with big endian pixels
    EXPLICIT_BIG: Encoding(big_endian=True),
}
_GUESSED_SYNTAX = {
    Encoding(implicit_vr=True): IMPLICIT_LITTLE,
    Encoding(): EXPLICIT_LITTLE,
    Encoding(big_endian=True): EXPLICIT_BIG,
    Encoding(implicit_vr=True, big_endian=True): EXPLICIT_BIG,
}
META_GROUP = 0x0002
_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS = 0x00080016, 0x00080018, 0x00280010
_TRANSFER_SYNTAX_UID = 0x00020010


Steps = Generator[Sequence[ByteRange], Reply, T]


@dataclass(slots=True)
class HeaderHint:
    """What the headers of a series that were read tell of those to come: how much to ask for.

    The instances of a series have nearly the same elements, so that 6 KB headers need no requests of 16 KB.
    """

    first: int = FIRST_RANGE
    """Bytes of the first request."""

    more: int = FIRST_RANGE
    """Bytes that a request behind a large value asks for."""

    _first_used: int = 0
    _more_used: int = 0

    def learn(self, first_used: int, more_used: int) -> None:
        """Take up how many bytes of the first request, and of one behind a large value, a header used."""
        self._first_used = max(self._first_used, first_used)
        self._more_used = max(self._more_used, more_used)
        self.first = min(_round_up(self._first_used), FIRST_RANGE)
        if self._more_used:
            self.more = min(_round_up(self._more_used), FIRST_RANGE)


def _round_up(used: int) -> int:
    """A few hundred bytes more than the longest header so far, in whole half kilobytes."""
    return (used + 256 + 511) // 512 * 512


@dataclass(slots=True)
class _Walk:
    """One pass over an object: the part of it that is in hand, and the elements found so far."""

    data: bytes
    size: int
    elements: dict[int, RawElement] = field(default_factory=dict)
    bulk: frozenset[int] | None = frozenset()
    base: int = 0
    growth: int = FIRST_RANGE
    left_out: int | None = None
    """Where the last value begins that was left in the object."""

    first_used: int | None = None
    """Bytes of the first request that were needed, once there was a second one."""

    padding: int = 0
    """Zeros skipped."""

    def fetch(self, start: int, stop: int) -> Steps[None]:
        """Bring [start, stop) and some more into hand, keeping what there is from `start` on."""
        if stop > self.size:
            raise HeaderError(f"the object ends at byte {self.size}, inside an element that reaches to byte {stop}")
        kept = self.data[start - self.base :]
        begin = start + len(kept)
        if begin >= stop:
            self.data, self.base = kept, start
            return
        end = min(max(stop, begin + self.growth), self.size)
        self.growth = min(max(self.growth, FIRST_RANGE) * 2, MAX_GROWTH)
        if self.first_used is None:
            self.first_used = FIRST_RANGE if kept or self.left_out is None else self.left_out
        reply = yield (ByteRange(begin, end),)
        self.data, self.base = kept + reply.parts[0], start
        if len(self.data) < end - start:
            raise HeaderError(f"the object ends at byte {start + len(self.data)} though it was listed with {self.size}")

    def run(self, position: int, encoding: Encoding, last_group: int = 0xFFFF) -> Steps[tuple[int, ElementHead | None]]:
        """Walk to Pixel Data, to the end of the object, or to the first element of a group behind `last_group`.

        Returns:
            Where the walk stopped, and the head of Pixel Data, its start counted from the start of the object.
        """
        simple = encoding == Encoding()
        while position < self.size:
            if simple and position >= self.base:
                position = self.base + take_short(self.data, position - self.base, self.elements, last_group)
            try:
                head = parse_head(self.data, position - self.base, encoding)
                if head.tag in PIXEL_TAGS:
                    return position, head._replace(start=head.start + self.base)
                if head.tag >> 16 > last_group:
                    return position, None
                position = self.take(head, encoding) if head.tag else self.skip_padding(position)
            except NeedMore as need:
                stop = need.stop + self.base
                if self.size - position < SMALLEST_ELEMENT:
                    yield from self.fetch(position, self.size)
                    if not self.data.strip(b"\0"):
                        break  # less than an element of zeros: padding, not damage
                yield from self.fetch(position, stop)
        if position > self.size:
            raise HeaderError(f"the object ends at byte {self.size}, inside an element that reaches to byte {position}")
        return position, None

    def skip_padding(self, position: int) -> int:
        """Skip the zeros at `position`, 8 or more, in steps of 8; return the position behind them."""
        rest = self.data[position - self.base : position - self.base + MAX_PADDING]
        zeros = len(rest) - len(rest.lstrip(b"\0"))
        self.padding += zeros
        if self.padding > MAX_PADDING:
            raise HeaderError(f"nothing but zeros follows byte {position - self.padding + zeros}: it is damaged")
        return position + max(zeros - zeros % SMALLEST_ELEMENT, SMALLEST_ELEMENT)

    def take(self, head: ElementHead, encoding: Encoding) -> int:
        """Take up one element and return the position behind it, which may lie beyond what is in hand."""
        tag, vr, start, length = head
        if vr in ("", "UN"):
            vr = resolve_vr(head, self.elements)
        end = start + length
        if length == UNDEFINED:
            end = find_end(self.data, start, nested_encoding(encoding, head.vr))
        is_left_out = self.bulk is not None and tag not in self.bulk and vr in BINARY_VRS and end - start > LARGE_VALUE
        if is_left_out:
            self.left_out = self.base + start
            self.elements[tag] = RawElement(vr, None, end - start)
        elif end > len(self.data):
            raise NeedMore(end)
        elif tag & 0xFFFF:
            self.elements[tag] = RawElement(vr, self.data[start:end], end - start)
        return self.base + end


def read_header(
    name: str, size: int | None, *, bulk: frozenset[int] | None = frozenset(), hint: HeaderHint | None = None
) -> Reader[InstanceHeader]:
    """Read the header of one object by small ranges.

    Args:
        name: Object name, for the result.
        size: Bytes of the object as listed; None where unknown.
        bulk: Tags whose values are wanted however large they are; None for all.
        hint: Shared by the headers of a series.

    Returns:
        A reader of the header, up to Pixel Data or the end of the object.

    Raises:
        HeaderError: The object is empty, no DICOM, truncated or damaged, or is no instance: it has neither
            SOP Class UID, SOP Instance UID nor Rows.
    """
    hint = hint or HeaderHint()
    first = WHOLE_OBJECT if size is not None and size <= WHOLE_OBJECT else hint.first
    reply = yield (ByteRange(0, first),)
    if not reply.parts[0]:
        raise HeaderError("the object is empty", "not-dicom")
    walk = _Walk(data=reply.parts[0], size=reply.size, bulk=bulk, growth=hint.more)
    header = yield from _read_header(name, walk)
    end = header.pixel_data_offset or header.fragments_offset or header.size
    behind = end - walk.base if walk.base and walk.first_used != FIRST_RANGE else 0
    hint.learn(end if walk.first_used is None else walk.first_used, behind)
    if not header.elements.keys() & {_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS}:
        raise HeaderError("it has neither SOP Class UID, SOP Instance UID nor Rows", "not-dicom")
    return header


def _read_header(name: str, walk: _Walk) -> Steps[InstanceHeader]:
    size = walk.size
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    syntax = _text(walk.elements.get(_TRANSFER_SYNTAX_UID))
    if syntax == DEFLATED:
        yield from walk.fetch(start, size)
        inflated = inflate(walk.data)
        walk, start = _Walk(data=inflated, size=len(inflated), elements=walk.elements, bulk=walk.bulk), 0
    elif start + 8 > walk.base + len(walk.data):
        yield from walk.fetch(start, min(start + 8, size))
    declared = _ENCODINGS.get(syntax, Encoding()) if syntax else None
    encoding = _check_encoding(declared, walk.data[start - walk.base :])
    _, pixels = yield from walk.run(start, encoding)
    native = pixels is not None and pixels.length != UNDEFINED and syntax != DEFLATED
    encapsulated = pixels is not None and pixels.length == UNDEFINED and syntax != DEFLATED
    return InstanceHeader(
        name=name,
        size=size,
        transfer_syntax_uid=syntax or _GUESSED_SYNTAX[encoding],
        elements=walk.elements,
        implicit_vr=encoding.implicit_vr,
        big_endian=encoding.big_endian,
        pixel_data_offset=pixels.start if pixels and native else None,
        pixel_data_length=pixels.length if pixels and native else None,
        fragments_offset=pixels.start if pixels and encapsulated else None,
    )


def _text(element: RawElement | None) -> str:
    return (element.value or b"").decode("ascii", "replace").strip(" \0") if element else ""


def _find_start(data: bytes) -> int:
    """First byte of the file meta information, or of a dataset without any (PS3.10 7.1)."""
    begins_with_element = data[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")
    if data[128:132] == b"DICM" and not (begins_with_element and data[4:6].isalpha()):
        return 132
    if data[:4] == b"DICM":
        return 4
    if begins_with_element:
        return 0
    raise HeaderError("it has no DICM prefix and does not begin with a DICOM element", "not-dicom")


def _check_encoding(declared: Encoding | None, data: bytes) -> Encoding:
    """Hold the declared encoding against the first element: headers that lie about it are common."""
    if len(data) < 8:
        return declared or Encoding()
    big_endian = declared.big_endian if declared else data[0] == 0
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    return Encoding(implicit_vr=not explicit, big_endian=big_endian)


def inflate(data: bytes) -> bytes:
    """Inflate a raw deflate stream (PS3.5 A.5, RFC 1951).

    Raises:
        HeaderError: The stream is damaged, cut off, or grows beyond `MAX_INFLATED`.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise HeaderError(f"the deflated dataset is damaged: {error}") from error
    if inflater.unconsumed_tail:
        raise HeaderError(f"the deflated dataset grows beyond {MAX_INFLATED >> 20} MB", "too-large")
    if not inflater.eof:
        raise HeaderError("the deflated dataset is cut off")
    return inflated


class InflatedObject(NamedTuple):
    """A deflated object in memory, inflated."""

    data: bytes
    """The dataset, explicit VR little endian."""

    pixel_data_offset: int | None
    pixel_data_length: int | None
    """Native Pixel Data within `data`."""


def read_inflated() -> Reader[InflatedObject]:
    """Read a deflated object whole, for its pixels.

    Raises:
        HeaderError: It is no deflated object, or it is damaged.
    """
    reply = yield (ByteRange(0, WHOLE_OBJECT),)
    walk = _Walk(data=reply.parts[0], size=reply.size)
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    if start < walk.size:
        yield from walk.fetch(start, walk.size)
    data = inflate(walk.data)
    _, pixels = yield from _Walk(data=data, size=len(data)).run(0, Encoding())
    return InflatedObject(data, pixels.start if pixels else None, pixels.length if pixels else None)
