"""Manifests on a local cluster: throughput, efficiency, what the scheduler costs, and the memory of a worker."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench_figures import Figure
from bench_places import Bench, Source, link_series
from bench_process import run_task
from bench_proxy import run_proxy
from phantom_bulk import build_many

from dsp_batch.phantom.series import write_collection

_FAR_AWAY = 40.0
"""Milliseconds."""


class _Manifest(NamedTuple):
    """Series below one folder of the sources."""

    folder: str
    series_uuids: Sequence[str]


def bench_batch(bench: Bench) -> Iterator[Figure]:
    """Series like ct300 on two workers, from far away on one, and tiny series in great number."""
    large = _link(bench, "large", ["ct300"], 4 if bench.is_quick else 72)
    for name in ("disk", "nginx"):
        source = bench.source(name)
        if source is not None:
            yield _bench_throughput(bench, large, source, workers=2)
    nginx = bench.source("nginx")
    if nginx is not None:
        with run_proxy(urlsplit(nginx.root).port or 80, _FAR_AWAY, bench.folder / "proxy.log") as port:
            far = Source(name=f"nginx, {_FAR_AWAY:g} ms", root=f"http://127.0.0.1:{port}")
            yield _bench_throughput(bench, large, far, workers=1)
    yield from _bench_tiny(bench)


def _link(bench: Bench, folder: str, names: Sequence[str], count: int) -> _Manifest:
    """A manifest of copies of series, in turn."""
    target = bench.folder / "www" / folder
    copies = []
    for number, name in zip(range(count), itertools.cycle(names), strict=False):
        copies += link_series(target, bench.find(name).series_uuid, [f"{folder}/{number}"])
    return _Manifest(folder, copies)


def _bench_throughput(bench: Bench, manifest: _Manifest, source: Source, workers: int) -> Figure:
    """Time of many series less the time of few: the cluster's start is in both."""
    bench.say(f"batch of {len(manifest.series_uuids)} from {source.name}")
    few = max(workers, len(manifest.series_uuids) // 6)
    small = _run(bench, manifest, source, workers, few)
    whole = _run(bench, manifest, source, workers, len(manifest.series_uuids))
    more = len(manifest.series_uuids) - few
    seconds = whole["wall_seconds"] - small["wall_seconds"]
    arguments = {
        "root": f"{source.root}/{manifest.folder}",
        "series_uuids": manifest.series_uuids[: few + 1],
        "folder": str(bench.scratch("scratch")),
    }
    serial = run_task("walk_serially", arguments, kind=source.name, runs=bench.runs)
    values = {
        "series": len(manifest.series_uuids),
        "cpu_seconds": (whole["worker_cpu_seconds"] - small["worker_cpu_seconds"]) / more,
        "wall_seconds": seconds / more,
        "series_per_second_per_core": more / seconds / workers,
        "efficiency": serial["wall_seconds"] * more / seconds / workers,
        "cpu_share": (whole["worker_cpu_seconds"] - small["worker_cpu_seconds"]) / seconds / workers,
        "client_cpu_per_series": (whole["cpu_seconds"] - small["cpu_seconds"]) / more,
        "worker_peak_bytes": whole["worker_peak_bytes"],
    }
    title = f"{workers} worker{'s' if workers > 1 else ''}"
    return Figure(part="batch", case="ct300", source=source.name, operation=title, values=values)


def _bench_tiny(bench: Bench) -> Iterator[Figure]:
    """What the client and the scheduler, one process, cost a series."""
    disk = bench.source("disk")
    if disk is None:
        return
    few, many = (50, 150) if bench.is_quick else (200, 3000)
    bench.say(f"batch of {many} tiny series")
    folder = bench.folder / "www" / "tiny"
    names = []
    for series in build_many(many):
        write_collection(folder, [series])
        names.append(series.series_uuid)
    manifest = _Manifest("tiny", names)
    small, whole = (_run(bench, manifest, disk, 2, count) for count in (few, many))
    more, seconds = many - few, whole["wall_seconds"] - small["wall_seconds"]
    values = {
        "series": many,
        "cpu_seconds": (whole["worker_cpu_seconds"] - small["worker_cpu_seconds"]) / more,
        "wall_seconds": seconds / more,
        "series_per_second_per_core": more / seconds / 2,
        "client_cpu_per_series": (whole["cpu_seconds"] - small["cpu_seconds"]) / more,
        "worker_peak_bytes": whole["worker_peak_bytes"],
    }
    yield Figure(part="batch", case="tiny", source="disk", operation="2 workers", values=values)


def bench_worker_memory(bench: Bench) -> Iterator[Figure]:
    """One worker over many series of all kinds."""
    disk = bench.source("disk")
    if disk is None:
        return
    count = 20 if bench.is_quick else 1000
    names = [each.name for each in bench.series]
    bench.say(f"memory of a worker over {count} series")
    manifest = _link(bench, "mixed", names, count)
    whole = _run(bench, manifest, disk, 1, count)
    values = {"series": count} | {name: whole[name] for name in ("worker_peak_bytes", "worker_growth")}
    yield Figure(part="memory", case="mixed", source="disk", operation="1 worker", values=values)


def _run(bench: Bench, manifest: _Manifest, source: Source, workers: int, count: int) -> dict[str, float]:
    root = f"{source.root}/{manifest.folder}"
    path = _write_manifest(bench.folder, root, manifest.series_uuids[:count])
    arguments: dict[str, Any] = {
        "root": root,
        "manifest": str(path),
        "series": count,
        "workers": workers,
        "folder": str(bench.scratch("scratch")),
    }
    return run_task("run_batch", arguments, kind="", runs=1)


def _write_manifest(folder: Path, root: str, series_uuids: Sequence[str]) -> Path:
    path = folder / "manifest.txt"
    path.write_text("".join(f"{root}/{series_uuid}\n" for series_uuid in series_uuids))
    return path
