"""Storage that fails while a run goes on: the cache bucket, a disk that is full, and the server of the series."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest
from complete_runs import ARGUMENTS, check_previews, check_whole, read_rows, read_summary
from dask_processes import IMPATIENT_PROGRAM, finish_batch, run_batch, start_batch, wait_until
from failing_cluster import FailingCluster
from failing_proxy import PASS, FailingProxy, Fault, fail_share, run_proxy
from servers import S3Server, find_free_port
from worker_failures import FIRST_DELAY

from dsp_batch.cache import open_cache
from dsp_batch.storage.retry import ATTEMPTS

SECONDS_AWAY = FIRST_DELAY * (2 ** (ATTEMPTS - 1) - 1) + 2
"""Longer than all attempts at one request take where connections are refused at once, in clients and workers that are
told to hurry."""


def test_a_cache_bucket_that_refuses_connections_holds_the_run_up_and_costs_nothing(
    failing_cluster: FailingCluster, phantoms: Path, undisturbed: dict[str, bytes], s3_environment: S3Server
) -> None:
    s3_environment.create_bucket(bucket := f"away-{uuid.uuid4()}")
    cache = open_cache(f"s3://{bucket}/cache")
    failing_cluster.tell("any", "pause 0.1")
    said_before = len(failing_cluster.dask.log.read_text())
    proxy = FailingProxy(s3_environment.endpoint.removeprefix("http://"))
    port = find_free_port()
    with ExitStack() as running:
        with run_proxy(proxy, port):
            where = ("--root", phantoms, "--cache-dir", cache.url, "--endpoint-url", proxy.url)
            command = ("mosaic", f"{phantoms}/", *where, *ARGUMENTS, *failing_cluster.options)
            batch = start_batch(*command, program=IMPATIENT_PROGRAM)
            process = running.enter_context(batch)
            wait_until(lambda: proxy.count("PUT", "/previews/mosaic/") >= 5, process)
        time.sleep(SECONDS_AWAY)
        assert process.poll() is None
        with run_proxy(proxy, port):
            outcome = finish_batch(process)

    assert (outcome.status, outcome.errors) == (0, [])
    assert len(outcome.warnings) <= 1  # none when the client had no row to write meanwhile
    said = [*outcome.warnings, *failing_cluster.dask.log.read_text()[said_before:].splitlines()]
    assert any(re.search(r"(held back|waits) for up to 300 s: cannot write s3://", line) for line in said)
    assert read_rows(cache).keys() == undisturbed.keys()
    assert read_summary(cache)["by_status"] == {"done": len(undisturbed)}
    check_previews(cache, undisturbed)


def test_a_cache_bucket_that_stays_away_ends_the_run_which_the_same_command_completes(
    failing_cluster: FailingCluster, phantoms: Path, undisturbed: dict[str, bytes], s3_environment: S3Server
) -> None:
    s3_environment.create_bucket(bucket := f"gone-{uuid.uuid4()}")
    place = f"s3://{bucket}/cache"
    failing_cluster.tell("any", "pause 0.05")
    with run_proxy(FailingProxy(s3_environment.endpoint.removeprefix("http://"))) as proxy:

        def refuse(method: str, path: str) -> Fault:
            return "reset" if method == "PUT" and "/results/" in path else PASS

        proxy.choose = refuse
        command = ("mosaic", f"{phantoms}/", "--root", phantoms, *ARGUMENTS, *failing_cluster.options)
        where = ("--cache-dir", place, "--endpoint-url", proxy.url)
        ended = run_batch(*command, *where, program=(*IMPATIENT_PROGRAM[:-1], "1"))

    assert (ended.status, ended.stdout) == (1, "")
    (error,) = ended.errors
    assert re.fullmatch(
        r"error: cannot write s3://.* has failed for .* the same command goes on where this stopped", error
    )
    assert ended.stderr.splitlines()[-1] == error
    assert any("for up to 1 s: cannot write s3://" in warning for warning in ended.warnings)
    assert "Traceback" not in ended.stderr
    cache = open_cache(place)
    assert read_rows(cache) == {}
    failing_cluster.tell("any", "pause 0")

    outcome = run_batch(*command, "--cache-dir", place)

    assert (outcome.status, outcome.errors) == (0, [])
    assert read_rows(cache).keys() == undisturbed.keys()
    check_previews(cache, undisturbed)


class LateOutage:
    """The first part of the results cannot be written at the first go."""

    def __init__(self) -> None:
        self.refused = 0

    def __call__(self, method: str, path: str) -> Fault:
        self.refused += (fails := method == "PUT" and "/results/" in path and self.refused < ATTEMPTS)
        return "503" if fails else PASS


def test_previews_that_cannot_be_written_within_the_time_of_their_series_are_rows_that_a_retry_makes_good(
    failing_cluster: FailingCluster, phantoms: Path, undisturbed: dict[str, bytes], s3_environment: S3Server
) -> None:
    s3_environment.create_bucket(bucket := f"outage-{uuid.uuid4()}")
    cache = open_cache(f"s3://{bucket}/cache")
    lost = {min(undisturbed)}
    with run_proxy(FailingProxy(s3_environment.endpoint.removeprefix("http://"))) as proxy:

        def refuse(method: str, path: str) -> Fault:
            return "503" if method == "PUT" and "/previews/" in path and any(name in path for name in lost) else PASS

        proxy.choose = refuse
        command = ("mosaic", f"{phantoms}/", "--root", phantoms, "--cache-dir", cache.url, "--endpoint-url", proxy.url)
        outcome = run_batch(*command, *ARGUMENTS, "--timeout-per-series", 3, *failing_cluster.options)

        assert outcome.status == 1
        rows = read_rows(cache)
        assert rows.keys() == undisturbed.keys()
        assert {name for name, row in rows.items() if row["status"] == "failed"} == lost
        assert {rows[name]["reason"] for name in lost} == {"write-failed"}
        assert all("the same command goes on" in rows[name]["error"] for name in lost)
        check_previews(cache, {name: data for name, data in undisturbed.items() if name not in lost})
        check_whole(cache)

        proxy.choose = late = LateOutage()
        again = ("retry", outcome.stdout.split()[-1], "--endpoint-url", proxy.url, *failing_cluster.options)
        retried = run_batch(*again, program=IMPATIENT_PROGRAM)

    assert (retried.status, retried.errors, late.refused) == (0, [], ATTEMPTS)
    assert "the last part of the results waits" in retried.stderr
    assert read_rows(cache).keys() == undisturbed.keys()
    assert {row["attempt"] for name, row in read_rows(cache).items() if name in lost} == {2}
    check_previews(cache, undisturbed)


def small_disk(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script where `folder` is a disk of 200 kB of its own; skip the test where that is not permitted."""
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else []), "sh", "-ec"]
    mount = f"mount -t tmpfs -o size=200k none {folder}"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*alone, mount], check=False, capture_output=True, timeout=60).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    return subprocess.run([*alone, f"{mount}; {script}"], check=True, capture_output=True, text=True, timeout=120)


def test_a_full_disk_ends_the_run_which_completes_when_there_is_room(
    phantoms: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    disk, kept, full = tmp_path / "disk", tmp_path / "kept", tmp_path / "full"
    disk.mkdir()
    program = Path(sys.executable).with_name("dsp-batch")
    command = f"{program} mosaic {phantoms}/ --root {phantoms} --cache-dir {disk}/cache --workers 1 --tile-width 2"
    script = f"""
        {command} >&2 || echo "status $?"
        cp -a {disk}/cache {full}
        mount -o remount,size=20m {disk}
        {command}
        cp -a {disk}/cache {kept}
    """
    done = small_disk(script, disk)

    assert done.stdout.splitlines()[0] == "status 1"
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "the disk is full or the quota used up; free some space" in errors[0]
    assert "Traceback" not in done.stderr
    assert check_whole(open_cache(str(full))) > 1
    cache = open_cache(str(kept))
    assert read_rows(cache).keys() == undisturbed.keys()
    assert read_summary(cache)["by_status"] == {"done": len(undisturbed)}
    check_previews(cache, undisturbed)


def test_a_server_of_series_that_fails_in_part_changes_no_byte(
    failing_cluster: FailingCluster,
    phantoms: Path,
    undisturbed: dict[str, bytes],
    s3_environment: S3Server,
    tmp_path: Path,
) -> None:
    s3_environment.create_bucket(bucket := f"chaos-{uuid.uuid4()}", public=True)
    put_series(s3_environment, bucket, phantoms)
    cache = open_cache(str(tmp_path / "cache"))
    chaos = fail_share(0.2, "503", "reset", "cut", "delay 0.2")
    with run_proxy(FailingProxy(s3_environment.endpoint.removeprefix("http://"), chaos)) as proxy:
        source = f"s3://{bucket}"
        where = ("--root", source, "--anon", "--endpoint-url", proxy.url, "--cache-dir", cache.url)
        outcome = run_batch("mosaic", f"{source}/", *where, *ARGUMENTS, *failing_cluster.options)

    assert (outcome.status, outcome.errors) == (0, [])
    assert proxy.failed > 5
    assert read_rows(cache).keys() == undisturbed.keys()
    check_previews(cache, undisturbed)


def test_series_of_a_server_that_freezes_are_rows(
    failing_cluster: FailingCluster,
    phantoms: Path,
    undisturbed: dict[str, bytes],
    s3_environment: S3Server,
    tmp_path: Path,
) -> None:
    s3_environment.create_bucket(bucket := f"frozen-{uuid.uuid4()}", public=True)
    put_series(s3_environment, bucket, phantoms)
    cache = open_cache(str(tmp_path / "cache"))
    frozen = sorted(undisturbed)[3]
    manifest = tmp_path / "manifest.txt"
    manifest.write_text("".join(f"s3://{bucket}/{name}/\n" for name in sorted(undisturbed)[:8]))

    def freeze(_method: str, path: str) -> Fault:
        return "freeze" if frozen in path else PASS

    with run_proxy(FailingProxy(s3_environment.endpoint.removeprefix("http://"), freeze)) as proxy:
        where = ("--anon", "--endpoint-url", proxy.url, "--cache-dir", cache.url, "--timeout-per-series", 2)
        with start_batch("mosaic", manifest, *where, *ARGUMENTS, *failing_cluster.options) as process:
            outcome = finish_batch(process)

    rows = read_rows(cache)
    assert outcome.status == 1
    assert sorted(rows) == sorted(undisturbed)[:8]
    assert {name: row["reason"] for name, row in rows.items() if row["status"] == "failed"} == {frozen: "timeout"}
    assert "--timeout-per-series" in rows[frozen]["error"] or "not finished within 2 s" in rows[frozen]["error"]
    check_previews(cache, {name: undisturbed[name] for name in sorted(undisturbed)[:8] if name != frozen})


def put_series(server: S3Server, bucket: str, phantoms: Path) -> None:
    files = [path for path in phantoms.rglob("*") if path.is_file()]
    server.put_many(bucket, {str(path.relative_to(phantoms)): path.read_bytes() for path in files})
