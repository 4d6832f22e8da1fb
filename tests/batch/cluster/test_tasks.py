"""What a worker does with a shard: time and memory of each series are bounded, and its neighbours unharmed."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster
from phantom_bulk import CT300, build_bulk, build_many
from servers import run_nginx
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.batch.cluster.graph import delay_shard, submit_shard
from dsp_batch.batch.cluster.tasks import build_shard_indices, fetch_shard_headers
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.series import build_radiograph, write_collection
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store

MANY_HEADERS = replace(CT300, title="Many headers", rows=16, columns=16)
LARGE_FRAME = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three tiny series."""
    folder = tmp_path / "series"
    write_collection(folder, build_many(3))
    return folder


def job_of(folder: Path, **changes: Any) -> Job:
    cache = open_cache(str(folder / "cache"))
    return Job(verb="mosaic", options=MosaicOptions(tile_width=2), cache=cache, name="mosaic", **changes)


def refs_of(root: Path | str, names: list[str]) -> tuple[SeriesRef, ...]:
    return tuple(SeriesRef(root=str(root), series_uuid=name) for name in sorted(names))


def names_in(root: Path) -> list[str]:
    return [each.name for each in root.iterdir()]


def by_name(rows: tuple[SeriesResult, ...]) -> dict[str, SeriesResult]:
    return {row.series_uuid: row for row in rows}


def write_large_frame(root: Path) -> None:
    """A radiograph of 40,000 × 40,000 pixels, most of whose 3.2 GB are a hole in its file."""
    (small,) = build_radiograph().objects
    data = bytearray(small.data)
    for tag in (0x0010, 0x0011):
        at = data.index(struct.pack("<HH2sH", 0x0028, tag, b"US", 2))
        data[at + 8 : at + 10] = struct.pack("<H", 40_000)
    at = data.index(struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 0))
    data[at + 8 : at + 12] = struct.pack("<I", 3_200_000_000)
    path = root / LARGE_FRAME / "large.dcm"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(data[: at + 12])
        file.truncate(at + 12 + 3_200_000_000)


@contextmanager
def one_worker(memory_limit: int) -> Iterator[Client]:
    """A worker that minds its limit only as far as the tasks do."""
    settings = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")}
    with (
        dask.config.set(settings),
        LocalCluster(1, threads_per_worker=1, processes=False, memory_limit=memory_limit, dashboard_address=":0") as c,
        Client(c) as client,
    ):
        yield client


def test_each_series_of_a_shard_has_its_row_and_the_preview_of_the_single_command(tmp_path: Path, root: Path) -> None:
    write_collection(root, [build_radiograph()])
    job = job_of(tmp_path)
    refs = refs_of(root, [*names_in(root), "missing"])

    rows = delay_shard(refs, job, 2).compute(scheduler="sync")

    assert [row.series_uuid for row in rows] == [ref.series_uuid for ref in refs]
    assert by_name(rows)["missing"].reason == "not-found"
    for ref, row in zip(refs, rows, strict=True):
        if row.status == "done":
            alone = draw_series(ref, Store(ref.root), None, MosaicOptions(tile_width=2), ".webp")
            assert job.cache.read(row.preview or "") == alone.data
            assert min(row.seconds_headers, row.seconds_index, row.seconds_render) > 0
            assert row.requests >= (row.n_instances or 0)
    assert [row.status for row in rows].count("done") == 4


def test_series_that_trickle_become_rows_in_time_and_their_neighbours_are_done(tmp_path: Path, root: Path) -> None:
    write_collection(root, [build_bulk(replace(MANY_HEADERS, rows=256, columns=256), count=3)])
    fast = [name for name in names_in(root) if len(list((root / name).iterdir())) < 3]
    (slow,) = (path.name for path in root.iterdir() if sum(each.stat().st_size for each in path.iterdir()) > 300_000)
    listed_slowly = next(name for name in names_in(root) if name not in (*fast, slow))
    autoindex = f"root {root}; autoindex on; autoindex_format json;"
    trickle = "limit_rate_after 1; limit_rate 10;"
    locations = f"""
        location ~ ^/{slow}/.+ {{ root {root}; {trickle} }}
        location = /{listed_slowly}/ {{ {autoindex} {trickle} }}
        location / {{ {autoindex} }}
    """
    job = job_of(tmp_path, timeout=3.0)
    with run_nginx(tmp_path / "nginx", locations) as server:
        begin = time.monotonic()
        rows = by_name(delay_shard(refs_of(server.url, [slow, listed_slowly, *fast]), job, 1).compute(scheduler="sync"))
        seconds = time.monotonic() - begin

    assert seconds < 9
    for name in (slow, listed_slowly):
        assert (rows[name].status, rows[name].reason) == ("failed", "timeout")
        assert rows[name].error == f"{server.url}/{name} took longer than 3 s: raise --timeout-per-series"
    assert [rows[name].status for name in fast] == ["done", "done"]


def test_a_frame_larger_than_the_worker_is_refused_before_it_is_read(tmp_path: Path, root: Path) -> None:
    write_large_frame(root)

    with one_worker(memory_limit=800 << 20) as client:
        rows = by_name(submit_shard(client, delay_shard(refs_of(root, names_in(root)), job_of(tmp_path), 1)).result(60))

    refused = rows.pop(LARGE_FRAME)
    assert (refused.status, refused.reason) == ("failed", "out-of-memory")
    assert (refused.error or "").endswith(
        "MB or more, and there are 419 MB for a series: run it where there is more memory"
    )
    assert refused.bytes_read < 100_000
    assert {row.status for row in rows.values()} == {"done"}


def test_headers_that_need_more_than_a_share_wait_until_they_are_alone(tmp_path: Path, root: Path) -> None:
    series = build_bulk(MANY_HEADERS, count=150)
    write_collection(root, [series])
    refs = refs_of(root, names_in(root))

    with one_worker(memory_limit=120 << 20) as client:  # 12 MB for a shard, 3 MB for each of its four series
        rows = by_name(submit_shard(client, delay_shard(refs, job_of(tmp_path / "tight"), 1)).result(60))
    with one_worker(memory_limit=20 << 20) as client:
        tighter = by_name(submit_shard(client, delay_shard(refs, job_of(tmp_path / "tighter"), 1)).result(60))

    assert {row.status for row in rows.values()} == {"done"}
    assert rows[series.series_uuid].requests > 150
    refused = tighter.pop(series.series_uuid)
    assert (refused.status, refused.reason) == ("failed", "out-of-memory")
    assert f"the headers of the 150 objects of {root}/{series.series_uuid} take" in (refused.error or "")
    assert refused.requests < 150
    assert {row.status for row in tighter.values()} == {"done"}


def test_a_series_has_the_same_row_whatever_shard_it_is_in(tmp_path: Path, root: Path) -> None:
    write_large_frame(root)
    refs = refs_of(root, names_in(root))

    def tell(rows: tuple[SeriesResult, ...]) -> list[SeriesResult]:
        return [replace(row, seconds_headers=0, seconds_index=0, seconds_render=0) for row in rows]

    with one_worker(memory_limit=800 << 20) as client:
        together = submit_shard(client, delay_shard(refs, job_of(tmp_path / "together"), 1)).result(60)
        job = job_of(tmp_path / "alone")
        alone = tuple(submit_shard(client, delay_shard((ref,), job, 1)).result(60)[0] for ref in refs)

    assert tell(together) == tell(alone)


def test_the_time_of_a_series_is_over_inside_of_computing_too(tmp_path: Path) -> None:
    dataset = add_pixels(make_dataset(), frames=2)
    dataset.NumberOfFrames = frames = 500_000
    dataset.PixelData = bytes(frames * 32)
    (tmp_path / "series" / "many").mkdir(parents=True)
    (tmp_path / "series" / "many" / "1.dcm").write_bytes(write_dataset(dataset))
    job = job_of(tmp_path, timeout=0.5)

    (work,) = build_shard_indices(fetch_shard_headers(refs_of(tmp_path / "series", ["many"]), job, 1), job)

    assert work.finished
    assert (work.result.status, work.result.reason) == ("failed", "timeout")
    assert "took longer than 0.5 s" in (work.result.error or "")
    assert work.result.seconds_index < 1.5
