"""The rolling window: a few shards for each worker in flight, whatever the length of the manifest."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NamedTuple

from distributed import Future
from distributed.scheduler import KilledWorker

from dsp_batch.batch.cluster.graph import delay_shard, running_tokens, submit_shard, token_of
from dsp_batch.batch.cluster.health import Cluster, ClusterHealth, lost_connection
from dsp_batch.batch.cluster.interrupt import Interrupted, catch_interrupts
from dsp_batch.batch.plan.expectations import Expected
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult, build_row
from dsp_batch.batch.sharding import SHARDS_PER_THREAD, ShardPlanner
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import SeriesRef

_log = logging.getLogger(__name__)

SECONDS_TO_GATHER = 5.0
"""Seconds to wait for the rows of a shard that is done. Its worker may have frozen or died since, and other rows wait
meanwhile."""

TIMES_TO_GATHER = 12
"""Times that the rows of a shard are asked for before the shard is done again."""

SECONDS_BETWEEN_QUESTIONS = 30.0
"""Seconds between two questions for the rows of one shard, at most: it is asked earlier when nothing else ends."""

Refs = tuple[SeriesRef, ...]
Take = Callable[[tuple[SeriesResult, ...]], None]


class SeriesToRun(NamedTuple):
    """The series of one attempt of a run."""

    expected: Iterator[Expected]
    """The series, with the work that is expected of each."""

    total: int
    """Number of the series, at most."""

    attempt: int = 1
    """Number of the attempt, from 1."""


class _Shard(NamedTuple):
    """Series that run as one task after the other on one worker."""

    refs: Refs
    alone: bool = False
    """True where nothing else of this run is on the cluster: the shard is to blame when its worker dies."""

    times_asked: int = 0
    """Times that its rows were asked for in vain."""


@dataclass(slots=True, kw_only=True)
class _ShardsInFlight:
    """The shards in flight, and those that wait to be tried again."""

    cluster: Cluster
    job: Job
    attempt: int
    """Number of the attempt, for the rows."""

    in_flight: dict[Future[Any], _Shard] = field(default_factory=dict)
    """Future of the rows of a shard → the shard."""

    again: list[Refs] = field(default_factory=list)
    """Series that run again, a shard each."""

    suspects: list[Refs] = field(default_factory=list)
    """Single series that were on workers that died. They wait until they can run alone."""

    late: deque[tuple[float, Future[Any]]] = field(default_factory=deque)
    """Shards that have ended on workers which do not answer, and when these are asked again at the latest."""

    ended: SimpleQueue[Future[Any] | None] = field(default_factory=SimpleQueue)
    """Futures that are no longer running, as Dask tells of them; None for Ctrl-C."""

    def submit(self, shard: _Shard) -> None:
        self.wait_for(submit_shard(self.cluster.client, delay_shard(shard.refs, self.job, self.attempt)), shard)

    def wait_for(self, future: Future[Any], shard: _Shard) -> None:
        """Keep a shard in flight until its tasks end."""
        self.in_flight[future] = shard
        future.add_done_callback(self.ended.put)

    def next_shard(self, planner: ShardPlanner) -> _Shard | None:
        if self.again:
            return _Shard(self.again.pop())
        if fresh := planner.next_shard():
            return _Shard(fresh)
        if self.suspects and not self.in_flight:
            return _Shard(self.suspects.pop(), alone=True)
        return None

    def next_ended(self, seconds: float) -> Future[Any] | None:
        """Wait for the next shard that is no longer running; None after so many seconds, and when Ctrl-C is pressed."""
        is_due = self.late and self.late[0][0] <= self.cluster.clock.now()
        future = None if is_due else self.cluster.clock.wait(self.ended, seconds)
        if future is None and self.late:
            _, future = self.late.popleft()
        return future if future in self.in_flight else None

    def ask_later(self, future: Future[Any], shard: _Shard) -> None:
        """Come back to a shard whose rows do not come, or have it done again."""
        shard = shard._replace(times_asked=shard.times_asked + 1)
        if shard.times_asked < TIMES_TO_GATHER:
            self.in_flight[future] = shard
            self.late.append((self.cluster.clock.now() + SECONDS_BETWEEN_QUESTIONS, future))
        else:
            (self.suspects if shard.alone else self.again).append(shard.refs)

    def drop_waiting(self) -> None:
        """Cancel the shards that no worker has begun. Where the workers do not say, none is cancelled."""
        tokens = running_tokens(self.cluster.client)
        if tokens is None:
            return
        waiting = [future for future in self.in_flight if not future.done() and token_of(future) not in tokens]
        for future in waiting:
            del self.in_flight[future]
        self.cluster.client.cancel(waiting)


def run_series(cluster: Cluster, job: Job, series: SeriesToRun, take: Take) -> None:
    """Run a job over series, a bounded number at a time.

    Args:
        cluster: The workers.
        job: What to do with each series.
        series: The series; consumed as the window moves on.
        take: Called with the rows of each shard as it finishes, and without any about once a second.

    Raises:
        Interrupted: Ctrl-C; the series that were running have finished and their rows are taken.
        KeyboardInterrupt: A second Ctrl-C; what was running is cancelled.
        DspBatchError: The scheduler is lost, all workers are, or they cannot run the tasks.
    """
    window = _ShardsInFlight(cluster=cluster, job=job, attempt=series.attempt)
    health = ClusterHealth(cluster=cluster, alive=cluster.clock.now(), answered=cluster.clock.now())
    planner = ShardPlanner(series=series.expected, total=series.total, threads=health.count_threads())
    with catch_interrupts(wake=lambda: window.ended.put(None)) as interrupts:
        while True:
            if not interrupts:
                _fill(window, planner)
            elif interrupts.is_new():
                _log.warning("stopping: running series finish first; press Ctrl-C again to cancel them")
                window.drop_waiting()
            if not window.in_flight or (interrupts and health.is_silent):
                break
            future = window.next_ended(seconds=1.0)
            rows = _gather_rows(window, future) if future else ()
            if rows:
                health.note_answer()
            planner.learn(rows)
            take(rows)
            planner.threads = health.count_threads()
        if interrupts:
            raise Interrupted


def _fill(window: _ShardsInFlight, planner: ShardPlanner) -> None:
    """Submit shards until enough are in flight or nothing is left."""
    while len(window.in_flight) < planner.threads * SHARDS_PER_THREAD:
        shard = window.next_shard(planner)
        if shard is None:
            return
        window.submit(shard)


def _gather_rows(window: _ShardsInFlight, future: Future[Any]) -> tuple[SeriesResult, ...]:
    """Gather the rows of a shard that is no longer running; one that has none runs again, or is given up."""
    shard = window.in_flight.pop(future)
    try:
        rows: tuple[SeriesResult, ...] = future.result(timeout=SECONDS_TO_GATHER)
    except CancelledError as error:
        raise lost_connection() from error
    except ImportError as error:
        raise DspBatchError(
            f"a worker cannot run the tasks ({error}): install the same dsp-batch in the environment of every worker"
        ) from error
    except Exception as error:  # noqa: BLE001  # stages report their own errors: this one is of the cluster
        if not isinstance(error, TimeoutError) or future.status == "error":
            return _isolate(window, shard, error)
        if future.done():
            window.ask_later(future, shard)
        else:  # its worker died with the rows, and Dask has the tasks run again
            window.wait_for(future, shard)
        return ()
    return rows


def _isolate(window: _ShardsInFlight, shard: _Shard, error: Exception) -> tuple[SeriesResult, ...]:
    """Split a shard that has failed as a whole; a series alone is tried once more where none can be mistaken for it.

    Dask blames all tasks that a worker had when it died, those that were only waiting there too.
    """
    if len(shard.refs) > 1:
        _log.warning("a shard of %d series failed (%s): they run one by one", len(shard.refs), type(error).__name__)
        window.again.extend((ref,) for ref in reversed(shard.refs))
    elif isinstance(error, KilledWorker) and not shard.alone:
        window.suspects.append(shard.refs)
    else:
        return (_build_failed_row(shard.refs[0], error, window.attempt),)
    return ()


def _build_failed_row(ref: SeriesRef, error: Exception, attempt: int) -> SeriesResult:
    if isinstance(error, KilledWorker):
        message = f"{ref.url} killed each worker that took it up: run it alone, with more memory"
        return build_row(ref, "failed", attempt, reason="worker-died", error=message)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return build_row(ref, "failed", attempt, reason="internal", error=message)
