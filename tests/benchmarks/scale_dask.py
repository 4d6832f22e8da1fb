"""What Dask itself costs, measured on a real scheduler: CPU of client and scheduler a shard, memory, signs of life."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from distributed import Client, wait
from scale_cluster import open_cluster
from servers import run_process

from dsp_batch.batch.cluster.graph import delay_shard, submit_shard
from dsp_batch.batch.runs.job import Job
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions

_SMALL, _LARGE = 1, 40
"""Series of a shard."""

_SHARDS = 300
_WAITING = 1500
_IDLE_SECONDS = 20.0
_IDLE_WORKERS = 100
_SECONDS_BETWEEN_SIGNS = 2.0
"""Of life: Dask's interval for that many workers."""

_MANY_WORKERS = """
import asyncio, sys
from distributed import Worker

async def main():
    options = {"nthreads": 1, "dashboard": False, "local_directory": sys.argv[2]}
    workers = [Worker(sys.argv[1], **options) for _ in range(int(sys.argv[3]))]
    await asyncio.gather(*workers)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def measure_dask(folder: Path) -> dict[str, float]:
    """Measure, in the names of `simulated_work.Conditions` and in bytes."""
    job = Job(verb="mosaic", options=MosaicOptions(), cache=open_cache(str(folder / "cache")), name="mosaic")
    figures = {}
    with open_cluster(folder / "busy", 1) as cluster, Client(scheduler_file=str(cluster.file)) as client:
        client.wait_for_workers(1)
        _run_shards(client, job, 20, _SMALL)
        idle = _cpu_of(cluster.scheduler, _IDLE_SECONDS)
        costs = {size: _cost_of_shards(client, cluster.scheduler, job, size, idle) for size in (_SMALL, _LARGE)}
    for at, name in enumerate(("", "client_")):
        series = (costs[_LARGE][at] - costs[_SMALL][at]) / (_LARGE - _SMALL)
        figures[f"{name}series_seconds"] = max(series, 0.0)
        figures[f"{name}shard_seconds"] = costs[_SMALL][at] - series * _SMALL
    figures |= _measure_memory(folder / "waiting", job)
    figures |= _measure_signs_of_life(folder / "idle")
    return figures


def _refs(count: int) -> tuple[SeriesRef, ...]:
    """Series that are not there: their rows come at once."""
    return tuple(SeriesRef(root="s3://idc-open-data", series_uuid=str(uuid.uuid4()), line=1) for _ in range(count))


def _run_shards(client: Client, job: Job, count: int, size: int) -> None:
    """Six in flight."""
    refs = tuple(SeriesRef(root="/nowhere", series_uuid=str(uuid.uuid4()), line=1) for _ in range(size))
    for _ in range(count // 6):
        futures = [submit_shard(client, delay_shard(refs, job, 1)) for _ in range(6)]
        wait(futures)
        for future in futures:
            future.result()


def _cost_of_shards(client: Client, scheduler: psutil.Process, job: Job, size: int, idle: float) -> tuple[float, float]:
    """CPU seconds of the scheduler and of the client for one shard."""
    begin, own, other = time.monotonic(), time.process_time(), _cpu(scheduler)
    _run_shards(client, job, _SHARDS, size)
    seconds = time.monotonic() - begin
    return (_cpu(scheduler) - other - idle * seconds) / _SHARDS, (time.process_time() - own) / _SHARDS


def _measure_memory(folder: Path, job: Job) -> dict[str, float]:
    """Bytes of shards that wait, on a scheduler without workers."""
    held = {}
    for size in (_SMALL, _LARGE):
        with open_cluster(folder / str(size), 0) as cluster, Client(scheduler_file=str(cluster.file)) as client:
            warm = [submit_shard(client, delay_shard(_refs(size), job, 1)) for _ in range(50)]
            time.sleep(3)
            own = psutil.Process()
            before = cluster.scheduler.memory_info().rss, own.memory_info().rss
            futures = [submit_shard(client, delay_shard(_refs(size), job, 1)) for _ in range(_WAITING)]
            time.sleep(5)
            after = cluster.scheduler.memory_info().rss, own.memory_info().rss
            held[size] = [(end - begin) / _WAITING for begin, end in zip(before, after, strict=True)]
            del warm, futures
    series = (held[_LARGE][0] - held[_SMALL][0]) / (_LARGE - _SMALL)
    return {"shard_bytes": held[_SMALL][0] - series, "series_bytes": series, "client_shard_bytes": held[_LARGE][1]}


def _measure_signs_of_life(folder: Path) -> dict[str, float]:
    """CPU seconds of the scheduler for one sign of life, and its bytes for a worker."""
    with open_cluster(folder, 0) as cluster:
        alone, before = _cpu_of(cluster.scheduler, _IDLE_SECONDS), cluster.scheduler.memory_info().rss
        with _many_workers(cluster.file, folder):
            time.sleep(_IDLE_SECONDS)
            together = _cpu_of(cluster.scheduler, _IDLE_SECONDS)
            after = cluster.scheduler.memory_info().rss
    signs = _IDLE_WORKERS / _SECONDS_BETWEEN_SIGNS
    return {"heartbeat_seconds": (together - alone) / signs, "worker_bytes": (after - before) / _IDLE_WORKERS}


@contextmanager
def _many_workers(file: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Workers in one process; they do nothing but tell that they live."""
    import json

    address = json.loads(file.read_text())["address"]
    command = [sys.executable, "-c", _MANY_WORKERS, address, str(folder), str(_IDLE_WORKERS)]
    with run_process(command, folder / "workers.log") as process:
        with Client(address) as client:
            client.wait_for_workers(_IDLE_WORKERS, timeout=120)
        yield process


def _cpu_of(process: psutil.Process, seconds: float) -> float:
    """CPU seconds a second, over that time."""
    begin, moment = _cpu(process), time.monotonic()
    time.sleep(seconds)
    return (_cpu(process) - begin) / (time.monotonic() - moment)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
