"""The rate of requests: more are in flight where answers take long, fewer start where a server asks for that."""

from __future__ import annotations

import asyncio
import math
import threading
import time

from dsp_batch.storage.runtime import once_in_process
from dsp_batch.storage.urls import Location

USUAL_IN_FLIGHT = 64
"""Requests in flight where answers come within 40 ms."""

MOST_IN_FLIGHT = 256
"""Requests in flight, and so connections, at most: however long answers take."""

USUAL_RATE = 1600.0
"""Requests a second that one process aims at: its core can parse the answers of no more. Rate × latency requests are in
flight."""

LEAST_RATE = 2.0
"""Requests a second, at least: a series goes on however often a server refuses."""

ECHO_SECONDS = 0.3
"""Seconds after a refusal in which further ones are not counted: they answer requests that were sent before it."""

DOUBLING_SECONDS = 3.0
"""Seconds in which the rate doubles after a refusal, until the next refusal or until no request has to wait."""


class Flow:
    """The state of one bucket or server, shared by all threads of a process.

    The latency is that of the fastest answer: the others also wait for the server's work and for our own.

    A refusal (SlowDown, 503, 429) lowers the rate to half of the answers that came in the last second, and requests,
    first ones and repeated ones, then start one by one at that rate. Fewer requests in flight would not do: where
    answers take 5 ms, a single one at a time is 200 a second.
    """

    def __init__(self) -> None:
        self._fastest = math.inf
        self._full = USUAL_IN_FLIGHT
        self._answers = 0.0
        self._answered_at = 0.0
        self._level = USUAL_RATE
        self._braked_at: float | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def limit(self, most: int) -> int:
        """Return how many requests may be in flight: at most `most`."""
        return min(most, self._full)

    def note_answer(self, begin: float, end: float) -> None:
        """Learn from a request that was answered; times are of `time.monotonic`."""
        if end - begin < self._fastest:
            self._fastest = end - begin
            self._full = max(USUAL_IN_FLIGHT, min(MOST_IN_FLIGHT, round(USUAL_RATE * self._fastest)))
        self._answers = self._recent_answers(end) + 1
        self._answered_at = end

    def slow_down(self) -> None:
        """Lower the rate, because the server refused a request."""
        with self._lock:
            now = time.monotonic()
            if self._braked_at is None or now - self._braked_at > ECHO_SECONDS:
                self._level = max(LEAST_RATE, self._recent_answers(now) / 2)
                self._braked_at = now

    def reserve_start(self) -> float:
        """Take the next turn; return the seconds to wait for it: 0 unless the server refused a request lately."""
        if self._braked_at is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            if self._rate(now) >= USUAL_RATE:
                self._braked_at = None
                return 0.0
            start = max(now, self._next)
            self._next = start + 1 / self._rate(start)  # by then it has grown
            return start - now

    async def wait_turn(self) -> None:
        """Wait until a request may be sent."""
        pause = self.reserve_start()
        if pause:
            await asyncio.sleep(pause)

    def _rate(self, now: float) -> float:
        if self._braked_at is None:
            return USUAL_RATE
        return self._level * 2 ** min(20.0, (now - self._braked_at) / DOUBLING_SECONDS)

    def _recent_answers(self, now: float) -> float:
        """Count the answers of about the last second: each counts less the longer ago it came."""
        return self._answers * math.exp(min(0.0, self._answered_at - now))


def find_flow(location: Location, endpoint_url: str | None) -> Flow:
    """Find the flow of a bucket or server, the same one for everybody in this process.

    Args:
        location: What lies in it; a bucket asks for fewer requests whatever the prefix.
        endpoint_url: S3-compatible server; None for AWS.
    """
    return _find_flow(location.scheme, "" if location.scheme == "file" else location.container, endpoint_url)


@once_in_process
def _find_flow(scheme: str, container: str, endpoint_url: str | None) -> Flow:  # noqa: ARG001  # keys of the cache
    return Flow()
