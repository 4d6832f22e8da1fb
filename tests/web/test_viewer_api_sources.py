"""What the viewer opens: files, folders, names, manifests, buckets, web servers and cache directories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from data_folder import DATA, needs_data, select_series
from gallery_cache import make_row, write_run
from servers import S3Server, run_python_server
from viewer_client import Client, run_viewer, write_series

import dsp_batch
from dsp_batch.cache import open_cache, preview_key
from dsp_batch.errors import OptionsError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two series at two depths, and a file that is none."""
    write_series(tmp_path / "tree", 2, 1, SeriesDescription="Head")
    write_series(tmp_path / "tree/below/it", 3, 2, SeriesDescription="Knee", Modality="MR")
    (tmp_path / "tree/notes").write_text("no DICOM")
    return tmp_path / "tree"


def described(client: Client) -> list[str]:
    client.wait_for_scan()
    return sorted(str(entry["description"]) for entry in client.get("series").json)


def test_a_folder_is_looked_through_to_any_depth(tree: Path) -> None:
    with run_viewer(tree) as client:
        assert described(client) == ["Head", "Knee"]
        assert client.get("health").json["file_count"] == 5


def test_a_folder_alone_and_a_file_alone_can_be_asked_for(tree: Path) -> None:
    with run_viewer(tree, recursive=False) as client:
        assert described(client) == ["Head"]
    with run_viewer(tree / "below/it/0001.dcm") as client:
        (file,) = client.wait_for_scan()
        assert file["path"] == f"{tree}/below/it/0001.dcm"
        assert file["label"] == "Knee #2"


def test_sources_add_up_and_the_same_series_counts_once(tree: Path) -> None:
    with run_viewer(tree, tree / "below") as client:
        assert described(client) == ["Head", "Knee"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["modality=mr"], ["Knee"]),
        (["SeriesDescription=E", "modality=CT"], ["Head"]),
        (["series_description=HEAD", "modality=MR"], []),
        (["InstanceNumber=3"], ["Knee"]),
    ],
)
def test_filters_leave_files_out(tree: Path, filters: list[str], found: list[str]) -> None:
    with run_viewer(tree, filters=filters) as client:
        assert described(client) == found
        told = client.get("files").json
        assert len(told["files"]) + told["filtered"] == 5
        for entry in client.get("series").json:
            order = client.get(f"series/{entry['id']}").json
            assert len(order["frames"]) == order["frame_count"] == order["file_count"]


def test_a_filter_that_means_nothing_is_refused(tree: Path) -> None:
    for text, message in (("modality", "no filter"), ("Nonsense=1", "no field to filter by")):
        with pytest.raises(OptionsError, match=message):
            dsp_batch.view(tree, browser=False, filters=[text])


def test_a_path_where_nothing_is_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="there is no such file or folder"):
        dsp_batch.view(tmp_path / "nothing", browser=False)


def test_series_lists_only_what_is_new(tree: Path) -> None:
    with run_viewer(tree) as client:
        client.wait_for_scan()
        got = client.get("series")
        assert got.headers["X-Scan-Complete"] == "true"
        assert client.get(f"series?since={got.headers['X-Revision']}").json == []
        one = client.get("series?limit=1")
        assert (len(one.json), one.headers["X-More"]) == (1, "true")
        rest = client.get(f"series?since={one.headers['X-Revision']}").json
        assert len(rest) == 1
        assert rest[0]["id"] != one.json[0]["id"]


@needs_data
def test_a_series_by_name_and_a_manifest(tmp_path: Path) -> None:
    (uuid,) = select_series("CT axial volume")
    with run_viewer(uuid, root=str(DATA / "series")) as client:
        assert len(client.wait_for_scan()) == 30
    manifest = tmp_path / "manifest.txt"
    manifest.write_text(f"{uuid}\n{select_series('CT tiny series')[0]}\n")
    with run_viewer(manifest, root=str(DATA / "series")) as client:
        client.wait_for_scan()
        assert len(client.get("series").json) == 2


@needs_data
def test_a_cache_directory_opens_with_its_gallery(tmp_path: Path) -> None:
    names = [*select_series("CT tiny series"), *select_series("SR")[:1]]
    cache = open_cache(tmp_path / "cache")
    root = str(DATA / "series")
    rows = [make_row(rank, root=root, series_uuid=name) for rank, name in enumerate(names)]
    write_run(cache, [replace(row, preview=preview_key("preview", row.series_uuid)) for row in rows])
    before = sorted(path.name for path in (tmp_path / "cache").rglob("*"))
    with run_viewer(tmp_path / "cache") as client:
        client.wait_for_scan()
        gallery = client.get("health").json["gallery"]
        page = client.ask(f"/{gallery}", Authorization="")
        assert page.status == 200
        assert b"gridkeys.js" in page.body
        above = gallery.removesuffix("gallery/index.html")
        picture = client.ask(f"/{above}previews/preview/{names[0][:2]}/{names[0]}.webp", Authorization="")
        assert picture.headers["Content-Type"] == "image/webp"
        for hidden in ("runs/x/job.json", "previews/../runs/x", "gallery/../x", f"indices/{names[0]}"):
            assert client.ask(f"/{above}{hidden}", Authorization="").status == 404
        assert client.ask("/gallery-x/gallery/index.html").status == 404
        assert client.get(f"series/{names[0]}").json["frame_count"] > 0
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*")) == before
    with run_viewer(tmp_path / "cache", mask=True) as client:
        client.wait_for_scan()
        assert client.get("health").json["gallery"] is None


def test_a_bucket_and_a_series_in_it(s3_environment: S3Server, tree: Path) -> None:
    s3_environment.create_bucket("viewed", public=True)
    objects = {f"a/{path.relative_to(tree)}": path.read_bytes() for path in tree.rglob("*.dcm")}
    s3_environment.put("viewed", objects)
    with run_viewer("s3://viewed/a/") as client:
        assert described(client) == ["Head", "Knee"]
        assert client.get("file/0/frame/0").status == 200
    with run_viewer("s3://viewed") as client:
        assert described(client) == ["Head", "Knee"]


def test_a_folder_of_a_web_server(tree: Path, tmp_path: Path) -> None:
    with run_python_server(tree, tmp_path / "log") as url, run_viewer(f"{url}/below/") as client:
        assert described(client) == ["Knee"]
        assert client.get("file/2/frame/0?format=jpeg").status == 200


def test_a_file_that_goes_away_is_told_as_such(tree: Path) -> None:
    with run_viewer(tree / "below") as client:
        client.wait_for_scan()
        for path in tree.rglob("*.dcm"):
            path.unlink()
        got = client.get("file/0/frame/0")
        assert (got.status, got.json["code"]) == (404, "not_found")
        assert client.get("health").status == 200


def test_nothing_is_left_in_the_cache_of_series_on_this_machine(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_SERIES_PREVIEW_CACHE_DIR", str(tmp_path / "kept"))
    from dsp_batch.web.viewer.options import Listening, ViewOptions
    from dsp_batch.web.viewer.server.running import start_viewer

    with start_viewer([str(tree)], ViewOptions(), Listening()) as viewer:
        assert len(Client(viewer.url).wait_for_scan()) == 5
    assert not (tmp_path / "kept").exists()


def test_a_large_folder_fills_the_page_while_it_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsp_batch.web.viewer.sources.OBJECTS_AT_ONCE", 4)
    for rank in range(3):
        write_series(tmp_path / f"{rank}", 7, 1 + rank % 2, InstanceNumber=rank + 1, SeriesDescription=f"{rank % 2}")
    for path in (tmp_path / "2").iterdir():  # the first series goes on here, with objects of its own
        path.write_bytes(path.read_bytes().replace(b"1.2.3.1.", b"1.2.3.9."))
    with run_viewer(tmp_path) as client:
        files = client.wait_for_scan()
        assert len(files) == 21
        assert len({file["path"] for file in files}) == 21
        told = {entry["description"]: entry for entry in client.get("series").json}
        assert {name: entry["file_count"] for name, entry in told.items()} == {"0": 14, "1": 7}
        frames = client.get(f"series/{told['0']['id']}").json["frames"]
        assert len({frame["file"] for frame in frames}) == 14
        middle = told["0"]["middle"]
        assert files[middle["file"]]["series"] == told["0"]["id"]
