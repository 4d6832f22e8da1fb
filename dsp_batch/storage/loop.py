"""The reading loop: many readers at once, in one event loop, with one bound on requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model import ObjectInfo
from dsp_batch.reading import ByteRange, Reader, Reply, T
from dsp_batch.storage.backend import Backend, ObjectSource, TemporaryError
from dsp_batch.storage.ranges import cut_parts, merge_ranges
from dsp_batch.storage.retry import retry_temporary


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A series folder that is being read."""

    backend: Backend
    name: str
    url: str
    """For messages."""


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
    slots = asyncio.Semaphore(max_workers)
    pending = iter(readers.items())
    workers = [
        asyncio.create_task(_work(folder, pending, slots, results)) for _ in range(min(max_workers, len(readers)))
    ]
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


async def _work(
    folder: Folder,
    pending: Iterator[tuple[ObjectInfo, Reader[T]]],
    slots: asyncio.Semaphore,
    results: dict[str, T | DspBatchError],
) -> None:
    for info, reader in pending:
        await asyncio.sleep(0)  # local files never wait: the deadline is looked at here
        source = folder.backend.open_object(folder.name, info)
        try:
            results[info.name] = await _drive(reader, source, slots, f"read {folder.url}/{info.name}")
        except DspBatchError as error:
            results[info.name] = error
        finally:
            source.close()
            reader.close()


async def _drive(reader: Reader[T], source: ObjectSource, slots: asyncio.Semaphore, what: str) -> T:
    try:
        ranges = next(reader)
        while True:
            reply = await _answer(ranges, source, slots, what)
            ranges = reader.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value


async def _answer(ranges: Sequence[ByteRange], source: ObjectSource, slots: asyncio.Semaphore, what: str) -> Reply:
    merged = merge_ranges(ranges, source.size)
    if not merged and source.size is None:
        merged = [ByteRange(0, 1)]  # the size is part of the reply, and only an answer tells it

    async def fetch(each: ByteRange) -> bytes:
        async with slots:
            return await retry_temporary(lambda: _read_whole_range(source, each), what)

    if len(merged) == 1:
        answers = {merged[0]: await fetch(merged[0])}
    else:
        answers = dict(zip(merged, await _gather_or_cancel([fetch(each) for each in merged]), strict=True))
    return Reply(cut_parts(ranges, answers), source.size or 0)


async def _read_whole_range(source: ObjectSource, each: ByteRange) -> bytes:
    data = await source.read_range(each.start, each.stop)
    expected = max(min(each.stop, source.size or 0) - each.start, 0)
    if len(data) != expected:
        raise TemporaryError(f"{len(data)} bytes came instead of {expected}")
    return data


async def _gather_or_cancel(fetches: Sequence[Coroutine[Any, Any, bytes]]) -> list[bytes]:
    tasks = [asyncio.create_task(fetch) for fetch in fetches]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
