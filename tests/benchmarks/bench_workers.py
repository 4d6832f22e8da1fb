"""Watching the processes of a local cluster from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

_SECONDS_BETWEEN_LOOKS = 0.1


@dataclass(slots=True)
class WorkerWatch:
    """What the child processes of this one have used."""

    cpu_by_process: dict[int, float] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds, and resident bytes of the largest child at that time."""

    own_cpu_seconds: float = 0.0
    """What watching has cost this process."""

    @property
    def cpu_seconds(self) -> float:
        """Of all children together, those included that have ended."""
        return sum(self.cpu_by_process.values())

    def look(self) -> None:
        """Take a sample."""
        largest = 0.0
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error), child.oneshot():
                times = child.cpu_times()
                self.cpu_by_process[child.pid] = times.user + times.system
                largest = max(largest, child.memory_info().rss)
        if largest:
            self.memory.append((time.perf_counter(), largest))

    def describe_memory(self) -> dict[str, float]:
        """The peak, and how the last quarter of the time compares with the second."""
        begin, end = self.memory[0][0], self.memory[-1][0]
        quarters = [0.0] * 4
        for seconds, size in self.memory:
            quarter = min(3, int(4 * (seconds - begin) / max(end - begin, 1e-9)))
            quarters[quarter] = max(quarters[quarter], size)
        return {"worker_peak_bytes": max(quarters), "worker_growth": quarters[3] / max(quarters[1], 1.0)}


@contextmanager
def watch_workers() -> Iterator[WorkerWatch]:
    """Sample the children of this process while the block runs."""
    watch = WorkerWatch()
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(_SECONDS_BETWEEN_LOOKS):
            watch.look()
        watch.own_cpu_seconds = time.thread_time()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        is_over.set()
        thread.join()
