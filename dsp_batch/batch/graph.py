"""One shard as three delayed tasks: headers │ index │ render."""

from __future__ import annotations

from typing import Any

from dask.delayed import delayed
from distributed import Client, Future

from dsp_batch.batch.job import Job
from dsp_batch.batch.shard import build_shard_indices, fetch_shard_headers, render_shard
from dsp_batch.model import SeriesRef


def delay_shard(refs: tuple[SeriesRef, ...], job: Job, token: str, attempt: int) -> Any:
    """The delayed result rows of a shard.

    Args:
        refs: The series of the shard.
        job: What to do with each.
        token: Tells this run from others on the same cluster, and this try of the shard from earlier ones.
        attempt: Number of this run's attempt, for the rows.

    Returns:
        A delayed tuple of `SeriesResult`, one a series; its tasks are keyed by stage and first series.
    """
    name = refs[0].series_uuid
    headers = delayed(fetch_shard_headers, pure=False)(refs, job, attempt, dask_key_name=("headers", name, token))
    indices = delayed(build_shard_indices, pure=False)(headers, job, dask_key_name=("index", name, token))
    return delayed(render_shard, pure=False)(indices, job, dask_key_name=("render", name, token))


def submit_shard(client: Client, shard: Any) -> Future[Any]:
    """Hand a delayed shard to the cluster."""
    future: Future[Any] = client.compute(shard, optimize_graph=False)
    return future
