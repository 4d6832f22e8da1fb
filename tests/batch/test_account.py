"""The survey of a manifest: what its lines came to."""

from __future__ import annotations

import tracemalloc

from dsp_batch.batch.account import Survey
from dsp_batch.batch.manifest import DuplicateLine, RejectedLine
from dsp_batch.model import SeriesRef


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
