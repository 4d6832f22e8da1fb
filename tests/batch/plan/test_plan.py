"""What a batch will cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idc_tables import CT, MR, OLD_CT, RAW, SEG, SR, write_index

from dsp_batch.batch.manifest.lookup import Lookup, default_lookup
from dsp_batch.batch.plan.estimate import SeriesFacts, count_tiles, estimate_work
from dsp_batch.batch.plan.plan import Plan, PlanOptions, describe_plan, format_plan, plan_manifest
from dsp_batch.errors import OptionsError
from dsp_batch.model.contrast import EMBEDDED
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions
from dsp_batch.storage.store import Store

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def refs(*uuids: str, root: str = "s3://idc-open-data") -> list[SeriesRef]:
    return [SeriesRef(root=root, series_uuid=uuid) for uuid in uuids]


@pytest.fixture
def lookup(tmp_path: Path) -> Lookup:
    """A small index, and stores of the local file system."""
    (tmp_path / "index").mkdir()
    index = write_index(tmp_path / "index")
    return replace(default_lookup(), index=index)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A private root with a series of three objects of 1,000 bytes."""
    folder = tmp_path / "archive" / "1.2.3"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(bytes(1_000))
    return str(tmp_path / "archive")


def test_series_of_the_index_are_counted_by_class_without_a_request(lookup: Lookup) -> None:
    plan = plan_manifest(refs(CT, MR), PlanOptions(), lookup)

    assert [(row.modality, row.sop_class, row.series, row.objects, row.size, row.source) for row in plan.rows] == [
        ("CT", "CT Image Storage", 1, 50, 26_400_000, "index"),
        ("MR", "MR Image Storage", 1, 2, 1_000_000, "index"),
    ]
    assert plan.rows[0].requests == 1 + 50 + 36
    assert plan.rows[1].requests == 1 + 2 + 2
    assert plan.total("requests") == plan.rows[0].requests + plan.rows[1].requests


def test_series_without_pixels_cost_nothing(lookup: Lookup) -> None:
    plan = plan_manifest(refs(SR, RAW, CT, SEG), PlanOptions(), lookup)

    assert plan.series == 4
    assert plan.skipped == {"no-pixels": 1, "raw-data": 1}
    assert {row.reason: row.requests for row in plan.rows if row.reason} == {"no-pixels": 0, "raw-data": 0}
    assert plan.total("objects") == 1 + 9_000 + 50 + 1


def test_a_preview_skips_nothing_and_reads_objects_without_pixels_whole(lookup: Lookup) -> None:
    plan = plan_manifest(refs(SR, RAW, CT), PlanOptions(needs_pixels=False), lookup)

    of_class = {row.sop_class_uid: row for row in plan.rows}
    report, raw = (next(row for uid, row in of_class.items() if uid and uid.endswith(end)) for end in (".88.33", ".66"))
    assert plan.skipped == {}
    assert (report.requests, report.bytes_read) == (1 + 1, report.size)
    assert raw.requests == 9 + 9_000
    assert raw.bytes_read <= 9_000 * 12_000 < raw.size
    assert report.cpu_seconds > 0.05


@pytest.mark.parametrize("modality", ["SR", "RTSTRUCT", "ANN", "M3D"])
def test_the_modality_tells_that_an_object_has_no_pixels(modality: str) -> None:
    work = estimate_work(SeriesFacts(modality=modality, n_instances=2, size=900_000), 36)

    assert (work.requests, work.bytes_read) == (1 + 2, 900_000)


def test_a_large_object_without_pixels_is_read_in_parts() -> None:
    structures = "1.2.840.10008.5.1.4.1.1.481.3"

    small, large = (
        estimate_work(SeriesFacts(sop_class_uid=structures, n_instances=1, size=size), 36) for size in (10**6, 10**8)
    )

    assert small.requests == 2
    assert 20 < large.requests < 40
    assert large.bytes_read == 10**8


def test_of_many_annotations_samples_are_read() -> None:
    annotations = SeriesFacts(sop_class_uid="1.2.840.10008.5.1.4.1.1.91.1", n_instances=1, size=250_000_000)

    drawn, indexed = (estimate_work(annotations, tiles) for tiles in (36, 0))

    assert (drawn.requests, indexed.requests) == (1 + 262, 1 + 6)
    assert indexed.bytes_read < drawn.bytes_read < 1_300_000


def test_an_index_of_headers_skips_nothing(lookup: Lookup) -> None:
    plan = plan_manifest(refs(SR, RAW), PlanOptions(tiles=0), lookup)

    assert plan.skipped == {}
    assert plan.total("requests") == (1 + 1) + (9 + 9_000)


def test_superseded_series_are_planned_from_their_size(lookup: Lookup) -> None:
    (row,) = plan_manifest(refs(OLD_CT), PlanOptions(), lookup).rows

    assert (row.source, row.modality, row.sop_class, row.size) == ("index", "CT", None, 21_000_000)
    assert row.requests > 36


def test_other_series_are_listed(lookup: Lookup, archive: str) -> None:
    (row,) = plan_manifest(refs("1.2.3", root=archive), PlanOptions(), lookup).rows

    assert (row.source, row.objects, row.size, row.requests) == ("listing", 3, 3_000, 1 + 3 + 3)
    assert row.modality is None


def test_series_that_are_not_there_will_fail(lookup: Lookup, archive: str) -> None:
    plan = plan_manifest(refs("1.2.9", root=archive) + refs(CT, root=f"{archive}/nowhere"), PlanOptions(), lookup)

    assert {(row.source, row.reason) for row in plan.rows} == {("nothing", "not-found")}
    assert plan.series == 2


def test_a_mirror_is_listed_though_the_index_knows_its_series(lookup: Lookup, archive: str) -> None:
    Path(archive, "1.2.3").rename(Path(archive, CT))

    (row,) = plan_manifest(refs(CT, root=archive), PlanOptions(), lookup).rows

    assert (row.source, row.objects) == ("listing", 3)


def test_a_server_given_by_hand_is_listed_whatever_the_index_knows(lookup: Lookup, archive: str) -> None:
    listing = replace(lookup, store_of=lambda _root, endpoint_url: Store(archive, endpoint_url=endpoint_url))

    (row,) = plan_manifest(refs(CT), PlanOptions(), listing, "http://127.0.0.1:9").rows

    assert (row.source, row.reason) == ("nothing", "not-found")


def test_hours_fall_with_cores_and_rise_with_latency(lookup: Lookup) -> None:
    def hours(**options: float) -> float:
        return plan_manifest(refs(CT), PlanOptions(**options), lookup).hours  # type: ignore[arg-type]  # of two types

    assert hours(cores=8) == pytest.approx(hours(cores=1) / 8)
    # One listing, 50 headers at once, 36 frames at once.
    assert (hours(cores=1, latency=0.1) - hours(cores=1, latency=0)) * 3600 == pytest.approx(0.3)


def test_cores_compute_while_series_wait(lookup: Lookup) -> None:
    def plan(latency: float) -> Plan:
        return plan_manifest(refs(CT, SEG, MR), PlanOptions(cores=1, latency=latency), lookup)

    near, far = plan(0.01), plan(60.0)
    assert near.hours * 3600 == pytest.approx(sum(row.cpu_seconds for row in near.rows), abs=0.001)
    # Nine waits for storage, of three series at once.
    assert far.hours * 3600 == pytest.approx(180 + near.hours * 3600 / 3, abs=0.001)


@pytest.mark.parametrize(
    "options", [{"cores": 0}, {"latency": -1}, {"latency": float("nan")}, {"latency": float("inf")}]
)
def test_senseless_assumptions_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionsError, match="must be"):
        PlanOptions(**options)  # type: ignore[arg-type]  # of two types


def test_the_plan_is_json_and_text(lookup: Lookup) -> None:
    plan = plan_manifest(refs(CT, SR), PlanOptions(cores=4), lookup)

    described = json.loads(json.dumps(describe_plan(plan)))
    assert described["series"] == 2
    assert described["skipped"] == {"no-pixels": 1}
    assert described["assumed"] == {"tiles": 36, "cores": 4, "latency": 0.04}
    assert [row["sop_class"] for row in described["classes"]] == ["CT Image Storage", "Comprehensive SR Storage"]

    text = format_plan(plan)
    assert text[0].split() == ["modality", "SOP", "class", "series", "objects", "GB", "requests", "GB", "read"]
    assert text[2].endswith("no-pixels")
    assert "2 series, 51 objects, 26.9 MB" in text
    assert any("seconds on 4 cores, when storage answers in 40 ms" in line for line in text)


def test_an_empty_plan_is_still_a_plan(lookup: Lookup) -> None:
    plan = plan_manifest([], PlanOptions(), lookup)

    assert (plan.series, plan.hours, plan.skipped) == (0, 0, {})
    assert "0 series, 0 objects, 0.0 MB" in format_plan(plan)


def test_the_workload_of_a_ct_series_is_the_measured_one() -> None:
    """300 slices of 512 × 512, 159 MB: 337 requests and 21.65 MB were measured for a bare path."""
    work = estimate_work(SeriesFacts(sop_class_uid=CT_IMAGE, n_instances=300, size=159_000_000), 36)

    assert work.requests == 337
    assert work.bytes_read == pytest.approx(21.65e6, rel=0.1)
    assert work.cpu_seconds == pytest.approx(0.5, rel=0.2)


def test_large_objects_are_never_read_whole() -> None:
    slide = estimate_work(SeriesFacts(sop_class_uid=SLIDE, n_instances=6, size=150_000_000_000), 36)
    segmentation = estimate_work(SeriesFacts(sop_class_uid=SEGMENTATION, n_instances=1, size=89_000_000), 36)

    assert slide.bytes_read < 1e9
    assert segmentation.bytes_read < 10e6


@given(
    objects=st.none() | st.integers(1, 100_000),
    size=st.none() | st.integers(0, 10**12),
    sop_class=st.sampled_from([None, CT_IMAGE, SLIDE, SEGMENTATION]),
    tiles=st.integers(0, 400),
)
def test_estimates_stay_within_the_series(
    objects: int | None, size: int | None, sop_class: str | None, tiles: int
) -> None:
    work = estimate_work(SeriesFacts(sop_class_uid=sop_class, n_instances=objects, size=size), tiles)

    assert work.objects == (objects or work.objects)
    assert work.requests > work.objects
    assert work.seconds(0.04) > work.cpu_seconds > 0
    if size is not None and tiles == 0:
        assert work.bytes_read <= size


@pytest.mark.parametrize(
    ("options", "tiles"),
    [
        (MosaicOptions(), 36),
        (MosaicOptions(tile_width=3, tile_height=2), 6),
        (ImageOptions(position=0.5), 1),
        (ContrastMosaicOptions(contrasts=(EMBEDDED, EMBEDDED), position=0.5), 1),
        (ContrastMosaicOptions(contrasts=(EMBEDDED,), start=0.0, tile_height=4), 4),
        (IndexOptions(), 0),
    ],
)
def test_tiles_are_frames_read(options: MosaicOptions, tiles: int) -> None:
    assert count_tiles(options) == tiles
