"""What runs in a fresh process to be measured: `python bench_tasks.py JSON` prints its figures as JSON."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

Arguments = dict[str, Any]
Figures = dict[str, float]


def peak_bytes() -> float:
    """Most memory that this process ever had, in bytes.

    The kernel hands `ru_maxrss` of whoever started a process down to it; the counter of the address space begins anew.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def process_cpu() -> float:
    """CPU seconds of all threads of this process so far, its start and imports included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def measure(figures: Figures) -> Iterator[None]:
    """Write down requests, bytes, CPU and wall seconds of the block."""
    from dsp_batch.storage.usage import measure_usage

    wall, cpu = time.perf_counter(), time.process_time()
    with measure_usage() as usage:
        yield
    figures["cpu_seconds"] = time.process_time() - cpu
    figures["wall_seconds"] = time.perf_counter() - wall
    figures["requests"], figures["bytes_read"] = usage.requests, usage.bytes_read


def open_series(arguments: Arguments) -> tuple[Any, Any]:
    """The series and its store."""
    from dsp_batch.model.series import SeriesRef
    from dsp_batch.storage.store import build_store

    store = build_store(arguments["root"])
    return SeriesRef(root=store.root, series_uuid=arguments["series_uuid"]), store


def walk_series(arguments: Arguments) -> Figures:
    """Walk the path of one series as a command does: an index, or an index and a preview."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=arguments["folder"]) as fresh, measure(figures):
        from dsp_batch.cache import open_cache
        from dsp_batch.options import ImageOptions, MosaicOptions
        from dsp_batch.pipeline import draw_series, index_series

        ref, store = open_series(arguments)
        caches = {"fresh": lambda: open_cache(fresh), "kept": lambda: open_cache(arguments["kept"])}
        cache = caches.get(arguments["cache"], lambda: None)()
        if arguments["verb"] == "build-index":
            index_series(ref, store, cache)
        else:
            options = ImageOptions(position=0.5) if arguments["verb"] == "get-image" else MosaicOptions()
            draw_series(ref, store, cache, options, ".webp")
    return figures


def index_in_memory(arguments: Arguments) -> Figures:
    """Make an index, as it is written, of objects that are in memory, many times: no request in the figure."""
    from dsp_batch.dicom.headers.read import HeaderHint, read_header
    from dsp_batch.index.build import build_index
    from dsp_batch.index.parquet import serialize_index
    from dsp_batch.model.ranges import read_bytes
    from dsp_batch.model.series import SeriesHeaders

    ref, _ = open_series(arguments)
    objects = {path.name: path.read_bytes() for path in Path(ref.url).iterdir()}

    def index() -> None:
        hint = HeaderHint()
        headers = tuple(
            read_bytes(read_header(name, len(data), hint=hint), data) for name, data in sorted(objects.items())
        )
        serialize_index(build_index(SeriesHeaders(ref=ref, headers=headers, listed=len(objects), rejected={})), "")

    return {"cpu_seconds_per_instance": _cpu_of(index, 7) / len(objects)}


def render_in_memory(arguments: Arguments) -> Figures:
    """Draw a mosaic from objects that are in memory, many times: no reading in the figures."""
    import io
    from dataclasses import replace

    import numpy as np
    from PIL import Image

    from dsp_batch.core.encoding import encode_image
    from dsp_batch.options import MosaicOptions
    from dsp_batch.pipeline import index_series, render_preview
    from dsp_batch.render.compose import FrameSource

    ref, store = open_series(arguments)
    index = index_series(ref, store, None)
    folder = Path(arguments["root"]) / ref.series_uuid
    index = replace(index, bodies={name: (folder / name).read_bytes() for name in index.values("FileName")})

    def render(quality: int) -> bytes:
        return render_preview(index, FrameSource(store=store), MosaicOptions(quality=quality), ".webp").data

    # The whole, and the encoder alone on pixels that the best quality leaves nearly untouched.
    with Image.open(io.BytesIO(render(100))) as image:
        pixels = np.asarray(image.convert("L"))
    whole = _cpu_of(lambda: render(25))
    encoding = _cpu_of(lambda: encode_image(pixels, ".webp", 25))
    return {"render_seconds": whole - encoding, "encode_seconds": encoding}


def draw_object(arguments: Arguments) -> Figures:
    """Draw an object without pixels that is in memory, many times: from its index, and from its bytes."""
    from dataclasses import replace

    from dsp_batch.dicom.headers.read import read_header
    from dsp_batch.index.build import build_index
    from dsp_batch.kinds.registry import add_statements
    from dsp_batch.model.ranges import read_bytes
    from dsp_batch.model.series import SeriesHeaders
    from dsp_batch.options import PreviewOptions
    from dsp_batch.pipeline import render_preview
    from dsp_batch.render.compose import FrameSource

    ref, store = open_series(arguments)
    objects = {path.name: path.read_bytes() for path in Path(ref.url).iterdir()}

    def index() -> Any:
        headers = tuple(read_bytes(read_header(name, len(data)), data) for name, data in objects.items())
        series = SeriesHeaders(ref=ref, headers=headers, listed=len(objects), rejected={}, bodies=objects)
        return add_statements(build_index(series))

    def draw(of: Any) -> bytes:
        return render_preview(of, FrameSource(store=store), PreviewOptions(), ".webp").data

    known = index()
    return {
        # What an index has worked out once is no part of the figure: it is another one each time.
        "picture, index at hand": _cpu_of(lambda: draw(replace(known)), 5),
        "whole path": _cpu_of(lambda: draw(index()), 5),
    }


def _cpu_of(action: Callable[[], object], repeats: int = 15) -> float:
    """CPU seconds of an action, the median of many."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        action()
        seconds.append(time.process_time() - begin)
    return median(seconds)


def walk_serially(arguments: Arguments) -> Figures:
    """Many series, one after the other, in one process; the first one is not counted."""
    from dsp_batch.cache import open_cache
    from dsp_batch.options import MosaicOptions
    from dsp_batch.pipeline import draw_series

    figures: Figures = {}
    first, *rest = arguments["series_uuids"]
    with tempfile.TemporaryDirectory(dir=arguments["folder"]) as fresh:

        def preview(series_uuid: str) -> None:
            ref, store = open_series({**arguments, "series_uuid": series_uuid})
            draw_series(ref, store, open_cache(fresh), MosaicOptions(), ".webp")

        preview(first)
        with measure(figures):
            for series_uuid in rest:
                preview(series_uuid)
    return {name: value / len(rest) for name, value in figures.items()}


def run_batch(arguments: Arguments) -> Figures:
    """A manifest through `run_manifest` on a local cluster."""
    from bench_workers import watch_workers

    from dsp_batch.batch.run import RunOptions, run_manifest
    from dsp_batch.batch.runs.job import Job
    from dsp_batch.batch.runs.progress import LineProgress
    from dsp_batch.cache import open_cache
    from dsp_batch.options import ClusterOptions, MosaicOptions

    figures: Figures = {}
    with tempfile.TemporaryDirectory(dir=arguments["folder"]) as fresh, measure(figures), watch_workers() as workers:
        job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(fresh), name="mosaic")
        options = RunOptions(source=arguments["manifest"], root=arguments["root"])
        summary = run_manifest(options, job, ClusterOptions(workers=arguments["workers"]), LineProgress())
    done = summary.by_status.get("done", 0)
    if done != arguments["series"]:
        raise SystemExit(f"{done} of {arguments['series']} series are done: {summary}")
    figures["cpu_seconds"] -= workers.own_cpu_seconds
    return {**figures, "worker_cpu_seconds": workers.cpu_seconds, **workers.describe_memory()}


def request_ranges(arguments: Arguments) -> Figures:
    """Read the first 8 KB of every object, through the store and through its client alone, by turns."""
    from bench_requests import read_bare, read_stored

    ref, store = open_series(arguments)
    names = [info.name for info in store.list_objects(ref.series_uuid)]
    ways = {"request_seconds": read_stored, "client_request_seconds": read_bare}
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(9):
        for name, read in ways.items():
            begin = time.process_time()
            read(store, ref.series_uuid, names)
            runs[name].append((time.process_time() - begin) / len(names))
    figures = {name: median(seconds[1:]) for name, seconds in runs.items()}  # the first opened the connections
    return {**figures, "own_request_seconds": figures["request_seconds"] - figures["client_request_seconds"]}


def read_lines(arguments: Arguments) -> Figures:
    """Read a manifest for its digest, as the client of a batch does first; the second time costs a little less."""
    from dsp_batch.batch.garbage import collect_rarely

    collect_rarely()
    figures: Figures = {}
    with measure(figures):
        from dsp_batch.batch.manifest.lookup import Lookup
        from dsp_batch.batch.manifest.read import read_manifest_table
        from dsp_batch.idc.index import IdcIndex
        from dsp_batch.storage.public_buckets import DEFAULT_ROOT
        from dsp_batch.storage.store import Store

        index = IdcIndex(path=Path(arguments["index"]))
        lookup = Lookup(index=index, store_of=lambda root, _: Store(root), scan=lambda *_: iter(()))
        read_manifest_table(arguments["path"], root=DEFAULT_ROOT, lookup=lookup)
    return figures


def scan_tree(arguments: Arguments) -> Figures:
    """Scan a tree as the client of a batch does, with all headers read here."""
    figures: Figures = {}
    count = 0
    with measure(figures):
        from dsp_batch.cache import open_cache
        from dsp_batch.scan.folder_scan import FolderScan, scan_here
        from dsp_batch.storage.store import build_store

        before = peak_bytes()
        scan = FolderScan(store=build_store(arguments["tree"]), cache=open_cache(arguments["cache"]))
        for _ in scan_here(scan):
            count += 1
    return {**figures, "series": count, "growth_per_series": (peak_bytes() - before) / count}


def plan_tree(arguments: Arguments) -> Figures:
    """Plan a batch over a tree, which is scanned for that and nothing of it kept."""
    figures: Figures = {}
    with measure(figures):
        from dsp_batch.batch.plan.plan import plan_batch

        before = peak_bytes()
        plan = plan_batch(arguments["tree"])
    return {**figures, "series": plan.series, "growth_per_series": (peak_bytes() - before) / plan.series}


_TASKS = (
    walk_series,
    render_in_memory,
    index_in_memory,
    draw_object,
    walk_serially,
    run_batch,
    request_ranges,
    read_lines,
    scan_tree,
    plan_tree,
)
TASKS = {task.__name__: task for task in _TASKS}


def profile_series(arguments: Arguments, lines: int) -> str:
    """Profile the task of one series in CPU seconds of its thread, imports not counted.

    Returns:
        The functions that took longest, themselves and with what they call.
    """
    import cProfile
    import io
    import pstats

    walk_series(arguments)
    profile = cProfile.Profile(time.thread_time)  # waiting is not counted, and neighbours are not either
    profile.runcall(walk_series, arguments)
    text = io.StringIO()
    statistics = pstats.Stats(profile, stream=text).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(lines)
    return text.getvalue()


def main() -> None:
    """Import what the task needs, run it, print its figures."""
    request = json.loads(sys.argv[1])
    if "profile" in request:
        sys.stdout.write(profile_series(request["arguments"], request["profile"]))
        return
    for name in request["modules"]:
        with suppress(ImportError):
            importlib.import_module(name)
    figures = TASKS[request["task"]](request["arguments"])
    figures |= {"process_cpu_seconds": process_cpu(), "peak_bytes": peak_bytes()}
    modules = [name for name in sys.modules if name != "__main__"]
    json.dump({"figures": figures, "modules": modules}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)  # as the programs end: threads of libraries may abort a process that is torn down under them


if __name__ == "__main__":
    main()
