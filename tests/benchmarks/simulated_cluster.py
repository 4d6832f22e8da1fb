"""A cluster in virtual time: the small part of a Dask client that the runner uses, and workers that only wait.

A shard is submitted, passes the scheduler, waits for a worker that takes up some of its series at a time, and passes
the scheduler again. The scheduler does one thing at a time, workers die and come back, the bucket answers so many
requests a second. Nothing here is a measurement: the costs come from `Conditions`.
"""

from __future__ import annotations

import heapq
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from random import Random
from types import SimpleNamespace
from typing import Any

from dask.delayed import Delayed
from distributed.scheduler import KilledWorker
from simulated_work import Conditions, Cost, Killed, Tally

from dsp_batch.batch.plan.estimate import SERIES_AT_ONCE
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.model.series import SeriesRef


class SimulatedFuture:
    """A shard that was submitted."""

    status = "finished"
    """None is asked before it has ended, and those that have failed say so themselves."""

    def __init__(self, cluster: SimulatedCluster, key: Any, refs: Sequence[SeriesRef], attempt: int) -> None:
        self.key, self.refs, self.attempt = key, refs, attempt
        self.costs = [cluster.cost_of(ref) for ref in refs]
        self.work = sum(cost.seconds for cost in self.costs)
        at_once = min(SERIES_AT_ONCE, len(refs))
        longest, processor = max(cost.seconds for cost in self.costs), sum(cost.processor for cost in self.costs)
        self.seconds = max(processor, longest, self.work / at_once)
        """What it takes a worker: series wait beside each other, and compute one after the other."""
        self.deaths = 0
        self.error: Exception | None = None
        self.ended: Callable[[SimulatedFuture], object] | None = None
        self._cluster = cluster

    def add_done_callback(self, ended: Callable[[SimulatedFuture], object]) -> None:
        """Have a function called at the end."""
        self.ended = ended

    def result(self, timeout: float) -> tuple[SeriesResult, ...]:  # noqa: ARG002  # never waits
        """The rows."""
        if self.error is not None:
            raise self.error
        with self._cluster.own_time():
            # Neighbours of a series make it take longer, by its own clock.
            slowness = max(1.0, self.seconds * min(SERIES_AT_ONCE, len(self.refs)) / self.work)
            pairs = zip(self.refs, self.costs, strict=True)
            return tuple(_row(ref, cost, self.attempt, slowness) for ref, cost in pairs)


def _row(ref: SeriesRef, cost: Cost, attempt: int, slowness: float) -> SeriesResult:
    return SeriesResult(
        series_uuid=ref.series_uuid,
        root=ref.root,
        attempt=attempt,
        manifest_columns=ref.columns,
        bytes_read=cost.bytes_read,
        requests=cost.requests,
        seconds_headers=cost.headers * slowness,
        seconds_index=cost.index * slowness,
        seconds_render=cost.render * slowness,
        worker="tcp://10.0.0.1:40000",
        program="simulated",
        **cost.row,
    )


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    life: int = 0
    """Raised when it dies: what was to happen to it before does not."""

    alive: bool = True
    held: deque[SimulatedFuture] = field(default_factory=deque)
    """The first one runs; Dask sends one more ahead."""

    began: float = 0.0


class SimulatedCluster:
    """Client, scheduler, workers and clock."""

    status = "running"
    cluster = None

    def __init__(self, conditions: Conditions, cost_of: Callable[[SeriesRef], Cost]) -> None:
        self.conditions, self.cost_of = conditions, cost_of
        self.tally = Tally()
        self.drawn: set[str] = set()
        self.own_seconds = 0.0
        """CPU seconds that simulating took: all others are the client's."""

        self._now = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._queue: deque[SimulatedFuture] = deque()
        self._scheduler_free = self._bucket_free = 0.0
        self._in_flight = self._series_in_flight = self._busy = 0
        self._chance = Random(conditions.seed)
        self._workers = [_Worker(number) for number in range(conditions.workers)]
        self._room: dict[int, None] = dict.fromkeys(range(conditions.workers))
        self._ahead: dict[int, None] = {}
        """Workers that a shard was sent ahead to."""

        self._service = self._scheduler_share()
        for worker in self._workers:
            self._expect_death(worker)

    # What the runner uses of a client and of a clock.

    scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")

    def compute(self, shard: Delayed, *, optimize_graph: bool) -> SimulatedFuture:  # noqa: ARG002  # as Dask has it
        """Submit a delayed shard."""
        first = next(task for key, task in shard.dask.items() if key[0].startswith("headers"))
        refs, _job, attempt = pickle.loads(first.func.args[0]).args
        with self.own_time():
            future = SimulatedFuture(self, shard.key, refs, attempt)
            self._now += self.conditions.client_shard_seconds + len(refs) * self.conditions.client_series_seconds
            self._in_flight += 1
            self._series_in_flight += len(refs)
            self.tally.most_in_flight = max(self.tally.most_in_flight, self._in_flight)
            self.tally.most_series_in_flight = max(self.tally.most_series_in_flight, self._series_in_flight)
            self._pass_scheduler(self._now, len(refs), self._enqueue, future)
        return future

    def nthreads(self, *, callback_timeout: float) -> dict[str, int]:  # noqa: ARG002  # never waits
        """Threads of the workers that are alive."""
        with self.own_time():
            return {f"tcp://10.0.0.1:{worker.number}": 1 for worker in self._workers if worker.alive}

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        """Let time pass until there is something in the queue."""
        with self.own_time():
            limit = self._now + seconds
            while queue.empty() and self._events and self._events[0][0] <= limit:
                moment, _, action, arguments = heapq.heappop(self._events)
                self._now = max(self._now, moment)
                self._kill_client_in_time()
                action(*arguments)
            try:
                return queue.get_nowait()
            except Empty:
                self._now = max(self._now, limit)
                self._kill_client_in_time()
                return None

    @contextmanager
    def own_time(self) -> Iterator[None]:
        """Count what the block takes as the simulation's."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self.own_seconds += time.thread_time() - begin

    # The scheduler.

    def _scheduler_share(self) -> float:
        """How much longer everything takes because workers send signs of life: Dask has them do so less often."""
        workers = self.conditions.workers
        interval = 0.5 if workers <= 10 else 1.0 if workers < 50 else 2.0 if workers < 200 else workers / 200 + 1
        return 1 / max(1 - workers / interval * self.conditions.heartbeat_seconds, 0.01)

    def _pass_scheduler(self, moment: float, series: int, action: Callable[..., None], *arguments: Any) -> None:
        """Have something happen when the scheduler has seen to it: half of what a shard costs it."""
        cost = (self.conditions.shard_seconds + series * self.conditions.series_seconds) / 2
        begin = max(moment, self._scheduler_free)
        self._scheduler_free = begin + cost * self._service
        self.tally.scheduler_seconds += cost
        self.tally.longest_queue = max(self.tally.longest_queue, begin - moment)
        self._at(self._scheduler_free, action, *arguments)

    def _at(self, moment: float, action: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, action, arguments))

    def _enqueue(self, future: SimulatedFuture) -> None:
        self._queue.append(future)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what waits to workers with room: those first that have nothing."""
        while self._queue and self._room:
            number = next(iter(self._room))
            del self._room[number]
            self._give(self._workers[number], self._queue.popleft())

    def _give(self, worker: _Worker, future: SimulatedFuture) -> None:
        worker.held.append(future)
        if len(worker.held) == 1:
            self._room[worker.number] = None  # after all others
            self._start(worker)
        else:
            self._ahead[worker.number] = None

    def _tell(self, future: SimulatedFuture) -> None:
        """The client hears of the end of a shard."""
        self._in_flight -= 1
        self._series_in_flight -= len(future.refs)
        if future.ended is not None:
            future.ended(future)

    # The workers.

    def _start(self, worker: _Worker) -> None:
        future = worker.held[0]
        worker.began = self._now
        self._count_busy(1)
        pace, spent = future.seconds / future.work, 0.0
        for cost in future.costs:
            if cost.kills:
                self._at(self._now + spent * pace, self._die, worker, worker.life)
                return
            spent += cost.seconds
        end, requests = self._now + future.seconds, sum(cost.requests for cost in future.costs)
        if self.conditions.requests_per_second:
            self._bucket_free = max(self._bucket_free, self._now) + requests / self.conditions.requests_per_second
            end = max(end, self._bucket_free)
        self._count_requests(self._now, end, requests)
        self._at(end, self._finish, worker, worker.life)

    def _count_requests(self, begin: float, end: float, requests: int) -> None:
        first, last = int(begin), int(end) + 1
        self.tally.rates[first] += requests / (last - first)
        self.tally.rates[last] -= requests / (last - first)

    def _finish(self, worker: _Worker, life: int) -> None:
        if life != worker.life:
            return
        future = worker.held.popleft()
        self._count_busy(-1)
        self.tally.shards += 1
        self.tally.series_seconds += self._now - worker.began
        self.tally.requests += sum(cost.requests for cost in future.costs)
        self.tally.bytes_read += sum(cost.bytes_read for cost in future.costs)
        self.drawn.update(
            ref.series_uuid
            for ref, cost in zip(future.refs, future.costs, strict=True)
            if cost.row.get("status") == "done"
        )
        self._ahead.pop(worker.number, None)
        if worker.held:
            self._start(worker)
        self._pass_scheduler(self._now, len(future.refs), self._end, worker, worker.life, future)

    def _end(self, worker: _Worker, life: int, future: SimulatedFuture) -> None:
        """The scheduler has heard of the end of a shard."""
        if life == worker.life:
            self._make_room(worker)
        self._hand_out()
        self._tell(future)

    def _make_room(self, worker: _Worker) -> None:
        if not worker.held and not self._queue and self._ahead:
            number = next(reversed(self._ahead))  # Dask's work stealing
            del self._ahead[number]
            self._room[number] = None
            worker.held.append(self._workers[number].held.pop())
            self._start(worker)
        if len(worker.held) < 2:  # one runs, one was sent ahead
            self._room[worker.number] = None

    def _expect_death(self, worker: _Worker) -> None:
        if self.conditions.deaths_per_hour:
            seconds = self._chance.expovariate(self.conditions.deaths_per_hour / 3600)
            self._at(self._now + seconds, self._die, worker, worker.life)

    def _die(self, worker: _Worker, life: int) -> None:
        if life != worker.life:
            return
        worker.life += 1
        worker.alive = False
        self.tally.deaths += 1
        self._room.pop(worker.number, None)
        self._ahead.pop(worker.number, None)
        if worker.held:
            self._count_busy(-1)
            self.tally.lost_seconds += self._now - worker.began
        for future in reversed(worker.held):  # Dask blames all that the worker had
            future.deaths += 1
            if future.deaths > self.conditions.allowed_failures:
                future.error = KilledWorker(future.key, None, self.conditions.allowed_failures)
                self._pass_scheduler(self._now, len(future.refs), self._tell, future)
            else:
                self._queue.appendleft(future)
        worker.held.clear()
        self._hand_out()
        self._at(self._now + self.conditions.seconds_to_replace, self._come_back, worker)

    def _come_back(self, worker: _Worker) -> None:
        worker.alive = True
        self._expect_death(worker)
        self._make_room(worker)
        self._hand_out()

    def _count_busy(self, change: int) -> None:
        full = 0.95 * self.conditions.workers
        if self._busy >= full:
            self.tally.last_full = self._now
        self._busy += change

    # The client's end.

    def _kill_client_in_time(self) -> None:
        if self.conditions.kill_at is None or self._now < self.conditions.kill_at:
            return
        for worker in self._workers:
            if worker.held:
                self._leave_half_done(worker)
        raise Killed

    def _leave_half_done(self, worker: _Worker) -> None:
        """What a worker has made of its shard so far."""
        future, spent = worker.held[0], self._now - worker.began
        self.tally.lost_seconds += spent
        self.tally.requests += round(spent / future.seconds * sum(cost.requests for cost in future.costs))
        left = spent * future.work / future.seconds
        for ref, cost in zip(future.refs, future.costs, strict=True):
            left -= cost.seconds
            if left >= 0 and cost.row.get("status") == "done":
                self.drawn.add(ref.series_uuid)
