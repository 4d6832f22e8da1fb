"""The client or the scheduler killed with -9: the same command goes on, and its results are those of a calm run."""

from __future__ import annotations

import os
import random
import signal
import uuid
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from complete_runs import ARGUMENTS, check_previews, check_whole, draw_undisturbed, read_rows, read_run, runs_of
from dask_processes import finish_batch, kill_batch, run_batch, start_batch, wait_until
from failing_cluster import FailingCluster, run_failing_cluster
from servers import S3Server

from dsp_batch.cache import Cache, open_cache
from dsp_batch.dicom.phantom import write_collection
from dsp_batch.dicom.phantom_bulk import build_many

SERIES = 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series")
    write_collection(folder, build_many(SERIES))
    return folder


@pytest.fixture(scope="module")
def expected(root: Path) -> dict[str, bytes]:
    return draw_undisturbed(root, [path.name for path in root.iterdir()])


@pytest.fixture(params=["folder", "bucket"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, s3_environment: S3Server) -> Cache:
    if request.param == "folder":
        return open_cache(str(tmp_path / "cache"))
    s3_environment.create_bucket(bucket := f"kills-{uuid.uuid4()}")
    return open_cache(f"s3://{bucket}/cache")


def has_previews(cache: Cache, number: int) -> bool:
    return sum(1 for _ in cache.list("previews/mosaic")) > number  # with product.json


def test_a_client_killed_at_any_moment_goes_on_with_the_same_command(
    failing_cluster: FailingCluster, root: Path, cache: Cache, expected: dict[str, bytes]
) -> None:
    command = ("mosaic", f"{root}/", "--root", root, "--cache-dir", cache.url, *ARGUMENTS, *failing_cluster.options)
    for moment in sorted(random.sample(range(1, 30), 1 if cache.url.startswith("s3:") else 2)):
        failing_cluster.tell("any", "pause 0.02")
        with start_batch(*command) as process:
            wait_until(partial(has_previews, cache, moment), process)
            kill_batch(process)
        assert check_whole(cache) >= moment

    outcome = run_batch(*command)

    assert (outcome.status, outcome.errors) == (0, [])
    assert read_rows(cache).keys() == expected.keys()
    check_previews(cache, expected)


def test_a_lost_scheduler_ends_the_client_and_nothing_that_has_a_row_is_read_again(
    failing_cluster: FailingCluster, root: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    command = ("mosaic", f"{root}/", "--root", root, "--cache-dir", cache.url, *ARGUMENTS)
    with run_failing_cluster(tmp_path / "dask", nannies=1) as lost, start_batch(*command, *lost.options) as process:
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
    assert set(opened) == expected.keys() - written
    assert max(Counter(opened).values()) <= 3  # as many objects as a series has, each once
    assert read_rows(cache).keys() == expected.keys()
    check_previews(cache, expected)


def has_rows(cache: Cache) -> bool:
    return any(entry.key.startswith("part-") for run in runs_of(cache) for entry in cache.list(f"runs/{run}/results"))
