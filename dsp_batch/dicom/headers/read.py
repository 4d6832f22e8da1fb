"""Read headers by small ranges, and make sure that each is complete.

A header ends where Pixel Data begins or where the object ends. Anything else is a truncated object, never a short
header. A parser that stops wherever its bytes stop would call half a header complete.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dsp_batch.dicom.headers.elements import UNDEFINED, Encoding
from dsp_batch.dicom.headers.shared import SharedElementTable
from dsp_batch.dicom.headers.walk import FIRST_RANGE, Setting, SparseWalk
from dsp_batch.dicom.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, GE_PRIVATE_BIG, IMPLICIT_LITTLE
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import InstanceHeader

WHOLE_OBJECT = 32 * 1024
"""Bytes of the largest object that is read whole: a second request would cost more than the bytes."""

MAX_INFLATED = 1 << 30
"""Bytes of the largest dataset that a deflated one may grow to."""

_ENCODINGS = {
    IMPLICIT_LITTLE: Encoding(implicit_vr=True),
    GE_PRIVATE_BIG: Encoding(implicit_vr=True),
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


@dataclass(slots=True)
class HeaderHint:
    """Sizes and elements of the headers of a series that were read, which help to read the others.

    The instances of a series have nearly the same elements. So a series with headers of 6 KB needs no requests of 16
    KB, and elements that are the same in all headers are parsed once.
    """

    first: int = FIRST_RANGE
    """Bytes of the first request."""

    more: int = FIRST_RANGE
    """Bytes of a request that continues after a large value."""

    shared: dict[Setting, SharedElementTable] = field(default_factory=dict)
    """The elements that headers share."""

    _first_used: int = 0
    _more_used: int = 0

    def learn(self, first_used: int, more_used: int) -> None:
        """Note how many bytes a header used of its first request, and of one that continued after a large value."""
        self._first_used = max(self._first_used, first_used)
        self._more_used = max(self._more_used, more_used)
        self.first = min(_round_up(self._first_used), FIRST_RANGE)
        if self._more_used:
            self.more = min(_round_up(self._more_used), FIRST_RANGE)


def _round_up(used: int) -> int:
    """Add a few hundred bytes to the longest header so far, and round up to 512 bytes."""
    return (used + 256 + 511) // 512 * 512


def read_header(
    name: str,
    size: int | None,
    *,
    bulk: frozenset[int] | None = frozenset(),
    hint: HeaderHint | None = None,
) -> Reader[InstanceHeader]:
    """Read the header of one object by small ranges.

    Args:
        name: Object name, for the result.
        size: Number of bytes of the object as listed; None where unknown.
        bulk: Tags whose values are wanted however large they are; None for all.
        hint: A hint that all headers of a series share, and that each improves; None for none.

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
    walk = SparseWalk(
        data=bytes(reply.parts[0]),
        size=reply.size,
        bulk=bulk,
        shared=hint.shared,
        growth=hint.more,
    )
    header = yield from _read_header(name, walk)
    end = header.pixel_data_offset or header.fragments_offset or header.size
    more_used = end - walk.base if walk.base and walk.first_used != FIRST_RANGE else 0
    hint.learn(end if walk.first_used is None else walk.first_used, more_used)
    if not header.elements.keys() & {_SOP_CLASS_UID, _SOP_INSTANCE_UID, _ROWS}:
        raise HeaderError("it has neither SOP Class UID, SOP Instance UID nor Rows", "not-dicom")
    return header


def _read_header(name: str, walk: SparseWalk) -> Reader[InstanceHeader]:
    size = walk.size
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    declared_syntax = walk.elements.get(_TRANSFER_SYNTAX_UID)
    syntax = declared_syntax.text if declared_syntax else ""
    if syntax == DEFLATED:
        yield from walk.fetch(start, size)
        inflated = inflate(walk.data)
        walk, start = replace(walk, data=inflated, size=len(inflated), base=0), 0
    elif start + 8 > walk.base + len(walk.data):
        yield from walk.fetch(start, min(start + 8, size))
    declared = _ENCODINGS.get(syntax, Encoding()) if syntax else None
    encoding = _check_encoding(declared, walk.data[start - walk.base :][:8])
    _, pixels = yield from walk.run(start, encoding)
    header = InstanceHeader(
        name=name,
        size=size,
        transfer_syntax_uid=syntax or _GUESSED_SYNTAX[encoding],
        elements=walk.elements,
        implicit_vr=encoding.implicit_vr,
        big_endian=encoding.big_endian,
        pixel_data_offset=None,
        pixel_data_length=None,
    )
    if pixels is None or syntax == DEFLATED:
        return header
    if pixels.length == UNDEFINED:
        return replace(header, fragments_offset=pixels.start)
    return replace(header, pixel_data_offset=pixels.start, pixel_data_length=pixels.length)


def _find_start(data: bytes) -> int:
    """Find the first byte of the file meta information, or of a dataset without any (PS3.10 7.1)."""
    begins_with_element = data[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")
    if data[128:132] == b"DICM" and not (begins_with_element and data[4:6].isalpha()):
        return 132
    if data[:4] == b"DICM":
        return 4
    if begins_with_element:
        return 0
    raise HeaderError("it has no DICM prefix and does not begin with a DICOM element", "not-dicom")


def _check_encoding(declared: Encoding | None, data: bytes) -> Encoding:
    """Compare the declared encoding with the first element: headers that declare a wrong one are common."""
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
    """A deflated object, inflated in memory."""

    data: bytes
    """The dataset, explicit VR little endian."""

    pixel_data_offset: int | None
    """First byte of the value of native Pixel Data in `data`; None where there is none."""

    pixel_data_length: int | None
    """Number of bytes of native Pixel Data; None where there is none."""


def read_inflated() -> Reader[InflatedObject]:
    """Read a deflated object whole, for its pixels.

    Raises:
        HeaderError: The object is not deflated, or it is damaged.
    """
    reply = yield (ByteRange(0, WHOLE_OBJECT),)
    walk = SparseWalk(data=bytes(reply.parts[0]), size=reply.size)
    start, _ = yield from walk.run(_find_start(walk.data), Encoding(), last_group=META_GROUP)
    if start < walk.size:
        yield from walk.fetch(start, walk.size)
    data = inflate(walk.data)
    _, pixels = yield from SparseWalk(data=data, size=len(data)).run(0, Encoding())
    return InflatedObject(data, pixels.start if pixels else None, pixels.length if pixels else None)
