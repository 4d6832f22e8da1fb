"""How storage runs in a process: coroutines from synchronous code, and clients that are opened once."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, wraps
from typing import Any, TypeVar, TypeVarTuple

from dsp_batch.errors import StorageError

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

_opening = threading.RLock()
_forgetting: list[Callable[[], None]] = []


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


def once_in_process(build: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """Call a function once for the same arguments, and give everybody in the process what it returned.

    `lru_cache` alone lets two threads that come at the same time build one each, with connections of its own.

    Args:
        build: Takes hashable arguments. What it raises is not kept.
    """
    kept = lru_cache(maxsize=64)(build)
    _forgetting.append(kept.cache_clear)

    @wraps(build)
    def build_once(*arguments: *Ts) -> T:
        with _opening:
            return kept(*arguments)

    return build_once


def forget_opened() -> None:
    """Open everything anew from here on: in a forked process, or when the environment has changed."""
    global _opening  # noqa: PLW0603  # in a fork, a thread that is not there may hold it
    _opening = threading.RLock()
    for forget in _forgetting:
        forget()


if hasattr(os, "register_at_fork"):
    # Clients own threads and sockets, which do not survive a fork.
    os.register_at_fork(after_in_child=forget_opened)
