"""Figures of a run for Prometheus, read from the HTTP endpoint of a real worker."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from distributed import Client, LocalCluster

from dsp_batch.batch.run import run_batch
from dsp_batch.phantom.series import build_corrupt, build_radiograph, build_report, write_collection


def read_metrics(url: str) -> dict[str, float]:
    """Read our samples: name with labels → value."""
    with urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    return {
        name: float(value) for name, value in re.findall(r"^(dsp_batch_\S+_total\{.*\}) (\S+)$", text, re.MULTILINE)
    }


def sample(figure: str, **labels: str) -> str:
    """Write a sample as the endpoint names it."""
    written = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"dsp_batch_{figure}_total{{{written}}}"


def test_a_worker_shows_what_its_series_took(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    write_collection(tmp_path / "series", [build_radiograph(), build_report(), build_corrupt()])

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        summary = run_batch(f"{tmp_path}/series/", cache=tmp_path / "cache", name="small", client=client)
        (worker,) = client.scheduler_info()["workers"].values()
        port = worker["services"]["dashboard"]
        found = read_metrics(f"http://{worker['host']}:{port}/metrics")

    product = {"name": "small", "verb": "mosaic"}
    for status in ("done", "skipped", "failed"):
        assert found[sample("series", **product, status=status)] == 1
    assert found[sample("read_bytes", **product)] == summary.figures.bytes_read
    assert found[sample("requests", **product)] == summary.figures.requests
    for stage, figures in summary.figures.stages.items():
        assert found[sample("stage_seconds", **product, stage=stage)] == pytest.approx(figures.total, abs=2e-3)


def test_nothing_is_counted_without_the_package() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from importlib import util; util.find_spec = lambda name: None\n"
        "from dsp_batch.batch.cluster.metrics import count_rows\n"
        "count_rows([object()], object())\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
