"""The memory of the viewer: frames and pictures that are kept, and room for those in the making, in one budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from dsp_batch.errors import PixelError

T = TypeVar("T")

_ENTRY_BYTES = 500
"""Bytes that an entry takes besides its value."""


class FrameMemory:
    """Keeps the values that were used last, within a budget of bytes. Threads may use it at the same time.

    Args:
        budget: Bytes of all values together, and of all room that is reserved.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._lock = threading.Condition()
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._used = 0
        self._reserved = 0

    def find(self, key: Hashable, kind: type[T]) -> T | None:
        """Find a value; None where it is not kept."""
        with self._lock:
            entry = self._kept.get(key)
            if entry is None or not isinstance(entry[0], kind):
                return None
            self._kept.move_to_end(key)
            return entry[0]

    def keep(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value, and drop those that have not been used for longest where there is no room."""
        size += _ENTRY_BYTES
        with self._lock:
            old = self._kept.pop(key, None)
            self._used -= old[1] if old else 0
            if size <= self.budget // 2:
                self._kept[key] = value, size
                self._used += size
            self._drop()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Keep room for values in the making, and wait until there is.

        Raises:
            PixelError: There never will be: the budget is smaller.
        """
        if size > self.budget:
            raise PixelError(
                f"the frame takes {-(-size >> 20)} MB while it is decoded, and {self.budget >> 20} MB are allowed: "
                "raise --cache-budget",
                "too-large",
            )
        with self._lock:
            while self._reserved + size > self.budget:
                self._lock.wait()
            self._reserved += size
            self._drop()
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size
                self._lock.notify_all()

    @property
    def used(self) -> int:
        """Bytes of all values that are kept."""
        return self._used

    def _drop(self) -> None:
        while self._kept and self._used + self._reserved > self.budget:
            _, (_, size) = self._kept.popitem(last=False)
            self._used -= size
