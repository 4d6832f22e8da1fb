"""Byte ranges of one step: which requests they become, and how the answers are cut again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dsp_batch.model.ranges import Buffer, ByteRange

MAX_GAP = 8192
"""Bytes: ranges that lie nearer than this are read in one request; fetching the gap costs less than a round trip."""


def merge_ranges(ranges: Sequence[ByteRange], size: int | None) -> list[ByteRange]:
    """Find the few requests that cover all ranges.

    Args:
        ranges: Half-open ranges in any order; they may overlap, be empty, or lie beyond the end.
        size: Bytes of the whole object, None where unknown.

    Returns:
        Disjoint ranges in rising order, none of them empty, none reaching beyond a known end.
    """
    if len(ranges) == 1:
        only = _clip(ranges[0], size)
        return [only] if only.start < only.stop else []
    merged: list[ByteRange] = []
    for start, stop in sorted(_clip(each, size) for each in ranges):
        if start >= stop:
            continue
        if merged and start - merged[-1].stop <= MAX_GAP:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].stop, stop))
        else:
            merged.append(ByteRange(start, stop))
    return merged


def cut_parts(ranges: Sequence[ByteRange], answers: Mapping[ByteRange, Buffer]) -> list[Buffer]:
    """Cut the answers to merged requests into one part for each range asked for.

    Args:
        ranges: The ranges as asked for.
        answers: Merged range → its bytes, shorter where the object ended.

    Returns:
        The bytes of each range, in the order of `ranges`; short or empty beyond the end of the object.
    """
    return [_cut(each, answers) for each in ranges]


def _cut(wanted: ByteRange, answers: Mapping[ByteRange, Buffer]) -> Buffer:
    start, stop = _clip(wanted, None)
    for merged, data in answers.items():
        if merged.start <= start < merged.stop:
            if (start, stop) == merged:
                return data
            return data[start - merged.start : max(stop, start) - merged.start]
    return b""


def _clip(each: ByteRange, size: int | None) -> ByteRange:
    start = max(each.start, 0)
    return ByteRange(start, each.stop if size is None else min(each.stop, size))
