"""The client or the scheduler killed with -9: the same command goes on, and its results are those of a calm run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

from complete_runs import (
    ARGUMENTS,
    check_previews,
    check_whole,
    read_rows,
    read_run,
    read_summary,
    runs_of,
)
from dask_processes import IMPATIENT_PROGRAM, finish_batch, kill_batch, run_batch, start_batch, wait_until
from failing_cluster import FailingCluster, run_failing_cluster
from failing_proxy import PASS, FailingProxy, Fault, run_proxy
from servers import S3Server

from dsp_batch.cache import Cache, open_cache, preview_key

DYING_CLIENT = Path(__file__).parents[1] / "dying_client.py"


class KillAt:
    """Kills a client at the moment when it asks for something."""

    def __init__(self, method: str, part: str, then: Fault) -> None:
        self.method, self.part, self.then = method, part, then
        self.client: subprocess.Popen[str] | None = None

    def __call__(self, method: str, path: str) -> Fault:
        if self.client is None or method != self.method or self.part not in path:
            return PASS
        self.client.kill()
        self.client = None
        return self.then


def test_a_client_killed_at_any_moment_goes_on_with_the_same_command(
    failing_cluster: FailingCluster, phantoms: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    command = (
        "mosaic",
        f"{phantoms}/",
        "--root",
        phantoms,
        "--cache-dir",
        cache.url,
        *ARGUMENTS,
        *failing_cluster.options,
    )
    moments = [
        ("os.scandir", str(phantoms)),  # the manifest is read
        ("os.rename", "/job.json"),  # it is known what to do
        ("os.rename", "/results/part-"),  # all is drawn, nothing is noted
        ("os.rename", "/failed.txt"),  # all is noted
        ("os.remove", "/results/part-"),  # all is noted twice
        ("os.rename", "/summary.json"),
    ]
    for moment in moments:
        if moment[0] == "os.remove":
            forget_a_preview(cache, undisturbed)
        if moment == ("os.rename", "/results/part-"):
            kill_at_work(failing_cluster, command, cache, len(undisturbed))
        with start_batch(*command, program=(sys.executable, str(DYING_CLIENT), *moment)) as process:
            assert finish_batch(process).status == -signal.SIGKILL, moment
        check_whole(cache)

    complete(command, cache, undisturbed)


def test_a_client_killed_while_it_writes_to_a_bucket_goes_on_with_the_same_command(
    failing_cluster: FailingCluster, phantoms: Path, undisturbed: dict[str, bytes], s3_environment: S3Server
) -> None:
    s3_environment.create_bucket(bucket := f"kills-{uuid.uuid4()}")
    cache = open_cache(f"s3://{bucket}/cache")
    moments = [
        KillAt("PUT", "/job.json", PASS),
        KillAt("PUT", "/results/part-", PASS),
        KillAt("DELETE", "/results/part-", "reset"),
    ]
    with run_proxy(FailingProxy(s3_environment.endpoint.removeprefix("http://"))) as proxy:
        where = ("--root", phantoms, "--cache-dir", cache.url, "--endpoint-url", proxy.url, *failing_cluster.options)
        command = ("mosaic", f"{phantoms}/", *where, *ARGUMENTS)
        for moment in moments:
            if moment.method == "DELETE":
                forget_a_preview(cache, undisturbed)
            proxy.choose = moment
            with start_batch(*command) as process:
                moment.client = process
                assert finish_batch(process).status == -signal.SIGKILL, moment.part
            check_whole(cache)

        complete(command, cache, undisturbed)


def kill_at_work(cluster: FailingCluster, command: tuple[object, ...], cache: Cache, series: int) -> None:
    """Kill a client while previews are being written."""
    there = count_previews(cache)
    cluster.tell("any", "pause 0.02")
    with start_batch(*command) as process:
        moment = there + random.randrange(1, max(2, series - there - 10))
        wait_until(lambda: count_previews(cache) >= min(moment, series), process)
        kill_batch(process)
    cluster.tell("any", "pause 0")
    assert check_whole(cache) >= moment, f"killed when {moment} previews were there"


def count_previews(cache: Cache) -> int:
    return sum(entry.key.endswith(".webp") for entry in cache.list("previews/mosaic"))


def forget_a_preview(cache: Cache, undisturbed: dict[str, bytes]) -> None:
    """Let the next attempt have something to do, so that there are two parts to put together."""
    cache.delete(preview_key("mosaic", min(undisturbed)))


def complete(command: tuple[object, ...], cache: Cache, undisturbed: dict[str, bytes]) -> None:
    outcome = run_batch(*command)
    assert (outcome.status, outcome.errors) == (0, [])
    assert read_rows(cache).keys() == undisturbed.keys()
    assert sum(read_summary(cache)["by_status"].values()) == len(undisturbed)
    check_previews(cache, undisturbed)


def test_a_lost_scheduler_ends_the_client_and_nothing_that_has_a_row_is_read_again(
    failing_cluster: FailingCluster, phantoms: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    command = ("mosaic", f"{phantoms}/", "--root", phantoms, "--cache-dir", cache.url, *ARGUMENTS)
    with (
        run_failing_cluster(tmp_path / "dask", nannies=1) as lost,
        start_batch(*command, *lost.options, program=IMPATIENT_PROGRAM) as process,
    ):
        lost.tell("any", "pause 0.15")
        wait_until(partial(has_rows, cache), process)
        os.kill(lost.dask.scheduler.pid, signal.SIGKILL)
        outcome = finish_batch(process)

    assert outcome.status == 1
    assert outcome.stderr.splitlines()[-1:] == outcome.errors
    assert "the connection to the Dask scheduler is lost" in outcome.errors[0]
    assert "repeat the same command" in outcome.errors[0]
    assert "Traceback" not in outcome.stderr
    check_whole(cache)
    written = {row["series_uuid"] for run in runs_of(cache) for row in read_run(cache, run)}

    resumed = run_batch(*command, *failing_cluster.options)

    assert resumed.status == 0
    assert written
    opened = failing_cluster.opened()
    assert set(opened) == undisturbed.keys() - written
    assert max(Counter(opened).values()) <= 3  # as many objects as a series has, each once
    assert read_rows(cache).keys() == undisturbed.keys()
    check_previews(cache, undisturbed)


def has_rows(cache: Cache) -> bool:
    return any(read_run(cache, run) for run in runs_of(cache))
