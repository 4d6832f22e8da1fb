"""A cold mosaic when the server is far away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from bench_figures import COLD, TILES, Figure
from bench_places import Bench
from bench_process import run_task
from bench_proxy import run_proxy
from bench_series import arguments_of, kind_of

from dsp_batch.storage.flow import MOST_IN_FLIGHT, Flow

_MILLISECONDS = (0, 10, 40, 100)
_FACTOR = 1.5
"""A mosaic may take this much longer than latency × rounds and CPU time together."""


def count_rounds(count: int, seconds: float) -> int:
    """Answers that a cold mosaic must wait for, one after the other.

    The listing, the first header (its length is what the others ask for), the other headers, the frames.
    """
    flow = Flow()
    flow.note_answer(0, seconds)
    in_flight = flow.limit(MOST_IN_FLIGHT)
    return 1 + 1 + -(-(count - 1) // in_flight) + -(-min(TILES, count) // in_flight)


def bench_latency(bench: Bench) -> Iterator[Figure]:
    """Wall time against latency times rounds plus CPU."""
    nginx, series = bench.source("nginx"), bench.find("ct300")
    if nginx is None:
        return
    upstream = urlsplit(nginx.root).port or 80
    for milliseconds in _MILLISECONDS:
        rounds = count_rounds(series.count, milliseconds / 1000)
        bench.say(f"latency of {milliseconds} ms")
        with run_proxy(upstream, milliseconds, bench.folder / "proxy.log") as port:
            source = replace(nginx, root=f"http://127.0.0.1:{port}")
            arguments = arguments_of(bench, series, source, COLD)
            values = run_task("walk_series", arguments, kind=kind_of(series, nginx, COLD), runs=bench.runs)
        expected = milliseconds / 1000 * rounds + values["cpu_seconds"]
        own = {name: values[name] for name in ("requests", "cpu_seconds", "wall_seconds")}
        own |= {"wall_limit_seconds": _FACTOR * expected, "wall_over_expected": values["wall_seconds"] / expected}
        yield Figure(
            part="latency",
            case=series.name,
            source="nginx",
            operation=f"{milliseconds} ms, {rounds} rounds",
            values=own,
        )
