"""Readers as a parser would write them."""

from __future__ import annotations

from collections.abc import Sequence

from dsp_batch.model.ranges import ByteRange, Reader, Reply


def take(*steps: Sequence[tuple[int, int]]) -> Reader[list[Reply]]:
    """Ask for the ranges of each step, and return the replies."""
    replies = []
    for step in steps:
        reply = yield [ByteRange(*each) for each in step]
        replies.append(reply)
    return replies


def take_all() -> Reader[bytes]:
    """Learn the size from the first byte, then read the whole object."""
    first = yield [ByteRange(0, 1)]
    rest = yield [ByteRange(1, first.size)]
    return b"".join([*first.parts, *rest.parts])
