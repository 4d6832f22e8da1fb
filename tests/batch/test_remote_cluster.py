"""The batch on a real `dask scheduler` with two `dask worker` processes: plain, over TLS, and when a worker dies."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pandas as pd
import pytest
from dask_processes import DaskCluster, run_cluster
from phantom_bulk import build_many

from dsp_batch.batch.run import RunOptions, run_manifest
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.progress import LineProgress
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import Cache, open_cache, preview_key
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ClusterOptions, MosaicOptions
from dsp_batch.phantom.series import build_radiograph, build_report, write_collection
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store


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
    with run_cluster(tmp_path) as dask_cluster:
        address = json.loads(dask_cluster.file.read_text())["address"]
        summary = run(collection, cache, ClusterOptions(scheduler=address))

    rows = read_rows(cache, summary)
    assert summary.by_status == {"done": 8, "skipped": 1}
    assert sorted(rows.index) == sorted(path.name for path in collection.iterdir())
    assert set(rows.worker.dropna().str.startswith("tcp://127.0.0.1")) == {True}
    drawn = rows[rows.status == "done"].index[0]
    ref, store = SeriesRef(root=str(collection), series_uuid=drawn), Store(str(collection))
    image = draw_series(ref, store, None, MosaicOptions(), ".webp")
    assert Path(f"{cache.url}/{preview_key('mosaic', drawn)}").read_bytes() == image.data


def test_a_run_over_tls_uses_the_certificates_of_dasks_configuration(collection: Path, tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path / "cache"))
    settings = make_certificate(tmp_path)
    processes = run_cluster(tmp_path, protocol="tls", environment=settings)
    with processes as dask_cluster, dask.config.set(as_configuration(settings)):
        file = dask_cluster.file
        assert json.loads(file.read_text())["address"].startswith("tls://")
        summary = run(collection, cache, ClusterOptions(scheduler_file=str(file)))

    assert summary.by_status == {"done": 8, "skipped": 1}


def test_a_killed_worker_costs_no_series(tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    write_collection(root, build_many(60))

    class KillOnce(LineProgress):
        """Kills a worker when the first rows have come in."""

        def __init__(self, cluster: DaskCluster) -> None:
            super().__init__()
            self.cluster: DaskCluster | None = cluster

        def advance(self, rows: Any) -> None:
            super().advance(rows)
            if rows and self.cluster is not None:
                for worker in self.cluster.worker_processes():  # their nanny starts another one
                    os.kill(worker, signal.SIGKILL)
                self.cluster = None

    with run_cluster(tmp_path) as dask_cluster:
        job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
        options = RunOptions(source=f"{root}/", root=str(root))
        progress = KillOnce(dask_cluster)
        summary = run_manifest(options, job, ClusterOptions(scheduler_file=str(dask_cluster.file)), progress)

    rows = read_rows(cache, summary)
    assert progress.cluster is None
    assert summary.by_status == {"done": 60}
    assert sorted(rows.index) == sorted(path.name for path in root.iterdir())


def test_a_scheduler_without_workers_is_an_error_that_says_what_to_start(collection: Path, tmp_path: Path) -> None:
    with run_cluster(tmp_path, nannies=0) as dask_cluster:
        nobody = ClusterOptions(scheduler_file=str(dask_cluster.file), wait_for_workers=1)
        with pytest.raises(DspBatchError, match="dask worker"):
            run(collection, open_cache(str(tmp_path / "c")), nobody)


def test_no_scheduler_at_an_address_is_an_error_that_names_it(collection: Path, tmp_path: Path) -> None:
    nowhere = ClusterOptions(scheduler="tcp://127.0.0.1:9", wait_for_workers=2)

    with pytest.raises(DspBatchError, match=r"tcp://127\.0\.0\.1:9"):
        run(collection, open_cache(str(tmp_path / "c")), nowhere)
