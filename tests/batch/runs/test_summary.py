"""The summary of a run, and the manifest of its failed series."""

from __future__ import annotations

from pathlib import Path

from complete_runs import make_manifest
from manifest_reading import stream

from dsp_batch.batch.runs.attempt import Attempt
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions


def test_failed_series_are_told_with_the_server_that_each_was_read_from(tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path))
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    servers = {"1.2.3": "http://one:9000", "1.2.4": "http://two:9000", "1.2.5": None}
    writer = ResultsWriter(cache=cache, folder="runs/r/results", attempt=1)
    writer.add(
        SeriesResult(series_uuid=name, root="s3://mine", endpoint_url=server, status="failed", reason="network")
        for name, server in servers.items()
    )
    writer.flush()

    manifest = make_manifest(SeriesRef("s3://mine", name) for name in (*servers, "1.2.6"))
    summary = summarize_run("r", job, manifest, Attempt(1, 1, 1, resumes=False, overwrites=False), Spent(seconds=1.0))

    assert (summary.left, summary.succeeded) == (1, False)
    told = stream(str(tmp_path / "runs/r/failed.txt"))
    assert {ref.folder: ref.endpoint_url for ref in told if isinstance(ref, SeriesRef)} == servers
