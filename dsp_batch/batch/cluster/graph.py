"""One shard as three delayed tasks: headers │ index │ render."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from dask.delayed import delayed
from distributed import Client, Future

from dsp_batch.batch.cluster.dashboard import name_group
from dsp_batch.batch.cluster.tasks import build_shard_indices, fetch_shard_headers, render_shard
from dsp_batch.batch.runs.job import Job
from dsp_batch.model.series import SeriesRef

_log = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 10.0
"""Seconds that all workers together have to answer. One of them may be frozen, or the scheduler."""


def delay_shard(refs: tuple[SeriesRef, ...], job: Job, attempt: int) -> Any:
    """Delay a shard: its result rows as three tasks.

    Args:
        refs: The series of the shard.
        job: What to do with each.
        attempt: Number of this run's attempt, for the rows.

    Returns:
        A delayed tuple of `SeriesResult`, one a series; its tasks are keyed by stage, first series and a token of this
        call: nothing that is on the cluster already is taken for it.
    """
    name, token = refs[0].series_uuid, uuid4().hex
    fetch = delay_stage(partial(fetch_shard_headers, refs, job, attempt))
    build, render = (delay_stage(partial(stage, job=job)) for stage in (build_shard_indices, render_shard))
    headers = fetch(dask_key_name=(name_group("headers"), name, token))
    indices = build(headers, dask_key_name=(name_group("index"), name, token))
    return render(indices, dask_key_name=(name_group("render"), name, token))


def delay_stage(stage: Callable[..., Any]) -> Any:
    """Make a delayed function of a stage, which travels as bytes.

    The scheduler unpickles what tasks hold, and keeps the last thousand messages to each worker: as objects the series
    would take four times the memory there, for the whole run. And Dask does not search bytes for other delayed objects.
    """
    return delayed(partial(run_stage, pickle.dumps(stage)), pure=False)


def run_stage(stage: bytes, *given: Any) -> Any:
    """Run a stage on the worker.

    Args:
        stage: The stage with its arguments, pickled by the client.
        given: Result of the stage before it.
    """
    return pickle.loads(stage)(*given)  # noqa: S301  # as Dask does with whatever a client sends


def submit_shard(client: Client, shard: Any) -> Future[Any]:
    """Hand a delayed shard to the cluster."""
    future: Future[Any] = client.compute(shard, optimize_graph=False)
    return future


def token_of(future: Future[Any]) -> str:
    """Find the token of a shard that was submitted."""
    return _token(future.key)


def running_tokens(client: Client) -> frozenset[str] | None:
    """Find the tokens of the shards that workers are busy with now; None where not all of them answer in time."""
    scheduler: Any = client.scheduler
    try:
        stacks = client.sync(scheduler.call_stack, keys=None, callback_timeout=SECONDS_TO_ANSWER)
    except (OSError, ValueError):
        _log.debug("the workers do not say what they are busy with")
        return None
    return frozenset(_token(key) for keys in stacks.values() for key in keys)


def _token(key: Any) -> str:
    """Take the last part of a key. Keys of other clients have none, and may be plain texts."""
    return str(key[-1]) if isinstance(key, tuple) else ""
