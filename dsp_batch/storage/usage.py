"""The cost of reading: requests and bytes, counted where they happen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Usage:
    """Requests and bytes of one `measure_usage` block; safe to add to from several threads."""

    def __init__(self, outer: Usage | None = None) -> None:
        self.requests = 0
        """HTTP requests sent, retries included; for local files, reads and folder listings."""
        self.bytes_read = 0
        """Bytes of bodies received."""
        self._outer = outer
        self._lock = threading.Lock()

    def add(self, requests: int, bytes_read: int) -> None:
        """Add to this block and to those around it."""
        with self._lock:
            self.requests += requests
            self.bytes_read += bytes_read
        if self._outer is not None:
            self._outer.add(requests, bytes_read)


_current: ContextVar[Usage | None] = ContextVar("dsp_batch_usage", default=None)


@contextmanager
def measure_usage() -> Iterator[Usage]:
    """Count what storage does inside the block, in this thread and in whatever storage starts on its behalf.

    Blocks nest: the outer one counts what the inner one does. Tasks in other threads count for themselves.

    Example:
        >>> with measure_usage() as usage:
        ...     count_usage(requests=1, bytes_read=8192)
        >>> usage.requests, usage.bytes_read
        (1, 8192)
    """
    usage = Usage(_current.get())
    token = _current.set(usage)
    try:
        yield usage
    finally:
        _current.reset(token)


def count_usage(*, requests: int = 0, bytes_read: int = 0) -> None:
    """Add to the block that this code runs in, if any."""
    usage = _current.get()
    if usage is not None:
        usage.add(requests, bytes_read)
