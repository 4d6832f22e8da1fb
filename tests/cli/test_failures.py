"""Why series failed is said where people look: in the closing lines, in `status`, in `failed.txt` and in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from manifest_reading import stream
from outcomes import Outcome, Run
from series_to_refuse import build_undecodable

from dsp_batch.batch.runs.results import read_results
from dsp_batch.model.series import SeriesRef
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_corrupt

CORRUPT = build_corrupt().series_uuid
UNDECODABLE = build_undecodable().series_uuid
REASONS = {CORRUPT: "bad-header", UNDECODABLE: "unsupported-transfer-syntax"}

Start = Callable[..., Outcome]


@pytest.fixture
def start(batches: Run, scheduler: str, ct: PhantomSeries, collection: Path, tmp_path: Path) -> Start:
    """Draws one series that can be drawn and two that cannot."""
    manifest = tmp_path / "manifest.txt"
    manifest.write_text("".join(f"{collection}/{name}/\n" for name in (ct.series_uuid, CORRUPT, UNDECODABLE)))

    def run(*options: object) -> Outcome:
        return batches("mosaic", manifest, "--cache-dir", tmp_path / "cache", "--scheduler", scheduler, *options)

    return run


def run_folder(outcome: Outcome) -> Path:
    return Path(outcome.stdout.splitlines()[-1].rpartition(" results in ")[2])


def test_the_closing_lines_name_failures_and_the_place_of_the_previews(start: Start, tmp_path: Path) -> None:
    outcome = start()

    for name, reason in REASONS.items():
        (line,) = [line for line in outcome.stderr.splitlines() if name in line and " failed, " in line]
        assert line.startswith(f"{name} failed, {reason}: ")
    assert outcome.stderr.splitlines()[-1] == f"previews in {tmp_path}/cache/previews/mosaic"
    assert (len(outcome.stdout.splitlines()), "p50" in outcome.stderr) == (1, False)


def test_figures_come_with_v_alone(start: Start) -> None:
    assert "render: p50 " in start("-v").stderr


def test_five_failures_are_named_and_the_others_counted(batches: Run, scheduler: str, tmp_path: Path) -> None:
    names = [f"{number:08d}-0000-4000-8000-000000000000" for number in range(7)]
    (tmp_path / "manifest.txt").write_text("".join(f"{tmp_path}/absent/{name}/\n" for name in names))
    common = ("--cache-dir", tmp_path / "cache", "--scheduler", scheduler)

    outcome = batches("build-index", tmp_path / "manifest.txt", *common)

    lines = outcome.stderr.splitlines()
    assert sum(" failed, not-found: " in line for line in lines) == 5
    assert lines[-2] == f"2 more failed: dsp-batch status {run_folder(outcome)} --failed"
    assert lines[-1] == f"indices in {tmp_path}/cache/indices"
    listed = batches("status", run_folder(outcome), "--failed").stdout.splitlines()
    assert sum(" # not-found: " in line for line in listed) == 7


def test_status_lists_failures_as_a_manifest_and_as_json(start: Start, batches: Run, tmp_path: Path) -> None:
    folder = run_folder(start())

    text, listed = (batches("status", folder, "--failed", *more) for more in ([], ["--json"]))

    assert (text.status, text.stderr) == (0, "")
    (tmp_path / "again.txt").write_text(text.stdout)
    assert {ref.series_uuid for ref in stream(str(tmp_path / "again.txt")) if isinstance(ref, SeriesRef)} == {*REASONS}
    found = json.loads(listed.stdout)
    assert {each["series_uuid"]: each["reason"] for each in found} == REASONS
    assert all(each["run"] == folder.name and each["error"] for each in found)


def test_failed_txt_tells_why_behind_each_line(start: Start) -> None:
    path = run_folder(start()) / "failed.txt"

    lines = [line.split("/ # ") for line in path.read_text().splitlines()]
    assert {place.rpartition("/")[2]: why.split(": ")[0] for place, why in lines} == REASONS
    assert {ref.series_uuid for ref in stream(str(path)) if isinstance(ref, SeriesRef)} == {*REASONS}


def test_json_has_a_record_for_each_failure_and_one_for_the_end(start: Start) -> None:
    outcome = start("--log-json")

    records = [json.loads(line) for line in outcome.stderr.splitlines()]
    failures = [each["failure"] for each in records if "failure" in each]
    assert {each["series_uuid"]: each["reason"] for each in failures} == REASONS
    (end,) = [each["summary"] for each in records if "summary" in each]
    assert end["by_status"] == {"done": 1, "failed": 2}
    assert end["requests"] > 0
    assert isinstance(end["stages"]["headers"]["p95"], float)


@pytest.mark.parametrize(
    ("allowed", "status"), [("0", 1), ("1", 1), ("2", 0), ("50%", 1), ("66.5%", 1), ("67%", 0), ("100%", 0)]
)
def test_failures_that_are_allowed_leave_exit_status_0(start: Start, allowed: str, status: int) -> None:
    assert start("--allow-failures", allowed).status == status


@pytest.mark.parametrize("allowed", ["x", "-1", "101%", "1.5", "%", "nan", ""])
def test_a_number_of_failures_that_is_none_is_refused(start: Start, allowed: str) -> None:
    outcome = start("--allow-failures", allowed)

    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)
    assert "--allow-failures" in outcome.errors[0]


def test_a_rejected_line_is_no_allowed_failure(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "manifest.txt").open("a") as manifest:
        manifest.write("what is this\n")

    assert start("--allow-failures", "100%").status == 1


def test_retry_takes_the_series_of_a_reason_alone(start: Start, batches: Run, scheduler: str) -> None:
    folder = run_folder(start())

    outcome = batches("retry", folder, "--reason", "bad-header", "--scheduler", scheduler, "--allow-failures", "2")

    attempts = {
        row["series_uuid"]: row["attempt"] for row in read_results(str(folder)).to_pylist() if row["reason"] is not None
    }
    assert attempts == {CORRUPT: 2, UNDECODABLE: 1}
    assert (outcome.status, "1 done, 0 kept, 0 skipped, 2 failed" in outcome.stdout) == (0, True)
    several = batches(
        "retry", folder, "--reason", "bad-header", "--reason", "unsupported-transfer-syntax", "--scheduler", scheduler
    )
    assert several.status == 1
    rows = read_results(str(folder)).to_pylist()
    assert {row["attempt"] for row in rows if row["status"] == "failed"} == {3}


def test_retry_leaves_series_without_a_row_alone_where_a_reason_is_given(
    start: Start, batches: Run, scheduler: str
) -> None:
    folder = run_folder(start())

    outcome = batches("retry", folder, "--reason", "timeout", "--scheduler", scheduler)

    assert any("timeout" in warning for warning in outcome.warnings)
    assert {row["attempt"] for row in read_results(str(folder)).to_pylist()} == {1}


def test_a_reason_that_no_series_fails_for_is_refused(batches: Run, tmp_path: Path) -> None:
    outcome = batches("retry", tmp_path, "--reason", "no-pixels")

    assert (outcome.status, len(outcome.errors)) == (1, 1)
    assert "bad-header" in outcome.errors[0]
