"""Scans of folders: what is read again, what a client holds, and what it comes to however files are laid out."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folder import DATA, list_objects, needs_data
from folder_layouts import SERIES, read_uid, write_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsp_batch.batch.scan import folder_scan, parts
from dsp_batch.batch.scan.folder_scan import FolderScan
from dsp_batch.batch.scan.parts import GroupPart, ScanChunk, ScannedPart, read_scanned_objects, scan_chunk
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.scan import ALL_FOLDERS, SeriesGroup, scan_folders
from dsp_batch.storage.store import Store


class Reads:
    """Counts the objects whose headers are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        identify = parts.identify_objects

        def count(store: Store, objects: list[ObjectInfo], rejected: dict[str, DspBatchError]) -> Iterator[object]:
            self.names += [each.name for each in objects]
            return identify(store, objects, rejected)

        monkeypatch.setattr(parts, "identify_objects", count)

    def take(self) -> list[str]:
        """Names since the last call."""
        names, self.names = self.names, []
        return sorted(names)


def scan(tree: Path, cache: Path) -> list[SeriesRef]:
    found = FolderScan(store=Store(str(tree)), cache=open_cache(cache))
    refs = []
    for each in found.cut():
        if isinstance(each, ScanChunk):
            found.add(scan_chunk(each))
        else:
            refs.append(each)
    return [*refs, *found.finish()]


@needs_data
def test_a_later_scan_reads_what_is_new_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", 4)
    tree, reads = write_tree(tmp_path / "tree", "export"), Reads(monkeypatch)
    first = scan(tree, tmp_path / "cache")
    assert len(reads.take()) == sum(SERIES.values()) + 2  # and what is no DICOM

    assert scan(tree, tmp_path / "cache") == first
    assert reads.take() == []
    names = ["AAA/0", "MÜLLER^0/CT 1/000", "ZZZ/9"]
    for name in names:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes((tree / "MÜLLER^0/CT 1/00").read_bytes())
    (tree / "MÜLLER^1/CT 1/10").touch()
    changed = scan(tree, tmp_path / "cache")

    assert reads.take() == sorted([*names, "MÜLLER^1/CT 1/10"])
    assert [ref.series_uuid for ref in changed] == [ref.series_uuid for ref in first]
    assert sum(one.digest != other.digest for one, other in zip(first, changed, strict=True)) == 2


@needs_data
def test_the_cache_tells_the_objects_of_each_series(tmp_path: Path) -> None:
    tree, cache = write_tree(tmp_path / "tree", "flat"), open_cache(tmp_path / "cache")
    here = {ref.series_uuid: ref for ref in scan_folders(Store(str(tree)), ALL_FOLDERS, {})}

    for ref in scan(tree, tmp_path / "cache"):
        assert read_scanned_objects(ref, cache) == here[ref.series_uuid].objects
        assert read_scanned_objects(ref._replace(digest="1:0"), cache) is None
    for path in (tmp_path / "cache" / "scans").rglob("*.parquet"):
        path.unlink()
    assert read_scanned_objects(ref, cache) is None


@needs_data
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), folders=st.integers(1, 6), at_once=st.integers(1, 20))
def test_series_are_the_same_however_their_objects_are_laid_out(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seed: int, folders: int, at_once: int
) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", at_once)
    chance, place = random.Random(seed), tmp_path_factory.mktemp("layout")
    names = ["", *("/".join(chance.choices("abc", k=chance.randint(1, 4))) for _ in range(folders))]
    expected: dict[str, int] = {}
    for series_uuid in SERIES:
        for path in list_objects(DATA / "series" / series_uuid):
            target = place / "tree" / chance.choice(names) / f"{chance.getrandbits(64):x}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            key = build_series_uuid(read_uid(series_uuid))
            expected[key] = expected.get(key, 0) + 1

    cache = open_cache(place / "cache")
    found = {ref.series_uuid: read_scanned_objects(ref, cache) for ref in scan(place / "tree", place / "cache")}

    assert {key: len(objects or ()) for key, objects in found.items()} == expected


def test_a_client_holds_little_of_each_series(tmp_path: Path) -> None:
    """Twenty thousand series of a hundred objects each, as tasks would tell of them."""
    found = FolderScan(store=Store(str(tmp_path)), cache=open_cache(tmp_path / "cache"))
    count, refs = 20_000, 0
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(count):
        group = SeriesGroup(f"1.2.826.0.1.3680043.8.498.{number:040}", "", f"patient {number}")
        part = GroupPart(group, f"export/patient {number}/study/series", 100, number << 100)
        found.add(ScannedPart(f"{number // 10:016x}", (part,), 100, 0, None))
    for ref in found.finish():
        refs += ref.digest is not None
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert refs == count
    assert (peak - before) / count < 2_000
    assert (after - before) / count < 2_000
