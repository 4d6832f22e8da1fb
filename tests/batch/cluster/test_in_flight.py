"""The rolling window over a cluster whose futures do as they are told."""

from __future__ import annotations

import math
import pickle
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client

from dsp_batch.batch.clock import MACHINE_CLOCK
from dsp_batch.batch.cluster.in_flight import SECONDS_TO_GATHER, TIMES_TO_GATHER, Cluster, SeriesToRun, run_series
from dsp_batch.batch.cluster.interrupt import Interrupted
from dsp_batch.batch.plan.expectations import Expected
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions, MosaicOptions

FROZEN = "b"


class EndedFuture:
    """A shard that has ended at once, and whose worker does not answer for some times."""

    def __init__(self, cluster: MuteCluster, names: tuple[str, ...]) -> None:
        self.cluster, self.names = cluster, names
        self.status = "error" if cluster.fails and FROZEN in names else "finished"

    def add_done_callback(self, ended: Callable[[EndedFuture], object]) -> None:
        ended(self)

    def done(self) -> bool:
        return True

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

    scheduler = SimpleNamespace(address="tcp://mute", call_stack="the question of what workers are busy with")
    status = "running"
    cluster = None

    def __init__(self, silences: int, *, fails: bool) -> None:
        self.silences, self.fails, self.seconds = silences, fails, 0.0
        self.submitted: list[str] = []

    def compute(self, shard: Any, *, optimize_graph: bool) -> EndedFuture:
        assert not optimize_graph
        first = next(task for key, task in shard.dask.items() if key[0].startswith("headers"))
        names = tuple(ref.series_uuid for ref in pickle.loads(first.func.args[0]).args[0])
        self.submitted += names
        return EndedFuture(self, names)

    def nthreads(self, *, callback_timeout: float) -> dict[str, int]:
        assert callback_timeout > 0
        return {"a": 1, "b": 1}

    def now(self) -> float:
        return self.seconds

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        try:
            return queue.get_nowait()
        except Empty:
            self.seconds += seconds
            return None


class FrozenFuture:
    """A shard that nobody tells the end of."""

    key = ("render", "a", "token")

    def add_done_callback(self, ended: Callable[[FrozenFuture], object]) -> None:
        pass

    def done(self) -> bool:
        return False


class FrozenCluster(MuteCluster):
    """Client and clock of a cluster whose scheduler is frozen; Ctrl-C may be pressed at some second."""

    def __init__(self, press_at: float) -> None:
        super().__init__(0, fails=False)
        self.press_at = press_at

    def compute(self, shard: Any, *, optimize_graph: bool) -> Any:
        super().compute(shard, optimize_graph=optimize_graph)
        return FrozenFuture()

    def nthreads(self, *, callback_timeout: float) -> dict[str, int]:
        self.seconds += callback_timeout
        raise TimeoutError

    def sync(self, question: str, *, keys: None, callback_timeout: float) -> dict[str, int]:
        assert (question, keys) == (self.scheduler.call_stack, None)
        return self.nthreads(callback_timeout=callback_timeout)

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        if self.seconds >= self.press_at:
            self.press_at = math.inf
            signal.raise_signal(signal.SIGINT)
        return super().wait(queue, seconds)


class BusyCluster(MuteCluster):
    """Client and clock of a cluster whose scheduler tells of a shard now and then, and answers no question in time."""

    def nthreads(self, *, callback_timeout: float) -> dict[str, int]:
        self.seconds += callback_timeout
        raise TimeoutError

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        self.seconds += 15
        return super().wait(queue, seconds)


def run(silences: int, *, fails: bool = False) -> tuple[MuteCluster, dict[str, float]]:
    """A run over series of a shard each.

    Returns:
        The cluster, and when the row of each series was taken.
    """
    cluster = MuteCluster(silences, fails=fails)
    return cluster, run_on(cluster)


def run_on(cluster: MuteCluster) -> dict[str, float]:
    taken = dict[str, float]()

    def take(rows: tuple[SeriesResult, ...]) -> None:
        for row in rows:
            assert row.series_uuid not in taken
            taken[row.series_uuid] = cluster.seconds

    names = "abcdefgh"
    series = [Expected(SeriesRef(root="/root", series_uuid=name), 1000.0) for name in names]
    job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache("/cache"), name="mosaic")
    run_series(Cluster(cluster, clock=cluster), job, SeriesToRun(iter(series), len(series)), take)  # type: ignore[arg-type]
    assert taken.keys() == set(names)
    return taken


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


def test_a_run_gives_a_frozen_scheduler_up_after_a_warning_and_little_more_than_its_patience(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster = FrozenCluster(press_at=math.inf)

    with pytest.raises(DspBatchError, match=r"tcp://mute has not answered for \d+ s: .* repeat the same command"):
        run_on(cluster)

    assert 60 < cluster.seconds < 80
    assert caplog.messages == ["the Dask scheduler tcp://mute does not answer: the run waits up to 60 s"]


@pytest.mark.parametrize("press_at", [0, 50])
def test_a_run_is_stopped_by_one_ctrl_c_while_the_scheduler_is_frozen(press_at: float) -> None:
    cluster = FrozenCluster(press_at)

    with pytest.raises(Interrupted):
        run_on(cluster)

    assert cluster.seconds - press_at < 45


def test_a_scheduler_that_has_no_time_to_answer_is_not_given_up_while_shards_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_on(cluster := BusyCluster(0, fails=False))

    assert cluster.seconds > 60
    assert not caplog.messages


def test_a_client_that_has_closed_itself_is_a_lost_connection() -> None:
    cluster = MuteCluster(0, fails=False)
    cluster.status = "closed"

    with pytest.raises(DspBatchError, match=r"connection to the Dask scheduler is lost: .* repeat the same command"):
        run_on(cluster)


class LatePress:
    """A clock by which Ctrl-C is pressed once, when some shards have ended and nobody has looked at them yet."""

    def __init__(self, ended: int) -> None:
        self.ended = ended
        self.found = 0

    def now(self) -> float:
        return MACHINE_CLOCK.now()

    def wait(self, queue: SimpleQueue[Any], seconds: float) -> Any:
        if not self.found:
            while queue.qsize() < self.ended:
                time.sleep(0.01)
            self.found = self.ended
            signal.raise_signal(signal.SIGINT)
        return MACHINE_CLOCK.wait(queue, seconds)


def test_rows_of_shards_that_ended_before_ctrl_c_are_taken(phantoms: Path, tmp_path: Path) -> None:
    refs = [SeriesRef(root=str(phantoms), series_uuid=path.name) for path in phantoms.iterdir()]
    series = [Expected(ref, 1000.0) for ref in refs]
    job = Job(verb="build-index", options=IndexOptions(), cache=open_cache(str(tmp_path)), name="build-index")
    clock, taken = LatePress(2), list[SeriesResult]()
    with (
        Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client,
        pytest.raises(Interrupted),
    ):
        run_series(Cluster(client, clock=clock), job, SeriesToRun(iter(series), len(series)), taken.extend)

    assert clock.found <= len(taken) < len(refs)
    assert {row.status for row in taken} == {"done"}
