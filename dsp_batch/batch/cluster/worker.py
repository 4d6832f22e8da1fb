"""The worker that runs a task: how much memory the task may take of it, and how memory is given back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache

from distributed import Worker, get_worker
from distributed.system import MEMORY_LIMIT

PROCESS_BYTES = 160 << 20
"""Bytes that a worker takes at rest, with everything imported."""

USABLE = 0.7
"""Share of a worker's memory that tasks may take. Dask pauses a worker at 80 % of its limit and kills it at 95 %."""

LEAST = 0.1
"""Share of a worker's memory that tasks may take at least, however small that memory is."""


def find_memory() -> int:
    """Find how many bytes the series of the task that runs in this thread may take.

    A worker without a limit, and a process that is no worker, have the machine's memory or that of their container.
    """
    worker = _find_worker()
    limit = (worker.memory_manager.memory_limit if worker else None) or MEMORY_LIMIT
    threads = worker.state.nthreads if worker else 1
    return int(max(limit * USABLE - PROCESS_BYTES, limit * LEAST)) // threads


def find_address() -> str | None:
    """Find the address of the worker that runs the task of this thread; None in a process that is no worker."""
    worker = _find_worker()
    return worker.address if worker else None


def has_nanny() -> bool:
    """Tell whether the task of this thread runs in a worker that is started again when its process ends."""
    worker = _find_worker()
    return worker is not None and bool(worker.nanny)


def return_memory() -> None:
    """Give freed memory back to the system, wherever it lies on the heap, where the C library has a call for it.

    By itself glibc gives back only the end of a heap. The memory of a shard lies between other memory that stays: after
    a thousand series two thirds of a worker's heap were free, and still its own.
    """
    trim = _find_trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _find_trim() -> Callable[[int], int] | None:
    """Find `malloc_trim` of glibc; None with another C library."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _find_worker() -> Worker | None:
    try:
        return get_worker()
    except ValueError:
        return None
