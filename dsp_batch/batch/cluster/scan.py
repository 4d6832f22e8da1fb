"""The scan of folders on the cluster: its headers are read as tasks, a bounded number at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

from dask.system import CPU_COUNT
from distributed import Client, Future, wait
from distributed.scheduler import KilledWorker

from dsp_batch.batch.cluster.connect import ClusterConnection
from dsp_batch.batch.cluster.dashboard import name_group
from dsp_batch.batch.cluster.graph import delay_stage, submit_shard
from dsp_batch.batch.cluster.health import ask_threads
from dsp_batch.batch.manifest.folders import Folders
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.sharding import SHARDS_PER_THREAD
from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.series import SeriesRef
from dsp_batch.scan.folder_scan import FolderScan
from dsp_batch.scan.parts import ScanChunk, ScannedPart, scan_chunk
from dsp_batch.storage.usage import count_usage

_log = logging.getLogger(__name__)

CHUNKS_HERE = 2
"""Chunks that the client reads itself: for a small folder a cluster would start for nothing."""

_Item = SeriesRef | ScanChunk


def scan_on_cluster(
    folders: Folders, unlisted: dict[str, StorageError], job: Job, connection: ClusterConnection
) -> Iterator[SeriesRef]:
    """Find the series in folders, at any depth, and keep in the cache which objects make up each.

    Args:
        folders: The folders.
        unlisted: Takes the errors of those that cannot be listed.
        job: How they are read, and the cache.
        connection: Where the headers are read that are more than a client reads in a few seconds.

    Raises:
        StorageError: An object cannot be read.
        DspBatchError: There is no cluster, or it is lost.
    """
    scan = FolderScan(
        store=job.open_store(SeriesRef(folders.root, "", folders.endpoint_url)),
        cache=job.cache,
        folders=tuple(folders.names),
        refresh=job.refresh,
        unlisted=unlisted,
    )
    for each in _run(scan.cut(), connection):
        if isinstance(each, SeriesRef):
            yield each
        else:
            scan.add(each)
    yield from (found.ref for found in scan.finish())


def _run(items: Iterator[_Item], connection: ClusterConnection) -> Iterator[SeriesRef | ScannedPart]:
    """Run chunks, the first ones here and the others on the cluster; series pass through."""
    left = CHUNKS_HERE
    for item in items:
        if isinstance(item, SeriesRef):
            yield item
        elif left:
            left -= 1
            yield scan_chunk(item)
        else:
            yield from _spread(chain([item], items), connection.open(CPU_COUNT))


def _spread(items: Iterator[_Item], client: Client) -> Iterator[SeriesRef | ScannedPart]:
    """Run chunks on the cluster, a few for each thread of a worker at a time."""
    pending: set[Future[Any]] = set()
    for item in items:
        if isinstance(item, SeriesRef):
            yield item
            continue
        pending.add(_submit(item, client))
        if len(pending) >= SHARDS_PER_THREAD * max(1, sum(ask_threads(client, 60.0).values())):
            ended, pending = wait(pending, return_when="FIRST_COMPLETED")
            yield from map(_gather, ended)
    yield from map(_gather, pending)


def _submit(chunk: ScanChunk, client: Client) -> Future[Any]:
    key = (name_group("scan"), chunk.name, uuid4().hex)
    return submit_shard(client, delay_stage(partial(scan_chunk, chunk))(dask_key_name=key))


def _gather(future: Future[Any]) -> ScannedPart:
    try:
        part: ScannedPart = future.result()
    except KilledWorker as error:
        message = "the headers of some objects killed each worker that read them: give the workers more memory"
        raise DspBatchError(message, "worker-died") from error
    count_usage(requests=part.requests, bytes_read=part.bytes_read)  # a worker has counted them for itself
    return part
