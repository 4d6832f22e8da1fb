"""Running a coroutine from synchronous code, wherever that code runs."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from dsp_batch.errors import StorageError

T = TypeVar("T")


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own.

    The loop runs in the calling thread. Where that thread runs a loop already (Jupyter, an async Dask client), a
    helper thread takes its place. Threads may do so at the same time: they share the clients and their connections.
    """
    outcome: list[T] = []

    async def keep_outcome() -> None:
        # Not returned: at its end asyncio.run writes out its task in a message that nobody sees, result and all.
        outcome.append(await coroutine)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(keep_outcome())
        return outcome[0]
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="dsp-batch-storage") as helper:
        helper.submit(context.run, asyncio.run, keep_outcome()).result()
    return outcome[0]


async def limit_seconds(coroutine: Coroutine[Any, Any, T], seconds: float | None, what: str) -> T:
    """Give a coroutine a number of seconds; None for no limit.

    Raises:
        StorageError: It has not ended by then.
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            return await coroutine
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise StorageError(f"cannot {what}: not finished within {seconds:g} s", reason="timeout") from error
