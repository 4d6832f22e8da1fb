"""What is there when a run begins: which rows count, and what a run that keeps a preview takes from others."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest
from complete_runs import make_manifest

from dsp_batch.batch.runs.attempt import open_attempt
from dsp_batch.batch.runs.job import Job, describe_job, write_json
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.resume import find_state
from dsp_batch.cache import Cache, open_cache, preview_key, run_files
from dsp_batch.idc.viewer import viewer_url
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions

NAMES = [str(UUID(int=number << 96)) for number in (7, 3, 5, 1)]
ROOT = "s3://idc-open-data"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(str(tmp_path / "cache"))


def write_rows(cache: Cache, run: str, rows: list[SeriesResult], attempt: int = 1) -> None:
    writer = ResultsWriter(cache=cache, folder=run_files(run).results, attempt=attempt)
    for row in rows:
        writer.rows.append(row)
        writer.flush()


def row_of(name: str, **known: object) -> SeriesResult:
    return SeriesResult(**{"series_uuid": name, "root": ROOT, "status": "done", **known})  # type: ignore[arg-type]


def write_job(cache: Cache, run: str, since: int = 1) -> Job:
    job = Job(verb="mosaic", options=MosaicOptions(), cache=cache, name="mosaic")
    write_json(cache, run_files(run).job, describe_job(job) | {"generation": 1, "since": since})
    return job


def find_kept(job: Job, names: list[str]) -> tuple[list[str], dict[str, SeriesResult]]:
    """What a new run over some series finds: those to work on, and the rows of those that it keeps."""
    manifest = make_manifest(SeriesRef(ROOT, name) for name in names)
    state = find_state(job, "own", open_attempt(job, "own"), manifest)
    found = [state.sort_out(start, start + 3, job) for start in range(0, len(names), 3)]
    missing = [ref.series_uuid for refs, _ in found for ref in refs]
    return missing, {row.series_uuid: row for _, rows in found for row in rows}


def test_rows_that_count_are_found_by_their_series_and_the_first_run_is_believed(cache: Cache) -> None:
    seven, three, five, one = NAMES
    job = write_job(cache, "a")
    write_job(cache, "b")
    write_rows(cache, "a", [row_of(seven, n_tiles=7), row_of(three, status="failed"), row_of(five, n_tiles=5)])
    write_rows(cache, "b", [row_of(seven, n_tiles=70), row_of(three, n_tiles=3)])
    write_rows(cache, "b", [row_of(one, n_tiles=1, attempt=2)], attempt=2)
    for name in (seven, three, one):
        cache.write(preview_key("mosaic", name), b"preview")

    missing, kept = find_kept(job, NAMES)

    assert missing == [five]  # its preview is not there
    assert {name: row.n_tiles for name, row in kept.items()} == {seven: 7, three: 3, one: 1}
    write_job(cache, "b", since=2)
    assert {name: row.n_tiles for name, row in find_kept(job, NAMES)[1].items()} == {seven: 7, three: None, one: 1}


def test_series_that_are_finished_are_neither_worked_on_nor_kept(cache: Cache) -> None:
    seven, three, five, one = NAMES
    job = write_job(cache, "own")
    write_rows(
        cache, "own", [row_of(seven), row_of(three), row_of(five, status="skipped"), row_of(one, status="failed")]
    )
    cache.write(preview_key("mosaic", seven), b"preview")

    assert find_kept(job, NAMES) == ([three, one], {})


def test_a_kept_row_has_what_goes_with_the_preview_and_not_what_it_took(cache: Cache) -> None:
    job = write_job(cache, "other")
    known = {"modality": "SM", "study_instance_uid": "1.2.3", "series_instance_uid": "1.2.4", "unit": "HU"}
    spent = {"bytes_read": 99, "requests": 9, "seconds_render": 9.0, "worker": "tcp://10.0.0.1:1"}
    write_rows(cache, "other", [row_of(NAMES[0], **known, **spent, n_tiles=7, window_width=400.0)])
    cache.write(preview_key("mosaic", NAMES[0]), b"preview")

    missing, kept = find_kept(job, NAMES)

    assert missing == NAMES[1:]
    (row,) = kept.values()
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
