"""Inflate deflated datasets (PS3.5 A.5) without holding more of them than is needed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dsp_batch.dicom.headers.elements import VR_NAMES
from dsp_batch.errors import HeaderError
from dsp_batch.model.ranges import ByteRange

MAX_INFLATED = 1 << 30
"""Bytes of the largest dataset that a deflated one may grow to."""

MAX_INFLATED_HEADER = 64 << 20
"""Bytes of a deflated dataset that are kept in memory: all that is before its Pixel Data, and as many may follow it."""

_PIECE = 1 << 20
"""Bytes that are inflated at a time of what is not kept."""

_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
"""Groups that a dataset begins with, little endian."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InflatedData:
    """A deflated dataset, of which no more than the first 64 MB are in memory."""

    data: bytes
    """The dataset, or the first part of it."""

    is_whole: bool
    """True where `data` are the whole dataset."""

    stream: bytes
    """The deflate stream, with the wrapper that it has."""

    wbits: int = -zlib.MAX_WBITS
    """The wrapper, as zlib calls it."""

    notes: tuple[str, ...] = ()
    is_plain: bool = False
    """True where the dataset is not deflated, though it is declared so; `data` are its own bytes."""


def inflate(stream: bytes) -> InflatedData:
    """Inflate a raw deflate stream (RFC 1951), or one in the zlib or gzip wrapper that some writers add.

    Raises:
        HeaderError: The stream is damaged, or cut off.
    """
    try:
        return _inflate(stream, -zlib.MAX_WBITS)
    except zlib.error as error:
        if stream[4:6] in VR_NAMES and stream[:2] in _FIRST_GROUPS:
            note = "The dataset is not deflated, though it is declared so"
            return InflatedData(data=stream, is_whole=True, stream=stream, notes=(note,), is_plain=True)
        name, wbits = _find_wrapper(stream)
        if not wbits:
            raise _damaged(error) from error
    try:
        return _inflate(stream, wbits, (f"The deflated dataset has a {name} header",))
    except zlib.error as error:
        raise _damaged(error) from error


def _find_wrapper(stream: bytes) -> tuple[str, int]:
    """Find the wrapper of a deflate stream by its first two bytes (RFC 1950 2.2, RFC 1952 2.3); "" and 0 for none."""
    if len(stream) >= 2 and stream[0] & 0x0F == 8 and int.from_bytes(stream[:2], "big") % 31 == 0:
        return "zlib", zlib.MAX_WBITS
    return ("gzip", zlib.MAX_WBITS | 16) if stream[:2] == b"\x1f\x8b" else ("", 0)


def _inflate(stream: bytes, wbits: int, notes: tuple[str, ...] = ()) -> InflatedData:
    inflater = zlib.decompressobj(wbits)
    data = inflater.decompress(stream, MAX_INFLATED_HEADER)
    if not inflater.eof and len(data) < MAX_INFLATED_HEADER:
        raise HeaderError("the deflated dataset is cut off")
    return InflatedData(data=data, is_whole=inflater.eof, stream=stream, wbits=wbits, notes=notes)


def _damaged(error: zlib.error) -> HeaderError:
    return HeaderError(f"the deflated dataset is damaged: {error}")


def count_inflated(inflated: InflatedData, pixels_end: int | None = None) -> int:
    """Count the bytes of a deflated dataset: what is not in memory is inflated to see that it is whole, and forgotten.

    Args:
        inflated: The dataset.
        pixels_end: Where its Pixel Data end; None where only a delimiter would tell.

    Raises:
        HeaderError: What follows Pixel Data is larger than a header may be, all of it is larger than a dataset may be,
            or it is damaged or cut off behind what is in memory.
    """
    if inflated.is_whole:
        return len(inflated.data)
    most = MAX_INFLATED if pixels_end is None else min(pixels_end + MAX_INFLATED_HEADER, MAX_INFLATED)
    size = 0
    for piece in _iterate_pieces(inflated):
        size += len(piece)
        if size > most:
            raise HeaderError(f"the deflated dataset grows beyond {most >> 20} MB", "too-large")
    return size


def cut_inflated(inflated: InflatedData, ranges: Sequence[ByteRange]) -> list[bytes]:
    """Cut ranges out of a deflated dataset. What is not in memory is inflated once more, and only they are kept.

    Args:
        inflated: The dataset.
        ranges: Half-open ranges, in any order.

    Returns:
        The bytes of each range; short or empty beyond the end.

    Raises:
        HeaderError: The dataset is damaged behind what is in memory.
    """
    last = max((each.stop for each in ranges), default=0)
    if inflated.is_whole or last <= len(inflated.data):
        return [inflated.data[each.start : each.stop] for each in ranges]
    parts = [bytearray() for _ in ranges]
    begin = 0
    for piece in _iterate_pieces(inflated):
        end = begin + len(piece)
        for (start, stop), part in zip(ranges, parts, strict=True):
            if start < end and stop > begin:
                part.extend(piece[max(start - begin, 0) : stop - begin])
        begin = end
        if begin >= last:
            break
    return [bytes(part) for part in parts]


def _iterate_pieces(inflated: InflatedData) -> Iterator[bytes]:
    inflater = zlib.decompressobj(inflated.wbits)
    rest = inflated.stream
    try:
        while not inflater.eof:
            piece = inflater.decompress(rest, _PIECE)
            if not piece and not inflater.eof:
                raise HeaderError("the deflated dataset is cut off")
            yield piece
            rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise _damaged(error) from error
