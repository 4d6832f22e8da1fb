"""Lines that name folders which no UUID names: where these are looked for, and which series they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from data_folder import needs_data
from folder_layouts import SERIES, read_uid, write_tree
from manifest_reading import NO_INDEX, A, B, entries, find_one_series, reasons, stream, urls

from dsp_batch.batch.manifest.entries import DuplicateLine
from dsp_batch.batch.manifest.folders import Folders
from dsp_batch.batch.manifest.lookup import default_lookup
from dsp_batch.errors import StorageError
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.store import Store


class RootWithFolders:
    """A remote root that lists some folders, or fails."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.listings = 0

    def list_series(self, _prefix: str) -> list[str]:
        self.listings += 1
        if not self.names:
            raise StorageError("cannot list s3://mine", "access-denied")
        return [*self.names]


def test_a_relative_path_is_found_here_beside_the_manifest_and_below_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here/cxr", "cxr", "beside", "root/beside", "root/below/CT 1"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")

    found = entries(tmp_path, "cxr\nbeside\n./beside\nbelow/CT 1\n", root=str(tmp_path / "root"))

    assert urls(found[:2] + found[3:]) == [f"{tmp_path}/{name}" for name in ("here/cxr", "beside", "root/below/CT 1")]
    assert isinstance(found[2], DuplicateLine)


def test_a_name_that_is_nowhere_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\ncxr\n", root=str(tmp_path / "root"))

    where = f"{Path.cwd()}, {tmp_path}, {tmp_path}/root"
    assert reasons(found)[0].endswith(f"; there is no folder or file of that name in {where}")


def test_a_word_may_be_a_folder_below_a_remote_root_which_is_listed_once(tmp_path: Path) -> None:
    root = RootWithFolders("cxr", "CT_1")
    lookup = replace(NO_INDEX, store_of=lambda *_: cast("Store", root))

    found = entries(tmp_path, "cxr\nwhat is this?\nCT_1\nnowhere\n", lookup, root="s3://mine")

    assert urls([found[0], found[2]]) == ["s3://mine/cxr", "s3://mine/CT_1"]
    assert [reason.partition(" names no series")[0] for reason in reasons(found)] == [
        "manifest.txt:2: 'what is this?'",
        "manifest.txt:4: 'nowhere'",
    ]
    assert root.listings == 1


def test_a_root_that_cannot_be_listed_spoils_no_other_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lookup = replace(NO_INDEX, store_of=lambda *_: cast("Store", RootWithFolders()))

    found = entries(tmp_path, f"{A}\ncxr\n", lookup, root="s3://mine")

    assert urls(found[:1]) == [f"s3://mine/{A}"]
    assert len(reasons(found)) == 1
    assert "names of folders below the root are not found: cannot list s3://mine" in caplog.text


def test_a_file_is_no_folder_but_an_instance_stands_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    for name in ("export/IM0001", "export/2.dcm", "1.dcm", "notes"):
        (tmp_path / name).write_bytes(b"")

    found = entries(tmp_path, f"{tmp_path}/export/2.dcm\n{tmp_path}/export/IM0001\nexport/IM0001\n1.dcm\nnotes\n")

    assert urls(found[:1]) == [f"{tmp_path}/export"]
    assert [reason.endswith(" is a file: name the folder of its series") for reason in reasons(found)] == [True] * 4


def test_a_series_that_is_spread_over_two_lines_is_one(tmp_path: Path) -> None:
    def scan(folders: Folders, _unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        yield SeriesRef(folders.root, A, folder="b/x")
        yield SeriesRef(folders.root, B, folder="")

    first, *others = entries(tmp_path, "/d/export/a\n/d/export/b\n", replace(NO_INDEX, scan=scan))

    assert first == SeriesRef("/d/export", B, line=1, folder="")
    assert [type(each) for each in others] == [SeriesRef, DuplicateLine]


def test_folders_that_lie_together_are_scanned_together(tmp_path: Path) -> None:
    scanned: list[Folders] = []

    def scan(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        scanned.append(folders)
        yield from find_one_series(folders, unlisted)

    lines = ["/d/P1/CT 1", "/d/P2/CT 1", "/mnt/x", "s3://b/P1/CT", "s3://b/P2/x/MR", "https://h/a%20b/c", "https://h/d"]
    found = entries(tmp_path, "\n".join(lines), replace(NO_INDEX, scan=scan))

    assert scanned == [
        Folders("/d", None, ["P1/CT 1", "P2/CT 1"]),
        Folders("/mnt", None, ["x"]),
        Folders("s3://b", None, ["P1/CT", "P2/x/MR"]),
        Folders("https://h", None, ["a b/c", "d"]),
    ]
    assert [each.line for each in found if isinstance(each, SeriesRef)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_folder_within_another_is_walked_with_that(tmp_path: Path) -> None:
    def scan(folders: Folders, _unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        assert folders.names == ["P1"]
        yield SeriesRef(folders.root, A, folder="P1/CT/1")

    first, *others = entries(tmp_path, "/d/P1/CT\n/d/P1\n/d/P1/MR\n", replace(NO_INDEX, scan=scan))

    assert first == SeriesRef("/d", A, line=1, folder="P1/CT/1")
    assert isinstance(others[0], DuplicateLine)
    assert reasons(others) == ["manifest.txt:3: no DICOM series below /d/P1/MR: check the name"]


def test_the_error_of_a_scan_is_the_reason_of_its_lines(tmp_path: Path) -> None:
    def scan(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        if folders.root == "/broken":
            raise StorageError("cannot read /broken/x/1: it fails")
        yield from find_one_series(folders, unlisted)

    found = entries(tmp_path, f"/broken/x\n/d/y\n{B}\n", replace(NO_INDEX, scan=scan))

    assert reasons(found) == ["manifest.txt:1: cannot read /broken/x/1: it fails"]
    assert len(urls(found[1:])) == 2


@needs_data
def test_the_series_of_a_line_are_those_of_its_folder(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", "export")

    found = entries(tmp_path, f"{tree}\n", default_lookup())

    assert {each.series_uuid for each in found if isinstance(each, SeriesRef)} == {
        build_series_uuid(read_uid(name)) for name in SERIES
    }
    assert {each.line for each in found if isinstance(each, SeriesRef)} == {1}


def test_lines_that_lead_out_of_the_root_are_rejected_where_they_must_not(tmp_path: Path) -> None:
    root, beside = tmp_path / "root", tmp_path / "root2"
    for name in (root / A, root / "deep" / "CT 1", beside / B):
        name.mkdir(parents=True)
    lines = [
        A,
        f"{root}/deep/CT 1",
        f"{beside}/{B}",
        f"{root}/../root2/{B}",
        f"s3://idc-open-data/{B}",
        f"cp s3://idc-open-data/{B}/* .",
        "# s5cmd --endpoint-url http://127.0.0.1:9 run this",
        "https://169.254.169.254/latest/meta-data/",
        f"x,s3://other/{B},y",
        "/etc",
        B,
    ]

    found = entries(tmp_path, "\n".join(lines), replace(NO_INDEX, keeps_to_root=True), root=str(root))

    assert urls(found[:2] + found[-1:]) == [f"{root}/{A}", f"{root}/deep/CT 1", f"{root}/{B}"]
    assert len(found) == len(lines) - 1
    assert all(
        each.endswith(f": it leads out of {root}, and --only-below-root is given") for each in reasons(found[2:-1])
    )


def test_a_server_that_a_manifest_names_does_not_count_where_lines_keep_to_the_root(tmp_path: Path) -> None:
    text = f"# s5cmd --endpoint-url http://127.0.0.1:9 run this\ncp s3://mine/{A}/* .\n"

    followed = entries(tmp_path, text, root="s3://mine")
    kept = entries(tmp_path, text, replace(NO_INDEX, keeps_to_root=True), root="s3://mine")

    assert [cast(SeriesRef, each[0]).endpoint_url for each in (followed, kept)] == ["http://127.0.0.1:9", None]


def test_a_series_that_the_idc_index_knows_elsewhere_leads_out_of_the_root(tmp_path: Path) -> None:
    elsewhere = SeriesRef("s3://idc-open-data-two", B)

    found = [*stream([elsewhere, A], replace(NO_INDEX, keeps_to_root=True), root="s3://idc-open-data")]

    assert reasons(found[:1])[0].endswith(": it leads out of s3://idc-open-data, and --only-below-root is given")
    assert urls(found[1:]) == [f"s3://idc-open-data/{A}"]
