"""The figures of a run, counted over its parts: against pandas over the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from complete_runs import make_manifest

from dsp_batch.batch.runs.attempt import Attempt
from dsp_batch.batch.runs.figures import COLUMNS, FigureCounter, RunFigures, format_figures
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import ResultsWriter, build_table, list_parts, read_seconds
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.results import fold_latest, pick_rows
from dsp_batch.batch.runs.summary import Spent, summarize_run
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import SinkError
from dsp_batch.index.arrays import write_parquet
from dsp_batch.options import MosaicOptions

FOLDER = "runs/mosaic-mosaic-0123456789ab/results"
STATUSES = ("done", "kept", "skipped", "failed")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(str(tmp_path / "cache"))


def make_rows(count: int, attempt: int, seed: int) -> list[SeriesResult]:
    """Rows of random series out of 400, so that attempts meet."""
    random = np.random.default_rng(seed)
    rows = []
    for number in random.choice(400, count, replace=False).tolist():
        status = STATUSES[random.choice(4, p=(0.6, 0.1, 0.1, 0.2))]
        seconds = random.lognormal(size=3).tolist() if status in ("done", "failed") else [0.0] * 3
        rows.append(
            SeriesResult(
                series_uuid=f"{number:08x}-0000-0000-0000-000000000000",
                root="s3://bucket",
                status=status,  # type: ignore[arg-type]  # one of STATUSES
                reason={"failed": "network", "skipped": "no-pixels"}.get(status),  # type: ignore[arg-type]
                modality=("CT", "MR", None)[number % 3],
                bytes_read=int(random.integers(0, 10**9)),
                requests=int(random.integers(0, 500)),
                seconds_headers=seconds[0],
                seconds_index=seconds[1],
                seconds_render=seconds[2],
                attempt=attempt,
            )
        )
    return rows


def write_parts(cache: Cache) -> pd.DataFrame:
    """Two attempts in several parts; what counts of them, by pandas."""
    rows = []
    for attempt, seed in ((1, 7), (2, 8)):
        batch = make_rows(200, attempt, seed)
        rows += batch
        for number in range(4):
            key = f"{FOLDER}/part-{attempt:04d}-0123abcd-{number:06d}.parquet"
            cache.write(key, write_parquet(build_table(batch[number * 50 : number * 50 + 50])))
    frame = build_table(rows).to_pandas()
    return frame.sort_values("attempt").groupby("series_uuid").tail(1)


def tally(cache: Cache, seconds: float | None, since: int = 1) -> RunFigures:
    counted = FigureCounter(attempt=2, since=since)
    return fold_latest(
        cache,
        FOLDER,
        COLUMNS,
        lambda tables: [*counted.watch(tables)] and counted.finish(seconds),  # type: ignore[return-value]
    )


def test_figures_are_those_of_the_rows_that_count(cache: Cache) -> None:
    expected = write_parts(cache)

    figures = tally(cache, seconds=50.0)

    assert figures.series == len(expected)
    assert figures.by_status == expected.status.value_counts().to_dict()
    assert figures.by_reason == expected.reason.value_counts().to_dict()
    assert list(figures.by_reason.values()) == sorted(figures.by_reason.values(), reverse=True)
    assert (figures.bytes_read, figures.requests) == (expected.bytes_read.sum(), expected.requests.sum())
    last = expected[expected.attempt == 2]
    assert figures.series_per_second == pytest.approx(len(last) / 50)
    assert figures.megabytes_per_second == pytest.approx(last.bytes_read.sum() / 50e6, abs=1e-3)
    for stage in ("headers", "index", "render"):
        seconds = expected[f"seconds_{stage}"]
        seconds = seconds[seconds > 0]
        found = figures.stages[stage]
        assert found.series == len(seconds)
        wanted = [seconds.sum(), *seconds.quantile([0.5, 0.95, 1.0])]
        assert [found.total, found.p50, found.p95, found.max] == pytest.approx(wanted, abs=1e-3)


def test_the_slowest_and_the_largest_series_are_named(cache: Cache) -> None:
    expected = write_parts(cache)
    expected["seconds"] = expected.seconds_headers + expected.seconds_index + expected.seconds_render

    figures = tally(cache, seconds=None)

    slowest, largest = expected.nlargest(5, "seconds"), expected.nlargest(5, "bytes_read")
    assert [each.series_uuid for each in figures.slowest] == slowest.series_uuid.tolist()
    assert [each.seconds for each in figures.slowest] == pytest.approx(slowest.seconds.tolist(), abs=1e-3)
    assert [each.series_uuid for each in figures.largest] == largest.series_uuid.tolist()
    assert [each.bytes_read for each in figures.largest] == largest.bytes_read.tolist()
    text = "\n".join(format_figures(figures))
    assert all(each.series_uuid in text for each in (*figures.slowest, *figures.largest))
    assert "series/s" not in text


def test_attempts_before_everything_was_made_anew_do_not_count(cache: Cache) -> None:
    expected = write_parts(cache)

    assert tally(cache, seconds=1.0, since=2).series == (expected.attempt == 2).sum()


def test_rows_of_no_work_make_no_figures(cache: Cache) -> None:
    table = build_table([SeriesResult(series_uuid="a", root="/r", status="kept")])
    cache.write(f"{FOLDER}/part-x.parquet", write_parquet(table))

    figures = tally(cache, seconds=3.0)

    assert (figures.by_status, figures.stages, figures.slowest, figures.series_per_second) == (
        {"kept": 1},
        {},
        (),
        None,
    )


def test_of_two_rows_of_one_attempt_the_one_that_did_not_fail_counts(cache: Cache) -> None:
    first = SeriesResult(series_uuid="a", root="/r", status="done", attempt=3)
    second = SeriesResult(series_uuid="a", root="/r", status="failed", attempt=3)
    older = SeriesResult(series_uuid="a", root="/r", status="kept", attempt=2)
    for number, row in enumerate((first, second, older)):
        cache.write(f"{FOLDER}/part-{number}.parquet", write_parquet(build_table([row])))

    assert [rows.tolist() for rows in pick_rows(cache, list_parts(cache, FOLDER))] == [[0], [], []]
    counted = fold_latest(cache, FOLDER, ["attempt", "status"], pa.concat_tables)
    assert counted.to_pylist() == [{"attempt": 3, "status": "done"}]


def test_a_fold_begins_again_when_parts_are_compacted_under_it(cache: Cache) -> None:
    expected = write_parts(cache)
    passes = 0

    def count(tables: object) -> int:
        nonlocal passes
        passes += 1
        series = 0
        for table in tables:  # type: ignore[attr-defined]  # an iterator of tables
            series += len(table)
            if passes == 1:  # another process ends the run
                job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
                attempt = Attempt(number=2, since=1, generation=1, resumes=True, overwrites=False)
                summarize_run("mosaic-mosaic-0123456789ab", job, make_manifest([]), attempt, Spent(seconds=1.0))
        return series

    assert fold_latest(cache, FOLDER, COLUMNS, count) == len(expected)
    assert passes == 2


def test_a_part_that_is_no_parquet_is_named(cache: Cache) -> None:
    write_parts(cache)
    cache.write(f"{FOLDER}/part-9999-bad.parquet", b"PAR1 and then nothing")

    with pytest.raises(SinkError, match=r"part-9999-bad\.parquet is no part"):
        tally(cache, seconds=None)


def test_a_part_tells_how_long_its_attempt_had_taken(cache: Cache) -> None:
    writer = ResultsWriter(cache=cache, folder=FOLDER, attempt=1)
    writer.begin -= 12.0
    writer.add(make_rows(3, 1, 1))
    writer.flush()

    (key,) = list_parts(cache, FOLDER)
    assert read_seconds(cache, key) == pytest.approx(12.0, abs=1.0)
    assert [each for each in pd.read_parquet(cache.url_of(key)).columns if "seconds" in each] == [
        "seconds_headers",
        "seconds_index",
        "seconds_render",
    ]
