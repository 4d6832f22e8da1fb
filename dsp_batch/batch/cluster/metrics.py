"""Figures of the series that this worker has worked on, for Prometheus: Dask's `/metrics` of each worker shows them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from dsp_batch.batch.runs.figures import STAGES
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult

if TYPE_CHECKING:
    from prometheus_client import Counter

_PRODUCT = ("verb", "name")


class SeriesCounters(NamedTuple):
    """The counters of a worker process, each by verb and name of the previews."""

    series: Counter
    """Series, by status too."""

    bytes_read: Counter
    requests: Counter
    seconds: Counter
    """Seconds of stages, by stage too. Series of one task may overlap."""


def count_rows(rows: Iterable[SeriesResult], job: Job) -> None:
    """Count what some series took; nothing happens where prometheus_client is not installed."""
    counters = _find_counters()
    if counters is None:
        return
    product = (job.verb, job.name)
    for row in rows:
        counters.series.labels(*product, row.status).inc()
        counters.bytes_read.labels(*product).inc(row.bytes_read)
        counters.requests.labels(*product).inc(row.requests)
        for stage in STAGES:
            counters.seconds.labels(*product, stage).inc(getattr(row, f"seconds_{stage}"))


@lru_cache(maxsize=1)
def _find_counters() -> SeriesCounters | None:
    """Make the counters once a process, in the registry that Dask's `/metrics` is written from."""
    if find_spec("prometheus_client") is None:
        return None
    from prometheus_client import Counter  # noqa: PLC0415  # an optional dependency

    return SeriesCounters(
        series=Counter("dsp_batch_series", "Series worked on.", (*_PRODUCT, "status")),
        bytes_read=Counter("dsp_batch_read_bytes", "Bytes read of series.", _PRODUCT),
        requests=Counter("dsp_batch_requests", "Requests for series, retries included.", _PRODUCT),
        seconds=Counter("dsp_batch_stage_seconds", "Seconds of the stages of series.", (*_PRODUCT, "stage")),
    )
