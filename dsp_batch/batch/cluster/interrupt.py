"""Ctrl-C: the first one asks a run to stop, the second one stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was stopped by Ctrl-C; what was running has finished."""


class InterruptCount:
    """Counts how often Ctrl-C was pressed; true once it was."""

    def __init__(self) -> None:
        self._count = self._seen = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self) -> None:
        """Count Ctrl-C.

        Raises:
            KeyboardInterrupt: It is not the first one.
        """
        self._count += 1
        if self._count > 1:
            raise KeyboardInterrupt

    def is_new(self) -> bool:
        """Tell whether Ctrl-C was pressed since this was last asked."""
        seen, self._seen = self._seen, self._count
        return self._count > seen


@contextmanager
def catch_interrupts(wake: Callable[[], None]) -> Iterator[InterruptCount]:
    """Count how often Ctrl-C is pressed inside the block; the second time raises KeyboardInterrupt there.

    Args:
        wake: Ends whatever the block waits for; called each time, within the signal handler.
    """
    interrupts = InterruptCount()

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        wake()
        interrupts.add()

    try:
        earlier = signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not in the main thread: whoever runs that one handles signals
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, earlier)
