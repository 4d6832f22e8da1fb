"""Running a coroutine from synchronous code, wherever that code runs."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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
