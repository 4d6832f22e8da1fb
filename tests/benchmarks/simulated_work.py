"""What goes into a simulated run, and what comes out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a run meets."""

    workers: int
    """Of one thread."""

    seed: int = 1
    deaths_per_hour: float = 0.02
    """Of one worker: a spot instance in fifty is taken away each hour."""

    seconds_to_replace: float = 120.0
    allowed_failures: int = 3
    """Dask's `distributed.scheduler.allowed-failures`."""

    requests_per_second: float | None = None
    """What the bucket answers; None for all that is asked."""

    shard_seconds: float = 0.004
    """Of the scheduler, for a shard."""

    series_seconds: float = 0.00002
    """Of the scheduler, for each series of it."""

    heartbeat_seconds: float = 0.0005
    """Of the scheduler, for a sign of life of a worker."""

    client_shard_seconds: float = 0.002
    """Of the client's connection to Dask, for a shard."""

    client_series_seconds: float = 0.00005

    kill_at: float | None = None
    """When the client is killed."""


class Cost(NamedTuple):
    """What a series takes, and what becomes of it."""

    headers: float
    """Seconds, as the two below."""

    index: float
    render: float
    processor: float
    """CPU seconds among them."""

    requests: int
    bytes_read: int
    kills: bool = False
    """Whichever worker takes it up dies."""

    row: Mapping[str, Any] = {}
    """Fields of its result row."""

    @property
    def seconds(self) -> float:
        """Of a worker."""
        return self.headers + self.index + self.render


class Killed(BaseException):
    """The client was killed: nothing of it runs on, not even what errors are caught by."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a simulated run comes to."""

    shards: int = 0
    deaths: int = 0
    series_seconds: float = 0.0
    """Of workers, on shards that ended."""

    lost_seconds: float = 0.0
    """On shards that were lost with their worker or with the client."""

    requests: int = 0
    bytes_read: int = 0
    scheduler_seconds: float = 0.0
    longest_queue: float = 0.0
    """Seconds that a message has waited for the scheduler."""

    most_in_flight: int = 0
    most_series_in_flight: int = 0
    last_full: float = 0.0
    """When 95 % of the workers were last busy."""

    rates: Counter[int] = field(default_factory=Counter)
    """Second → change of the request rate."""

    def peak_rate(self) -> float:
        """Most requests a second, of any second."""
        rate = peak = 0.0
        for second in sorted(self.rates):
            rate += self.rates[second]
            peak = max(peak, rate)
        return peak
