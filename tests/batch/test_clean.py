"""What is removed from a cache, and what stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dsp_batch.batch.clean import Removal, find_indices, find_previews, find_runs, remove
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import OptionsError

FIRST = "38902e14-b11f-4548-910e-771ee757dc82"
SECOND = "49013f25-b11f-4548-910e-771ee757dc82"
RUN = "runs/mosaic-lungs.v2-0123456789ab"

OURS = {
    f"indices/{FIRST}_index.parquet",
    f"indices/{SECOND}_index.parquet",
    "previews/mosaic/product.json",
    f"previews/mosaic/38/{FIRST}.webp",
    f"previews/mosaic/49/{SECOND}.webp",
    f"{RUN}/job.json",
    f"{RUN}/manifest.parquet",
    f"{RUN}/summary.json",
    f"{RUN}/failed.txt",
    f"{RUN}/rejected.txt",
    f"{RUN}/results/part-0001-10a7a220e973d979.parquet",
    f"{RUN}/results/part-0002-10a7a220e973d979-000001.parquet",
}
FOREIGN = {
    "notes.txt",
    "indices/notes.txt",
    "indices/38902e14_index.parquet",
    f"indices/older/{FIRST}_index.parquet",
    f"indices/{FIRST}_index.parquet.bak",
    "previews/mosaic/readme.md",
    f"previews/mosaic/00/{FIRST}.webp",
    f"previews/mosaic/38/{FIRST}.png",
    f"previews/mosaic/{FIRST}.webp",
    f"previews/image/38/{FIRST}.webp",
    "previews/image/product.json",
    "runs/notes.txt",
    f"{RUN}/mine.csv",
    f"{RUN}/results/mine.parquet",
    f"{RUN}/results/part-mine.parquet",
    f"gallery/indices/{FIRST}_index.parquet",
}
"""Files of others, of other names, and of kinds that were not asked for."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    found = open_cache(tmp_path / "cache")
    for key in OURS | FOREIGN:
        found.write(key, b"0123456789")
    return found


def keys_of(cache: Cache) -> set[str]:
    return {entry.key for entry in cache.list("")}


def find_all(cache: Cache) -> list[Removal]:
    return [find_previews(cache, "mosaic"), find_runs(cache), find_indices(cache)]


def test_what_the_program_wrote_is_found_with_its_size(cache: Cache) -> None:
    found = find_all(cache)

    assert {key for each in found for key in each.keys} == OURS
    assert [(each.what, len(each.keys), each.size) for each in found] == [
        ("previews mosaic", 3, 30),
        ("runs", 7, 70),
        ("indices", 2, 20),
    ]


def test_nothing_else_is_removed(cache: Cache) -> None:
    remove(cache, find_all(cache))

    assert keys_of(cache) == FOREIGN


def test_folders_that_are_empty_then_go_too(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "cache")
    for key in OURS:
        cache.write(key, b"x")

    remove(cache, find_all(cache))

    assert list((tmp_path / "cache").iterdir()) == []


def test_a_link_to_a_folder_elsewhere_is_not_followed(tmp_path: Path, cache: Cache) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{FIRST}.webp").write_bytes(b"mine")
    folder = tmp_path / "cache" / "previews" / "mosaic" / "38"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(elsewhere)

    remove(cache, find_all(cache))

    assert (elsewhere / f"{FIRST}.webp").read_bytes() == b"mine"


def test_the_documents_that_make_sense_of_the_others_go_last(cache: Cache) -> None:
    assert find_previews(cache, "mosaic").keys[-1] == "previews/mosaic/product.json"
    assert find_runs(cache).keys[-1] == f"{RUN}/job.json"


def test_indices_may_be_chosen_by_series_and_by_age(tmp_path: Path, cache: Cache) -> None:
    old = time.time() - 3 * 86_400
    os.utime(tmp_path / "cache" / "indices" / f"{SECOND}_index.parquet", (old, old))

    assert find_indices(cache, lambda uuid: uuid == FIRST).keys == (f"indices/{FIRST}_index.parquet",)
    assert find_indices(cache, older_than=2).keys == (f"indices/{SECOND}_index.parquet",)
    assert find_indices(cache, older_than=4).keys == ()
    assert len(find_indices(cache, older_than=0).keys) == 2


@pytest.mark.parametrize("name", ["nothing", "..", "mosaic/38", ""])
def test_a_name_without_previews_is_refused_and_the_names_there_are_are_told(cache: Cache, name: str) -> None:
    with pytest.raises(OptionsError, match=r"no name of previews|it has image, mosaic"):
        find_previews(cache, name)


def test_a_cache_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "none")

    assert (find_runs(cache).keys, find_indices(cache).keys) == ((), ())
    remove(cache, [find_runs(cache)])
