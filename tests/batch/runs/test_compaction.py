"""The parts of the results, put together while others do the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from complete_runs import read_run

from dsp_batch.batch.runs.compaction import compact
from dsp_batch.batch.runs.result_parts import ResultsWriter, list_parts
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import Cache, open_cache

FOLDER = "runs/run/results"


def write_part(cache: Cache, names: list[str], attempt: int) -> None:
    writer = ResultsWriter(cache=cache, folder=FOLDER, attempt=attempt)
    writer.rows += [SeriesResult(series_uuid=name, root="r", status="done", attempt=attempt) for name in names]
    writer.flush()


@pytest.mark.parametrize("begun", range(4))
def test_several_that_compact_at_the_same_time_leave_each_series_once(tmp_path: Path, begun: int) -> None:
    cache = open_cache(str(tmp_path))
    names = [f"{begun}-{number:03d}" for number in range(60)]
    for first in range(0, 60, 10):
        write_part(cache, names[first : first + 15], attempt=1 + first % 3)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: compact(cache, FOLDER, ()), range(4)))

    assert sorted(row["series_uuid"] for row in read_run(cache, "run")) == names
    assert len(list_parts(cache, FOLDER)) == 1


def test_parts_that_come_while_others_are_put_together_are_kept(tmp_path: Path) -> None:
    cache = open_cache(str(tmp_path))
    names = [f"{number:03d}" for number in range(100)]

    def write() -> None:
        for first in range(0, 100, 5):
            write_part(cache, names[first : first + 5], attempt=1)

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(write)
        while not writing.done():
            compact(cache, FOLDER, ())
    writing.result(60)
    compact(cache, FOLDER, ())

    assert sorted(row["series_uuid"] for row in read_run(cache, "run")) == names
