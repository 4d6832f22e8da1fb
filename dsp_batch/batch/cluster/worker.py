"""How much memory a task may take: what its worker has, less what the process itself needs; and giving it back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache

from distributed import Worker, get_worker
from distributed.system import MEMORY_LIMIT

PROCESS_BYTES = 160 << 20
"""A worker at rest with everything imported."""

USABLE = 0.7
"""Of a worker's memory; Dask pauses one that takes more than 80 % of it and kills it at 95 %."""

LEAST = 0.1
"""Of a worker's memory, however small that is."""


def find_budget() -> int:
    """Bytes for the series of the task that runs in this thread.

    A worker without a limit, and a process that is no worker, have the machine's memory or that of their container.
    """
    worker = _find_worker()
    limit = (worker.memory_manager.memory_limit if worker else None) or MEMORY_LIMIT
    threads = worker.state.nthreads if worker else 1
    return int(max(limit * USABLE - PROCESS_BYTES, limit * LEAST)) // threads


def find_address() -> str | None:
    """Address of the worker that runs the task of this thread; None in a process that is none."""
    worker = _find_worker()
    return worker.address if worker else None


def return_memory() -> None:
    """Give back to the system what was freed, wherever it lies on the heap; where the C library has a call for it.

    By itself glibc gives back the end of a heap alone. What a shard held lies between what stays: after a thousand
    series two thirds of a worker's heap were free, and still its own.
    """
    trim = _find_trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _find_trim() -> Callable[[int], int] | None:
    """`malloc_trim` of glibc."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def _find_worker() -> Worker | None:
    try:
        return get_worker()
    except ValueError:
        return None
