"""Clocks of a run: that of the machine, and in tests that of a simulated cluster."""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

_Item = TypeVar("_Item")


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def now(self) -> float:
        """Tell the seconds since some moment; they never fall."""

    def wait(self, queue: SimpleQueue[_Item], seconds: float) -> _Item | None:
        """Take the next item of a queue; None when none has come after that many seconds."""


class MachineClock:
    """The monotonic clock of the machine."""

    def now(self) -> float:
        """Tell the seconds since some moment."""
        return time.monotonic()

    def wait(self, queue: SimpleQueue[_Item], seconds: float) -> _Item | None:
        """Take the next item of a queue; None when none has come after that many seconds."""
        with suppress(Empty):
            return queue.get(timeout=seconds)
        return None


MACHINE_CLOCK = MachineClock()
