"""Memory of client and scheduler over many series: what is done is forgotten."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from distributed import Client

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from phantom_bulk import build_many
from scale_cluster import open_cluster

from dsp_batch.batch.cluster.in_flight import Cluster, SeriesToRun, run_series
from dsp_batch.batch.plan.expectations import Expected
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.sharding import MAX_SERIES_PER_SHARD, SHARDS_PER_THREAD
from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.series import write_collection

SERIES, WORKERS = 300, 2
TASKS_PER_SHARD = 3
CLIENT_BYTES, SCHEDULER_BYTES = 600, 6_000
"""Growth a series. A row alone, if the client kept it, would be 1,500."""


@contextmanager
def tracing() -> Iterator[None]:
    """Trace what is allocated from here on; what was there before is not looked through again and again."""
    gc.collect()
    gc.freeze()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
        gc.unfreeze()


def test_client_and_scheduler_do_not_grow_with_the_series_that_are_done(tmp_path: Path) -> None:
    root = tmp_path / "series"
    write_collection(root, build_many(SERIES))
    refs = [SeriesRef(root=str(root), series_uuid=path.name) for path in root.iterdir()]
    cache = open_cache(str(tmp_path / "cache"))
    job = Job(verb="mosaic", options=MosaicOptions(tile_width=1, image_width=16), cache=cache, name="mosaic")
    writer = ResultsWriter(cache=cache, folder="runs/growth/results", attempt=1)
    samples: list[tuple[int, int, int, int]] = []
    done = 0

    with open_cluster(tmp_path / "cluster", WORKERS) as cluster, Client(scheduler_file=str(cluster.file)) as client:

        def take(rows: tuple[SeriesResult, ...]) -> None:
            nonlocal done
            done += sum(row.status == "done" for row in rows)
            writer.add(rows)
            if rows and done > SERIES / 2:
                writer.flush()  # rows that wait for their part are no growth
                gc.collect()
                tasks = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
                samples.append((done, tracemalloc.get_traced_memory()[0], cluster.scheduler.memory_info().rss, tasks))

        client.wait_for_workers(WORKERS)
        with tracing():
            run_series(Cluster(client), job, SeriesToRun(iter([Expected(ref) for ref in refs]), SERIES), take)

    series, of_client, of_scheduler, tasks = np.array(samples, float).T
    assert done == SERIES
    assert np.polyfit(series, of_client, 1)[0] < CLIENT_BYTES
    assert np.polyfit(series, of_scheduler, 1)[0] < SCHEDULER_BYTES
    assert tasks.max() <= TASKS_PER_SHARD * (WORKERS * SHARDS_PER_THREAD + 1)
    assert len(samples) >= SERIES / 2 / MAX_SERIES_PER_SHARD
