"""Workers that are killed by what they read, run out of memory, freeze, or were never fit to work."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import struct
import time
import uuid
import zlib
from pathlib import Path

import dask
import pytest
from complete_runs import ARGUMENTS, check_previews, draw_undisturbed, read_rows, read_summary
from dask_processes import Outcome, finish_batch, run_batch, run_cluster, start_batch, start_worker, wait_until
from distributed import Client
from failing_cluster import PRELOAD, FailingCluster, run_failing_cluster
from phantom_bulk import build_many
from servers import S3Server
from time_limits import read_until
from worker_failures import VARIABLE

from dsp_batch.batch.cluster.connect import SECONDS_WITHOUT_SIGN, connect
from dsp_batch.batch.cluster.in_flight import SECONDS_TO_GATHER
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError
from dsp_batch.options import ClusterOptions
from dsp_batch.phantom.objects import PhantomSeries, build_series
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.version import __version__

META_LENGTH = 140
"""Where the length of the file meta information stands, behind preamble, prefix and its own tag (PS3.10 7.1)."""


def build_memory_bomb(megabytes: int) -> PhantomSeries:
    """A deflated object of a megabyte that holds a private element of a thousand."""
    plain = build_ct("bomb", count=1, size=16).objects[0].data
    end = META_LENGTH + 4 + struct.unpack_from("<I", plain, META_LENGTH)[0]
    meta = plain[:end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    grown = len(meta) - end
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = [deflate.compress(plain[end:])]
    body.append(deflate.compress(struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, megabytes << 20)))
    body += [deflate.compress(bytes(1 << 20)) for _ in range(megabytes)]
    body.append(deflate.flush())
    uid = meta.index(b"1.2.840.10008.1.2.1.99") - 2
    meta = meta[:uid] + struct.pack("<H", 22) + meta[uid + 2 :]
    meta = meta[:META_LENGTH] + struct.pack("<I", end - META_LENGTH - 4 + grown) + meta[META_LENGTH + 4 :]
    return build_series("bomb", "Memory bomb", [meta + b"".join(body)])


def test_workers_that_die_and_freeze_cost_the_series_that_did_it_and_a_bomb_does_not_go_off(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    poison, freezing, *neighbours = build_many(40)
    bomb = build_memory_bomb(1000)
    write_collection(root, [poison, freezing, *neighbours, bomb])
    manifest = write_manifest(tmp_path, [poison, *neighbours[:19], freezing, *neighbours[19:], bomb])

    with run_failing_cluster(tmp_path / "dask", "--memory-limit", "500 MB") as cluster:
        cluster.tell(poison.series_uuid, "kill")
        cluster.tell(freezing.series_uuid, "freeze")
        outcome = run_mosaic(manifest, root, cluster)

    rows = read_rows(cache)
    assert sorted(rows) == sorted(path.name for path in root.iterdir())
    assert outcome.status == 1
    assert not (cluster.told / freezing.series_uuid).exists()
    failed = {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"}
    assert failed.keys() == {poison.series_uuid, bomb.series_uuid}
    assert failed[poison.series_uuid] == "worker-died"
    assert failed[bomb.series_uuid] == "too-large"
    assert all(name in rows[name]["error"] for name in failed)
    assert "they run one by one" in outcome.stderr
    check_previews(cache, draw_undisturbed(root, rows.keys() - failed.keys()))
    assert read_summary(cache)["by_status"] == {"done": 39, "failed": 2}


def test_a_series_whose_worker_dies_with_its_rows_is_done_again(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    (series,) = build_many(1)
    write_collection(root, [series])
    manifest = write_manifest(tmp_path, [series])

    with run_failing_cluster(tmp_path / "dask") as cluster:
        cluster.tell("any", f"pause {SECONDS_TO_GATHER / len(series.objects) + 1}")
        cluster.tell("rows", "die")
        outcome = run_mosaic(manifest, root, cluster)
        assert not (cluster.told / "rows").exists()

    assert (outcome.status, outcome.errors, outcome.warnings) == (0, [], [])
    assert {name: row["status"] for name, row in read_rows(cache).items()} == {series.series_uuid: "done"}


@pytest.mark.parametrize("lacks", ["dsp_batch", "imagecodecs"])
def test_a_worker_without_the_package_or_a_codec_is_refused_at_the_start(
    shared_cluster: FailingCluster, tmp_path: Path, lacks: str
) -> None:
    (tmp_path / f"{lacks}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{lacks}'\")")
    known = ClusterOptions(scheduler_file=str(shared_cluster.dask.file))
    hidden = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "PYTHONSAFEPATH": "1"}
    with Client(scheduler_file=known.scheduler_file) as client:
        with start_worker(shared_cluster.dask, "--no-nanny", **hidden):
            client.wait_for_workers(3, timeout=60)
            with pytest.raises(DspBatchError) as caught, connect(known, 1):
                pytest.fail("the worker was accepted")
        wait_until(lambda: len(client.nthreads()) == 2)

    assert lacks in caught.value.message
    assert "tcp://127.0.0.1" in caught.value.message
    assert f"install dsp-batch {__version__}" in caught.value.message


def test_a_local_worker_that_freezes_is_started_anew(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    write_collection(root, series := list(build_many(16)))
    expected = draw_undisturbed(root, [each.series_uuid for each in series])
    (told := tmp_path / "told").mkdir()
    (told / series[5].series_uuid).write_text("freeze")
    settings = {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5 s",
        "DASK_DISTRIBUTED__WORKER__PRELOAD": str([str(PRELOAD)]),
        VARIABLE: str(told),
    }

    where = ("--root", root, "--cache-dir", cache.url, "--workers", 2)
    outcome = run_batch("mosaic", f"{root}/", *where, *ARGUMENTS, environment=settings)

    assert not (told / series[5].series_uuid).exists()
    assert (outcome.status, outcome.errors) == (0, [])
    assert read_rows(cache).keys() == expected.keys()
    assert read_summary(cache)["by_status"] == {"done": 16}
    check_previews(cache, expected)


def test_a_local_worker_in_the_place_of_a_dead_one_has_its_settings() -> None:
    with connect(ClusterOptions(workers=1), 1) as client:
        (first,) = before = client.run(os.getpid)
        os.kill(before[first], signal.SIGKILL)
        while not (there := client.nthreads()) or first in there:
            time.sleep(0.1)
        (settings,) = client.run(lambda: dask.config.get("distributed.worker.profile.enabled")).values()
        logs = client.run_on_scheduler(
            lambda dask_scheduler: {comm.recent_message_log.maxlen for comm in dask_scheduler.stream_comms.values()}
        )

    assert (settings, logs) == (False, {10})


def test_a_local_worker_that_dies_again_and_again_is_started_again() -> None:
    with connect(ClusterOptions(workers=1), 1) as client:
        until = time.monotonic() + 20  # more than Dask lets a worker be down after a death
        while time.monotonic() < until:
            for process in client.run(os.getpid, on_error="return").values():
                if isinstance(process, int):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.2)

        client.wait_for_workers(1, timeout=60)


def test_a_program_with_an_event_loop_of_its_own_can_connect(failing_cluster: FailingCluster) -> None:
    options = ClusterOptions(scheduler_file=str(failing_cluster.dask.file))

    async def count_threads() -> int:
        with connect(options, 1) as client:
            return sum(client.nthreads().values())

    assert asyncio.run(count_threads()) == 2


def test_a_local_worker_is_given_a_minute_to_show_that_it_lives() -> None:
    with connect(ClusterOptions(workers=1), 1) as client:
        assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.worker_ttl) == SECONDS_WITHOUT_SIGN == 60


def test_a_run_that_all_workers_have_left_says_so_and_goes_on_with_the_first_that_joins(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    write_collection(root, series := list(build_many(20)))
    manifest = write_manifest(tmp_path, series)
    expected = draw_undisturbed(root, [each.series_uuid for each in series])
    patient = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}
    command = ("mosaic", manifest, "--root", root, "--cache-dir", cache.url, *ARGUMENTS)

    with (
        run_failing_cluster(tmp_path / "dask", "--no-nanny", environment=patient) as cluster,
        start_batch(*command, *cluster.options) as process,
    ):
        cluster.tell("any", "pause 0.1")
        wait_until(lambda: len(set(cluster.opened())) > 5, process)
        for worker in cluster.dask.processes[1:]:
            worker.kill()
        said = read_until(process, "are gone")
        with start_worker(cluster.dask):
            outcome = finish_batch(process)

    address = r"tcp://[\d.:]+"
    assert re.search(rf"^warning: all workers of {address} are gone: .* 60 s .* `dask worker {address}`$", said)
    assert (outcome.status, outcome.errors) == (0, [])
    assert read_rows(cache).keys() == expected.keys()
    assert read_summary(cache)["by_status"] == {"done": 20}
    check_previews(cache, expected)


def test_a_worker_whose_clock_is_off_is_told_so_by_the_bucket_and_costs_nothing_but_time(
    failing_cluster: FailingCluster, s3_environment: S3Server, tmp_path: Path
) -> None:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed")
    ahead = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": "+1h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    keys = {"AWS_ACCESS_KEY_ID": s3_environment.key, "AWS_SECRET_ACCESS_KEY": s3_environment.secret}
    s3_environment.create_bucket(bucket := f"skewed-{uuid.uuid4()}")
    root, cache = tmp_path / "series", open_cache(f"s3://{bucket}/cache")
    write_collection(root, series := list(build_many(6)))
    where = ("--root", root, "--cache-dir", cache.url, *ARGUMENTS)

    with run_cluster(tmp_path / "dask", nannies=0) as cluster, start_worker(cluster, "--no-nanny", **ahead, **keys):
        skewed = run_batch("mosaic", f"{root}/", *where, "--scheduler-file", cluster.file)

    rows = read_rows(cache)
    assert skewed.status == 1
    assert [(row["status"], row["reason"]) for row in rows.values()] == [("failed", "access-denied")] * 6
    assert all("RequestTimeTooSkewed" in row["error"] for row in rows.values())
    assert all("set the clock of the machine" in row["error"] for row in rows.values())
    outcome = run_batch("retry", skewed.stdout.split()[-1], *failing_cluster.options)
    assert (outcome.status, outcome.errors) == (0, [])
    check_previews(cache, draw_undisturbed(root, [each.series_uuid for each in series]))
    assert read_rows(cache).keys() == {each.series_uuid for each in series}


def write_manifest(folder: Path, series: list[PhantomSeries]) -> Path:
    path = folder / "manifest.txt"
    path.write_text("".join(f"{each.series_uuid}\n" for each in series))
    return path


def run_mosaic(manifest: Path, root: Path, cluster: FailingCluster) -> Outcome:
    where = ("--root", root, "--cache-dir", root.parent / "cache", *cluster.options)
    return run_batch("mosaic", manifest, *where, *ARGUMENTS)
