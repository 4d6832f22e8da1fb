"""What is in the cache is used when it is the index asked for, and is built again when it is not."""

from __future__ import annotations

import json
import logging
import multiprocessing
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from index_files import read_index_file
from index_writers import write_often
from time_limits import SECONDS, join_all
from written_objects import index_objects, make_dataset, write_dataset

from dsp_batch.cache import Cache, index_key, read_index, write_index
from dsp_batch.errors import SeriesError
from dsp_batch.fetch import fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import FORMAT, parse_index, serialize_index
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import IndexOptions
from dsp_batch.phantom.series import build_ct, write_collection
from dsp_batch.pipeline import index_series
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

COUNT = 5


@pytest.fixture
def ref(tmp_path: Path) -> SeriesRef:
    """A series of five CT slices on disk."""
    series = build_ct(count=COUNT, size=32)
    write_collection(tmp_path / "root", [series])
    return SeriesRef(root=str(tmp_path / "root"), series_uuid=series.series_uuid)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(url=str(tmp_path / "cache"))


def index_path(cache: Cache, ref: SeriesRef) -> Path:
    return Path(cache.url_of(index_key(ref.series_uuid)))


def change_description(path: Path, **changes: Any) -> None:
    """Write an index file anew with another description."""
    table, description = read_index_file(path.read_bytes())
    told = json.dumps(description | changes).encode()
    pq.write_table(table.replace_schema_metadata({b"dsp_batch": told}), path)


def change_byte(path: Path) -> None:
    """Damage a file where its columns are."""
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 0xFF
    path.write_bytes(data)


def test_a_changed_byte_anywhere_makes_an_index_unreadable(ref: SeriesRef, cache: Cache) -> None:
    """In the footer as well, which says where the columns lie and how they are packed."""
    built = index_series(ref, Store(ref.root), cache)
    data = index_path(cache, ref).read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 0x04
        try:
            index = parse_index(bytes(changed))
        except SeriesError:
            continue
        assert index.table.equals(built.table)  # of the checksum only its name is damaged
        assert index.constants == built.constants


def test_an_index_is_written_once_and_then_read_without_touching_the_series(ref: SeriesRef, cache: Cache) -> None:
    store = Store(ref.root)
    built = index_series(ref, store, cache)
    written = index_path(cache, ref).read_bytes()

    with measure_usage() as usage:
        read = index_series(ref, store, cache)

    assert usage.requests == 2  # the index, and a listing of the folder, which has not changed
    assert usage.bytes_read == len(written)
    assert read.table.equals(built.table)
    assert read.constants == built.constants
    assert index_path(cache, ref).read_bytes() == written
    assert [path.name for path in Path(cache.url).rglob("*") if path.is_file()] == [f"{ref.series_uuid}_index.parquet"]


def test_without_a_cache_nothing_is_written(ref: SeriesRef, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))

    assert len(index_series(ref, Store(ref.root), None)) == COUNT
    assert sorted(tmp_path.rglob("*")) == before


def test_a_partial_index_is_never_used_as_a_complete_one(
    ref: SeriesRef, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(ref.root)
    partial = build_index(fetch_headers(ref, store, IndexOptions(limit=2)))
    assert partial.partial
    assert (len(partial), partial.objects["listed"]) == (2, COUNT)
    write_index(partial, cache)

    index = index_series(ref, store, cache)

    assert (len(index), index.partial) == (COUNT, False)
    assert "limit" in caplog.text
    assert len(index_series(ref, store, cache)) == COUNT
    assert pq.read_table(index_path(cache, ref)).num_rows == COUNT


def test_a_limit_that_all_objects_are_within_makes_a_complete_index(ref: SeriesRef) -> None:
    index = build_index(fetch_headers(ref, Store(ref.root), IndexOptions(limit=COUNT)))

    assert (len(index), index.partial) == (COUNT, False)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda path: path.write_bytes(b""), "not readable"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "not readable"),
        (lambda path: path.write_bytes(b"some text"), "not readable"),
        (change_byte, "checksum"),
        (lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({}), path), "not readable"),
        (lambda path: change_description(path, format=FORMAT + 1), f"format {FORMAT + 1}"),
        (lambda path: change_description(path, root="s3://elsewhere"), "s3://elsewhere"),
    ],
)
def test_an_index_that_does_not_serve_is_built_anew_with_a_warning(
    ref: SeriesRef, cache: Cache, caplog: pytest.LogCaptureFixture, damage: Any, word: str
) -> None:
    store = Store(ref.root)
    built = index_series(ref, store, cache)
    damage(index_path(cache, ref))

    with caplog.at_level(logging.WARNING):
        again = index_series(ref, store, cache)

    assert again.table.equals(built.table)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert word in warning
    assert str(index_path(cache, ref)) in warning
    assert "\n" not in warning
    caplog.clear()
    assert read_index(cache, ref.series_uuid, ref.root) is not None
    assert not caplog.records


def test_an_index_without_a_key_that_is_needed_is_built_anew(ref: SeriesRef, cache: Cache) -> None:
    store = Store(ref.root)
    index_series(ref, store, cache)
    path = index_path(cache, ref)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"dsp_batch": json.dumps({"format": FORMAT}).encode()}), path)

    assert len(index_series(ref, store, cache)) == COUNT


def test_an_index_that_another_program_wrote_anew_serves(
    ref: SeriesRef, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    built = index_series(ref, Store(ref.root), cache)
    change_description(index_path(cache, ref), program="another")

    read = read_index(cache, ref.series_uuid, ref.root)

    assert read is not None
    assert read.table.equals(built.table)
    assert not caplog.records


def test_an_index_from_the_cache_travels_between_processes(ref: SeriesRef, cache: Cache) -> None:
    index_series(ref, Store(ref.root), cache)
    read = read_index(cache, ref.series_uuid, ref.root)
    assert read is not None
    assert read.values("InstanceNumber") == read.table.column("InstanceNumber").to_pylist()

    again = pickle.loads(pickle.dumps(read))

    assert again.table.equals(read.table)
    assert again.constants == read.constants


def test_two_processes_may_write_one_index_at_once(cache: Cache) -> None:
    versions = [
        index_objects(*(write_dataset(make_dataset(PatientID=f"{name}{n}")) for n in range(1, 60)))
        for name in ("First", "Second")
    ]
    key = index_key(versions[0].series_uuid)
    context = multiprocessing.get_context("spawn")
    arguments = [(cache, key, serialize_index(index, "1"), 200) for index in versions]
    writers = [context.Process(target=write_often, args=each) for each in arguments]
    seen = []
    for writer in writers:
        writer.start()
    limit = time.monotonic() + SECONDS
    while any(writer.is_alive() for writer in writers) and time.monotonic() < limit:
        index = read_index(cache, versions[0].series_uuid, "/root")
        if index is None:
            assert not seen
        else:
            seen.append(next(place for place, each in enumerate(versions) if each.table.equals(index.table)))
    join_all(*writers, seconds=1)

    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert [path.name for path in (Path(cache.url) / "indices").iterdir()] == [Path(key).name]


def test_an_index_that_counts_names_from_the_root_is_not_that_of_a_folder(
    ref: SeriesRef, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    built = index_series(ref, Store(ref.root), None)
    write_index(replace(built, folder=""), cache)

    assert read_index(cache, ref.series_uuid, ref.root) is None
    assert "counted from another folder" in caplog.text
    assert read_index(cache, ref.series_uuid, ref.root, folder="") is not None
