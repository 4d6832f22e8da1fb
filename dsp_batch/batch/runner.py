"""The rolling window: a few shards per worker in flight, whatever the length of the manifest."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from types import FrameType
from typing import Any, NamedTuple
from uuid import uuid4

from distributed import Client, Future, as_completed
from distributed.scheduler import KilledWorker

from dsp_batch.batch.graph import delay_shard, submit_shard
from dsp_batch.batch.job import Job
from dsp_batch.errors import DspBatchError
from dsp_batch.model import SeriesRef, SeriesResult

_log = logging.getLogger(__name__)

SHARDS_PER_THREAD = 3
"""One computing, one whose headers are ready, one on its way."""

SECONDS_PER_SHARD = 5.0
"""Work that a shard should hold: a thousand times what the scheduler spends on it, and little to lose with a worker."""

MAX_SERIES_PER_SHARD = 64

Refs = tuple[SeriesRef, ...]
Take = Callable[[tuple[SeriesResult, ...]], None]


class Series(NamedTuple):
    """The series of a run, and how many there are."""

    refs: Iterator[SeriesRef]
    total: int


class Interrupted(Exception):  # noqa: N818  # what the user asked for, not an error
    """The run was stopped by Ctrl-C; what was running has finished."""


@dataclass(slots=True, kw_only=True)
class _Pace:
    """Seconds that a series takes, learned as rows come in: what the size of a shard is chosen by."""

    total: int
    threads: int
    seconds: float = 0.0
    series: int = 0

    def learn(self, rows: Iterable[SeriesResult]) -> None:
        for row in rows:
            self.seconds += row.seconds_headers + row.seconds_index + row.seconds_render
            self.series += 1

    def shard_size(self) -> int:
        """Series for the next shard: about `SECONDS_PER_SHARD` of work, but enough shards for every thread."""
        fair = max(1, self.total // (self.threads * SHARDS_PER_THREAD * 2))
        if not self.series:
            return min(fair, 4)
        by_time = int(SECONDS_PER_SHARD * self.series / max(self.seconds, 1e-3))
        return max(1, min(fair, by_time, MAX_SERIES_PER_SHARD))


@dataclass(slots=True, kw_only=True)
class _Window:
    """The shards in flight and those that wait to be tried again."""

    client: Client
    job: Job
    attempt: int
    in_flight: dict[Future[Any], Refs] = field(default_factory=dict)
    again: deque[Refs] = field(default_factory=deque)

    def submit(self, refs: Refs) -> Future[Any]:
        future = submit_shard(self.client, delay_shard(refs, self.job, uuid4().hex[:8], self.attempt))
        self.in_flight[future] = refs
        return future


def run_series(client: Client, job: Job, series: Series, attempt: int, take: Take) -> None:
    """Run a job over series, a bounded number at a time.

    Args:
        client: The cluster.
        job: What to do with each series.
        series: The series; consumed as the window moves on.
        attempt: Number of this attempt of the run.
        take: Called with the rows of each shard as it finishes.

    Raises:
        Interrupted: Ctrl-C; the series that were running have finished and their rows are taken.
        KeyboardInterrupt: A second Ctrl-C; what was running is cancelled.
        DspBatchError: The scheduler is lost.
    """
    threads = max(1, sum(client.nthreads().values()))
    refs = series.refs
    pace = _Pace(total=series.total, threads=threads)
    window = _Window(client=client, job=job, attempt=attempt)
    finished = as_completed([], raise_errors=False)
    with _interruptible() as stopping:
        _fill(window, finished, refs, pace)
        while window.in_flight:
            future = next(finished)
            rows = _settle(window, future)
            pace.learn(rows)
            take(rows)
            if not stopping:
                pace.threads = max(1, sum(client.nthreads().values()))
                _fill(window, finished, refs, pace)
        if stopping:
            raise Interrupted


def _fill(window: _Window, finished: as_completed, refs: Iterator[SeriesRef], pace: _Pace) -> None:
    while len(window.in_flight) < pace.threads * SHARDS_PER_THREAD:
        shard = window.again.popleft() if window.again else _take_shard(refs, pace.shard_size())
        if not shard:
            return
        finished.add(window.submit(shard))


def _take_shard(refs: Iterator[SeriesRef], size: int) -> Refs:
    return tuple(islice(refs, size))


def _settle(window: _Window, future: Future[Any]) -> tuple[SeriesResult, ...]:
    """The rows of a shard that is no longer running; a shard whose worker died is split, a single series given up."""
    refs = window.in_flight.pop(future)
    if future.status == "finished":
        rows: tuple[SeriesResult, ...] = future.result()
        return rows
    if future.status in ("cancelled", "lost"):
        raise DspBatchError(
            "the scheduler is gone: start it again and repeat the same command, it goes on where it stopped"
        )
    error = future.exception()
    if len(refs) > 1:
        _log.warning("a shard of %d series failed (%s): its series run one by one", len(refs), type(error).__name__)
        window.again.extend((ref,) for ref in refs)
        return ()
    return (_given_up(refs[0], error, window.attempt),)


def _given_up(ref: SeriesRef, error: BaseException | None, attempt: int) -> SeriesResult:
    row = SeriesResult(
        series_uuid=ref.series_uuid, root=ref.root, status="failed", attempt=attempt, columns=ref.columns
    )
    if isinstance(error, KilledWorker):
        message = f"{ref.url} killed each worker that took it up: run it alone, with more memory"
        return replace(row, reason="worker-died", error=message)
    return replace(row, reason="internal", error=f"{type(error).__name__}: {error}".splitlines()[0])


@contextmanager
def _interruptible() -> Iterator[list[float]]:
    """The first Ctrl-C is noted in the list, the second raises KeyboardInterrupt."""
    presses: list[float] = []

    def press(_signal: int, _frame: FrameType | None) -> None:
        if presses:
            raise KeyboardInterrupt
        presses.append(time.monotonic())
        _log.warning("stopping: running series finish first; press Ctrl-C again to cancel them")

    try:
        earlier = signal.signal(signal.SIGINT, press)
    except ValueError:  # not in the main thread: whoever runs that one handles signals
        yield presses
        return
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, earlier)
