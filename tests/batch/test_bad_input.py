"""Places and folders that a run must not take for what they are not: a clear error or going on, and nothing lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster
from phantom_bulk import build_many

from dsp_batch.batch.run import RunOptions, run_manifest
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.progress import LineProgress
from dsp_batch.batch.runs.status import read_statuses
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError, ManifestError, OptionsError, SinkError
from dsp_batch.options import ClusterOptions, MosaicOptions
from dsp_batch.phantom.series import build_report, write_collection


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOptions]:
    """One worker, in a thread of this process, for all tests of this file."""
    where = {"processes": False, "protocol": "tcp://", "dashboard_address": None}
    with LocalCluster(n_workers=1, threads_per_worker=1, **where) as local:
        yield ClusterOptions(scheduler=local.scheduler_address)


@pytest.fixture
def start(tmp_path: Path, cluster: ClusterOptions) -> Callable[..., RunSummary]:
    """Runs a mosaic over two series that can be drawn and a report."""
    write_collection(tmp_path / "series", [*build_many(2), build_report()])

    def run(cache: object = None, root: object = None, source: object = None) -> RunSummary:
        job = Job(
            verb="mosaic",
            options=MosaicOptions(tile_width=2),
            cache=open_cache(str(cache or tmp_path / "cache")),
            name="mosaic",
        )
        root = root or tmp_path / "series"
        return run_manifest(RunOptions(source=str(source or f"{root}/"), root=str(root)), job, cluster, LineProgress())

    return run


def rows_of(summary: RunSummary) -> pd.DataFrame:
    return pd.concat(pd.read_parquet(path) for path in Path(summary.url, "results").iterdir()).set_index("series_uuid")


@pytest.mark.parametrize(
    "spelling", ["{}", "{}/", "{}/.", "{}/../series", "file://{}", "{}/../link", "link", "{}/cache", "{}/deep/er"]
)
def test_a_cache_among_the_series_is_refused_in_every_spelling(
    start: Callable[..., RunSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "series")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in (tmp_path / "series").iterdir())

    with pytest.raises(OptionsError, match="is also where series are read"):
        start(cache=spelling.format(tmp_path / "series"))

    assert sorted(path.name for path in (tmp_path / "series").iterdir()) == before


@pytest.mark.parametrize("folder", ["previews", "previews/mosaic", "indices", "runs/series"])
def test_series_among_what_the_cache_holds_are_refused(
    start: Callable[..., RunSummary], tmp_path: Path, folder: str
) -> None:
    (tmp_path / "cache" / folder).parent.mkdir(parents=True)
    root = (tmp_path / "series").rename(tmp_path / "cache" / folder)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(OptionsError, match="is also where series are read"):
        start(root=root)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("folder", ["series", "runs-of-2024"])
def test_series_beside_what_the_cache_holds_are_drawn_and_left_alone(
    start: Callable[..., RunSummary], tmp_path: Path, folder: str
) -> None:
    (tmp_path / "cache").mkdir()
    root = (tmp_path / "series").rename(tmp_path / "cache" / folder)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    first, second = start(root=root), start(root=root)

    assert first.by_status == second.by_status == {"done": 2, "skipped": 1}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("cache", ["s3://bucket/series/", "S3://bucket/series", "s3://bucket/series"])
def test_a_bucket_is_known_in_every_spelling(start: Callable[..., RunSummary], tmp_path: Path, cache: str) -> None:
    with pytest.raises(OptionsError, match="is also where series are read"):
        start(cache=cache, root="s3://bucket/series/", source=tmp_path / "absent.txt")


def test_a_source_is_compared_through_its_links_too(start: Callable[..., RunSummary], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "series")

    with pytest.raises(OptionsError, match="is also where series are read"):
        start(cache=tmp_path / "series", root="s3://bucket", source=f"{tmp_path}/link/")


def test_a_folder_of_a_newer_version_is_gone_on_with(start: Callable[..., RunSummary]) -> None:
    first = start()
    folder = Path(first.url)
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "format": 99, "colors": ["red"]}))
    (part,) = (folder / "results").iterdir()
    table = pq.read_table(part)
    table = table.append_column("novelty", pa.array(range(3), pa.int64())).drop_columns("viewer")
    table = table.set_column(
        table.column_names.index("n_frames"), "n_frames", table.column("n_frames").cast(pa.int64())
    )
    pq.write_table(table, part)

    second = start()

    rows = rows_of(second)
    assert second.run == first.run
    assert len(rows) == 3
    assert (rows.attempt == 1).all()
    assert sorted(rows.novelty) == [0, 1, 2]
    assert json.loads((folder / "job.json").read_text())["attempt"] == 2


def test_a_part_whose_columns_mean_something_else_is_named_and_kept(start: Callable[..., RunSummary]) -> None:
    first = start()
    (part,) = (Path(first.url) / "results").iterdir()
    table = pq.read_table(part)
    table = table.set_column(table.column_names.index("attempt"), "attempt", pa.array(["one"] * 3))
    pq.write_table(table, part)
    before = part.read_bytes()

    with pytest.raises(SinkError, match=r"part-.* is no part of this version .*move it away"):
        start()

    assert part.read_bytes() == before


def test_a_folder_of_an_older_version_is_gone_on_with(start: Callable[..., RunSummary]) -> None:
    first = start()
    folder = Path(first.url)
    job = json.loads((folder / "job.json").read_text())
    old = {name: job[name] for name in ("run", "verb", "options", "manifest")}
    (folder / "job.json").write_text(json.dumps(old))
    (folder / "summary.json").unlink()
    (part,) = (folder / "results").iterdir()
    pq.write_table(pq.read_table(part, columns=["series_uuid", "root", "status", "preview", "attempt"]), part)

    with pytest.raises(ManifestError, match=r"job\.json was written by another version"):
        read_statuses(first.url)
    second = start()

    assert second.by_status == {"done": 2, "skipped": 1}
    assert len(rows_of(second)) == 3
    assert [status.attempts for status in read_statuses(first.url)] == [2]


@pytest.mark.parametrize(("name", "content"), [("job.json", ""), ("job.json", "[1]"), ("summary.json", "null")])
def test_a_damaged_document_of_a_run_is_named(start: Callable[..., RunSummary], name: str, content: str) -> None:
    first = start()
    (Path(first.url) / name).write_text(content)
    before = rows_of(first)

    with pytest.raises(DspBatchError, match=rf"{name} is no JSON.*delete it") as caught:
        start()

    assert "\n" not in caught.value.message
    assert rows_of(first).equals(before)
    (Path(first.url) / name).unlink()
    assert start().by_status == first.by_status


def test_one_run_that_cannot_be_read_does_not_hide_the_others(
    start: Callable[..., RunSummary], caplog: pytest.LogCaptureFixture
) -> None:
    first = start()
    other = Path(first.url).parent / "mosaic-old-0123456789ab"
    other.mkdir()
    (other / "job.json").write_text("{}")

    statuses = read_statuses(str(Path(first.url).parent.parent))

    assert [each.run for each in statuses] == [first.run]
    assert "mosaic-old-0123456789ab/job.json was written by another version" in caplog.text


@pytest.mark.parametrize("days", [-4_000, 4_000])
def test_clocks_decide_nothing(start: Callable[..., RunSummary], tmp_path: Path, days: int) -> None:
    first = start()
    folder, moment = Path(first.url), time.time() + days * 86_400
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, "started": time.strftime("%FT%TZ", time.gmtime(moment))}))
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (moment, moment))

    second = start()

    rows = rows_of(second)
    assert second.run == first.run
    assert (len(rows), set(rows.attempt)) == (3, {1})
    (status,) = read_statuses(second.url)
    assert (status.attempts, status.figures.series, status.finished is not None) == (2, 3, True)
