"""Let a parser ask for bytes without doing input or output itself."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

Buffer = bytes | memoryview
"""Bytes, or a view of them: a frame of megabytes is not copied on its way to the decoder."""


class ByteRange(NamedTuple):
    """Half-open range of an object. If it ends beyond the object, the answer is shorter."""

    start: int
    stop: int


class Reply(NamedTuple):
    """The answer to one step of a reader."""

    parts: list[Buffer]
    """The bytes of each range asked for, in that order."""

    size: int
    """Number of bytes of the whole object."""


Reader = Generator[Sequence[ByteRange], Reply, T]
"""Yields the ranges of one object that it needs next, is sent a `Reply`, and returns what it made of them.

Storage drives many readers at once; each step's ranges are fetched together. Errors of parsing are raised inside.
"""


def read_bytes(reader: Reader[T], data: Buffer) -> T:
    """Run a reader over an object that is in memory."""
    view = memoryview(data)
    return answer_reader(reader, lambda ranges: [view[max(r.start, 0) : r.stop] for r in ranges], len(data))


def answer_reader(reader: Reader[T], cut: Callable[[Sequence[ByteRange]], Sequence[Buffer]], size: int) -> T:
    """Run a reader over an object whose bytes are at hand.

    Args:
        reader: The reader.
        cut: Gives the bytes of some ranges.
        size: Number of bytes of the object.
    """
    try:
        ranges = next(reader)
        while True:
            ranges = reader.send(Reply(list(cut(ranges)), size))
    except StopIteration as stop:
        value: T = stop.value
        return value
