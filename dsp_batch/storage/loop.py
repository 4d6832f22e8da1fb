"""The reading loop: many readers at once, in one event loop, with one bound on requests in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
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
    folder: Folder, readers: Mapping[ObjectInfo, Reader[T]], max_workers: int, timeout: float | None
) -> dict[str, T | DspBatchError]:
    """Drive a reader for each object until it returns.

    Args:
        folder: Where the objects lie.
        readers: Object → the generator that reads it.
        max_workers: Requests in flight, at most; also the number of objects begun and not finished.
        timeout: Seconds for all of it; None for no limit.

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
        async with asyncio.timeout(timeout) as deadline:
            await asyncio.gather(*workers)
    except TimeoutError:
        if not deadline.expired():
            raise
    finally:
        for worker in workers:
            worker.cancel()
    return {info.name: results.get(info.name) or _late(folder, info, timeout) for info in readers}


def _late(folder: Folder, info: ObjectInfo, timeout: float | None) -> StorageError:
    return StorageError(f"cannot read {folder.url}/{info.name}: not finished within {timeout} s", reason="timeout")


async def _work(
    folder: Folder,
    pending: Iterator[tuple[ObjectInfo, Reader[T]]],
    slots: asyncio.Semaphore,
    results: dict[str, T | DspBatchError],
) -> None:
    for info, reader in pending:
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
