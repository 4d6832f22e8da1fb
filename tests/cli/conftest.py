"""A small collection of generated series, and the programs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed import LocalCluster
from outcomes import Run, run_here
from series_to_refuse import build_undecodable

from dsp_batch.cli import batch, series
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import (
    build_corrupt,
    build_ct,
    build_mr,
    build_radiograph,
    build_report,
    build_ultrasound,
    write_collection,
)


@pytest.fixture
def preview(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`dicom-series-preview`, with a default cache directory of its own."""
    monkeypatch.setenv("DICOM_SERIES_PREVIEW_CACHE_DIR", str(tmp_path / "default-cache"))
    return partial(run_here, series.program, series.NAME)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`dsp-batch`, with a default cache directory of its own."""
    monkeypatch.setenv("DICOM_SERIES_PREVIEW_CACHE_DIR", str(tmp_path / "default-cache"))
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    return partial(run_here, batch.program, batch.NAME)


@pytest.fixture(scope="session")
def ct() -> PhantomSeries:
    """Twelve axial slices."""
    return build_ct(count=12, size=64)


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory, ct: PhantomSeries) -> Path:
    """A root with series of each kind that matters to the programs."""
    root = tmp_path_factory.mktemp("collection")
    others = (
        build_mr(count=5, rows=32, columns=64),
        build_ultrasound(count=3, rows=48, columns=64),
        build_radiograph(rows=60, columns=48),
        build_report(),
        build_corrupt(),
        build_undecodable(),
    )
    write_collection(root, (ct, *others))
    return root


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """A scheduler with a worker, both in threads of this process."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address
