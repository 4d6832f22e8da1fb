"""The viewer: how soon it is up, its first frame, and frames a second, here and far away."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench_figures import Figure, medians
from bench_places import Bench, BenchSeries
from bench_proxy import run_proxy

import dsp_batch

_AT_ONCE = 6
"""Requests in flight: what a browser has to one server."""

_SECONDS = 60.0
_MILLISECONDS = (0, 40)
_FRAMES = 150
"""Frames of a cine that are asked for."""


@dataclass(frozen=True)
class _Address:
    """Where a viewer answers."""

    port: int
    token: str

    @classmethod
    def of(cls, url: str) -> Self:
        parts = urllib.parse.urlsplit(url)
        return cls(parts.port or 0, parts.fragment.removeprefix("token="))

    def at(self, port: int) -> _Address:
        return _Address(port, self.token)


class _Connection:
    """One connection that stays open."""

    def __init__(self, address: _Address) -> None:
        self._headers = {"Authorization": f"Bearer {address.token}"}
        self._connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_SECONDS)

    def get(self, route: str) -> bytes:
        self._connection.request("GET", f"/api/{route}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{route}: {answer.status} {body[:200]!r}")
        return body

    def get_json(self, route: str) -> Any:
        return json.loads(self.get(route))

    def wait_for_scan(self) -> None:
        while not self.get_json("health")["scan_complete"]:
            time.sleep(0.01)


def bench_viewer(bench: Bench) -> Iterator[Figure]:
    """Start viewers and ask them as a page does."""
    series, disk = bench.find("ct300"), bench.source("disk")
    if disk is None:
        return
    bench.say("the viewer")
    folder = f"{disk.root}/series/{series.series_uuid}"
    yield _figure(series, "up", medians(_time_start(folder) for _ in range(bench.runs)))
    cache = bench.scratch("viewer")
    dsp_batch.load_index(folder, cache=cache)
    yield _figure(series, "first frame, index cached", medians(_time_first(folder, cache) for _ in range(bench.runs)))
    for milliseconds in _MILLISECONDS:
        values = medians(_time_cine(bench, folder, cache, milliseconds) for _ in range(bench.runs))
        yield _figure(series, f"cine at {milliseconds} ms", values)


def _figure(series: BenchSeries, operation: str, values: dict[str, float]) -> Figure:
    return Figure(part="viewer", case=series.name, source="disk", operation=operation, values=values)


def _time_start(folder: str) -> dict[str, float]:
    """Seconds from the start of the program to its first answer."""
    main = "from dsp_batch.cli.series import main; main()"
    words = [sys.executable, "-c", main, "view", folder, "--no-browser", "--no-cache"]
    begin = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"http\S+", line)
            _Connection(_Address.of(found[0] if found else "")).get("health")
            return {"wall_seconds": time.perf_counter() - begin}
        finally:
            process.kill()


def _time_first(folder: str, cache: Path) -> dict[str, float]:
    """Seconds from the request for the first frame to its answer, by a viewer that has read no frame yet."""
    with dsp_batch.view(folder, browser=False, cache=cache) as viewer:
        connection = _Connection(_Address.of(viewer.url))
        connection.wait_for_scan()
        begin = time.perf_counter()
        connection.get("file/0/frame/0?format=jpeg")
        return {"wall_seconds": time.perf_counter() - begin}


def _time_cine(bench: Bench, folder: str, cache: Path, milliseconds: float) -> dict[str, float]:
    """Frames a second when the next ones are asked for ahead, none of which was read before."""
    with (
        dsp_batch.view(folder, browser=False, cache=cache) as viewer,
        run_proxy(_Address.of(viewer.url).port, milliseconds, bench.folder / "viewer-proxy.log") as port,
    ):
        address = _Address.of(viewer.url)
        near = _Connection(address)
        near.wait_for_scan()
        (entry,) = near.get_json("series")
        frames = near.get_json(f"series/{entry['id']}")["frames"][:_FRAMES]
        routes = [f"file/{each['file']}/frame/{each['frame']}?format=jpeg" for each in frames]
        return _ask_all(address.at(port), routes)


def _ask_all(address: _Address, routes: Sequence[str]) -> dict[str, float]:
    waiting = iter(routes)

    def work(_: int) -> list[int]:
        connection = _Connection(address)
        return [len(connection.get(route)) for route in waiting]

    begin = time.perf_counter()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sizes = [size for each in pool.map(work, range(_AT_ONCE)) for size in each]
    seconds = time.perf_counter() - begin
    return {"frames_per_second": len(sizes) / seconds, "picture_bytes": max(sizes)}
