"""The batch on a real `dask scheduler` with two `dask worker` processes: plain, over TLS, and when a worker dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import pytest

from dsp_batch.batch.cluster import ClusterOptions
from dsp_batch.batch.job import Job
from dsp_batch.batch.progress import LineProgress
from dsp_batch.batch.run import RunOptions, RunSummary, run_manifest
from dsp_batch.cache import Cache, open_cache, preview_key
from dsp_batch.dicom.phantom import build_radiograph, build_report, write_collection
from dsp_batch.dicom.phantom_bulk import build_many
from dsp_batch.errors import DspBatchError
from dsp_batch.model import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import preview_series
from dsp_batch.storage.store import Store

SECONDS_TO_START = 60.0


@contextmanager
def run_process(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this interpreter that ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@contextmanager
def run_cluster(
    folder: Path, protocol: str = "tcp", environment: dict[str, str] | None = None
) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """A scheduler that writes its address to a file, and two workers of one thread."""
    file = folder / "scheduler.json"
    scheduler = ["dask", "scheduler", "--host", f"{protocol}://127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = ["dask", "worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard"]
    with ExitStack() as stack:
        stack.enter_context(run_process(*scheduler, "--scheduler-file", str(file), environment=environment))
        deadline = time.monotonic() + SECONDS_TO_START
        while not file.exists():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.1)
        space = ("--local-directory", str(folder))
        workers = [stack.enter_context(run_process(*worker, *space, environment=environment)) for _ in range(2)]
        yield file, workers


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Eight small series that can be drawn, a radiograph among them, and a report that cannot."""
    root = tmp_path / "series"
    write_collection(root, [*build_many(7), build_radiograph(), build_report()])
    return root


def run(root: Path, cache: Cache, cluster: ClusterOptions) -> RunSummary:
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    return run_manifest(RunOptions(source=f"{root}/", root=str(root)), job, cluster, LineProgress())


def read_rows(cache: Cache, summary: RunSummary) -> Any:
    return pd.read_parquet(f"{cache.url}/runs/{summary.run}/results").set_index("series_uuid")


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate that signs itself, as Dask's configuration by environment variables."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dask")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = {name: folder / f"{name}.pem" for name in ("certificate", "key")}
    paths["certificate"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths["key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    prefix = "DASK_DISTRIBUTED__COMM__"
    settings = {f"{prefix}REQUIRE_ENCRYPTION": "True", f"{prefix}TLS__CA_FILE": str(paths["certificate"])}
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        settings[f"{prefix}TLS__{role}__CERT"] = str(paths["certificate"])
        settings[f"{prefix}TLS__{role}__KEY"] = str(paths["key"])
    return settings


def as_configuration(settings: dict[str, str]) -> dict[str, Any]:
    """The same settings for this process."""
    names = {name: name.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-") for name in settings}
    return {names[name]: True if value == "True" else value for name, value in settings.items()}


def test_a_run_on_a_scheduler_draws_what_the_single_path_draws(collection: Path, tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    with run_cluster(tmp_path) as (file, _):
        address = json.loads(file.read_text())["address"]
        summary = run(collection, cache, ClusterOptions(scheduler=address))

    rows = read_rows(cache, summary)
    assert summary.by_status == {"done": 8, "skipped": 1}
    assert sorted(rows.index) == sorted(path.name for path in collection.iterdir())
    assert set(rows.worker.dropna().str.startswith("tcp://127.0.0.1")) == {True}
    drawn = rows[rows.status == "done"].index[0]
    ref, store = SeriesRef(root=str(collection), series_uuid=drawn), Store(str(collection))
    image = preview_series(ref, store, None, MosaicOptions(), ".webp")
    assert Path(f"{cache.url}/{preview_key('mosaic', drawn)}").read_bytes() == image.data


def test_a_run_over_tls_uses_the_certificates_of_dasks_configuration(collection: Path, tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    settings = make_certificate(tmp_path)
    with run_cluster(tmp_path, "tls", settings) as (file, _), dask.config.set(as_configuration(settings)):
        assert json.loads(file.read_text())["address"].startswith("tls://")
        summary = run(collection, cache, ClusterOptions(scheduler_file=str(file)))

    assert summary.by_status == {"done": 8, "skipped": 1}


def test_a_killed_worker_costs_no_series(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    write_collection(root, build_many(60))

    class KillOnce(LineProgress):
        """Kills a worker when the first rows have come in."""

        def __init__(self, process: subprocess.Popen[bytes]) -> None:
            super().__init__()
            self.process: subprocess.Popen[bytes] | None = process

        def advance(self, rows: Any) -> None:
            super().advance(rows)
            if rows and self.process is not None:
                # The nanny's child: the nanny starts another one.
                children = subprocess.run(
                    ["pgrep", "-P", str(self.process.pid)], check=False, capture_output=True, text=True
                )
                for child in children.stdout.split():
                    os.kill(int(child), signal.SIGKILL)
                self.process = None

    with run_cluster(tmp_path) as (file, workers):
        job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
        options = RunOptions(source=f"{root}/", root=str(root))
        progress = KillOnce(workers[0])
        summary = run_manifest(options, job, ClusterOptions(scheduler_file=str(file)), progress)

    rows = read_rows(cache, summary)
    assert progress.process is None
    assert summary.by_status == {"done": 60}
    assert sorted(rows.index) == sorted(path.name for path in root.iterdir())


def test_a_scheduler_without_workers_is_an_error_that_says_what_to_start(collection: Path, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    scheduler = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with run_process(*scheduler, "--scheduler-file", str(file)):
        deadline = time.monotonic() + SECONDS_TO_START
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        with pytest.raises(DspBatchError, match="dask worker"):
            run(
                collection,
                open_cache(str(tmp_path / "c")),
                ClusterOptions(scheduler_file=str(file), wait_for_workers=1),
            )


def test_no_scheduler_at_an_address_is_an_error_that_names_it(collection: Path, tmp_path: Path) -> None:
    nowhere = ClusterOptions(scheduler="tcp://127.0.0.1:9", wait_for_workers=2)

    with pytest.raises(DspBatchError, match=r"tcp://127\.0\.0\.1:9"):
        run(collection, open_cache(str(tmp_path / "c")), nowhere)
