"""The order and the size of shards: equal work, the largest first of those series that are in sight.

A planner takes series with the work that is expected of them, and rows that come back; it knows nothing of Dask:

    planner = ShardPlanner(series=iter(expected), total=len(expected), threads=16)
    while shard := planner.next_shard():   # submit it, a few ahead of each thread
        ...
        planner.learn(rows)                # whenever the rows of a shard are there
        planner.threads = 32               # whenever workers come or go
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from dsp_batch.batch.plan.expectations import Expected
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.model.series import SeriesRef

SHARDS_PER_THREAD = 2
"""Shards in flight for each thread of a worker: one that runs, and one that waits beside it."""

SERIES_AHEAD = 4096
"""Series in sight, at least. Each takes about a kilobyte."""

SERIES_AHEAD_PER_THREAD = 8
"""Series in sight for each thread of a worker, at least."""

OVERDUE_AFTER = 4
"""A series is overdue when this many times as many series as are in sight have come after it."""

SECONDS_PER_SHARD = 10.0
"""Seconds of work that a shard should hold, as its rows add them up. A worker has several series in hand at a time, so
that a shard takes some three seconds: hundreds of times what the scheduler spends on it, and little to lose with a
worker, which holds the headers of all its series until their indices are built."""

SHORTEST_SHARD = 1.0
"""Seconds of work below which a shard is not cut to bring the end of the run nearer."""

MAX_SERIES_PER_SHARD = 64
"""Series that one shard holds, at most."""

TYPICAL_SECONDS = 1.0
"""Seconds that a series is expected to take while nothing is known of it and no rows have come in."""

_ROWS_REMEMBERED = 256
"""Last rows that the scale follows."""


@dataclass(slots=True)
class Scale:
    """Seconds that series take for each second that was expected, by the last rows."""

    pairs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_ROWS_REMEMBERED))
    """Measured and expected seconds of the last rows."""

    factor: float = 1.0
    """Measured over expected seconds."""

    rows_since: int = 0
    """Rows since the factor was computed. Sorting at each row would cost more than it tells."""

    def learn(self, pairs: Sequence[tuple[float, float]]) -> None:
        """Take note of measured and expected seconds. Extremes do not count: some series wait for a time-out."""
        before = len(self.pairs)
        self.pairs.extend(pairs)
        self.rows_since += len(pairs)
        if self.rows_since * 16 < before:
            return
        self.rows_since = 0
        ranked = sorted(self.pairs, key=lambda pair: pair[0] / pair[1])
        extremes = len(ranked) // 16
        kept = ranked[extremes : len(ranked) - extremes]
        self.factor = max(sum(pair[0] for pair in kept) / sum(pair[1] for pair in kept), 1e-6)


@dataclass(slots=True, kw_only=True)
class ShardPlanner:
    """Holds a bounded number of series in sight, and cuts shards from them. Each series comes out in exactly one."""

    series: Iterator[Expected]
    """Series to come; consumed as those in sight leave."""

    total: int
    """Series that come in all, at most."""

    threads: int = 1
    """Threads of all workers."""

    ahead: int = SERIES_AHEAD
    """Series in sight, at least."""

    known: Scale = field(default_factory=Scale)
    """Scale of series of which something is known."""

    unknown: Scale = field(default_factory=Scale)
    """Scale of the others, each of which is expected to take `TYPICAL_SECONDS`."""

    _taken: int = 0
    """Series that have come so far."""

    _held: dict[int, Expected] = field(default_factory=dict)
    """Number of a series → the series, for those in sight, the oldest first."""

    _order: list[tuple[float, int]] = field(default_factory=list)
    """Expected seconds and negative number of the series in sight, rising: the next one is the last."""

    _sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Expected seconds of the series in sight of which something is known, and of the others."""

    _submitted: dict[str, Expected] = field(default_factory=dict)
    """UUID of a series → the series, for those in shards whose rows have not come."""

    def next_shard(self) -> tuple[SeriesRef, ...]:
        """Cut the next shard; empty when nothing is left.

        It holds the largest series in sight, and the next largest as long as they fit. Series that are overdue come
        first, while more are still to come.
        """
        self._look_ahead()
        seconds_left = self._shard_seconds()
        oldest_first = self._is_overdue()
        chosen: list[SeriesRef] = []
        while self._held and len(chosen) < MAX_SERIES_PER_SHARD:
            number = next(iter(self._held)) if oldest_first else -self._order[-1][1]
            seconds = self._measure(self._held[number])
            if chosen and seconds > seconds_left:
                break
            seconds_left -= seconds
            chosen.append(self._take(number))
        return tuple(chosen)

    def learn(self, rows: Iterable[SeriesResult]) -> None:
        """Take note of the seconds that series took."""
        pairs: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        for row in rows:
            expected = self._submitted.pop(row.series_uuid, None)
            if expected is not None:
                measured = row.seconds_headers + row.seconds_index + row.seconds_render
                pairs[expected.seconds is not None].append((measured, _weigh(expected)))
        for is_known, scale in ((True, self.known), (False, self.unknown)):
            if pairs[is_known]:
                scale.learn(pairs[is_known])

    def _look_ahead(self) -> None:
        """Take in series until as many are in sight as should be."""
        missing = max(self.ahead, self.threads * SERIES_AHEAD_PER_THREAD) - len(self._held)
        while missing > 0:
            expected = next(self.series, None)
            if expected is None:
                self.total = self._taken  # some that were announced need no work
                break
            self._held[self._taken] = expected
            insort(self._order, (_weigh(expected), -self._taken))
            self._sums[expected.seconds is None] += _weigh(expected)
            self._taken += 1
            missing -= 1

    def _is_overdue(self) -> bool:
        """Tell that the oldest series has waited too long. When no more series come it soon has its turn anyway."""
        if self._taken >= self.total:
            return False
        oldest = next(iter(self._held), self._taken)
        return self._taken - oldest > (1 + OVERDUE_AFTER) * max(self.ahead, len(self._held))

    def _shard_seconds(self) -> float:
        """Seconds of work for the next shard: fewer towards the end, so that each thread gets some of what is left."""
        held = self._sums[False] * self.known.factor + self._sums[True] * self.unknown.factor
        to_come = max(self.total - self._taken, 0) * held / max(len(self._held), 1)
        fair = (held + to_come) / (self.threads * SHARDS_PER_THREAD * 2)
        return min(max(fair, SHORTEST_SHARD), SECONDS_PER_SHARD)

    def _measure(self, expected: Expected) -> float:
        scale = self.unknown if expected.seconds is None else self.known
        return _weigh(expected) * scale.factor

    def _take(self, number: int) -> SeriesRef:
        expected = self._held.pop(number)
        weight = _weigh(expected)
        del self._order[bisect_left(self._order, (weight, -number))]
        self._sums[expected.seconds is None] -= weight
        if not self._held:
            self._sums = [0.0, 0.0]  # nothing is left of what rounding has left
        self._submitted[expected.ref.series_uuid] = expected
        return expected.ref


def _weigh(expected: Expected) -> float:
    return TYPICAL_SECONDS if expected.seconds is None else max(expected.seconds, 1e-6)
