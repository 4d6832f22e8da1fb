"""What is known of series before anything of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from idc_tables import CT, MR, RAW, SEG, SR, write_index

from dsp_batch.batch.plan.estimate import SeriesFacts
from dsp_batch.batch.plan.expectations import Expected, expect_series, read_facts
from dsp_batch.batch.runs.job import Job
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions, MosaicOptions

BUCKET = "s3://idc-open-data"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(str(tmp_path)), name="mosaic")


def ref_of(series_uuid: str, root: str = BUCKET, **columns: Any) -> SeriesRef:
    return SeriesRef(root=root, series_uuid=series_uuid, columns=columns)


def seconds_of(expected: list[Expected]) -> dict[str, float | None]:
    return {each.ref.series_uuid: each.seconds for each in expected}


def test_one_look_at_the_index_skips_series_without_pixels_and_tells_the_work_of_the_others(
    tmp_path: Path, job: Job
) -> None:
    expected, rows = expect_series([ref_of(uuid) for uuid in (CT, SR, MR, RAW, SEG)], job, write_index(tmp_path), 3)

    assert [(row.series_uuid, row.status, row.reason, row.attempt) for row in rows] == [
        (SR, "skipped", "no-pixels", 3),
        (RAW, "skipped", "raw-data", 3),
    ]
    seconds = seconds_of(expected)
    assert list(seconds) == [CT, MR, SEG]
    assert (seconds[CT] or 0) > (seconds[MR] or 0) > 0


def test_an_index_is_built_of_series_without_pixels_too(tmp_path: Path, job: Job) -> None:
    index_job = Job(verb="build-index", options=IndexOptions(), cache=job.cache, name="build-index")

    expected, rows = expect_series([ref_of(CT), ref_of(RAW)], index_job, write_index(tmp_path))

    seconds = seconds_of(expected)
    assert not rows
    assert (seconds[RAW] or 0) > 10 * (seconds[CT] or 0)


@pytest.mark.parametrize("root", ["s3://mine", "/data"])
def test_series_elsewhere_are_not_looked_up(tmp_path: Path, job: Job, root: str) -> None:
    expected, rows = expect_series([ref_of(SR, root), ref_of(CT, root)], job, write_index(tmp_path))

    assert not rows
    assert seconds_of(expected) == {SR: None, CT: None}


def test_the_columns_of_a_manifest_tell_the_work_of_series_elsewhere(job: Job) -> None:
    refs = [
        ref_of("a", "/data", instanceCount="300", series_size_MB="158.2", Modality="CT"),
        ref_of("b", "/data", INSTANCECOUNT=3),
        ref_of("c", "/data", Modality="CT", color="red"),
    ]

    expected, _ = expect_series(refs, job, None)

    seconds = seconds_of(expected)
    assert (seconds["a"] or 0) > (seconds["b"] or 0) > 0
    assert seconds["c"] is None


def test_the_objects_of_some_modalities_are_made_in_another_way(job: Job) -> None:
    columns = {"instanceCount": 1, "series_size_MB": 89.0}

    expected, _ = expect_series(
        [ref_of("seg", "/data", Modality="SEG", **columns), ref_of("ct", "/data", Modality="CT", **columns)], job, None
    )

    seconds = seconds_of(expected)
    assert (seconds["seg"] or 0) > (seconds["ct"] or 0)


@pytest.mark.parametrize("cell", ["", "many", None, "nan", "inf", "-5", "1e300", [3]])
def test_cells_that_are_no_numbers_tell_nothing(cell: Any) -> None:
    assert read_facts({"instanceCount": cell}) is None
    assert read_facts({"instanceCount": cell, "series_size_MB": 2.5}) == SeriesFacts(size=2_500_000)
