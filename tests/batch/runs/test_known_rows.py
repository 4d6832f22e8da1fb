"""What other runs tell of previews: which of their rows count, and what a run that keeps a preview takes from them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from dsp_batch.batch.manifest.keys import name_keys
from dsp_batch.batch.runs.job import Job, describe_job
from dsp_batch.batch.runs.known_rows import Results, find_keys, read_known
from dsp_batch.batch.runs.parts import ResultsWriter
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.batch.runs.state import find_state, open_attempt, results_folder, write_json
from dsp_batch.cache import Cache, open_cache, preview_key
from dsp_batch.idc.viewer import viewer_url
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions

NAMES = [str(UUID(int=number << 96)) for number in (7, 3, 5, 1)]
ROOT = "s3://idc-open-data"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(str(tmp_path / "cache"))


def write_rows(cache: Cache, run: str, rows: list[SeriesResult], attempt: int = 1) -> None:
    writer = ResultsWriter(cache=cache, folder=results_folder(run), attempt=attempt)
    for row in rows:
        writer.rows.append(row)
        writer.flush()


def row_of(name: str, **known: object) -> SeriesResult:
    return SeriesResult(**{"series_uuid": name, "root": ROOT, "status": "done", **known})  # type: ignore[arg-type]


def test_rows_that_count_are_found_by_their_series_and_the_first_run_is_believed(cache: Cache) -> None:
    seven, three, five, one = NAMES
    write_rows(cache, "a", [row_of(seven, n_tiles=7), row_of(three, status="failed"), row_of(five, n_tiles=5)])
    write_rows(cache, "b", [row_of(seven, n_tiles=70), row_of(three, n_tiles=3)])
    write_rows(cache, "b", [row_of(one, n_tiles=1, attempt=2)], attempt=2)

    first = read_known(cache, [Results(results_folder("a"), 1), Results(results_folder("b"), 1)])
    later = read_known(cache, [Results(results_folder("b"), 2)])

    found, places = find_keys(first.keys, name_keys(NAMES).keys)
    assert found.all()
    assert [row["n_tiles"] for row in first.tell(places)] == [7, 3, 5, 1]
    assert find_keys(later.keys, name_keys(NAMES).keys)[0].tolist() == [False, False, False, True]
    assert [row["n_tiles"] for row in later.tell(np.arange(1))] == [1]


def test_a_kept_row_has_what_goes_with_the_preview_and_not_what_it_took(cache: Cache) -> None:
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    known = {"modality": "SM", "study_instance_uid": "1.2.3", "series_instance_uid": "1.2.4", "unit": "HU"}
    spent = {"bytes_read": 99, "requests": 9, "seconds_render": 9.0, "worker": "tcp://10.0.0.1:1"}
    write_rows(cache, "other", [row_of(NAMES[0], **known, **spent, n_tiles=7, window_width=400.0)])
    write_json(cache, "runs/other/job.json", describe_job(job) | {"generation": 1})
    cache.write(preview_key("mosaic", NAMES[0]), b"preview")
    attempt = open_attempt(job, "own")

    missing, kept = find_state(job, "own", attempt).sort_out(
        [SeriesRef(root=ROOT, series_uuid=name) for name in NAMES], job
    )

    assert [ref.series_uuid for ref in missing] == NAMES[1:]
    (row,) = kept
    viewer = viewer_url("SM", "1.2.3", "1.2.4")
    assert viewer is not None
    assert row == row_of(
        NAMES[0],
        status="kept",
        preview=preview_key("mosaic", NAMES[0]),
        viewer=viewer,
        n_tiles=7,
        window_width=400.0,
        **known,
    )
