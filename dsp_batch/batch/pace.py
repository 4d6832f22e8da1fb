"""How many series a shard should hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsp_batch.model import SeriesResult

SHARDS_PER_THREAD = 3
"""In flight: one computing, one whose headers are ready, one on its way."""

SECONDS_PER_SHARD = 5.0
"""Work that a shard should hold: a thousand times what the scheduler spends on it, and little to lose with a worker."""

MAX_SERIES_PER_SHARD = 64
FIRST_SHARD = 4
"""Series of a shard while nothing is known of how long they take."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """Seconds that a series takes, learned as rows come in."""

    left: int
    """Series that have not been submitted, at most."""

    threads: int = 1
    seconds: float = 0.0
    series: int = 0

    def learn(self, rows: Iterable[SeriesResult]) -> None:
        """Take note of what series took."""
        for row in rows:
            self.seconds += row.seconds_headers + row.seconds_index + row.seconds_render
            self.series += 1

    def shard_size(self) -> int:
        """Series for the next shard: about `SECONDS_PER_SHARD` of work, less towards the end: some for each thread."""
        fair = self.left // (self.threads * SHARDS_PER_THREAD * 2)
        by_time = int(SECONDS_PER_SHARD * self.series / max(self.seconds, 1e-3)) if self.series else FIRST_SHARD
        return max(1, min(fair, by_time, MAX_SERIES_PER_SHARD))
