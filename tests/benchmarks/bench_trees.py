"""A tree of 200,000 small files, ten to a series, in folders of any name: scanned, scanned again, and planned.

python tests/benchmarks/run.py --only trees
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
from bench_figures import Figure
from bench_places import Bench
from bench_process import run_task

from dsp_batch.phantom.series import build_ct

_SERIES = 20_000
_QUICK_SERIES = 500
_FILES = 10
"""Files of one series."""

_SERIES_OF_PATIENT = 5


def bench_trees(bench: Bench) -> Iterator[Figure]:
    """Each in a process of its own; the second scan finds what the first one has left in the cache."""
    count = _QUICK_SERIES if bench.is_quick else _SERIES
    bench.say(f"tree: writing {count * _FILES:,} files")
    small, tree = bench.scratch("small-tree"), bench.scratch("tree")
    write_tree(small, 2)
    write_tree(tree, count)
    case = f"{count * _FILES:,} files"
    for operation, task in {"scan": "scan_tree", "scan again": "scan_tree", "plan": "plan_tree"}.items():
        bench.say(f"tree: {operation}")
        # What a task imports is found out on the small tree.
        run_task(task, {"tree": str(small), "cache": str(bench.scratch("small-cache"))}, kind="trees", runs=1)
        arguments = {"tree": str(tree), "cache": str(bench.scratch("tree-cache"))}
        values = run_task(task, arguments, kind="trees", runs=1)
        if values["series"] != count:
            raise SystemExit(f"{operation}: {values['series']:.0f} of {count} series were found")
        yield Figure(part="trees", case=case, source="disk", operation=operation, values=values)


def write_tree(folder: Path, count: int) -> None:
    """Write the files of many series. Those of one are links to the same bytes, which is all that a scan looks at."""
    phantom = build_ct(count=1, size=16)
    data = phantom.objects[0].data
    uid = str(pydicom.dcmread(io.BytesIO(data)).SeriesInstanceUID).encode("ascii")
    for number in range(count):
        own = f"1.2.826.0.1.3680043.8.498.{10**9 + number}".encode("ascii").ljust(len(uid), b"0")[: len(uid)]
        place = folder / f"PAT{number // _SERIES_OF_PATIENT:05}" / f"SE{number % _SERIES_OF_PATIENT}"
        place.mkdir(parents=True)
        first = place / "IM0"
        first.write_bytes(data.replace(uid, own))
        for rank in range(1, _FILES):
            os.link(first, place / f"IM{rank}")
