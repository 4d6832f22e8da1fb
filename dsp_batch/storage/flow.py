"""How many requests are in flight: more where answers take long, fewer where a server asks for less."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque

from dsp_batch.storage.once import once_in_process

USUAL = 64
"""Requests in flight where answers come within 40 ms."""

MOST = 256
"""Requests in flight, and so connections, however long answers take."""

RATE = 1600
"""Requests a second that one process is to reach: what its core can parse. Rate × latency requests are in flight."""

PATIENCE = 0.3
"""Seconds: refusals that come sooner after one are answers to requests sent before it, and are no news."""

RECOVERY = 10.0
"""Seconds in which the number in flight grows from none to all again."""


class Flow:
    """The state of one bucket or server, shared by all threads of a process.

    The latency is that of the fastest answer: the others also wait for the server's work and for our own. A refusal
    (SlowDown, 503, 429) halves what is in flight; it recovers by equal steps over time, so that many processes that
    meet at one bucket come to equal shares of it.
    """

    def __init__(self) -> None:
        self._fastest = math.inf
        self._full = USUAL
        self._level = 0.0
        self._braked_at: float | None = None
        self._lock = threading.Lock()

    def limit(self, most: int) -> int:
        """Requests that may be in flight now, at least 1 and at most `most`."""
        full = min(most, self._full)
        braked_at = self._braked_at
        if braked_at is None:
            return full
        allowed = self._level + full * (time.monotonic() - braked_at) / RECOVERY
        if allowed >= full:
            self._braked_at = None
            return full
        return max(1, int(allowed))

    def note_answer(self, seconds: float) -> None:
        """Learn from how long an answer took."""
        if seconds < self._fastest:
            self._fastest = seconds
            self._full = max(USUAL, min(MOST, round(RATE * seconds)))

    def slow_down(self, most: int) -> None:
        """Halve what may be in flight, because the server refused a request."""
        with self._lock:
            now = time.monotonic()
            if self._braked_at is None or now - self._braked_at > PATIENCE:
                self._level, self._braked_at = self.limit(most) / 2, now


@once_in_process
def find_flow(place: str) -> Flow:  # noqa: ARG001  # the cache's key
    """The flow of a bucket or server, the same one for everybody in this process."""
    return Flow()


class Gate:
    """Where the requests of one event loop pass one by one, as many at a time as the flow allows.

    Args:
        flow: Of the bucket or server that is asked.
        most: Requests in flight, at most, whatever the flow allows.
    """

    def __init__(self, flow: Flow, most: int) -> None:
        self.flow = flow
        self._most = most
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def slow_down(self) -> None:
        """Tell the flow that the server refused a request of this loop."""
        self.flow.slow_down(self._most)

    async def enter(self) -> None:
        """Wait for a place, behind those who wait already."""
        if not self._waiting and self._in_flight < self.flow.limit(self._most):
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given already
                self.leave()
            raise

    def leave(self) -> None:
        """Give the place to whoever waits; to several where more are allowed by now."""
        self._in_flight -= 1
        while self._waiting and self._in_flight < self.flow.limit(self._most):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._in_flight += 1
