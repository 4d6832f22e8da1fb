"""Storage in a process: coroutines run from synchronous code, clients open once, and the end waits for answers."""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, wraps
from typing import Any, TypeVar, TypeVarTuple

from dsp_batch.errors import StorageError

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

_LONGEST_FAREWELL = 1.0
"""Seconds that the end of a process waits, at most, for threads of obstore to return from Python."""

_QUIET_SECONDS = 0.01
"""Seconds without any such thread after which none is expected any more."""

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
    """Run a coroutine for at most a number of seconds; None for no limit.

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
    """Forget all clients, so that they are opened again: in a forked process, or when the environment has changed."""
    global _opening  # noqa: PLW0603  # in a fork, a thread that is not there may hold it
    _opening = threading.RLock()
    for forget in _forgetting:
        forget()


def wait_for_answers() -> None:
    """Wait until no thread of obstore's runtime is inside Python, or about to be.

    Such a thread hands an answer to our event loop through `call_soon_threadsafe`, which wakes us before it has
    returned; that of a request that was given up comes a moment later. If the interpreter ends meanwhile, it ends by
    force the thread that comes back for it, and Rust answers that by aborting the process: about one in fifteen that
    end right after a request, whatever their own status.
    """
    if "obstore" not in sys.modules:
        return
    now = time.monotonic()
    limit, quiet_since = now + _LONGEST_FAREWELL, now
    while now - quiet_since < _QUIET_SECONDS and now < limit:
        time.sleep(0.001)  # lets them have the interpreter
        now = time.monotonic()
        started_here = {each.ident for each in threading.enumerate() if not isinstance(each, threading._DummyThread)}  # noqa: SLF001  # threads that Python did not start
        if not sys._current_frames().keys() <= started_here:  # noqa: SLF001  # the only list of threads inside Python
            quiet_since = now


# Runs when the program has ended and the interpreter can still be entered; what was registered later runs before it.
atexit.register(wait_for_answers)

if hasattr(os, "register_at_fork"):
    # Clients own threads and sockets, which do not survive a fork.
    os.register_at_fork(after_in_child=forget_opened)
