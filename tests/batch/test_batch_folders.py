"""A batch over folders from hospitals, CDs and downloads, whose series are told by their headers."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from complete_runs import check_previews
from data_folder import DATA, needs_data
from distributed import LocalCluster
from folder_layouts import LAYOUTS, SERIES, lay_out, read_uid, rewrite, write_tree
from servers import S3Server, run_nginx

from dsp_batch import (
    ClusterOptions,
    IndexOptions,
    MosaicOptions,
    RunSummary,
    plan_batch,
    preview,
    read_manifest,
    read_results,
    run_batch,
)
from dsp_batch.batch.cluster import connect
from dsp_batch.batch.retry import retry_run
from dsp_batch.batch.runs.progress import LineProgress
from dsp_batch.cache import Cache, open_cache
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.scan import folder_scan

pytestmark = needs_data
MOSAIC = MosaicOptions(tile_width=2)
CT = "740f616b-06dc-5907-b5ed-c2aaefc7a6da"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterOptions]:
    """One worker for all tests of this file."""
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as local:
        yield ClusterOptions(scheduler=local.scheduler_address)


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """The picture of each series, drawn from its folder of the data: key → bytes."""
    return {build_series_uuid(read_uid(name)): bytes(preview(DATA / "series" / name, MOSAIC).data) for name in SERIES}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(tmp_path / "cache")


def run(source: object, cache: Cache, cluster: ClusterOptions, **changes: Any) -> RunSummary:
    return run_batch(source, MOSAIC, cache=cache, cluster=cluster, **changes)


def attempts(cache: Cache, summary: RunSummary) -> dict[str, int]:
    """Series → number of the attempt that its row is of."""
    rows = read_results(cache, summary.run).select(["series_uuid", "attempt"]).to_pylist()
    return {row["series_uuid"]: row["attempt"] for row in rows}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_series_below_a_folder_is_drawn(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, layout: str, pictures: dict[str, bytes]
) -> None:
    tree = write_tree(tmp_path / "tree", layout)

    summary = run(str(tree), cache, cluster)

    assert (summary.by_status, summary.succeeded) == ({"done": len(SERIES)}, True)
    check_previews(cache, pictures)
    rows = read_results(cache, summary.run).to_pylist()
    assert {row["root"] for row in rows} == {str(tree)}
    assert {build_series_uuid(row["series_instance_uid"]): row["series_uuid"] for row in rows} == dict(
        zip(pictures, pictures, strict=True)
    )
    if layout == "export":
        assert {row["folder"] for row in rows} == {"MÜLLER^0/CT 1", "MÜLLER^1/CT 1"}


def test_many_objects_are_read_on_the_cluster(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", 3)

    assert run(f"{write_tree(tmp_path / 'tree', 'flat')}/", cache, cluster).by_status == {"done": len(SERIES)}
    check_previews(cache, pictures)


def test_a_local_cluster_starts_once_and_what_it_scans_is_counted(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", 2)
    started = []
    opened = connect.LocalCluster

    def count(**settings: object) -> object:
        started.append(settings["n_workers"])
        return opened(**settings)

    monkeypatch.setattr(connect, "LocalCluster", count)
    tree = write_tree(tmp_path / "tree", "flat")
    summary = run(tree, cache, ClusterOptions(workers=1))

    assert started == [1]
    assert summary.by_status == {"done": len(SERIES)}
    scanned = sum(SERIES.values())
    assert summary.manifest_requests > scanned
    assert summary.manifest_bytes_read > scanned * 132


def test_one_changed_series_is_drawn_again(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    tree = write_tree(tmp_path / "tree", "study")
    run(tree, cache, cluster)
    shutil.copyfile(tree / "study 0/1-0.dcm", tree / "study 0/new")

    summary = run(tree, cache, cluster)

    key = build_series_uuid(read_uid(CT))
    assert attempts(cache, summary) == {name: 2 if name == key else 1 for name in pictures}


def test_series_are_drawn_again_when_their_folder_has_changed(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    tree, key = write_tree(tmp_path / "tree", "cd"), build_series_uuid(read_uid(CT))
    first = run(tree, cache, cluster)
    folder = tree / "DICOM/PAT00001/ST00000/SE00000"

    again = run(tree, cache, cluster)
    assert {*attempts(cache, again).values()} == {1}
    (folder / "IM00002").rename(tmp_path / "aside")
    changed = run(tree, cache, cluster)

    assert (changed.run, changed.by_status) == (first.run, {"done": len(SERIES)})
    assert attempts(cache, changed) == {name: 3 if name == key else 1 for name in pictures}
    rows = {row["series_uuid"]: row for row in read_results(cache, changed.run).to_pylist()}
    assert rows[key]["n_instances"] == 4
    (tmp_path / "aside").rename(folder / "IM00002")
    run(tree, cache, cluster)
    check_previews(cache, pictures)


def test_local_series_of_idc_are_drawn_again_when_they_have_changed(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions
) -> None:
    root = tmp_path / "series"
    for name in list(SERIES)[:2]:
        shutil.copytree(DATA / "series" / name, root / name)
    run(root, cache, cluster)
    os.utime(next((root / CT).iterdir()), (1, 1))

    summary = run(root, cache, cluster)

    assert attempts(cache, summary) == {name: 2 if name == CT else 1 for name in list(SERIES)[:2]}


def test_a_changed_series_is_not_kept_by_another_run(tmp_path: Path, cache: Cache, cluster: ClusterOptions) -> None:
    tree = write_tree(tmp_path / "tree", "cd")
    run(tree, cache, cluster)
    shutil.copytree(DATA / "series" / "b3e96570-31bb-53ee-94be-ccd95893d35c", tree / "more")
    (tree / "DICOM/PAT00001/ST00000/SE00000/IM00002").unlink()

    assert run(tree, cache, cluster).by_status == {"done": 2, "kept": 3}


def test_overwrite_renews_indices_the_first_time_too(tmp_path: Path, cache: Cache, cluster: ClusterOptions) -> None:
    tree = write_tree(tmp_path / "tree", "cd")
    run_batch(tree, IndexOptions(), cache=cache, cluster=cluster)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache/indices").iterdir()}

    run(tree, cache, cluster)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    run(tree, cache, cluster, overwrite=True)

    assert all(path.stat().st_mtime_ns > before for path, before in written.items())


def test_patients_are_never_mixed(tmp_path: Path, cache: Cache, cluster: ClusterOptions) -> None:
    tree, uid = tmp_path / "tree", read_uid(CT)
    for name in ("MEIER", "ADAM"):
        shutil.copytree(DATA / "series" / CT, tree / name / "CT 1")
        for path in (tree / name / "CT 1").iterdir():
            rewrite(path, PatientID=name)

    summary = run(tree, cache, cluster)

    rows = {row["folder"]: row for row in read_results(cache, summary.run).to_pylist()}
    assert rows["ADAM/CT 1"]["series_uuid"] == str(uuid.uuid5(uuid.NAMESPACE_OID, uid))
    assert rows["MEIER/CT 1"]["series_uuid"] == str(uuid.uuid5(uuid.NAMESPACE_OID, f"{uid}/MEIER"))
    assert {row["n_instances"] for row in rows.values()} == {5}


def test_series_of_a_manifest_that_was_read_before_are_found_again(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    refs = [*read_manifest(write_tree(tmp_path / "tree", "study"))]

    assert run(refs, cache, cluster).by_status == {"done": len(SERIES)}
    check_previews(cache, pictures)
    planned = plan_batch(tmp_path / "tree")
    assert sum(row.series for row in planned.rows) == len(SERIES)
    assert sum(row.objects for row in planned.rows) == sum(SERIES.values())


def test_failed_series_are_run_again_and_named_as_a_manifest(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    tree = write_tree(tmp_path / "tree", "cd")
    broken = tree / "DICOM/PAT00003/ST00000/SE00000/IM00000"
    whole = broken.read_bytes()
    header = whole.rindex(b"\xe0\x7f\x10\x00") + 20  # Pixel Data (7FE0,0010) and its offset table
    broken.write_bytes(whole[:header].ljust(len(whole), b"\xff"))
    os.utime(broken, (1, 1))
    summary = run(tree, cache, cluster)
    assert summary.by_status == {"done": 3, "failed": 1}
    failed = (tmp_path / "cache/runs" / summary.run / "failed.txt").read_text().splitlines()
    assert [line.partition(" # ")[0] for line in failed if not line.startswith("#")] == [f"{broken.parent}/"]

    broken.write_bytes(whole)
    os.utime(broken, (1, 1))
    again = retry_run(cache, summary.run, cluster, LineProgress())

    assert again.by_status == {"done": 4}
    check_previews(cache, pictures)


def test_a_line_that_names_a_folder_is_the_series_in_it(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    four = write_tree(tmp_path / "tree", "cd") / "DICOM"
    (tmp_path / "lines.txt").write_text(f"tree/DICOM/PAT00001\n{four}\n{tmp_path}/tree/nowhere\n")

    summary = run(tmp_path / "lines.txt", cache, cluster)

    rows = {row["series_uuid"]: row for row in read_results(cache, summary.run).to_pylist()}
    assert (summary.by_status, summary.duplicates, summary.rejected) == ({"done": 4}, 1, 1)
    assert {*rows} == {*pictures}
    # Lines below one folder are scanned together, from the deepest folder that holds them all.
    assert "DICOM/PAT00001/ST00000/SE00000" in {row["folder"] for row in rows.values()}
    check_previews(cache, pictures)


def test_names_that_are_no_utf8_lead_back_to_their_files(
    tmp_path: Path, cache: Cache, cluster: ClusterOptions, pictures: dict[str, bytes]
) -> None:
    folder = os.fsencode(tmp_path) + b"/tree/sch\xe4del"
    shutil.copytree(os.fsencode(DATA / "series" / CT), folder)
    for number, name in enumerate(sorted(os.listdir(folder))):  # noqa: PTH208  # bytes
        os.rename(folder + b"/" + name, folder + b"/\xe4%d" % number)  # noqa: PTH104  # likewise

    assert run(tmp_path / "tree", cache, cluster).by_status == {"done": 1}
    key = build_series_uuid(read_uid(CT))
    check_previews(cache, {key: pictures[key]})
    assert preview(tmp_path / "tree", MOSAIC, cache=cache).data == pictures[key]


def test_trees_in_buckets(
    s3_server: S3Server, cluster: ClusterOptions, tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    bucket = f"tree-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(bucket, public=True)
    s3_server.put(bucket, {f"in/{name}": data for name, data in lay_out("export")})
    cache = open_cache(tmp_path / "cache")

    summary = run(f"s3://{bucket}/in", cache, cluster, endpoint_url=s3_server.endpoint, anonymous=True)

    assert summary.by_status == {"done": len(SERIES)}
    check_previews(cache, pictures)


def test_trees_on_web_servers(cluster: ClusterOptions, tmp_path: Path, pictures: dict[str, bytes]) -> None:
    write_tree(tmp_path / "www" / "a b", "export")
    cache = open_cache(tmp_path / "cache")
    locations = f"location / {{ root {tmp_path}/www; autoindex on; }}"

    with run_nginx(tmp_path / "nginx", locations) as server:
        assert run(f"{server.url}/a%20b/", cache, cluster).by_status == {"done": len(SERIES)}

    check_previews(cache, pictures)
