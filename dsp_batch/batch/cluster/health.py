"""The scheduler and the workers of a run: asked now and then whether they are there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

from distributed import Client

from dsp_batch.batch.runs.clock import MACHINE_CLOCK, Clock
from dsp_batch.errors import DspBatchError

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_COUNTS = 5.0
"""Of the workers: with thousands of them the answer is large."""

SECONDS_TO_ANSWER = 10.0
"""For the scheduler; the run stands still for as long. One that is frozen keeps its connections, and never answers. One
that thousands of workers keep busy may take longer, but then shards end meanwhile."""

MISSES = 2
"""Questions in a row that the scheduler has not answered, and no shard has ended in between: then it is silent."""


def find_scheduler(client: Client) -> str:
    """Address of the scheduler that a client is connected to; it need not be asked for it."""
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
    """The scheduler is frozen, or was never one."""
    return DspBatchError(f"the scheduler {find_scheduler(client)} does not answer for {seconds:.0f} s: start it anew")


def lost_connection() -> DspBatchError:
    """Dask's client has given the scheduler up."""
    return DspBatchError(
        "the connection to the Dask scheduler is lost: start it again if it is gone, and repeat the same command; "
        "it goes on where it stopped"
    )


class Cluster(NamedTuple):
    """Who works on a run."""

    client: Client
    patience: float = 60.0
    """Seconds to wait for a worker when all are gone, and for a scheduler that does not answer."""

    clock: Clock = MACHINE_CLOCK
    """The time that it goes by."""


@dataclass(slots=True, kw_only=True)
class Crew:
    """What is known of the scheduler and of the workers."""

    cluster: Cluster
    alive: float
    """When there was last a worker."""

    heard: float
    """When there was last a sign of the scheduler."""

    threads: int = 1
    counted: float = -1e9
    is_away: bool = False
    """There was no worker when they were last counted."""

    missed: int = 0
    """Questions that the scheduler has not answered since."""

    @property
    def is_silent(self) -> bool:
        """The scheduler does not answer, and no shard ends."""
        return self.missed >= MISSES

    def hear(self) -> None:
        """Take note of a sign of the scheduler: an answer, or the rows of a shard."""
        if self.is_silent:
            _log.warning("the Dask scheduler answers again: the run goes on")
        self.heard, self.missed = self.cluster.clock.now(), 0

    def count_threads(self) -> int:
        """Threads of all workers, at least 1; as before when the scheduler does not answer.

        Raises:
            DspBatchError: There has been no worker, or no sign of the scheduler, for too long, or the client has
                closed itself.
        """
        if self.cluster.client.status == "closed":
            raise lost_connection()
        now, seconds = self.cluster.clock.now(), self.cluster.patience / 8
        if now - self.counted < min(SECONDS_BETWEEN_COUNTS, seconds):
            return self.threads
        try:
            workers = self.cluster.client.nthreads(callback_timeout=min(SECONDS_TO_ANSWER, max(1.0, seconds)))
        except (OSError, ValueError):  # that the connection is lost shows in the shards
            self._miss_scheduler()
        else:
            self.hear()
            self._count(sum(workers.values()), now)
        self.counted = self.cluster.clock.now()
        return self.threads

    def _miss_scheduler(self) -> None:
        """The scheduler has not answered: say so once, or give up."""
        self.missed += 1
        address, patience = find_scheduler(self.cluster.client), self.cluster.patience
        if self.missed == MISSES:
            _log.warning("the Dask scheduler %s does not answer: the run waits up to %.0f s", address, patience)
        seconds = self.cluster.clock.now() - self.heard
        if self.is_silent and seconds > patience:
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
        """There has been no worker for some seconds: say so once, or give up."""
        address, patience = find_scheduler(self.cluster.client), self.cluster.patience
        is_local = self.cluster.client.cluster is not None
        who = "all local workers" if is_local else f"all workers of {address}"
        start = "" if is_local else f"start `dask worker {address}`"
        if seconds > patience:
            repeat = "repeat the same command; it goes on where it stopped"
            advice = f"{start}, and {repeat}" if start else repeat
            raise DspBatchError(f"{who} have been gone for {seconds:.0f} s: {advice}")
        if not self.is_away:
            _log.warning("%s are gone: the run waits up to %.0f s for one%s", who, patience, start and f"; {start}")
        self.is_away = True
