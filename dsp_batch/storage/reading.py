"""The reading loop: many readers at once, in one event loop, with one bound on requests in flight."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_right
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.ranges import Buffer, ByteRange, Reader, Reply, T
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import Backend, ObjectSource, TemporaryError
from dsp_batch.storage.flow import Flow
from dsp_batch.storage.retry import retry_temporary

MAX_GAP = 8192
"""Bytes between two ranges, at most, that are fetched with them in one request: this costs less than a round trip."""

_TURN = 0.02
"""Seconds after which a worker that never waits, on local files, lets the loop look at deadlines and interrupts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A series folder that is being read."""

    backend: Backend
    name: str
    url: str
    """Where it lies, as messages say it."""

    flow: Flow
    """The rate of requests to its bucket or server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The state that the workers of one call share."""

    folder: Folder
    pending: Iterator[tuple[ObjectInfo, Reader[Any]]]
    slots: asyncio.Semaphore
    results: dict[str, Any]


async def read_objects(
    folder: Folder, readers: Mapping[ObjectInfo, Reader[T]], *, max_workers: int, seconds: float | None
) -> dict[str, T | DspBatchError]:
    """Drive a reader for each object until it returns.

    Args:
        folder: Where the objects lie.
        readers: Object → the generator that reads it.
        max_workers: Requests in flight, at most; also the number of objects begun and not finished.
        seconds: Limit for all of it; None for no limit.

    Returns:
        Object name → what its reader returned, or the error that ended it, in the order of `readers`.
    """
    results: dict[str, T | DspBatchError] = {}
    in_flight = folder.flow.limit(max_workers)
    slots = asyncio.Semaphore(in_flight)
    reading = _Reading(folder=folder, pending=iter(readers.items()), slots=slots, results=results)
    workers = [asyncio.create_task(_work(reading)) for _ in range(min(in_flight, len(readers)))]
    try:
        async with asyncio.timeout(seconds) as deadline:
            await asyncio.gather(*workers)
    except TimeoutError:
        if not deadline.expired():
            raise
    finally:
        for worker in workers:
            worker.cancel()
    for info in readers:
        if info.name not in results:
            results[info.name] = _late(folder, info, seconds)
    return {info.name: results[info.name] for info in readers}


def _late(folder: Folder, info: ObjectInfo, seconds: float | None) -> StorageError:
    return StorageError(f"cannot read {folder.url}/{info.name}: not finished within {seconds:g} s", reason="timeout")


async def _work(reading: _Reading) -> None:
    folder = reading.folder
    turn = -math.inf  # a deadline that has passed already is looked at first
    for info, reader in reading.pending:
        if time.monotonic() - turn > _TURN:
            await asyncio.sleep(0)
            turn = time.monotonic()
        source = folder.backend.open_object(folder.name, info)
        request = _Request(source=source, slots=reading.slots, flow=folder.flow, what=f"read {folder.url}/{info.name}")
        try:
            reading.results[info.name] = await _drive(reader, request)
        except DspBatchError as error:
            reading.results[info.name] = error
        finally:
            source.close()
            reader.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """All that a request for ranges of one object needs."""

    source: ObjectSource
    slots: asyncio.Semaphore
    flow: Flow
    what: str
    """Continues "cannot …" in messages."""


async def _drive(reader: Reader[T], request: _Request) -> T:
    try:
        ranges = next(reader)
        while True:
            reply = await _answer(ranges, request)
            ranges = reader.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def _answer(ranges: Sequence[ByteRange], request: _Request) -> Reply:
    source = request.source
    size = source.size
    merged = merge_ranges(ranges, size)
    if not merged and size is None:
        merged = [ByteRange(0, 1)]  # the size is part of the reply, and only an answer tells it
    if len(merged) == 1:
        answers = {merged[0]: await _fetch(request, merged[0])}
    else:
        fetches = [_fetch(request, each) for each in merged]
        answers = dict(zip(merged, await _gather_or_cancel(fetches), strict=True))
    if size is not None and (source.size or 0) > size:
        # The object was stored in a coding, and its listed size was that of the coded bytes: ranges were cut there.
        return await _answer(ranges, request)
    return Reply(cut_parts(ranges, answers), source.size or 0)


async def _fetch(request: _Request, each: ByteRange) -> Buffer:
    async with request.slots:
        return await retry_temporary(partial(_attempt, request, each), request.what, request.flow)


async def _attempt(request: _Request, each: ByteRange) -> Buffer:
    source, flow = request.source, request.flow
    begin = time.monotonic()
    data = await source.read_range(each.start, each.stop)
    flow.note_answer(begin, time.monotonic())
    expected = max(min(each.stop, source.size or 0) - each.start, 0)
    if len(data) != expected:
        raise TemporaryError(f"{len(data)} bytes came instead of {expected}")
    return data


async def _gather_or_cancel(fetches: Sequence[Coroutine[Any, Any, Buffer]]) -> list[Buffer]:
    tasks = [asyncio.create_task(fetch) for fetch in fetches]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


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
    found = sorted(answers)
    return [_cut(each, found, answers) for each in ranges]


def _cut(wanted: ByteRange, found: Sequence[ByteRange], answers: Mapping[ByteRange, Buffer]) -> Buffer:
    """Cut one part out of the answer that holds it; `found` has the ranges of the answers in rising order."""
    start, stop = _clip(wanted, None)
    number = bisect_right(found, start, key=lambda each: each.start) - 1
    if number < 0 or start >= found[number].stop:
        return b""
    merged = found[number]
    data = answers[merged]
    if (start, stop) == merged:
        return data
    return data[start - merged.start : max(stop, start) - merged.start]


def _clip(each: ByteRange, size: int | None) -> ByteRange:
    start = max(each.start, 0)
    return ByteRange(start, each.stop if size is None else min(each.stop, size))
