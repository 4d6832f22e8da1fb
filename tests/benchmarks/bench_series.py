"""Each series from each source: requests, bytes, CPU, wall and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_figures import CACHED, COLD, COLD_IMAGE, COLD_UNCACHED, INDEX, PHANTOMS, Figure
from bench_places import Bench, BenchSeries, Source
from bench_process import run_profile, run_task, time_command

_OPERATIONS: dict[str, tuple[str, str]] = {
    COLD: ("mosaic", "fresh"),
    COLD_UNCACHED: ("mosaic", "none"),
    CACHED: ("mosaic", "kept"),
    COLD_IMAGE: ("get-image", "fresh"),
    INDEX: ("build-index", "fresh"),
}
"""Operation → verb, and whether there is a cache: an empty one, none, one that holds the index."""

_PROGRAM = Path(sys.executable).with_name("dicom-series-preview")
_BATCH_PROGRAM = Path(sys.executable).with_name("dsp-batch")
_STARTUP_RUNS = 5


def arguments_of(bench: Bench, series: BenchSeries, source: Source, operation: str) -> dict[str, Any]:
    """What the task is told."""
    verb, cache = _OPERATIONS[operation]
    return {
        "root": f"{source.root}/series",
        "series_uuid": series.series_uuid,
        "verb": verb,
        "cache": cache,
        "kept": str(bench.scratch(f"kept-{source.name}")),
        "folder": str(bench.scratch("scratch")),
    }


def kind_of(series: BenchSeries, source: Source, operation: str) -> str:
    """What decides which modules a walk imports: generated series are all native, each real one has its own codec."""
    return f"{operation} {source.name} {'' if series.name in PHANTOMS else series.name}"


def keep_index(bench: Bench, series: BenchSeries, source: Source) -> None:
    """See to it that the kept cache of a source holds the index of a series."""
    arguments = arguments_of(bench, series, source, INDEX) | {"cache": "kept"}
    run_task("walk_series", arguments, kind=f"{INDEX} {source.name}", runs=1, environment=source.environment)


def bench_series(bench: Bench) -> Iterator[Figure]:
    """Each operation on each series from each source."""
    for series in bench.series:
        for source in bench.sources:
            bench.say(f"{series.name} from {source.name}")
            keep_index(bench, series, source)
            for operation in _OPERATIONS:
                arguments = arguments_of(bench, series, source, operation)
                kind = kind_of(series, source, operation)
                values = run_task("walk_series", arguments, kind=kind, runs=bench.runs, environment=source.environment)
                if operation == INDEX:
                    values["cpu_seconds_per_instance"] = values["cpu_seconds"] / series.count
                yield Figure(part="series", case=series.name, source=source.name, operation=operation, values=values)


def bench_render(bench: Bench) -> Iterator[Figure]:
    """Drawing, encoding and indexing alone."""
    source = bench.source("disk")
    if source is None:
        return
    ct300, *others = (bench.find(name) for name in PHANTOMS)
    for series, operation, task, wanted in (
        (ct300, "36 tiles", "render_in_memory", ("render_seconds", "encode_seconds")),
        *((each, "headers to an index", "index_in_memory", ("cpu_seconds_per_instance",)) for each in (ct300, *others)),
    ):
        bench.say(f"{series.name} in memory: {operation}")
        values = run_task(task, arguments_of(bench, series, source, CACHED), kind="", runs=bench.runs)
        values = {name: values[name] for name in wanted}
        yield Figure(part="render", case=series.name, source="memory", operation=operation, values=values)


def bench_requests(bench: Bench) -> Iterator[Figure]:
    """CPU of one request, from each server."""
    series = bench.find("ct300")
    for source in bench.sources:
        if source.name != "disk":
            bench.say(f"requests to {source.name}")
            arguments = arguments_of(bench, series, source, COLD)
            values = run_task("request_ranges", arguments, kind="", runs=bench.runs, environment=source.environment)
            own = {name: value for name, value in values.items() if name.endswith("request_seconds")}
            yield Figure(part="requests", case="ct300", source=source.name, operation="8 KB, 300 objects", values=own)


def bench_startup(bench: Bench) -> Iterator[Figure]:
    """Whole commands, from the first instruction to the exit."""
    for program in (_PROGRAM, _BATCH_PROGRAM):
        values = time_command([str(program), "--help"], {}, _STARTUP_RUNS)
        yield Figure(part="startup", case=program.name, source="", operation="--help", values=values)
    series = bench.find("ct300")
    for source in bench.sources:
        bench.say(f"start-up, {source.name}")
        keep_index(bench, series, source)
        arguments = arguments_of(bench, series, source, CACHED)
        words = [series.series_uuid, "--root", arguments["root"], "--cache-dir", arguments["kept"]]
        image = str(bench.scratch("scratch") / "image.webp")
        commands = {
            "get-index": ["get-index", *words],
            "get-image": ["get-image", words[0], image, "--position", "0.5", *words[1:]],
        }
        for operation, command in commands.items():
            values = time_command([str(_PROGRAM), *command], source.environment, _STARTUP_RUNS)
            yield Figure(part="startup", case=_PROGRAM.name, source=source.name, operation=operation, values=values)


def profile(bench: Bench, lines: int) -> Iterator[str]:
    """Where the time of a ct300 mosaic goes, cold and with its index cached."""
    series = bench.find("ct300")
    for source in bench.sources:
        keep_index(bench, series, source)
        for operation in (COLD, CACHED):
            arguments = arguments_of(bench, series, source, operation)
            yield f"== ct300 from {source.name}: {operation}\n"
            yield run_profile(arguments, lines, source.environment)
