"""Series of IDC's buckets: what the index says of them, and where they can be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty_server import run_faulty_server
from idc_tables import CT, CT_UID, OLD_CT, RAW, SEG, SR, write_index

from dsp_batch.batch.cluster.graph import delay_shard
from dsp_batch.batch.plan.expectations import expect_series
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import open_cache
from dsp_batch.idc.index import IdcIndex
from dsp_batch.idc.viewer import viewer_url
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions, MosaicOptions
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_ct

VIEWER = "https://viewer.imaging.datacommons.cancer.gov"


@pytest.fixture
def index(tmp_path: Path) -> IdcIndex:
    return write_index(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A mosaic job."""
    return Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(str(tmp_path / "cache")), name="mosaic")


def refs(*uuids: str, root: str = "s3://idc-open-data") -> list[SeriesRef]:
    return [SeriesRef(root=root, series_uuid=uuid, columns={"color": "red"}) for uuid in uuids]


def test_series_without_pixels_get_their_rows_without_a_request(job: Job, index: IdcIndex) -> None:
    left, rows = expect_series(refs(CT, SR, SEG, RAW, OLD_CT), job, index, attempt=3)

    assert [each.ref.series_uuid for each in left] == [CT, SEG, OLD_CT]
    assert [(row.series_uuid, row.status, row.reason, row.attempt) for row in rows] == [
        (SR, "skipped", "no-pixels", 3),
        (RAW, "skipped", "raw-data", 3),
    ]
    assert [(row.modality, row.n_instances, row.requests) for row in rows] == [("SR", 1, 0), ("CT", 9000, 0)]
    assert all(row.manifest_columns == {"color": "red"} for row in rows)
    assert rows[0].viewer == f"{VIEWER}/v3/viewer/?StudyInstanceUIDs=1.2&initialSeriesInstanceUID=1.2.6"
    assert "Comprehensive SR" in (rows[0].error or "")


@pytest.mark.parametrize("elsewhere", ["root", "server", "index verb"])
def test_the_index_says_nothing_of_series_elsewhere(job: Job, index: IdcIndex, elsewhere: str) -> None:
    wanted = refs(SR, RAW, root="s3://mirror" if elsewhere == "root" else "s3://idc-open-data")
    others = {
        "root": job,
        "server": Job(verb="mosaic", options=MosaicOptions(), cache=job.cache, name="m", endpoint_url="http://mirror"),
        "index verb": Job(verb="build-index", options=IndexOptions(), cache=job.cache, name="i"),
    }

    left, rows = expect_series(wanted, others[elsewhere], index, attempt=1)

    assert [each.ref for each in left] == wanted
    assert not rows


def preview(series: PhantomSeries, bucket: str, folder: Path) -> SeriesResult:
    """The row of a series that is read from a bucket."""
    objects = {f"/{bucket}/{series.series_uuid}/{each.name}": each.data for each in series.objects}
    common = {"verb": "mosaic", "options": MosaicOptions(), "cache": open_cache(str(folder / "cache")), "name": "m"}
    with run_faulty_server(objects) as server:
        job = Job(**common, endpoint_url=server.url, anonymous=True)
        ref = SeriesRef(root=f"s3://{bucket}", series_uuid=series.series_uuid)
        (row,) = delay_shard((ref,), job, 1).compute(scheduler="sync")
    assert row.status == "done", row.error
    return row


def test_a_series_of_idc_is_shown_in_ohif(tmp_path: Path) -> None:
    row = preview(build_ct(count=2, size=16), "idc-open-data", tmp_path)

    uids = f"StudyInstanceUIDs={row.study_instance_uid}&initialSeriesInstanceUID={row.series_instance_uid}"
    assert row.viewer == f"{VIEWER}/v3/viewer/?{uids}"


def test_a_slide_of_idc_is_shown_in_slim() -> None:
    assert viewer_url("SM", "1.2", "1.3") == f"{VIEWER}/slim/studies/1.2/series/1.3"


def test_a_series_of_another_bucket_is_in_no_viewer(tmp_path: Path) -> None:
    assert preview(build_ct(count=2, size=16), "my-bucket", tmp_path).viewer is None


@pytest.mark.parametrize(("study", "series"), [(None, CT_UID), ("1.2", None), ("1.2&x=1", "1.3"), ("1.2", "")])
def test_without_two_uids_there_is_no_page(study: str | None, series: str | None) -> None:
    assert viewer_url("CT", study, series) is None
