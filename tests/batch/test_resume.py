"""What a run finds when it begins, and what it leaves when it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from distributed import LocalCluster
from phantom_bulk import build_many

from dsp_batch.batch.retry import retry_run
from dsp_batch.batch.run import RunOptions, run_manifest
from dsp_batch.batch.runs.attempt import open_attempt
from dsp_batch.batch.runs.job import Job, write_json
from dsp_batch.batch.runs.progress import LineProgress
from dsp_batch.batch.runs.status import read_statuses
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import Cache, index_key, open_cache, preview_key, read_index, write_index
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ClusterOptions, IndexOptions, MosaicOptions
from dsp_batch.phantom.series import build_corrupt, build_radiograph, build_report, write_collection
from dsp_batch.pipeline import draw_series, index_series
from dsp_batch.storage.store import Store

MOSAIC = MosaicOptions(tile_width=2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOptions]:
    """One worker for all tests of this file."""
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local:
        yield ClusterOptions(scheduler=local.scheduler_address)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four series that can be drawn, a report, and a damaged one."""
    folder = tmp_path / "series"
    write_collection(folder, [*build_many(3), build_radiograph(), build_report(), build_corrupt()])
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(str(tmp_path / "cache"))


def job_of(cache: Cache, **changes: Any) -> Job:
    known: dict[str, Any] = {"verb": "mosaic", "options": MOSAIC, "cache": cache, "name": "mosaic"}
    return Job(**{**known, **changes})


def run(source: Path | str, job: Job, cluster: ClusterOptions, **changes: Any) -> RunSummary:
    text = f"{source}/" if Path(source).is_dir() else str(source)
    root = str(source) if Path(source).is_dir() else str(Path(source).parent / "series")
    return run_manifest(RunOptions(source=text, root=root, **changes), job, cluster, LineProgress())


def rows_of(summary: RunSummary) -> Any:
    return pd.read_parquet(f"{summary.url}/results").set_index("series_uuid")


def write_manifest(root: Path, lines: list[str]) -> Path:
    path = root.parent / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_run_accounts_for_every_series(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    summary = run(root, job_of(cache), cluster)

    rows = rows_of(summary)
    assert summary.by_status == {"done": 4, "skipped": 1, "failed": 1}
    assert sorted(rows.index) == sorted(path.name for path in root.iterdir())
    assert not summary.succeeded
    (report,) = rows[rows.reason == "no-pixels"].to_dict("records")
    assert (report["modality"], report["sop_class"]) == ("SR", "1.2.840.10008.5.1.4.1.1.88.11")
    assert all(report[name].startswith("2.25.") for name in ("series_instance_uid", "study_instance_uid"))
    drawn = rows[rows.status == "done"]
    assert (drawn.preview_bytes == [Path(cache.url, key).stat().st_size for key in drawn.preview]).all()
    assert (drawn.requests > 0).all()
    failed = rows[rows.status == "failed"].index.tolist()
    (line,) = Path(summary.url, "failed.txt").read_text().splitlines()
    assert line.startswith(f"{root}/{failed[0]}/ # bad-header: ")
    written = json.loads(Path(summary.url, "summary.json").read_text())
    assert written["by_status"] == summary.by_status


def test_a_one_line_manifest_writes_the_bytes_of_the_single_command(
    root: Path, cache: Cache, cluster: ClusterOptions, tmp_path: Path
) -> None:
    series_uuid = build_radiograph().series_uuid
    run(write_manifest(root, [series_uuid]), job_of(cache), cluster)

    alone = open_cache(str(tmp_path / "alone"))
    ref, store = SeriesRef(root=str(root), series_uuid=series_uuid), Store(str(root))
    image = draw_series(ref, store, alone, MOSAIC, ".webp")
    assert Path(cache.url, preview_key("mosaic", series_uuid)).read_bytes() == image.data
    assert Path(cache.url, index_key(series_uuid)).read_bytes() == Path(alone.url, index_key(series_uuid)).read_bytes()


def test_the_same_command_goes_on_with_what_failed(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    first = run(root, job_of(cache), cluster)
    before = rows_of(first)
    damaged = root / build_corrupt().series_uuid
    for path in damaged.iterdir():
        path.unlink()
    write_collection(root, [replace(build_radiograph("mended"), series_uuid=damaged.name)])

    second = run(root, job_of(cache), cluster)

    after = rows_of(second)
    assert second.run == first.run
    assert second.by_status == {"done": 5, "skipped": 1}
    assert len(after) == 6
    assert after.attempt.loc[damaged.name] == 2
    others = before.index.drop(damaged.name)
    assert (after.loc[others].attempt == 1).all()


def test_rows_that_a_kill_lost_are_made_again(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    first = run(root, job_of(cache), cluster)
    for part in Path(first.url, "results").iterdir():
        part.unlink()

    second = run(root, job_of(cache), cluster)

    rows = rows_of(second)
    assert len(rows) == 6
    assert rows[rows.status == "done"].n_tiles.notna().all()


def test_previews_of_another_run_are_kept_with_their_details(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    series_uuid = build_radiograph().series_uuid
    earlier = rows_of(run(write_manifest(root, [series_uuid]), job_of(cache), cluster)).loc[series_uuid]
    preview = Path(cache.url, preview_key("mosaic", series_uuid))
    written = preview.stat().st_mtime_ns

    row = rows_of(run(root, job_of(cache), cluster)).loc[series_uuid]

    assert row.status == "kept"
    assert (row.n_tiles, row.preview_bytes, row.modality) == (earlier.n_tiles, earlier.preview_bytes, earlier.modality)
    assert row.requests == 0
    assert preview.stat().st_mtime_ns == written


def test_a_name_belongs_to_one_product(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    manifest = write_manifest(root, [build_radiograph().series_uuid])
    run(manifest, job_of(cache), cluster)
    other = job_of(cache, options=MosaicOptions(tile_width=1))

    with pytest.raises(OptionsError, match="--overwrite"):
        run(manifest, other, cluster)
    summary = run(manifest, other, cluster, overwrite=True)

    row = rows_of(summary).iloc[0]
    assert (row.status, row.width) == ("done", 128)


def test_folders_of_one_name_in_two_places_share_a_cache_without_disturbing_each_other(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions
) -> None:
    for folder, series in zip(("one", "other"), build_many(2), strict=True):
        write_collection(tmp_path / folder, [replace(series, series_uuid="patient 1")])
        (tmp_path / f"{folder}.txt").write_text(f"{tmp_path}/{folder}/patient 1/\n")

    ((first, one),) = rows_of(run(tmp_path / "one.txt", job_of(cache), cluster)).iterrows()
    drawn = Path(cache.url, one.preview).read_bytes()
    ((second, other),) = rows_of(run(tmp_path / "other.txt", job_of(cache), cluster)).iterrows()

    assert (one.status, other.status) == ("done", "done")
    assert first == build_series_uuid(one.series_instance_uid) != second
    assert Path(cache.url, one.preview).read_bytes() == drawn != Path(cache.url, other.preview).read_bytes()


def test_an_index_that_is_there_is_kept(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    ref = SeriesRef(root=str(root), series_uuid=build_radiograph().series_uuid)
    write_index(index_series(ref, Store(str(root)), None), cache)
    job = job_of(cache, verb="build-index", options=IndexOptions(), name="build-index")

    rows = rows_of(run(root, job, cluster))

    assert rows.status.loc[ref.series_uuid] == "kept"
    assert (rows.status == "done").sum() == 4  # the report has an index too
    assert all(read_index(cache, name, str(root)) for name in rows[rows.status != "failed"].index)


def test_columns_of_the_manifest_are_carried_and_lines_that_name_nothing_reported(
    root: Path, cache: Cache, cluster: ClusterOptions, caplog: pytest.LogCaptureFixture
) -> None:
    series_uuid = build_radiograph().series_uuid
    lines = ["series_uuid,collection,status", f"{series_uuid},phantoms,new", f"{series_uuid},again,", "nonsense,x,y"]
    manifest = write_manifest(root, lines)

    with pytest.raises(ManifestError, match="--strict"):
        run(manifest, job_of(cache), cluster, strict=True)
    caplog.clear()
    summary = run(manifest, job_of(cache), cluster)

    row = rows_of(summary).loc[series_uuid]
    assert sum("manifest.csv:4: " in message for message in caplog.messages) == 1
    assert (row.collection, row.manifest_status, row.status) == ("phantoms", "new", "done")
    assert (summary.rejected, summary.duplicates, summary.succeeded) == (1, 1, False)
    assert Path(summary.url, "rejected.txt").read_text().startswith("4\t")


def test_rows_that_stay_keep_their_columns_get_new_ones_and_the_run_says_so(
    root: Path, cache: Cache, cluster: ClusterOptions, caplog: pytest.LogCaptureFixture
) -> None:
    series_uuid = build_radiograph().series_uuid
    run(write_manifest(root, ["series_uuid,arm", f"{series_uuid},left"]), job_of(cache), cluster)
    manifest = write_manifest(root, ["series_uuid,arm,site", f"{series_uuid},right,B"])
    caplog.clear()

    kept = rows_of(run(manifest, job_of(cache), cluster)).loc[series_uuid]

    assert (kept.arm, kept.site) == ("left", "B")
    assert "other columns than before: rows that stay keep theirs, --overwrite renews them" in caplog.text
    renewed = rows_of(run(manifest, job_of(cache), cluster, overwrite=True)).loc[series_uuid]
    assert (renewed.arm, renewed.site) == ("right", "B")


def test_a_series_that_takes_too_long_is_a_row(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    manifest = write_manifest(root, [build_radiograph().series_uuid])

    row = rows_of(run(manifest, job_of(cache, timeout=1e-6), cluster)).iloc[0]

    assert (row.status, row.reason) == ("failed", "timeout")


def interrupt_overwriting(summary: RunSummary, job: Job) -> None:
    """What a run leaves that is killed as soon as it has begun to make everything anew."""
    path = Path(summary.url, "job.json")
    attempt = open_attempt(job, summary.run, overwrite=True)
    write_json(job.cache, f"runs/{summary.run}/job.json", {**json.loads(path.read_text()), **attempt.describe()})


def test_a_retry_completes_a_run_that_was_stopped(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    job = job_of(cache)
    interrupt_overwriting(run(root, job, cluster), job)
    before = read_statuses(cache.url)[0]

    retried = retry_run(cache, before.run, cluster, LineProgress())

    assert (before.finished, retried.run, retried.left) == (None, before.run, 0)
    assert retried.by_status == {"done": 4, "skipped": 1, "failed": 1}
    assert set(rows_of(retried).attempt) == {3}
    assert read_statuses(cache.url)[0].finished


def test_a_retry_needs_no_manifest(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    job = job_of(cache)
    manifest = write_manifest(
        root, ["series_uuid,arm", *(f"{path.name},{at}" for at, path in enumerate(root.iterdir()))]
    )
    first = run(manifest, job, cluster)
    arms = rows_of(first).arm
    interrupt_overwriting(first, job)
    manifest.unlink()

    retried = retry_run(cache, first.run, cluster, LineProgress())

    assert (retried.left, retried.by_status) == (0, {"done": 4, "skipped": 1, "failed": 1})
    assert rows_of(retried).arm.to_dict() == arms.to_dict()
    assert read_statuses(cache.url)[0].finished


def test_a_retry_works_on_what_has_failed(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    first = run(root, job_of(cache), cluster)
    failed = rows_of(first).query("status == 'failed'").index

    retried = retry_run(cache, first.run, cluster, LineProgress())

    attempts = rows_of(retried).attempt
    assert (attempts[failed].tolist(), set(attempts.drop(failed))) == ([2], {1})


def test_a_run_of_a_version_that_kept_no_manifest_is_not_retried(
    root: Path, cache: Cache, cluster: ClusterOptions
) -> None:
    summary = run(root, job_of(cache), cluster)
    path = Path(summary.url, "manifest.parquet")
    path.write_bytes(b"PAR1")

    with pytest.raises(ManifestError, match=r"manifest.parquet is not readable .*; repeat the command"):
        retry_run(cache, summary.run, cluster, LineProgress())
    path.unlink()
    with pytest.raises(ManifestError, match=r"there is no .*/manifest.parquet: .*older version.* repeat the command"):
        retry_run(cache, summary.run, cluster, LineProgress())


def test_results_are_a_table_before_the_first_row(root: Path, cache: Cache, cluster: ClusterOptions) -> None:
    class Looking(LineProgress):
        def start(self, total: int) -> None:
            (folder,) = Path(cache.url, "runs").glob("*/results")
            self.found = pd.read_parquet(folder)
            super().start(total)

    text, job, progress = f"{root}/", job_of(cache), Looking()
    summary = run_manifest(RunOptions(source=text, root=str(root)), job, cluster, progress)

    assert (len(progress.found), [*progress.found.columns]) == (0, [*rows_of(summary).reset_index().columns])


def test_an_index_that_could_not_be_made_anew_is_not_that_of_before(
    root: Path, cache: Cache, cluster: ClusterOptions
) -> None:
    job = job_of(cache, verb="build-index", options=IndexOptions(), name="build-index")
    series_uuid = build_radiograph().series_uuid
    manifest = write_manifest(root, [series_uuid])
    summary = run(manifest, job, cluster)
    (root / series_uuid).rename(aside := root / "aside")
    assert run(manifest, job, cluster, overwrite=True).by_status == {"failed": 1}
    aside.rename(root / series_uuid)

    retried = retry_run(cache, summary.run, cluster, LineProgress())

    assert rows_of(retried).loc[series_uuid, ["status", "attempt"]].tolist() == ["done", 3]


def test_the_cache_may_lie_below_a_folder_of_runs(root: Path, tmp_path: Path, cluster: ClusterOptions) -> None:
    cache = open_cache(str(tmp_path / "runs" / "2026"))
    summary = run(write_manifest(root, [build_radiograph().series_uuid]), job_of(cache), cluster)

    (listed,), (named,) = read_statuses(cache.url), read_statuses(summary.url)
    assert (listed.run, named.run) == (summary.run, summary.run)
