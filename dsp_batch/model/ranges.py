"""How a parser asks for bytes without doing input or output itself."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

Buffer = bytes | memoryview
"""Bytes, or a view of them where they already lie: a frame of megabytes is not copied on its way to the decoder."""


class ByteRange(NamedTuple):
    """Half-open range of an object. It may end beyond the object: the answer is shorter then."""

    start: int
    stop: int


class Reply(NamedTuple):
    """The answer to one step of a reader."""

    parts: list[Buffer]
    """The bytes of each range asked for, in that order."""

    size: int
    """Bytes of the whole object."""


class Piece(NamedTuple):
    """Part of an object that is in memory, or all of it."""

    data: Buffer
    start: int = 0
    """Byte of the object that it begins with."""


class OutsideError(LookupError):
    """What a reader asked for lies outside of the part of an object that is in memory."""


Reader = Generator[Sequence[ByteRange], Reply, T]
"""Yields the ranges of one object that it needs next, is sent a `Reply`, and returns what it made of them.

Storage drives many readers at once; each step's ranges are fetched together. Errors of parsing are raised inside.
"""


def read_bytes(reader: Reader[T], data: Buffer) -> T:
    """Run a reader over an object that is in memory."""
    return read_piece(reader, Piece(data), len(data))


def read_piece(reader: Reader[T], piece: Piece, size: int) -> T:
    """Run a reader over an object of which a part is in memory.

    Args:
        reader: Begun nowhere else.
        piece: The part.
        size: Bytes of the object.

    Raises:
        OutsideError: That part is not enough.
    """
    view, begin = memoryview(piece.data), piece.start
    try:
        ranges = next(reader)
        while True:
            if any(max(r.start, 0) < begin or min(r.stop, size) > begin + len(view) for r in ranges):
                reader.close()
                raise OutsideError
            ranges = reader.send(Reply([view[max(r.start, 0) - begin : r.stop - begin] for r in ranges], size))
    except StopIteration as stop:
        value: T = stop.value
        return value
