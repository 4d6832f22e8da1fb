"""Ctrl-C: the first press asks a run to stop, the second stops it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was stopped by Ctrl-C; what was running has finished."""


class Presses:
    """How often Ctrl-C was pressed; true once it was."""

    def __init__(self) -> None:
        self._count = self._seen = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self) -> None:
        """Count a press.

        Raises:
            KeyboardInterrupt: It is not the first.
        """
        self._count += 1
        if self._count > 1:
            raise KeyboardInterrupt

    def news(self) -> bool:
        """Whether there was a press since this was last asked."""
        seen, self._seen = self._seen, self._count
        return self._count > seen


@contextmanager
def catch_interrupts(wake: Callable[[], None]) -> Iterator[Presses]:
    """Count presses of Ctrl-C inside the block; the second raises KeyboardInterrupt there.

    Args:
        wake: Called at each press, within the signal handler: ends whatever the block waits for.
    """
    presses = Presses()

    def press(_signal: int, _frame: FrameType | None) -> None:
        wake()
        presses.add()

    try:
        earlier = signal.signal(signal.SIGINT, press)
    except ValueError:  # not in the main thread: whoever runs that one handles signals
        yield presses
        return
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, earlier)
