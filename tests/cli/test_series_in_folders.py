"""`dicom-series-preview` on folders from hospitals, CDs and downloads, which are not named by a UUID."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_folder import DATA, needs_data
from folder_layouts import LAYOUTS, SERIES, lay_out, read_uid, rewrite, write_tree
from outcomes import Run
from PIL import Image
from pydicom import dcmread
from servers import S3Server, WebServer, run_nginx

from dsp_batch.phantom.objects import PhantomSeries

pytestmark = needs_data
CT = "740f616b-06dc-5907-b5ed-c2aaefc7a6da"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The picture of each series, drawn from its folder of the data: SeriesInstanceUID → bytes."""
    from dsp_batch import MosaicOptions
    from dsp_batch import preview as draw  # the fixture of the program has this name

    return {read_uid(name): bytes(draw(DATA / "series" / name, MosaicOptions()).data) for name in SERIES}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    """A server of the files below `www`, with listings."""
    locations = f"location / {{ root {tmp_path}/www; autoindex on; }}"
    with run_nginx(tmp_path / "nginx", locations) as server:
        yield server


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_series_of_a_tree_is_drawn_as_from_a_folder_of_its_own(
    preview: Run, tmp_path: Path, layout: str, pictures: dict[str, bytes]
) -> None:
    tree = write_tree(tmp_path / "tree", layout)

    for uid, expected in pictures.items():
        outcome = preview("mosaic", tree, tmp_path / "out.webp", "--series-uid", uid)
        assert (outcome.status, outcome.stdout) == (0, "")
        assert (tmp_path / "out.webp").read_bytes() == expected


def test_several_series_are_listed(preview: Run, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "export")

    outcome = preview("mosaic", tree, tmp_path / "out.webp")

    assert (outcome.status, outcome.stdout) == (1, "")
    assert "--series-uid" in outcome.errors[-1]
    listed = [line for line in outcome.stderr.splitlines() if "instance" in line and str(tree / "MÜLLER") in line]
    assert len(listed) == len(SERIES)
    for name, count in SERIES.items():
        (line,) = (line for line in listed if read_uid(name) in line)
        assert f", {count} instance" in line
    assert not (tmp_path / "out.webp").exists()


def test_a_uid_below_a_root_names_a_series(preview: Run, tmp_path: Path, pictures: dict[str, bytes]) -> None:
    tree, uid = write_tree(tmp_path / "tree", "flat"), read_uid(CT)

    assert preview("mosaic", uid, tmp_path / "out.webp", "--root", tree).status == 0
    assert (tmp_path / "out.webp").read_bytes() == pictures[uid]


def test_a_folder_that_is_there_comes_before_other_readings(
    preview: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: dict[str, bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cxr", "389", "1.2.3", "Doe, Jane"):
        shutil.copytree(DATA / "series" / CT, name)
        assert preview("mosaic", name, "out.webp").status == 0
        assert Path("out.webp").read_bytes() == pictures[read_uid(CT)]
    monkeypatch.chdir("cxr")
    assert preview("mosaic", ".", "../dot.webp").status == 0


def test_the_key_is_made_from_the_uid_and_names_are_counted_from_the_folder(preview: Run, tmp_path: Path) -> None:
    tree, uid = write_tree(tmp_path / "tree", "export"), read_uid(CT)
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, uid))

    outcome = preview("get-index", tree, "--series-uid", uid, "--cache-dir", tmp_path / "cache")

    assert outcome.stdout == f"{tmp_path}/cache/indices/{key}_index.parquet\n"
    rows = pq.read_table(outcome.stdout.strip()).select(["FileName", "SeriesUID", "StorageRoot"]).to_pylist()
    assert {row["FileName"] for row in rows} == {f"MÜLLER^1/CT 1/1{number}" for number in range(5)}
    assert {(row["SeriesUID"], row["StorageRoot"]) for row in rows} == {(key, str(tree))}


def test_a_file_is_that_object_alone(preview: Run, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "flat")

    outcome = preview("get-index", tree / "IM0001", "--cache-dir", tmp_path / "cache")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert pq.read_table(outcome.stdout.strip()).column("FileName").to_pylist() == ["IM0001"]
    outcome = preview("mosaic", tree / "README.TXT", tmp_path / "out.webp")
    assert (outcome.status, len(outcome.errors)) == (1, 1)
    assert "README.TXT is no DICOM instance" in outcome.errors[0]


def test_what_is_wrong_with_a_file_is_said_of_the_file(preview: Run, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "flat")
    shutil.copyfile(DATA / "broken" / "MR_truncated.dcm", tree / "défekt, 1.dcm")

    outcome = preview("preview", tree / "défekt, 1.dcm", tmp_path / "out.webp")

    assert outcome.status == 0
    assert outcome.warnings == [
        f"warning: {tree}/défekt, 1.dcm: Pixel Data is cut off: the frame has 8130 of 8192 bytes"
    ]


def test_two_patients_of_one_uid_are_two_series(preview: Run, tmp_path: Path) -> None:
    tree, uid = tmp_path / "tree", read_uid(CT)
    for name in ("MEIER", "ADAM"):
        shutil.copytree(DATA / "series" / CT, tree / name)
        for path in (tree / name).iterdir():
            rewrite(path, PatientID=name)

    both = preview("mosaic", tree, tmp_path / "out.webp")
    one = preview("get-index", tree / "MEIER", "--cache-dir", tmp_path / "cache")

    assert both.status == 1
    assert "instances of 2 patients" in both.stderr
    assert "2 series" in both.errors[-1]
    assert (one.status, one.stderr) == (0, "")
    assert str(uuid.uuid5(uuid.NAMESPACE_OID, uid)) in one.stdout


def test_series_without_uid_go_by_folder(preview: Run, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "b"):
        shutil.copytree(DATA / "series" / CT, tree / name)
        for path in (tree / name).iterdir():
            rewrite(path, SeriesInstanceUID=None)

    outcome = preview("get-index", tree / "a", "--cache-dir", tmp_path / "cache")

    assert "2 series" in preview("mosaic", tree, tmp_path / "out.webp").errors[-1]
    assert str(uuid.uuid5(uuid.NAMESPACE_URL, (tree / "a").as_uri())) in outcome.stdout


def test_links_are_followed_once_and_loops_are_refused(
    preview: Run, tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    shutil.copytree(DATA / "series" / CT, outside / "deep")
    tree.mkdir()
    (outside / "back").symlink_to(tree)
    (outside / "again").symlink_to(outside)
    for name in ("one", "two"):
        (tree / name).symlink_to(outside)
    (tree / "self").symlink_to(tree)
    (tree / "nowhere").symlink_to(tmp_path / "gone")

    outcome = preview("mosaic", tree, tmp_path / "out.webp")

    assert outcome.status == 0
    assert (tmp_path / "out.webp").read_bytes() == pictures[read_uid(CT)]


def test_an_unreadable_folder_is_one_line(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "flat")
    (tree / "closed").mkdir(mode=0)
    program = [sys.executable, "-m", "dsp_batch", "preview", "mosaic"]
    arguments = [str(tree), str(tmp_path / "out.webp"), "--series-uid", read_uid(CT), "--no-cache"]

    outcome = subprocess.run(
        [*_as_others_read(), *program, *arguments], check=False, capture_output=True, text=True, timeout=60
    )

    assert outcome.returncode == 0
    assert [line for line in outcome.stderr.splitlines() if "closed: permission denied" in line]
    assert (tmp_path / "out.webp").exists()


def _as_others_read() -> list[str]:
    """Words in front of a command that take from root the right to read what its mode denies."""
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []


def test_one_instance_among_thousands_of_files_is_found(preview: Run, tmp_path: Path, ct: PhantomSeries) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "0").write_bytes(b"no DICOM")
    for number in range(1, 10_000):
        (tree / str(number)).hardlink_to(tree / "0")
    (tree / "7 image").write_bytes(ct.objects[0].data)

    outcome = preview("mosaic", tree, tmp_path / "out.webp")

    assert outcome.status == 0
    assert len(outcome.stderr.splitlines()) == 1
    assert "10000 of 10001 objects are no instances" in outcome.stderr


def test_a_dicomdir_that_lies_is_not_believed(preview: Run, tmp_path: Path, pictures: dict[str, bytes]) -> None:
    """One that is an image itself, of another series, is no instance; nor is what it may name looked for."""
    tree, other = tmp_path / "tree", next(name for name in SERIES if name != CT)
    shutil.copytree(DATA / "series" / CT, tree / "IMAGES")
    for name in ("DICOMDIR", "IMAGES/dicomdir"):
        shutil.copyfile(min((DATA / "series" / other).iterdir()), tree / name)

    outcome = preview("mosaic", tree, tmp_path / "out.webp")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert (tmp_path / "out.webp").read_bytes() == pictures[read_uid(CT)]


def test_names_that_are_no_utf8_are_read_back_to_the_same_bytes(
    preview: Run, tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(DATA / "series" / CT, tree)
    for path in [*tree.iterdir()]:
        os.rename(path, os.fsencode(tree) + b"/Sch\xe4del " + os.fsencode(path.name))  # noqa: PTH104  # a Path is text

    for _ in ("from the headers", "from the index"):
        outcome = preview("mosaic", tree, tmp_path / "out.webp", "--cache-dir", tmp_path / "cache")
        assert (outcome.status, outcome.stderr) == (0, "")
        assert (tmp_path / "out.webp").read_bytes() == pictures[read_uid(CT)]


def test_a_folder_that_vanishes_between_two_commands_is_one_line(preview: Run, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "export")
    arguments = ("mosaic", tree, tmp_path / "out.webp", "--cache-dir", tmp_path / "cache", "--series-uid", read_uid(CT))
    assert preview(*arguments).status == 0
    shutil.rmtree(tree)

    outcome = preview(*arguments)

    assert outcome.status == 1
    assert len(outcome.stderr.splitlines()) == 1
    assert "Traceback" not in outcome.stderr


def test_a_changed_folder_is_indexed_again_with_one_line(preview: Run, tmp_path: Path) -> None:
    for name in ("scan", str(uuid.uuid4())):
        folder = tmp_path / name
        shutil.copytree(DATA / "series" / CT, folder)
        steps = [*folder.iterdir()][:2]

        def index(folder: Path = folder) -> tuple[int, int]:
            outcome = preview("get-index", folder, "--cache-dir", tmp_path / "cache")
            return pq.read_metadata(outcome.stdout.strip()).num_rows, outcome.stderr.count("has changed")

        assert index() == (5, 0)
        assert index() == (5, 0)
        shutil.move(steps[0], tmp_path / "aside")
        assert index() == (4, 1)
        shutil.move(tmp_path / "aside", steps[0])
        assert index() == (5, 1)
        os.utime(steps[1], (1, 1))
        assert index() == (5, 1)


@pytest.mark.parametrize("layout", ["flat", "export"])
def test_trees_in_buckets_are_walked(
    preview: Run, s3_environment: S3Server, tmp_path: Path, layout: str, pictures: dict[str, bytes]
) -> None:
    bucket = f"tree-{uuid.uuid4().hex[:8]}"
    s3_environment.create_bucket(bucket)
    s3_environment.put(bucket, {f"in/here/{name}": data for name, data in lay_out(layout)})

    for uid, expected in pictures.items():
        outcome = preview("mosaic", f"s3://{bucket}/in/here", tmp_path / "out.webp", "--series-uid", uid)
        assert (outcome.status, outcome.stdout) == (0, "")
        assert (tmp_path / "out.webp").read_bytes() == expected


def test_a_tree_in_a_bucket_is_read_once(
    preview: Run, s3_environment: S3Server, proxy: WebServer, tmp_path: Path, pictures: dict[str, bytes]
) -> None:
    """The second command asks for listings, and reads headers of what is new alone."""
    bucket = f"tree-{uuid.uuid4().hex[:8]}"
    s3_environment.create_bucket(bucket)
    s3_environment.put(bucket, {f"in/here/{name}": data for name, data in lay_out("export")})
    uid, asked = read_uid(CT), 0

    def draw() -> list[str]:
        nonlocal asked
        options = ["--series-uid", uid, "--cache-dir", tmp_path / "cache", "--endpoint-url", proxy.url]
        outcome = preview("mosaic", f"s3://{bucket}/in/here", tmp_path / "out.webp", *options)
        assert (outcome.status, outcome.stdout) == (0, "")
        seen = proxy.requests()
        new, asked = seen[asked:], len(seen)
        return [line for line in new if "list-type" not in line]

    headers = sum(SERIES.values()) + 2  # and what is no DICOM
    assert len(draw()) == headers + SERIES[CT]
    assert len(draw()) <= SERIES[CT]  # the frames
    assert (tmp_path / "out.webp").read_bytes() == pictures[uid]
    s3_environment.put(bucket, {"in/here/new": next((DATA / "series" / CT).iterdir()).read_bytes()})
    again = draw()  # the new header; the series has changed, so its index is renewed
    assert len([line for line in again if "/new" in line]) >= 1
    assert len(again) <= 1 + 2 * (SERIES[CT] + 1)


@pytest.mark.parametrize("layout", ["flat", "study", "export"])
def test_trees_on_web_servers_are_walked(
    preview: Run, web: WebServer, tmp_path: Path, layout: str, pictures: dict[str, bytes]
) -> None:
    tree = write_tree(tmp_path / "www" / "a b", layout)
    (tree / "loop").symlink_to(tree)

    for uid, expected in pictures.items():
        outcome = preview("mosaic", f"{web.url}/{quote('a b')}", tmp_path / "out.webp", "--series-uid", uid)
        assert (outcome.status, outcome.stdout) == (0, "")
        assert (tmp_path / "out.webp").read_bytes() == expected


def test_refresh_compares_remote_folders(preview: Run, s3_environment: S3Server, tmp_path: Path) -> None:
    bucket, name = f"tree-{uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    files = sorted((DATA / "series" / CT).iterdir())
    s3_environment.create_bucket(bucket)
    s3_environment.put(bucket, {f"{name}/{path.name}": path.read_bytes() for path in files[1:]})

    def index(*options: str) -> int:
        outcome = preview("get-index", f"s3://{bucket}/{name}", "--cache-dir", tmp_path / "cache", *options)
        return pq.read_metadata(outcome.stdout.strip()).num_rows

    assert index() == 4
    s3_environment.put(bucket, {f"{name}/{files[0].name}": files[0].read_bytes()})
    assert index() == 4
    assert index("--refresh") == 5


@pytest.mark.parametrize("layout", ["mixed", "apart"])
@pytest.mark.parametrize("caches", ["cache", "no cache"])
def test_structures_are_drawn_over_the_image_that_lies_in_the_same_tree(
    preview: Run, tmp_path: Path, layout: str, caches: str
) -> None:
    names = ("rtstruct-lung-phantom-pat3", "ref-ct-lung-phantom-pat3")
    for name in names:
        shutil.copytree(
            DATA / "objects" / name, tmp_path / "tree" / (name if layout == "apart" else ""), dirs_exist_ok=True
        )
    uid = str(dcmread(next((DATA / "objects" / names[0]).iterdir()), stop_before_pixels=True).SeriesInstanceUID)
    words = ("preview", tmp_path / "tree", "--series-uid", uid, *(["--no-cache"] if caches == "no cache" else []))

    alone = preview(*words, tmp_path / "alone.webp")
    over = preview(*words, tmp_path / "over.webp", "--context", "fetch")

    assert (alone.status, over.status, over.stderr) == (0, 0, "")
    (line,) = alone.warnings
    assert "drawn without its image" in line
    assert "--context fetch" in line
    outline, drawn = (np.asarray(Image.open(tmp_path / f"{name}.webp")).mean() for name in ("alone", "over"))
    assert drawn > 2 * outline


def test_a_folder_within_one_that_was_looked_at_costs_no_warning(preview: Run, tmp_path: Path) -> None:
    shutil.copytree(DATA / "series" / CT, tmp_path / "export" / "later")

    for folder in ("export", "export/later", "export"):
        outcome = preview("mosaic", tmp_path / folder, tmp_path / "out.webp")
        assert (outcome.status, outcome.stderr) == (0, "")
