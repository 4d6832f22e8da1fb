"""End a worker whose series takes far beyond its time: native code that never returns cannot be stopped otherwise."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from dsp_batch.storage.runtime import once_in_process

GRACE = 60.0
"""Seconds beyond its time that a stage may take. All but native code looks at the time itself."""

_SECONDS_BETWEEN_LOOKS = 1.0

_log = logging.getLogger(__name__)


class Watchdog:
    """A thread that looks at the clock for all threads of a process that run series."""

    def __init__(self) -> None:
        self._ends: dict[object, tuple[float, str]] = {}
        threading.Thread(target=self._look, name="dsp-batch-watchdog", daemon=True).start()

    @contextmanager
    def watch(self, seconds: float, url: str) -> Iterator[None]:
        """End the process if the block takes more than so many seconds."""
        key = object()
        self._ends[key] = (time.monotonic() + seconds, url)
        try:
            yield
        finally:
            del self._ends[key]

    def _look(self) -> None:
        while True:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            now = time.monotonic()
            for end, url in list(self._ends.values()):
                if now > end:
                    _log.critical("%s takes too long and cannot be stopped: this worker ends", url)
                    os._exit(1)


def end_worker_after(seconds: float, url: str) -> AbstractContextManager[None]:
    """Watch over a block of a task: the worker, which its nanny will start again, ends if the block takes too long.

    The tasks that were on it are run again on other workers, each alone in the end, and the series that does it every
    time is given up.

    Args:
        seconds: Time of the block; `GRACE` is added.
        url: The series, for the log.
    """
    return _find_watchdog().watch(seconds + GRACE, url)


@once_in_process
def _find_watchdog() -> Watchdog:
    return Watchdog()
