"""A scheduler or a worker that is frozen, with SIGSTOP: it keeps its connections, and answers nothing."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from complete_runs import ARGUMENTS, check_previews, check_whole, read_rows, read_summary
from dask_processes import IMPATIENT_PROGRAM, finish_batch, run_batch, start_batch, wait_until
from distributed import Client
from failing_cluster import FailingCluster, run_failing_cluster

from dsp_batch.cache import Cache, open_cache

ADDRESS = r"tcp://127\.0\.0\.1:\d+"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingCluster]:
    """Two workers of a scheduler that may be frozen: no other module has work there."""
    with run_failing_cluster(tmp_path_factory.mktemp("frozen")) as cluster:
        yield cluster


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(str(tmp_path / "cache"))


@pytest.fixture
def command(cluster: FailingCluster, phantoms: Path, cache: Cache) -> Iterator[tuple[object, ...]]:
    """A batch of seconds that is in the middle of its work when the scheduler freezes."""
    cluster.tell("any", "pause 0.1")
    yield ("mosaic", f"{phantoms}/", "--root", phantoms, "--cache-dir", cache.url, *ARGUMENTS, *cluster.options)
    for path in cluster.told.iterdir():
        path.unlink()


@contextmanager
def frozen(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_frozen_scheduler_ends_the_program_and_the_same_command_completes_the_run(
    cluster: FailingCluster, command: tuple[object, ...], cache: Cache, undisturbed: dict[str, bytes]
) -> None:
    with start_batch(*command, "--wait-for-workers", 4) as process:
        wait_until(lambda: len(set(cluster.opened())) > 8, process)
        with frozen(cluster.dask.scheduler.pid):
            begin = time.monotonic()
            outcome = finish_batch(process)
            seconds = time.monotonic() - begin

    assert outcome.status == 1
    assert seconds < 30
    (warning,) = outcome.warnings
    assert re.fullmatch(rf"warning: the Dask scheduler {ADDRESS} does not answer: the run waits up to 4 s", warning)
    (error,) = outcome.errors
    assert re.search(rf"the Dask scheduler {ADDRESS} has not answered for \d+ s: .* repeat the same command", error)
    assert outcome.stderr.splitlines()[-1] == error
    assert "Traceback" not in outcome.stderr
    check_whole(cache)
    cluster.tell("any", "pause 0")

    resumed = run_batch(*command)

    assert (resumed.status, resumed.errors) == (0, [])
    check_complete(cache, undisturbed)


def test_a_scheduler_that_wakes_up_in_time_costs_nothing_but_that_time(
    cluster: FailingCluster, command: tuple[object, ...], cache: Cache, undisturbed: dict[str, bytes]
) -> None:
    with start_batch(*command, "--wait-for-workers", 8) as process:
        wait_until(lambda: len(set(cluster.opened())) > 8, process)
        with frozen(cluster.dask.scheduler.pid):
            assert process.stderr is not None
            said = next(line for line in process.stderr if "does not answer" in line)
            rows = set(read_rows(cache))
        outcome = finish_batch(process)

    assert "the run waits up to 8 s" in said
    assert len(rows) < len(undisturbed)
    assert (outcome.status, outcome.errors) == (0, [])
    assert "answers again: the run goes on" in outcome.stderr
    check_complete(cache, undisturbed)


def test_a_second_ctrl_c_ends_a_run_whose_scheduler_is_frozen(
    cluster: FailingCluster, command: tuple[object, ...]
) -> None:
    with start_batch(*command) as process:
        wait_until(lambda: len(set(cluster.opened())) > 8, process)
        with frozen(cluster.dask.scheduler.pid):
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert any("press Ctrl-C again" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            outcome = finish_batch(process)
            seconds = time.monotonic() - begin

    assert outcome.status == 130
    assert seconds < 20
    assert "Traceback" not in outcome.stderr


def test_rows_on_a_worker_that_freezes_when_it_is_asked_for_them_are_made_again(
    cluster: FailingCluster, command: tuple[object, ...], cache: Cache, undisturbed: dict[str, bytes]
) -> None:
    cluster.tell("any", "pause 0")
    cluster.tell("rows", "freeze")

    outcome = run_batch(*command)

    assert not (cluster.told / "rows").exists()
    assert (outcome.status, outcome.errors) == (0, [])
    drawn = Counter(cluster.opened())
    assert max(drawn.values()) > 3  # a series has three objects at most
    check_complete(cache, undisturbed)


def test_a_cluster_that_is_frozen_before_the_start_is_named_and_nothing_is_begun(
    cluster: FailingCluster, command: tuple[object, ...], cache: Cache
) -> None:
    with Client(scheduler_file=str(cluster.dask.file)) as client:
        client.wait_for_workers(2)
        worker, _ = client.run(os.getpid).values()
    for process, error in (
        (worker, rf"scheduler {ADDRESS} or one of its workers does not answer for 3 s: start anew what is frozen"),
        (cluster.dask.scheduler.pid, r"no Dask scheduler answers at \S+ \(.*\): check the address"),
    ):
        with frozen(process):
            begin = time.monotonic()
            outcome = run_batch(*command, "--wait-for-workers", 4, program=IMPATIENT_PROGRAM)
            seconds = time.monotonic() - begin

        assert (outcome.status, len(outcome.errors)) == (1, 1), outcome.stderr
        assert re.search(error, outcome.errors[0])
        assert seconds < 30
        assert read_rows(cache) == {}


def test_a_scheduler_that_freezes_before_there_is_a_worker_is_named(tmp_path: Path, phantoms: Path) -> None:
    with run_failing_cluster(tmp_path / "lonely", nannies=0) as lonely:
        command = ("mosaic", f"{phantoms}/", "--root", phantoms, "--cache-dir", tmp_path / "cache", *lonely.options)
        with Client(scheduler_file=str(lonely.dask.file)) as client:

            def count_clients() -> int:
                return int(client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.clients)))

            alone = count_clients()
            with start_batch(*command, "--wait-for-workers", 8) as process:
                wait_until(lambda: count_clients() > alone, process)
                with frozen(lonely.dask.scheduler.pid):
                    outcome = finish_batch(process)

    assert (outcome.status, len(outcome.errors)) == (1, 1), outcome.stderr
    assert re.search(rf"the scheduler {ADDRESS} does not answer for \d s: start it anew", outcome.errors[0])


def test_a_frozen_scheduler_does_not_hold_up_the_end_for_its_report(
    cluster: FailingCluster, command: tuple[object, ...], tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    with start_batch(
        *command, "--wait-for-workers", 4, "--performance-report", report, program=IMPATIENT_PROGRAM
    ) as process:
        wait_until(lambda: len(set(cluster.opened())) > 8, process)
        with frozen(cluster.dask.scheduler.pid):
            begin = time.monotonic()
            outcome = finish_batch(process)
            seconds = time.monotonic() - begin

    assert (outcome.status, len(outcome.errors)) == (1, 2), outcome.stderr
    assert "the scheduler gave no performance report" in outcome.errors[0]
    assert "repeat the same command" in outcome.errors[1]
    assert "Traceback" not in outcome.stderr
    assert not report.exists()
    assert seconds < 35


def check_complete(cache: Cache, undisturbed: dict[str, bytes]) -> None:
    assert read_rows(cache).keys() == undisturbed.keys()
    assert sum(read_summary(cache)["by_status"].values()) == len(undisturbed)
    check_previews(cache, undisturbed)
