"""`dsp-batch`: the commands about runs, and the one that writes manifests."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import idc_tables
import pytest
from complete_runs import make_manifest
from outcomes import Outcome, Run, run_process

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.batch.run import StartedRun, begin_attempt
from dsp_batch.batch.runs.attempt import open_attempt
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import Cache, open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.objects import PhantomSeries

RUN = "mosaic-mosaic-0123456789ab"


def write_run(cache: Cache, *rows: SeriesResult, series: int, ends: bool = True) -> None:
    """Write what a run leaves, by the functions that runs write it with."""
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    attempt = open_attempt(job, RUN)
    manifest = make_manifest(SeriesRef("s3://bucket", uuid_of(number)) for number in range(series))
    run = StartedRun(name=RUN, job=job, manifest=manifest, attempt=attempt, begin=0.0)
    begin_attempt(run, {"manifest": "manifest.txt", "root": "s3://bucket"})
    writer = ResultsWriter(cache=cache, folder=f"runs/{RUN}/results", attempt=attempt.number)
    writer.add(rows)
    writer.flush()
    if ends:
        summarize_run(RUN, job, manifest, attempt, Spent(seconds=2.0))


def uuid_of(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012d}"


def make_row(number: int, status: str, reason: str | None = None) -> SeriesResult:
    return SeriesResult(
        series_uuid=uuid_of(number),
        root="s3://bucket",
        status=status,
        reason=reason,
        bytes_read=3_000_000,
    )


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache directory with a run that has ended: one series failed, one was skipped, four are done."""
    cache = open_cache(str(tmp_path / "cache"))
    rows = [make_row(number, "done") for number in range(4)]
    rows += [make_row(4, "failed", "network"), make_row(5, "skipped", "no-pixels")]
    write_run(cache, *rows, series=6)
    return cache


def cells_of(outcome: Outcome, first: str) -> dict[str, str]:
    """The cells of the table row that begins with a text, by their column."""
    header, row = (
        next(line for line in outcome.stdout.splitlines() if line.startswith(start)) for start in ("run", first)
    )
    return dict(zip(header.split(), row.split(), strict=True))


@pytest.mark.parametrize("place", ["", f"runs/{RUN}", f"runs/{RUN}/"])
def test_status_counts_a_run_by_its_folder_and_by_its_cache_directory(batches: Run, cache: Cache, place: str) -> None:
    outcome = batches("status", f"{cache.url}/{place}")

    assert (outcome.status, outcome.stderr) == (0, "")
    cells = cells_of(outcome, RUN)
    assert cells == {
        "run": RUN, "state": "ended", "series": "6", "done": "4", "kept": "0", "skipped": "1", "failed": "1",
        "left": "0", "series/s": "3.0", "MB/s": "9.0",
    }  # fmt: skip
    reasons = [line.split()[1:] for line in outcome.stdout.splitlines() if line.startswith(RUN)][1:]
    assert sorted(reasons) == [["network", "1"], ["no-pixels", "1"]]


def test_status_as_json_is_for_programs(batches: Run, cache: Cache) -> None:
    outcome = batches("status", cache.url, "--json")

    (status,) = json.loads(outcome.stdout)
    assert (status["run"], status["series"], status["attempts"]) == (RUN, 6, 1)
    assert status["by_status"] == {"done": 4, "failed": 1, "skipped": 1}
    assert status["by_reason"] == {"network": 1, "no-pixels": 1}
    assert (status["series_per_second"], status["megabytes_per_second"]) == (3.0, 9.0)
    assert (status["bytes_read"], status["requests"], status["stages"]) == (18_000_000, 0, {})
    assert [each["bytes_read"] for each in status["largest"]] == [3_000_000] * 5


def test_status_tells_a_run_that_has_not_ended(batches: Run, tmp_path: Path) -> None:
    write_run(open_cache(str(tmp_path / "cache")), make_row(1, "done"), series=1_000, ends=False)

    outcome = batches("status", tmp_path / "cache")

    cells = cells_of(outcome, RUN)
    assert (cells["state"], cells["series"], cells["done"], cells["left"]) == ("open", "1,000", "1", "999")
    assert float(cells["series/s"].replace(",", "")) > 0


def test_status_is_of_the_attempt_that_goes_on(batches: Run, cache: Cache) -> None:
    write_run(cache, replace(make_row(4, "done"), attempt=2), series=6, ends=False)

    (status,) = json.loads(batches("status", cache.url, "--json").stdout)

    assert status["by_status"] == {"done": 5, "skipped": 1}
    assert (status["finished"], status["attempts"]) == (None, 2)
    assert status["series_per_second"] == pytest.approx(1 / status["seconds"], rel=0.1)


@pytest.mark.parametrize("command", ["status", "retry"])
@pytest.mark.parametrize("place", ["", "runs/no-such-run", "file.txt"])
def test_a_run_that_is_not_there_is_an_error(batches: Run, tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file.txt").write_text("no run")

    outcome = batches(command, f"{tmp_path}/{place}")

    assert (outcome.status, outcome.stdout, len(outcome.stderr.splitlines())) == (1, "", 1)
    assert str(tmp_path) in outcome.errors[0]
    assert "no run" in outcome.errors[0]


def test_a_job_of_another_version_is_not_retried(batches: Run, cache: Cache) -> None:
    path = Path(cache.url) / "runs" / RUN / "job.json"
    job = json.loads(path.read_text())
    path.write_text(json.dumps({**job, "options": {**job["options"], "frames": 3}}))

    outcome = batches("retry", f"{cache.url}/runs/{RUN}")

    assert outcome.status == 1
    assert "another version" in outcome.errors[0]


@pytest.fixture
def idc_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small IDC index in the place of the installed one."""
    index = idc_tables.write_index(tmp_path)
    monkeypatch.setattr("dsp_batch.idc.index.open_idc_index", lambda: index)


@pytest.fixture
def mixed_manifest(tmp_path: Path, ct: PhantomSeries, collection: Path) -> Path:
    """Two series of IDC, one of them without pixels, and one of a folder, twice."""
    lines = (idc_tables.CT, idc_tables.SR, f"{collection}/{ct.series_uuid}", f"{collection}/{ct.series_uuid}/")
    path = tmp_path / "mixed.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.usefixtures("idc_index")
def test_a_plan_counts_before_anything_is_read(batches: Run, mixed_manifest: Path) -> None:
    outcome = batches("plan", mixed_manifest, "--json")

    plan = json.loads(outcome.stdout)
    assert (outcome.status, outcome.stderr) == (0, "")
    assert (plan["series"], plan["skipped"], plan["duplicates"], plan["rejected"]) == (3, {"no-pixels": 1}, 1, 0)
    assert plan["objects"] == 50 + 1 + 12
    assert plan["requests"] >= 50 + 36 + 12
    assert plan["assumed"]["tiles"] == 36


@pytest.mark.usefixtures("idc_index")
def test_a_plan_is_a_table_for_people(batches: Run, mixed_manifest: Path) -> None:
    mixed_manifest.write_text(mixed_manifest.read_text() + "what is this\n")

    outcome = batches("plan", mixed_manifest, "--tiles", 1, "--cores", 4)

    assert (outcome.status, len(outcome.warnings)) == (1, 1)
    assert "CT Image Storage" in outcome.stdout
    assert "not drawn: 1 no-pixels" in outcome.stdout
    assert "4 cores" in outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "lines: 1 rejected, 1 duplicate"


def test_a_plan_lists_nothing_elsewhere_than_below_the_root_where_it_must_not(
    batches: Run, tmp_path: Path, ct: PhantomSeries, collection: Path
) -> None:
    path = tmp_path / "of-a-stranger.txt"
    path.write_text(f"{collection}/{ct.series_uuid}\nhttp://127.0.0.1:9/{idc_tables.CT}\n")

    outcome = batches("plan", path, "--root", collection, "--only-below-root", "--json")

    plan = json.loads(outcome.stdout)
    assert (outcome.status, plan["series"], plan["rejected"]) == (1, 1, 1)
    assert f"it leads out of {collection}" in outcome.warnings[0]


@pytest.mark.parametrize("options", [["--cores", "0"], ["--latency", "nan"], ["--tiles", "-1"], ["--root", ""]])
def test_a_plan_checks_what_it_assumes(batches: Run, mixed_manifest: Path, options: list[str]) -> None:
    outcome = batches("plan", mixed_manifest, *options)

    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)


def test_a_plan_of_no_manifest_is_an_error(batches: Run, tmp_path: Path) -> None:
    outcome = batches("plan", tmp_path / "missing.txt")

    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)
    assert "missing.txt" in outcome.errors[0]


@pytest.mark.usefixtures("idc_index")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--collection-id", "4D-Lung"], [idc_tables.CT, idc_tables.MR]),
        (["--collection-id", "4d_lung", "--modality", "ct"], [idc_tables.CT]),
        (["--modality", "CT", "--modality", "MR", "--limit", "2"], [idc_tables.CT, idc_tables.MR]),
        (["--analysis-results", "only"], [idc_tables.SEG, idc_tables.SR]),
        (["--analysis-results", "include", "--patient-id", "p2"], [idc_tables.SEG, idc_tables.SR]),
        (["--series-instance-uid", idc_tables.MR_UID], [idc_tables.MR]),
        (["--study-instance-uid", "1.2"], [idc_tables.RAW]),
    ],
)
def test_a_manifest_holds_what_fits_all_options(
    batches: Run, tmp_path: Path, options: list[str], expected: list[str]
) -> None:
    output = tmp_path / "manifest.s5cmd"

    outcome = batches("manifest", *options, "-o", output)

    assert (outcome.status, outcome.stdout) == (0, "")
    assert f"{len(expected)} series" in outcome.stderr
    lines = [line for line in output.read_text().splitlines() if not line.startswith("#")]
    assert [line.split("/")[3] for line in lines] == expected
    assert all(line.startswith("cp s3://idc-open-data") for line in lines)


@pytest.mark.usefixtures("idc_index")
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".Parquet"])
def test_a_manifest_as_a_table_says_what_captions_need(batches: Run, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"manifest{suffix}"

    outcome = batches("manifest", "--collection-id", "4d_lung", "-o", output)

    assert (outcome.status, outcome.stdout) == (0, "")
    assert "2 series" in outcome.stderr
    first, second = read_manifest(output)
    assert (first.url, second.url) == (f"s3://idc-open-data/{idc_tables.CT}", f"s3://idc-open-data-cr/{idc_tables.MR}")
    assert first.columns == {
        "collection_id": "4d_lung",
        "PatientID": "p1",
        "Modality": "CT",
        "SeriesDescription": 'thin, "lung"',
        "license_short_name": "CC BY 4.0",
        "source_DOI": "10.7937/k9",
        "StudyInstanceUID": "1.1",
    }
    database = duckdb.sql(f"select SeriesInstanceUID from '{output}'").fetchall()
    assert database == [(idc_tables.CT_UID,), (idc_tables.MR_UID,)]


@pytest.mark.usefixtures("idc_index")
def test_a_manifest_may_go_to_standard_output(batches: Run) -> None:
    outcome = batches("manifest", "--modality", "MR", "-o", "-")

    assert (outcome.status, outcome.stdout) == (0, f"cp s3://idc-open-data-cr/{idc_tables.MR}/* .\n")


@pytest.mark.usefixtures("idc_index")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--collection-id", "4d_lun"], ["'4d_lun'", "4d_lung"]),
        (["--modality", "XX"], ["'XX'"]),
        (["--modality", "CT", "--modality", "MRI"], ["there is no Modality 'MRI'; did you mean MR?"]),
        (["--collection-id", "nlst", "--modality", "SEG"], ["--analysis-results"]),
        (["--limit", "0"], ["--limit"]),
        (["--analysis-results", "maybe"], ["--analysis-results", "include"]),
    ],
)
def test_a_manifest_of_nothing_is_an_error(batches: Run, tmp_path: Path, options: list[str], words: list[str]) -> None:
    outcome = batches("manifest", *options, "-o", tmp_path / "manifest.txt")

    assert (outcome.status, outcome.stdout, len(outcome.errors)) == (1, "", 1)
    assert all(word in outcome.errors[0] for word in words)
    assert not (tmp_path / "manifest.txt").exists()


def test_a_manifest_needs_the_index(batches: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsp_batch.idc.index.open_idc_index", lambda: None)

    outcome = batches("manifest", "-o", tmp_path / "manifest.txt")

    assert outcome.status == 1
    assert "dsp-batch[idc]" in outcome.errors[0]


def test_a_manifest_in_a_missing_folder_is_refused(batches: Run, tmp_path: Path) -> None:
    outcome = batches("manifest", "-o", tmp_path / "missing" / "manifest.txt")

    assert outcome.status == 1
    assert str(tmp_path / "missing") in outcome.errors[0]


def test_the_demo_draws_a_collection_on_a_cluster_of_its_own(tmp_path: Path) -> None:
    outcome = run_process("dsp-batch", "demo", "--workers", 1, cwd=tmp_path)

    assert outcome.status == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert "as expected" in outcome.stdout
    assert lines[0] == str(tmp_path / "demo/cache/gallery/index.html")
    assert Path(lines[0]).read_bytes().startswith(b"<!DOCTYPE html>")
    assert lines[-1].startswith("13 series: 12 done, 0 kept, 0 skipped, 1 failed; ")
    previews = [Path(line.rpartition("  ")[2]) for line in lines if line.endswith(".webp")]
    assert len(previews) == 12
    assert all(path.read_bytes()[8:12] == b"WEBP" for path in previews)
    assert all(path.is_relative_to(tmp_path / "demo") for path in previews)
    assert (outcome.errors, "Traceback" in outcome.stderr) == ([], False)


def test_the_demo_says_where_it_cannot_write(batches: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    outcome = batches("demo", tmp_path / "file" / "demo")

    assert (outcome.status, outcome.stdout) == (1, "")
    assert str(tmp_path / "file") in outcome.errors[0]
