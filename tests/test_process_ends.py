"""A program that ends right after a call of the public interface ends with its own status, in bounded time.

`DSP_PROCESSES=200 pytest tests/test_process_ends.py` runs as many programs as releases are tried with.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from distributed import LocalCluster
from servers import S3Server

from dsp_batch import ClusterOptions, MosaicOptions, run_batch
from dsp_batch.phantom.series import build_ct, write_collection

PROCESSES = int(os.environ.get("DSP_PROCESSES", "24"))
AT_ONCE = 4
CALLS = (
    "preview(series, cache=cache)",
    "load_index(series)",
    "find_series(series[:-30] + '*', root=root)",
    "find_series(tree)",
    "run_batch(root + '/', MosaicOptions(), cache=cache)",
    "plan_batch(root + '/')",
    "read_status(cache)",
    "read_results(cache)",
    "list(read_manifest(tree + '/'))",
)
"""Calls that send requests to S3. The run is complete already, so that no cluster starts."""


@pytest.fixture(scope="module")
def stored(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str]:
    """The environment of programs, and a program's first lines: a bucket with a series, a tree, and a complete run."""
    series, folder, bucket = (
        build_ct(count=3, size=32),
        tmp_path_factory.mktemp("series"),
        f"ends-{uuid.uuid4().hex[:8]}",
    )
    write_collection(folder, [series])
    s3_server.create_bucket(bucket)
    objects = {path.name: path.read_bytes() for path in (folder / series.series_uuid).iterdir()}
    s3_server.put(bucket, {f"series/{series.series_uuid}/{name}": data for name, data in objects.items()})
    s3_server.put(bucket, {f"tree/CT 1/{name}": data for name, data in objects.items()})
    keys = {
        "AWS_ENDPOINT_URL": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": s3_server.key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
    }
    root = f"s3://{bucket}/series"
    with (
        pytest.MonkeyPatch.context() as patch,
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as one,
    ):
        for name, value in keys.items():
            patch.setenv(name, value)
        cluster = ClusterOptions(scheduler=one.scheduler_address)
        assert run_batch(f"{root}/", MosaicOptions(), cache=f"s3://{bucket}/cache", cluster=cluster).succeeded
    begin = (
        "from dsp_batch import *\n"
        f"root, cache, tree = '{root}', 's3://{bucket}/cache', 's3://{bucket}/tree'\n"
        f"series = root + '/{series.series_uuid}'\n"
    )
    return {**os.environ, **keys}, begin


@pytest.mark.timeout(1200)
def test_programs_that_end_after_a_call_are_not_aborted(stored: tuple[dict[str, str], str], tmp_path: Path) -> None:
    environment, begin = stored

    def run(number: int) -> tuple[str, int, str]:
        call = CALLS[number % len(CALLS)]
        program = f"{begin}assert {call} is not None"
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=False, capture_output=True, text=True, env=environment, timeout=120, cwd=tmp_path,
        )  # fmt: skip
        return call, done.returncode, done.stderr

    with ThreadPoolExecutor(AT_ONCE) as threads:
        ends = list(threads.map(run, range(PROCESSES)))

    assert [(call, status, stderr) for call, status, stderr in ends if status or "panicked" in stderr] == []
