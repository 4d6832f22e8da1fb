"""One shard as one task on the cluster."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any
from uuid import uuid4

from distributed import Client, Future

from dsp_batch.batch.job import Job
from dsp_batch.batch.observation import name_group
from dsp_batch.batch.shard import work_shard
from dsp_batch.model import SeriesRef

_log = logging.getLogger(__name__)


def submit_shard(client: Client, refs: tuple[SeriesRef, ...], job: Job, attempt: int) -> Future[Any]:
    """Hand a shard to the cluster.

    Args:
        client: The cluster.
        refs: The series of the shard.
        job: What to do with each.
        attempt: Number of this run's attempt, for the rows.

    Returns:
        A future of a tuple of `SeriesResult`, one a series. Its key is the verb, the first series and a token of this
        call: nothing that is on the cluster already is taken for it.
    """
    key = (name_group(job.verb), refs[0].series_uuid, uuid4().hex)
    future: Future[Any] = client.submit(work_shard, refs, job, attempt, key=key, pure=False)
    return future


def token_of(future: Future[Any]) -> str:
    """The token of a shard that was submitted."""
    return _token(future.key)


def running_tokens(client: Client) -> frozenset[str]:
    """Tokens of the shards that workers are busy with at this moment, as far as they answer."""
    with suppress(OSError, ValueError):
        stacks = client.call_stack()
        return frozenset(_token(key) for keys in stacks.values() for key in keys)
    _log.debug("the workers do not say what they are busy with")
    return frozenset()


def _token(key: Any) -> str:
    """The last part of a key; other clients' keys have none, and may be plain texts."""
    return str(key[-1]) if isinstance(key, tuple) else ""
