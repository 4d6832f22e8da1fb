"""The health of a cluster: the scheduler and the workers of a run, asked now and then whether they are there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from distributed import Client

from dsp_batch.batch.clock import MACHINE_CLOCK, Clock
from dsp_batch.errors import DspBatchError

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_COUNTS = 5.0
"""Seconds between two counts of the workers. The answer is large with thousands of them."""

SECONDS_TO_ANSWER = 10.0
"""Seconds that the scheduler has to answer; the run stands still for as long. A frozen scheduler keeps its connections
and never answers. One that thousands of workers keep busy may take longer, but then shards end meanwhile."""

MISSES = 2
"""Questions in a row after which the scheduler counts as silent: it has answered none, and no shard has ended."""


def find_scheduler(client: Client) -> str:
    """Find the address of the scheduler that a client is connected to, without asking the scheduler."""
    scheduler: Any = client.scheduler
    return str(scheduler.address)


def ask_threads(client: Client, seconds: float) -> dict[str, int]:
    """Ask the scheduler for the threads of each worker.

    Raises:
        DspBatchError: It does not answer for so many seconds, or the connection to it is lost.
    """
    try:
        threads: dict[str, int] = client.nthreads(callback_timeout=seconds)
    except TimeoutError as error:
        raise no_answer(client, seconds) from error
    except OSError as error:
        raise lost_connection() from error
    return threads


def no_answer(client: Client, seconds: float) -> DspBatchError:
    """Make the error of a scheduler that is frozen, or was never one."""
    return DspBatchError(f"the scheduler {find_scheduler(client)} does not answer for {seconds:.0f} s: start it anew")


def lost_connection() -> DspBatchError:
    """Make the error of a scheduler that Dask's client has given up."""
    return DspBatchError(
        "the connection to the Dask scheduler is lost: start it again if it is gone, and repeat the same command; "
        "it goes on where it stopped"
    )


class Cluster(NamedTuple):
    """The cluster that works on a run."""

    client: Client
    longest_wait: float = 60.0
    """Seconds to wait for a worker when all are gone, and for a scheduler that does not answer."""

    clock: Clock = MACHINE_CLOCK
    """Clock of the run: that of the machine, or that of a simulated cluster."""


@dataclass(slots=True, kw_only=True)
class ClusterHealth:
    """Knows whether the scheduler answers, and how many workers there are."""

    cluster: Cluster
    alive: float
    """When there was last a worker, by the clock of the run."""

    answered: float
    """When the scheduler last answered or a shard last ended, by the clock of the run."""

    threads: int = 1
    """Threads of all workers, at the last count."""

    counted: float = -1e9
    """When the workers were last counted, by the clock of the run."""

    is_away: bool = False
    """True where there was no worker at the last count."""

    missed: int = 0
    """Questions that the scheduler has not answered since its last answer."""

    @property
    def is_silent(self) -> bool:
        """True where the scheduler does not answer and no shard ends."""
        return self.missed >= MISSES

    def note_answer(self) -> None:
        """Take note of a sign of the scheduler: an answer, or the rows of a shard."""
        if self.is_silent:
            _log.warning("the Dask scheduler answers again: the run goes on")
        self.answered, self.missed = self.cluster.clock.now(), 0

    def count_threads(self) -> int:
        """Count the threads of all workers, at least 1; the last count when the scheduler does not answer.

        Raises:
            DspBatchError: There has been no worker, or no sign of the scheduler, for too long, or the client has
                closed itself.
        """
        if self.cluster.client.status == "closed":
            raise lost_connection()
        now, seconds = self.cluster.clock.now(), self.cluster.longest_wait / 8
        if now - self.counted < min(SECONDS_BETWEEN_COUNTS, seconds):
            return self.threads
        try:
            workers = self.cluster.client.nthreads(callback_timeout=min(SECONDS_TO_ANSWER, max(1.0, seconds)))
        except (OSError, ValueError):  # that the connection is lost shows in the shards
            self._miss_scheduler()
        else:
            self.note_answer()
            self._count(sum(workers.values()), now)
        self.counted = self.cluster.clock.now()
        return self.threads

    def _miss_scheduler(self) -> None:
        """Warn once of a scheduler that has not answered, and give up in the end."""
        self.missed += 1
        address, longest_wait = find_scheduler(self.cluster.client), self.cluster.longest_wait
        if self.missed == MISSES:
            _log.warning("the Dask scheduler %s does not answer: the run waits up to %.0f s", address, longest_wait)
        seconds = self.cluster.clock.now() - self.answered
        if self.is_silent and seconds > longest_wait:
            raise DspBatchError(
                f"the Dask scheduler {address} has not answered for {seconds:.0f} s: start it again, and repeat the "
                "same command; it goes on where it stopped"
            )

    def _count(self, threads: int, now: float) -> None:
        if threads:
            if self.is_away:
                _log.warning("there are workers again: the run goes on")
            self.threads, self.alive, self.is_away = threads, now, False
        else:
            self._miss_workers(now - self.alive)

    def _miss_workers(self, seconds: float) -> None:
        """Warn once of workers that have been gone for some seconds, and give up in the end."""
        address, longest_wait = find_scheduler(self.cluster.client), self.cluster.longest_wait
        is_local = self.cluster.client.cluster is not None
        who = "all local workers" if is_local else f"all workers of {address}"
        start = "" if is_local else f"start `dask worker {address}`"
        if seconds > longest_wait:
            repeat = "repeat the same command; it goes on where it stopped"
            advice = f"{start}, and {repeat}" if start else repeat
            raise DspBatchError(f"{who} have been gone for {seconds:.0f} s: {advice}")
        if not self.is_away:
            _log.warning("%s are gone: the run waits up to %.0f s for one%s", who, longest_wait, start and f"; {start}")
        self.is_away = True
