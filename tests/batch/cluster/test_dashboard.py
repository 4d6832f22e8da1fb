"""What Dask shows of a run: read back from a real scheduler."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster
from phantom_bulk import build_many
from time_limits import join_all

from dsp_batch.batch.cluster.dashboard import find_dashboard, report_run
from dsp_batch.batch.cluster.graph import delay_shard, submit_shard
from dsp_batch.batch.cluster.interrupt import Interrupted
from dsp_batch.batch.run import RunOptions, run_manifest
from dsp_batch.batch.runs.figures import STAGES
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.progress import LineProgress
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import open_cache
from dsp_batch.errors import OptionsError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ClusterOptions, MosaicOptions
from dsp_batch.phantom.series import build_radiograph, build_report, write_collection

SECONDS_TO_REPORT = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A scheduler and a worker in threads of this process."""
    where = {"processes": False, "protocol": "tcp://", "dashboard_address": None}
    with LocalCluster(n_workers=1, threads_per_worker=1, **where) as local:
        yield local.scheduler_address


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_collection(tmp_path / "series", [*build_many(3), build_radiograph(), build_report()])
    return tmp_path / "series"


def run(root: Path, cluster: ClusterOptions, name: str = "mosaic", progress: Any = None) -> RunSummary:
    cache = open_cache(str(root.parent / "cache"))
    job = Job(verb="mosaic", options=MosaicOptions(tile_width=2), cache=cache, name=name)
    options = RunOptions(source=f"{root}/", root=str(root))
    return run_manifest(options, job, cluster, progress or LineProgress())


def read_metrics(dask_scheduler: Any, name: str) -> dict[tuple[str, str], float]:
    """Runs on the scheduler: label and unit → value, of all tasks of the span of this name."""
    metrics: dict[tuple[str, str], float] = {}
    for span in dask_scheduler.extensions["spans"].spans_search_by_name[(name,)]:
        for (_, _, label, unit), value in span.cumulative_worker_metrics.items():
            metrics[label, unit] = metrics.get((label, unit), 0) + value
    return metrics


def wait_for_metrics(address: str, name: str, series: int) -> dict[tuple[str, str], float]:
    """The metrics of a span, once the worker's heartbeat has brought those of all its series."""
    with Client(address, set_as_default=False) as client:
        limit = time.monotonic() + SECONDS_TO_REPORT
        while True:
            metrics: dict[tuple[str, str], float] = client.run_on_scheduler(read_metrics, name=name)
            if metrics.get(("series", "count"), 0) >= series:
                return metrics
            assert time.monotonic() < limit, metrics
            time.sleep(0.1)


def test_the_dashboard_is_told_where_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bokeh")
    where = {"processes": False, "protocol": "tcp://", "n_workers": 0}
    with LocalCluster(dashboard_address="127.0.0.1:0", **where) as cluster, Client(cluster) as client:
        assert find_dashboard(client) == client.dashboard_link
        monkeypatch.setattr("dsp_batch.batch.cluster.dashboard.find_spec", lambda _: None)
        assert find_dashboard(client) is None


def test_a_dashboard_that_does_not_answer_is_not_told(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(cluster, set_as_default=False) as client:
        assert find_dashboard(client) is None
    monkeypatch.setattr(Client, "dashboard_link", "http://127.0.0.1:9/status")
    with Client(cluster, set_as_default=False) as client:
        assert find_dashboard(client) is None


def test_a_run_is_a_span_with_its_bytes_requests_and_seconds(root: Path, cluster: str) -> None:
    summary = run(root, ClusterOptions(scheduler=cluster))

    metrics = wait_for_metrics(cluster, "mosaic/mosaic", 5)
    assert metrics["series", "count"] == summary.series
    assert metrics["read", "bytes"] == summary.figures.bytes_read
    assert metrics["requests", "count"] == summary.figures.requests
    for stage, figures in summary.figures.stages.items():
        assert metrics[stage, "series-seconds"] == pytest.approx(figures.total, abs=2e-3)
    assert metrics["thread-cpu", "seconds"] > 0


def test_a_run_whose_shards_come_one_by_one_leaves_no_record_of_each(root: Path, cluster: str) -> None:
    refs = [SeriesRef(root=str(root), series_uuid=path.name) for path in root.iterdir()]
    job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(str(root.parent / "cache")), name="alone")

    def count_groups(dask_scheduler: Any) -> int:
        (span,) = dask_scheduler.extensions["spans"].spans_search_by_name[("mosaic/alone",)]
        return len(span.groups)

    with Client(cluster, set_as_default=False) as client, client.as_current(), report_run(client, job, None):
        for ref in refs:
            assert len(submit_shard(client, delay_shard((ref,), job, 1)).result(60)) == 1
        assert client.run_on_scheduler(count_groups) == len(STAGES)


def test_two_runs_at_once_are_two_spans(root: Path, cluster: str) -> None:
    """Dask counts tasks whose keys begin alike for one span: the keys of two runs must not."""
    threads = [
        threading.Thread(target=run, args=(root, ClusterOptions(scheduler=cluster), name)) for name in ("left", "right")
    ]
    for thread in threads:
        thread.start()
    join_all(*threads)

    for name in ("left", "right"):
        assert wait_for_metrics(cluster, f"mosaic/{name}", 5)["series", "count"] == 5


def test_a_report_is_written_when_the_run_ends(root: Path, cluster: str, tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    report = tmp_path / "report.html"

    run(root, ClusterOptions(scheduler=cluster, performance_report=str(report)))

    assert "Dask Performance Report" in report.read_text()


def test_a_report_is_written_when_the_run_is_interrupted(root: Path, cluster: str, tmp_path: Path) -> None:
    pytest.importorskip("bokeh")
    write_collection(root, build_many(40, "more"))
    report = tmp_path / "report.html"

    class PressOnce(LineProgress):
        """Presses Ctrl-C when the first rows have come in."""

        pressed = False

        def advance(self, rows: Any) -> None:
            rows = tuple(rows)
            super().advance(rows)
            if rows and not self.pressed:
                self.pressed = True
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        run(root, ClusterOptions(scheduler=cluster, performance_report=str(report)), progress=PressOnce())

    assert "Dask Performance Report" in report.read_text()


def test_a_report_that_cannot_be_written_does_not_cost_the_run(
    root: Path, cluster: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("bokeh")

    summary = run(root, ClusterOptions(scheduler=cluster, performance_report=str(tmp_path / "absent" / "report.html")))

    assert summary.by_status == {"done": 4, "skipped": 1}
    assert any(record.levelname == "ERROR" and "absent" in record.getMessage() for record in caplog.records)


def test_without_bokeh_a_report_is_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsp_batch.options.find_spec", lambda _: None)

    with pytest.raises(OptionsError, match=r"dsp-batch\[dashboard\]"):
        ClusterOptions(performance_report="report.html")
