"""The rolling window over a cluster whose futures do as they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from dsp_batch.batch.job import Job
from dsp_batch.batch.lookahead import Expected
from dsp_batch.batch.runner import SECONDS_TO_GATHER, TIMES_TO_GATHER, Cluster, Series, run_series
from dsp_batch.cache import open_cache
from dsp_batch.model import SeriesRef, SeriesResult
from dsp_batch.options import MosaicOptions

FROZEN = "b"


class EndedFuture:
    """A shard that has ended at once, and whose worker does not answer for some times."""

    def __init__(self, cluster: MuteCluster, names: tuple[str, ...]) -> None:
        self.cluster, self.names = cluster, names
        self.status = "error" if cluster.fails and FROZEN in names else "finished"

    def add_done_callback(self, ended: Callable[[EndedFuture], object]) -> None:
        ended(self)

    def result(self, timeout: float) -> tuple[SeriesResult, ...]:
        if self.status == "error":
            raise TimeoutError("its own")
        if FROZEN in self.names and self.cluster.silences:
            self.cluster.silences -= 1
            self.cluster.seconds += timeout
            raise TimeoutError
        return tuple(SeriesResult(series_uuid=name, root="/root", status="done") for name in self.names)


class MuteCluster:
    """Client and clock of a cluster of two threads, one of which freezes when it has finished a series, or fails."""

    def __init__(self, silences: int, *, fails: bool) -> None:
        self.silences, self.fails, self.seconds = silences, fails, 0.0
        self.submitted: list[str] = []

    def compute(self, shard: Any, *, optimize_graph: bool) -> EndedFuture:
        assert not optimize_graph
        first = next(task for key, task in shard.dask.items() if key[0].startswith("headers"))
        names = tuple(ref.series_uuid for ref in first.func.args[0])
        self.submitted += names
        return EndedFuture(self, names)

    def nthreads(self) -> dict[str, int]:
        return {"a": 1, "b": 1}

    def now(self) -> float:
        return self.seconds

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        try:
            return queue.get_nowait()
        except Empty:
            self.seconds += seconds
            return None


def run(silences: int, *, fails: bool = False) -> tuple[MuteCluster, dict[str, float]]:
    """A run over series of a shard each.

    Returns:
        The cluster, and when the row of each series was taken.
    """
    cluster, taken = MuteCluster(silences, fails=fails), dict[str, float]()

    def take(rows: tuple[SeriesResult, ...]) -> None:
        for row in rows:
            assert row.series_uuid not in taken
            taken[row.series_uuid] = cluster.seconds

    names = "abcdefgh"
    series = [Expected(SeriesRef(root="/root", series_uuid=name), 1000.0) for name in names]
    job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache("/cache"), name="mosaic")
    run_series(Cluster(cluster, clock=cluster), job, Series(iter(series), len(series)), take)  # type: ignore[arg-type]
    assert taken.keys() == set(names)
    return cluster, taken


@pytest.mark.parametrize("silences", [1, 3, TIMES_TO_GATHER - 1])
def test_rows_on_a_worker_that_does_not_answer_hold_the_others_up_once_and_are_asked_for_again(silences: int) -> None:
    cluster, taken = run(silences)

    assert max(seconds for name, seconds in taken.items() if name != FROZEN) <= SECONDS_TO_GATHER
    assert taken[FROZEN] >= silences * SECONDS_TO_GATHER
    assert set(Counter(cluster.submitted).values()) == {1}


def test_a_shard_whose_rows_never_come_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    cluster, taken = run(TIMES_TO_GATHER)

    assert Counter(cluster.submitted)[FROZEN] == 2
    assert len(cluster.submitted) == len(taken) + 1
    assert not caplog.messages


def test_a_task_that_timed_out_by_itself_has_failed_and_is_not_asked_again() -> None:
    cluster, taken = run(0, fails=True)

    assert taken[FROZEN] < SECONDS_TO_GATHER
    assert set(Counter(cluster.submitted).values()) == {1}
