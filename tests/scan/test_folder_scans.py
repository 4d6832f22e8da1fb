"""Scans of folders: what is read again, what a client holds, and what it comes to however files are laid out."""

from __future__ import annotations

import random
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from data_folder import DATA, list_objects, needs_data
from folder_layouts import SERIES, read_uid, write_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsp_batch import read_manifest
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.scan import folder_scan, parts
from dsp_batch.scan.folder_scan import FolderScan, FoundSeries, scan_here
from dsp_batch.scan.identity import SeriesGroup
from dsp_batch.scan.parts import GroupPart, ScanChunk, ScannedPart, read_scanned_objects, scan_chunk
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage


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
    return [each.ref if isinstance(each, FoundSeries) else each for each in scan_here(found)]


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
def test_parts_that_a_later_scan_replaces_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", 4)
    tree, kept = write_tree(tmp_path / "tree", "export"), tmp_path / "cache" / "scans"
    scan(tree, tmp_path / "cache")
    objects, first = sum(SERIES.values()) + 2, {*kept.rglob("*.parquet")}
    (tree / "ZZZ").write_bytes((tree / "MÜLLER^0/CT 1/00").read_bytes())
    scan(tree, tmp_path / "cache")
    second = {*kept.rglob("*.parquet")}

    assert [path.stem for path in first & second] == ["folders"]  # the new object comes first
    assert len(second) == -(-(objects + 1) // 4) + 1
    shutil.rmtree(tree)
    tree.mkdir()
    assert scan(tree, tmp_path / "cache") == []
    assert [path.stem for path in kept.rglob("*.parquet")] == ["folders"]


def test_a_scan_that_fails_deletes_nothing(tmp_path: Path) -> None:
    tree, kept = tmp_path / "tree", tmp_path / "cache" / "scans"
    write_collection(tree / "a", [build_ct(count=3, size=16)])
    scan(tree / "a", tmp_path / "cache")
    shutil.move(tree / "a" / build_ct(count=3, size=16).series_uuid, tree / "a" / "b")
    scan(tree / "a", tmp_path / "cache")
    parts = {*kept.rglob("*.parquet")}
    shutil.rmtree(tree / "a")
    unlisted: dict[str, StorageError] = {}
    lost = FolderScan(store=Store(str(tree / "a")), cache=open_cache(tmp_path / "cache"), unlisted=unlisted)

    assert [*scan_here(lost)] == []
    assert list(unlisted) == [""]
    assert {*kept.rglob("*.parquet")} == parts
    assert len(parts) == 2


def test_what_a_scan_costs_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_scan, "OBJECTS_PER_PART", 2)
    tree = tmp_path / "tree"
    series = build_ct(count=3, size=16)
    write_collection(tree, [series])
    shutil.move(tree / series.series_uuid, tree / "CT")
    found = FolderScan(store=Store(str(tree)), cache=open_cache(tmp_path / "cache"))

    with measure_usage() as usage:
        told = [scan_chunk(each) for each in found.cut() if isinstance(each, ScanChunk)]

    assert [part.requests for part in told] == [2, 1]
    assert all(part.bytes_read > 100 for part in told)
    listings, tables = 2, 1
    assert usage.requests == 3 + listings + tables
    assert usage.bytes_read == sum(part.bytes_read for part in told)


@needs_data
def test_the_cache_tells_the_objects_of_each_series(tmp_path: Path) -> None:
    tree, cache = write_tree(tmp_path / "tree", "flat"), open_cache(tmp_path / "cache")
    here = {ref.series_uuid: ref for ref in read_manifest(f"{tree}/")}

    for ref in scan(tree, tmp_path / "cache"):
        objects = here.pop(ref.series_uuid).objects
        assert objects
        assert read_scanned_objects(ref, cache) == objects
        assert read_scanned_objects(ref._replace(digest="1:0"), cache) is None
    assert not here
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
        folder = f"export/patient {number}/study/series"
        part = GroupPart(group, folder, 100, number << 100, 5 << 30, "CT", number, f"THORAX {number}")
        found.add(ScannedPart(f"{number // 10:016x}", (part,), 100, 0, None))
    for each in found.finish():
        refs += each.ref.digest is not None
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert refs == count
    assert (peak - before) / count < 2_000
    assert (after - before) / count < 2_000
