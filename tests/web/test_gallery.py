"""What a gallery consists of: rows, columns, addresses, and what it never tells."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gallery_cache import end_run, make_cache, make_row, series_uuid, write_part, write_run

from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.web.gallery import GalleryOptions, write_gallery
from dsp_batch.web.pictures import locate_cache, picture_origin
from dsp_batch.web.rows import shorten_grid
from dsp_batch.web.watch import watch_gallery


def read_script(cache: Cache, name: str, folder: str = "gallery") -> list[dict[str, Any]]:
    """The headers of a data file."""
    text = (cache.read(f"{folder}/data/{name}.js") or b"").decode()
    data = zlib.decompress(base64.b64decode(text.split('"')[5]), 31)
    headers: list[dict[str, Any]] = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    return headers


def read_rows(cache: Cache, kind: str = "rows") -> list[dict[str, Any]]:
    [part] = read_script(cache, f"{kind}-000")
    count = read_script(cache, "gallery")[0]["count"]
    return [{**part["same"], **{name: values[at] for name, values in part["columns"].items()}} for at in range(count)]


def all_bytes(folder: Path) -> bytes:
    """Every file of a gallery as text, packed ones unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".js" and path.parent.name == "data":
            found.append(zlib.decompress(base64.b64decode(path.read_text().split('"')[5]), 31))
        elif path.is_file():
            found.append(path.read_bytes())
    return b"\n".join(found)


def test_rows_lie_by_collection_patient_study_and_number(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 40)
    write_gallery(cache, GalleryOptions())

    rows = read_rows(cache)
    order = [(row["collection_id"], row["patient_id"], row["study_instance_uid"], row["series_number"]) for row in rows]
    assert order == sorted(order)
    assert {row["series_uuid"] for row in rows} == {series_uuid(number) for number in range(40)}


def test_the_newest_row_of_a_series_counts(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    old = [make_row(number) for number in range(4)]
    new = [make_row(number, status="failed", reason="network", preview=None) for number in (1, 9)]
    write_run(cache, new, run="mosaic-preview-newnewnewnew", started="2026-02-01T00:00:00+00:00")
    write_run(cache, old, run="mosaic-preview-oldoldoldold", started="2026-01-01T00:00:00+00:00")

    gallery = write_gallery(cache, GalleryOptions())
    assert (gallery.series, gallery.pictures) == (5, 3)
    assert {row["series_uuid"] for row in read_rows(cache) if row["status"] == "failed"} == {
        series_uuid(1),
        series_uuid(9),
    }
    assert write_gallery(cache, GalleryOptions(run="mosaic-preview-oldoldoldold")).series == 4


def test_rows_of_attempts_before_everything_was_made_again_do_not_count(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 3)
    job = json.loads(cache.read("runs/mosaic-preview-0123456789ab/job.json") or b"")
    cache.write("runs/mosaic-preview-0123456789ab/job.json", json.dumps({**job, "since": 2, "attempt": 2}).encode())
    write_part(cache, "mosaic-preview-0123456789ab", [make_row(0, attempt=2)], 1)

    assert write_gallery(cache, GalleryOptions()).series == 1


def test_a_run_that_has_no_row_yet_has_an_empty_gallery(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 0, ended=False)

    gallery = write_gallery(cache, GalleryOptions())

    assert (gallery.series, gallery.pictures, gallery.live) == (0, 0, True)
    assert [part["length"] for part in read_script(cache, "column-uuid")] == [0, 0]


@pytest.mark.parametrize("name", ["series_instance_uid", "preview", "modality"])
def test_a_part_with_other_types_is_shown_too(tmp_path: Path, name: str) -> None:
    cache = make_cache(tmp_path, 3)
    path = next(tmp_path.rglob("part-*.parquet"))
    table = pq.read_table(path)
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, name, pa.array([1, 2, 3], pa.decimal128(10, 2))), path)

    assert write_gallery(cache, GalleryOptions()).series == 3


def test_results_without_descriptions_are_shown_too(tmp_path: Path) -> None:
    from dsp_batch.batch.runs.result_row import SeriesResult

    cache = open_cache(tmp_path)
    write_run(cache, [SeriesResult(series_uuid="cxr", root="/d", status="failed", reason="not-dicom")])

    write_gallery(cache, GalleryOptions())
    assert list(read_script(cache, "gallery")[0]["facets"]) == ["status", "reason"]
    assert [row["series_uuid"] for row in read_rows(cache)] == ["cxr"]


def test_columns_of_a_manifest_fill_what_the_rows_do_not_say(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    columns = {"BodyPartExamined": "KNEE", "PatientID": "P7", "series_size_MB": "12.5", "site": "north"}
    own = {"body_part": None, "patient_id": None, "license": None, "license_short_name": "CC0"}
    write_run(cache, [make_row(0, columns={**own, **columns}), make_row(1, columns={"site": "south"})])

    write_gallery(cache, GalleryOptions(columns=("site",)))
    row = next(row for row in read_rows(cache) if row["series_uuid"] == series_uuid(0))
    assert (row["body_part"], row["patient_id"], row["license"]) == ("KNEE", "P7", "CC0")
    assert float(row["megabytes"]) == 12.5
    assert read_script(cache, "gallery")[0]["facets"]["site"] == "site"
    facets = {part["name"]: part["values"] for part in read_script(cache, "facets")}
    assert facets["site"] == ["", "north", "south"]


def test_names_of_persons_and_hidden_columns_are_in_no_file(tmp_path: Path) -> None:
    cache = open_cache(tmp_path)
    columns = {"PatientName": "SECRET^NAME", "patient_birth_date": "SECRET-19700101", "patient_id": "SECRET-ID"}
    columns |= {"ReferringPhysicianName": "SECRET^DOCTOR", "study_description": "SECRET-STUDY"}
    write_run(cache, [make_row(number, columns=columns) for number in range(3)])

    write_gallery(cache, GalleryOptions(hidden=("PatientID", "study_description")))
    assert b"SECRET" not in all_bytes(tmp_path / "gallery")


def test_a_gallery_replaces_an_older_one(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 9)
    write_gallery(cache, GalleryOptions())
    first = {path: path.read_bytes() for path in (tmp_path / "gallery").rglob("*") if path.is_file()}
    write_gallery(cache, GalleryOptions())
    assert {path: path.read_bytes() for path in (tmp_path / "gallery").rglob("*") if path.is_file()} == first

    write_gallery(cache, GalleryOptions(atlas=False))
    assert not list((tmp_path / "gallery/data").glob("atlas-*"))


def test_thumbnails_are_made_once(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 9)
    write_gallery(cache, GalleryOptions())
    [atlas] = (tmp_path / "gallery/data").glob("atlas-*")
    made = atlas.stat().st_mtime_ns
    write_gallery(cache, GalleryOptions(title="again"))

    assert atlas.stat().st_mtime_ns == made


def test_pictures_are_linked_or_copied(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "my cache", 3)
    write_gallery(cache, GalleryOptions(output=str(tmp_path / "page")))
    linked = open_cache(tmp_path)
    assert read_script(linked, "gallery", "page")[0]["pictures"] == "../my%20cache/"

    write_gallery(cache, GalleryOptions(output=str(tmp_path / "page"), copies=True))
    assert read_script(linked, "gallery", "page")[0]["pictures"] == "./"
    assert len(list((tmp_path / "page/previews").rglob("*.webp"))) == 3


@pytest.mark.parametrize(
    ("cache", "output", "address"),
    [
        ("s3://bucket/a", "s3://bucket/a/gallery", "../"),
        ("s3://bucket/a", "s3://bucket/a/deep/er", "../../"),
        ("s3://bucket/a b", "/tmp/page", "https://bucket.s3.amazonaws.com/a%20b/"),
        ("gs://bucket", "/tmp/page", "https://storage.googleapis.com/bucket/"),
    ],
)
def test_pictures_of_a_bucket_have_a_web_address(cache: str, output: str, address: str) -> None:
    assert locate_cache(Cache(url=cache), output) == address


def test_a_page_in_a_bucket_cannot_link_pictures_on_disk(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="--copy"):
        locate_cache(Cache(url=str(tmp_path)), "s3://bucket/page")


def test_the_policy_names_the_server_of_the_pictures() -> None:
    assert picture_origin("https://bucket.s3.amazonaws.com/a/") == "https://bucket.s3.amazonaws.com"
    assert picture_origin("../") == ""


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (
            '{"columns": 6, "rows": 2, "tile_width": 128, "tile_height": 96, "blank": [11], "positions": [1]}',
            "6 2 128 96 11",
        ),
        ('{"positions": [], "columns": 1, "rows": 1, "tile_width": 8, "tile_height": 9, "blank": []}', "1 1 8 9"),
        ("no grid", None),
        ("[1]", None),
    ],
)
def test_of_a_grid_the_page_gets_what_scrubbing_needs(text: str, short: str | None) -> None:
    assert shorten_grid(text) == short


def test_a_cache_without_runs_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no run"):
        write_gallery(open_cache(tmp_path), GalleryOptions())
    cache = make_cache(tmp_path, 1)
    with pytest.raises(ManifestError, match="there are preview"):
        write_gallery(cache, GalleryOptions(name="mosaic"))


def test_watching_renews_the_gallery_until_the_run_has_ended(tmp_path: Path) -> None:
    cache = make_cache(tmp_path, 3, ended=False)
    watch = watch_gallery(cache, GalleryOptions())
    assert (next(watch).series, next(iter(read_script(cache, "gallery")))["live"]) == (3, True)

    def go_on() -> None:
        write_part(cache, "mosaic-preview-0123456789ab", [make_row(7)], 1)
        end_run(cache, "mosaic-preview-0123456789ab")

    threading.Timer(1.0, go_on).start()
    later = list(watch)
    assert later[-1].series == 4
    assert not later[-1].live
