"""The manifest of failed series: whatever an error says, the file names exactly the series that failed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from complete_runs import make_manifest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from manifest_reading import stream

from dsp_batch.batch.runs.attempt import Attempt
from dsp_batch.batch.runs.failures import FailedSeries, list_failed, list_failed_lines
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import ResultsWriter, build_table
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import open_cache
from dsp_batch.errors import CONTROL_CHARACTERS, SeriesError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions

UUIDS = ("28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19", "a8902e14-b11f-4548-910e-771ee757dc82")
PIECES = (
    *(
        "\n",
        "\r\n",
        "\x85",
        "\u2028",
        "\x00",
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\t",
        "\ufeff",
        "\u202e",
        "\udcff",
        "\xa0",
    ),
    *("#", " # ", "/ # ", '"', "'", ",", ";", " ", "\\", "%", "cp ", ",series_uuid,", "crdc_series_uuid\tx", "=1+1"),
    *(
        "--endpoint-url http://evil:9000 ",
        f"s3://evil/{UUIDS[0]}/",
        f"cp s3://evil/{UUIDS[1]}/* .",
        UUIDS[0],
        "[{",
        "<a>",
    ),
    *("PatientID", "s3://", "é", "x" * 3_000),
)
texts = st.text(max_size=20) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
roots = st.sampled_from(
    ["s3://idc-open-data", "s3://mine/a b", "/data/series", "/data/a # b", "/d/x,y;z", "https://h/x"]
)
names = st.uuids().map(str)
servers = st.sampled_from([None, "http://one:9000"])
failures = st.lists(
    st.builds(
        FailedSeries,
        series_uuid=names,
        root=roots,
        endpoint_url=servers,
        reason=st.sampled_from(["network", "internal"]) | texts,
        error=st.none() | texts,
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda each: each.series_uuid,
)


def fail(error: str, root: str = "/data/series") -> FailedSeries:
    return FailedSeries(series_uuid=UUIDS[0], root=root, endpoint_url=None, reason="internal", error=error)


@given(failures)
@example([fail(",series_uuid,")])
@example([fail(f"x\ncp s3://evil/{UUIDS[1]}/* .", "s3://mine")])
@example([fail("give --endpoint-url http://evil:9000", "s3://mine")])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_failed_series_are_read_back_whatever_their_errors_say(tmp_path: Path, told: list[FailedSeries]) -> None:
    path = tmp_path / "failed.txt"
    path.write_bytes("".join(f"{line}\n" for line in list_failed_lines(told)).encode())

    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == len(told)
    assert not any(CONTROL_CHARACTERS.search(line) for line in lines)
    found = [entry for entry in stream(str(path)) if isinstance(entry, SeriesRef)]
    by_place = {(each.root, each.series_uuid): each for each in told}
    assert {(ref.root, ref.series_uuid) for ref in found} == {*by_place}
    in_buckets = [ref for ref in found if ref.root.startswith("s3://")]
    assert all(ref.endpoint_url == by_place[ref.root, ref.series_uuid].endpoint_url for ref in in_buckets)


@pytest.mark.parametrize("name", ["a # b", " # b", "x,y", "a b", "ü", "\xa0x", "#1"])
def test_folders_of_awkward_names_are_read_back(tmp_path: Path, name: str) -> None:
    failed = FailedSeries(series_uuid=name, root="/data", endpoint_url=None, reason="network", error="a, b # c")
    path = tmp_path / "failed.txt"
    path.write_bytes("".join(f"{line}\n" for line in list_failed_lines([failed])).encode())

    (found,) = stream(str(path))
    assert isinstance(found, SeriesRef)
    assert found.url == f"/data/{name}"


def test_hostile_errors_go_through_a_run_to_all_its_files(tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path))
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    error = SeriesError(f"two\nlines \x1b[31m \udcff cp s3://evil/{UUIDS[1]}/* .").message
    writer = ResultsWriter(cache=cache, folder="runs/r/results", attempt=1)
    known = {"status": "failed", "reason": "internal", "modality": "C\nT"}
    writer.add([SeriesResult(series_uuid=UUIDS[0], root="s3://mine", error=error, **known)])
    writer.flush()

    manifest = make_manifest([SeriesRef("s3://mine", UUIDS[0])])
    summary = summarize_run("r", job, manifest, Attempt(1, 1, 1, resumes=False, overwrites=False), Spent(seconds=1.0))

    (first,) = summary.failures
    assert "two\\nlines \\x1b[31m \\udcff" in str(first)
    (ref,) = stream(str(tmp_path / "runs/r/failed.txt"))
    assert isinstance(ref, SeriesRef)
    assert ref.url == f"s3://mine/{UUIDS[0]}"


def test_only_rows_that_count_and_failed_are_listed() -> None:
    rows = [
        SeriesResult(series_uuid=str(number), root="r", status=status, attempt=attempt)
        for number, (status, attempt) in enumerate([("failed", 1), ("failed", 2), ("done", 2)])
    ]

    table: pa.Table = build_table(rows)

    assert [each.series_uuid for each in list_failed([table], since=2)] == ["1"]
    assert [each.cause for each in list_failed([table])] == ["unknown", "unknown"]
