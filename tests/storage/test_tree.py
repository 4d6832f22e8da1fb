"""Walks over folders that are in the way: endless, unreadable, gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import FolderListing, Subfolder
from dsp_batch.storage.flow import Flow
from dsp_batch.storage.store import Store
from dsp_batch.storage.tree import DEEPEST, Tree


@dataclass
class Folders:
    """A storage of folders, of which some cannot be listed."""

    levels: dict[str, FolderListing | StorageError | None]

    async def list_level(self, folder: str) -> FolderListing | None:
        """List a folder, or fail."""
        await asyncio.sleep(0)
        level = self.levels[folder]
        if isinstance(level, StorageError):
            raise level
        return level


def level(*objects: str, folders: tuple[str, ...] = ()) -> FolderListing:
    return FolderListing([ObjectInfo(name=name, size=1) for name in objects], [Subfolder(name) for name in folders])


def walk(levels: dict[str, FolderListing | StorageError | None]) -> list[str]:
    tree = Tree(backend=Folders(levels), url="s3://b", flow=Flow(), top="")  # type: ignore[arg-type]  # one method is used
    return [f"{folder.name}/{each.name}" for folder in tree.walk("") for each in folder.objects]


def test_folders_that_cannot_be_listed_are_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    closed = StorageError("cannot list s3://b/closed: access denied", "access-denied")

    found = walk(
        {"": level("x", folders=("closed", "gone", "open")), "closed": closed, "gone": None, "open": level("y")}
    )

    assert found == ["/x", "open/y"]
    assert len(caplog.messages) == 2
    assert "cannot list s3://b/closed: access denied" in caplog.text
    assert "cannot list s3://b/gone: no such folder" in caplog.text


def test_the_folder_itself_must_be_there() -> None:
    with pytest.raises(StorageError, match="no such folder"):
        walk({"": None})


def test_hidden_names_and_directories_of_cds_are_left_out() -> None:
    found = walk({"": level("x", ".y", "DICOMDIR", "dicomdir", folders=(".git", "a")), "a": level("DICOMDIR")})

    assert found == ["/x"]


def test_folders_named_by_uuids_are_told_and_not_walked() -> None:
    name = "38902e14-b11f-4548-910e-771ee757dc82"
    tree = Tree(backend=Folders({"": level(folders=(name,))}), url="s3://b", flow=Flow(), top="")  # type: ignore[arg-type]

    assert [(each.uuids, each.folders) for each in tree.walk("")] == [([name], [])]


def test_an_endless_path_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    deepest = tmp_path.joinpath(*(f"{depth}" for depth in range(DEEPEST + 3)))
    deepest.mkdir(parents=True)
    for folder in (deepest, deepest.parents[3]):
        (folder / "x").write_bytes(b"x")

    found = [folder.name for folder in Store(str(tmp_path)).walk() if folder.objects]

    assert found == [str(deepest.parents[3].relative_to(tmp_path))]
    assert f"more than {DEEPEST} folders deep" in caplog.text


def test_a_folder_that_vanishes_while_it_is_walked_is_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"x")
    walk = Store(str(tmp_path)).walk()
    next(walk)
    (tmp_path / "a/x").unlink()
    (tmp_path / "a").rmdir()

    assert [folder.name for folder in walk] == ["b"]
    assert caplog.messages == [f"a folder is left out: cannot list {tmp_path}/a: no such folder"]


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "x").write_bytes(b"xyz")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "x")

    (folder,) = Store(f"{tmp_path}/tree").walk()

    assert [(each.name, each.size) for each in folder.objects] == [("link", 3)]
