"""The survey of a manifest: what its lines came to."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from manifest_reading import NO_INDEX

from dsp_batch.batch.manifest.read import DuplicateLine, RejectedLine, read_entries
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.parts import ResultsWriter
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.batch.runs.state import Attempt
from dsp_batch.batch.runs.summary import Survey, conclude
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions


def test_a_survey_counts_what_lines_come_to_and_passes_series_on() -> None:
    series = SeriesRef(root="s3://mine", series_uuid="a", endpoint_url="http://host", columns={"age": 1})
    lines = [series, DuplicateLine(line=2, series_uuid="a"), RejectedLine("m", 3, "a\tb\ud800", "what\tis\r\nthis")]
    survey = Survey()

    assert list(survey.watch(iter(lines))) == [series]
    assert survey.describe() == {
        "series": 1,
        "duplicates": 1,
        "rejected": 1,
        "columns": ("age",),
    }
    assert survey.rejected_lines() == b"3\ta b\\ud800\twhat is  this\n"


def test_rejected_lines_are_all_kept_in_little_memory() -> None:
    survey = Survey()

    def reject(number: int) -> RejectedLine:
        return RejectedLine("m", number, "what is this", f"'what is this' names no series {'…' * 100}")

    tracemalloc.start()
    try:
        assert list(survey.watch(map(reject, range(1, 20_001)))) == []
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    lines = survey.rejected_lines().splitlines()
    assert (len(lines), lines[-1].split(b"\t")[:2]) == (20_000, [b"20000", b"what is this"])
    assert lines == survey.rejected_lines().splitlines()
    assert size < 1e6


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

    summary = conclude("r", job, Survey(series=4), Attempt(1, 1, 1, resumes=False, overwrites=False), 1.0)

    assert (summary.left, summary.succeeded) == (1, False)
    told = read_entries(str(tmp_path / "runs/r/failed.txt"), lookup=NO_INDEX)
    assert {ref.series_uuid: ref.endpoint_url for ref in told if isinstance(ref, SeriesRef)} == servers
