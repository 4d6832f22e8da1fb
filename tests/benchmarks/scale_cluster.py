"""A scheduler, workers and a client as processes of their own, watched from outside while a manifest runs."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from phantom_bulk import build_many
from servers import run_nginx, run_process, wait_for

from dsp_batch.batch.runs.job import list_runs
from dsp_batch.batch.runs.results import read_results
from dsp_batch.cache import Cache
from dsp_batch.phantom.series import write_collection

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_START = 60.0


class Sample(NamedTuple):
    """What the processes hold and have used at one moment."""

    seconds: float
    """Since the client began."""

    series: int
    """Previews that are there."""

    scheduler_bytes: int
    client_bytes: int
    worker_bytes: int
    """Of the largest worker."""

    scheduler_cpu: float
    client_cpu: float


class Collection(NamedTuple):
    """Tiny series behind a server that counts requests."""

    series_uuids: tuple[str, ...]
    manifest: Path
    access_log: Path

    def count_requests(self) -> int:
        """Requests that have been answered so far."""
        with self.access_log.open("rb") as log:
            return sum(b"/many/" in line for line in log)


class Cluster(NamedTuple):
    """A scheduler with its workers."""

    file: Path
    scheduler: psutil.Process
    workers: tuple[psutil.Process, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What a client that was killed left behind."""

    series: int
    """Previews that were there."""

    without_row: int
    """Those of them that no result row told of: they are made again."""

    requests: int
    """Requests until then."""


@contextmanager
def open_collection(folder: Path, count: int) -> Iterator[Collection]:
    """Write series of one, two and three objects, and serve them."""
    uuids = []
    for series in build_many(count):
        write_collection(folder / "www" / "many", [series])
        uuids.append(series.series_uuid)
    locations = f"location / {{ root {folder}/www; autoindex on; autoindex_format json; }}"
    with run_nginx(folder / "nginx", locations) as server:
        manifest = folder / "manifest.txt"
        manifest.write_text("".join(f"{server.url}/many/{uuid}/\n" for uuid in uuids))
        yield Collection(tuple(uuids), manifest, server.log)


@contextmanager
def open_cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Start a scheduler, and workers of one thread without nannies."""
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "scheduler.json", folder / "cluster.log"
    python = [sys.executable, "-m", "dask"]
    scheduler = [*python, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter"]
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
    worker = [*python, "worker", "--scheduler-file", str(file), *options]
    # As a local cluster is set: no history of the profiler, and few messages are kept.
    environment = {
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "10",
    }
    with ExitStack() as running:
        first = running.enter_context(run_process([*scheduler, "--scheduler-file", str(file)], log, **environment))
        wait_for(file.exists, _SECONDS_TO_START, "dask scheduler", log)
        processes = [running.enter_context(run_process(worker, log, **environment)) for _ in range(workers)]
        yield Cluster(file, psutil.Process(first.pid), tuple(psutil.Process(each.pid) for each in processes))


def count_previews(cache: Cache) -> int:
    """Previews in a cache directory on disk."""
    folder = Path(cache.url) / "previews" / "mosaic"
    if not folder.is_dir():
        return 0
    return sum(1 for _ in folder.glob("[!.]*/[!.]*.webp"))


def run_client(
    collection: Collection, cluster: Cluster, cache: Cache, is_enough: Callable[[int], bool] = lambda _: False
) -> list[Sample]:
    """Run `dsp-batch mosaic` over the collection, and kill it with -9 as soon as enough previews are there.

    Returns:
        Samples from beginning to end.

    Raises:
        RuntimeError: The client failed, though nobody killed it.
    """
    log = cluster.file.with_name("client.log")
    command = [str(Path(sys.executable).with_name("dsp-batch")), "mosaic", str(collection.manifest)]
    command += ["--cache-dir", cache.url, "--scheduler-file", str(cluster.file), "--image-width", "16"]
    samples: list[Sample] = []
    begin = time.monotonic()
    with run_process(command, log) as process:
        client = psutil.Process(process.pid)
        while process.poll() is None:
            series = count_previews(cache)
            if is_enough(series):
                process.kill()
                process.wait()
                return samples
            if client.status() != psutil.STATUS_ZOMBIE:
                samples.append(_look(time.monotonic() - begin, series, cluster, client))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        raise RuntimeError(f"the client ended with {process.returncode}: {log.read_text()[-2000:]}")
    return samples


def _look(seconds: float, series: int, cluster: Cluster, client: psutil.Process) -> Sample:
    return Sample(
        seconds,
        series,
        cluster.scheduler.memory_info().rss,
        client.memory_info().rss,
        max(worker.memory_info().rss for worker in cluster.workers),
        _cpu(cluster.scheduler),
        _cpu(client),
    )


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def second_half(samples: Sequence[Sample]) -> list[Sample]:
    """The samples from half of the series on, while series were being done."""
    total = samples[-1].series
    return [sample for sample in samples if total / 2 <= sample.series < total]


def growth_per_series(samples: Sequence[Sample], measure: str) -> float:
    """Slope of a measure against the series that are done: least squares over the samples, a unit a series."""
    series = np.array([sample.series for sample in samples], float)
    values = np.array([getattr(sample, measure) for sample in samples], float)
    return float(np.polyfit(series, values, 1)[0])


def run_and_kill(share: float, collection: Collection, cluster: Cluster, cache: Cache) -> Kill:
    """Run the collection until that share of the previews is there, and kill the client."""
    bound = share * len(collection.series_uuids)
    run_client(collection, cluster, cache, lambda series: series >= bound)
    (run,) = list_runs(cache)
    told = set(read_results(cache, run).column("series_uuid").to_pylist())
    there = {path.stem for path in Path(cache.url).glob("previews/mosaic/*/*.webp")}
    return Kill(series=len(there), without_row=len(there - told), requests=collection.count_requests())


def draw_moment(seed: int) -> float:
    """A random moment of a run, not in its first or last twentieth."""
    return random.Random(seed).uniform(0.05, 0.95)
