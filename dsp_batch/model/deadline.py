"""A limit on the time that computing may take, looked at where loops may be long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dsp_batch.errors import SeriesError

_deadline: ContextVar[float | None] = ContextVar("dsp_batch_deadline", default=None)


@contextmanager
def limit_time(seconds: float) -> Iterator[None]:
    """Limit the time of the block, in this thread: `check_time` raises in it after so many seconds."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def check_time() -> None:
    """End what takes too long. A header may ask for a table of a million frames or for sequences of a million items.

    Raises:
        SeriesError: The time of the block around it is over (reason `timeout`).
    """
    deadline = _deadline.get()
    if deadline is not None and time.monotonic() > deadline:
        raise SeriesError("its time is over", "timeout")
