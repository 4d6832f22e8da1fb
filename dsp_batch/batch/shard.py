"""What a worker does with a shard: the same stages as the single command, series by series.

A stage that fails turns its series into a result row; the other series of the shard go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dsp_batch.batch.idc_series import link_viewer
from dsp_batch.batch.job import Job
from dsp_batch.batch.observation import publish_rows
from dsp_batch.cache import preview_key, read_index, write_index
from dsp_batch.errors import DspBatchError
from dsp_batch.index import SeriesIndex
from dsp_batch.indexing import build_index
from dsp_batch.model import EncodedImage, SeriesHeaders, SeriesRef, SeriesResult, Status
from dsp_batch.options import IndexOptions
from dsp_batch.painting import Source
from dsp_batch.pipeline import describe_index, fetch_headers, render_preview
from dsp_batch.storage.usage import Usage, measure_usage
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)
KEPT_BYTES = 1 << 20
"""Whole objects that one series may carry from task to task: no more than its preview weighs."""

SKIPPED_REASONS = frozenset({"no-pixels", "raw-data"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesWork:
    """A series on its way through the stages."""

    ref: SeriesRef
    result: SeriesResult
    """The row so far; its status holds once `finished`."""

    finished: bool = False
    headers: SeriesHeaders | None = None
    index: SeriesIndex | None = None


Shard = tuple[SeriesWork, ...]


def fetch_shard_headers(refs: tuple[SeriesRef, ...], job: Job, attempt: int) -> Shard:
    """First stage: for each series its cached index, else its headers."""
    shard = (
        SeriesWork(
            ref=ref,
            result=SeriesResult(
                series_uuid=ref.series_uuid,
                root=ref.root,
                status="failed",
                attempt=attempt,
                worker=_worker_address(),
                program=__version__,
                columns=ref.columns,
            ),
        )
        for ref in refs
    )
    return tuple(_guarded(_fetch, work, job, "seconds_headers") for work in shard)


def build_shard_indices(shard: Shard, job: Job) -> Shard:
    """Second stage: an index for each series that has none yet, written to the cache."""
    return tuple(work if work.finished else _guarded(_build, work, job, "seconds_index") for work in shard)


def render_shard(shard: Shard, job: Job) -> tuple[SeriesResult, ...]:
    """Last stage: previews, written to the cache; what is left of each series is its row."""
    works = [work if work.finished else _guarded(_render, work, job, "seconds_render") for work in shard]
    rows = tuple(work.result for work in works)
    publish_rows(rows)
    return rows


def _fetch(work: SeriesWork, job: Job) -> SeriesWork:
    options = job.options if isinstance(job.options, IndexOptions) else IndexOptions()
    if options == IndexOptions() and not job.rebuild:
        index = read_index(job.cache, work.ref.series_uuid, work.ref.root)
        if index is not None:
            return replace(work, index=index)
    store = job.open_store(work.ref)
    headers = fetch_headers(
        work.ref, store, options, timeout=_seconds_left(work, job), keep=KEPT_BYTES if job.draws else None
    )
    return replace(work, headers=headers)


def _build(work: SeriesWork, job: Job) -> SeriesWork:
    index = work.index
    if index is None and work.headers is not None:
        index = build_index(work.headers)
        write_index(index, job.cache)
    if index is None:
        raise ValueError("a series came to its second stage without headers and without an index")
    known = describe_index(index)
    result = replace(work.result, **known, viewer=link_viewer(work.ref, job.endpoint_url, known))
    if job.draws:
        return replace(work, index=index, headers=None, result=result)
    status: Status = "kept" if work.headers is None else "done"
    return replace(work, finished=True, headers=None, result=replace(result, status=status))


def _render(work: SeriesWork, job: Job) -> SeriesWork:
    if work.index is None or isinstance(job.options, IndexOptions):
        raise ValueError("a series came to its last stage without an index or without anything to draw")
    store = job.open_store(work.ref)
    source = Source(store=store, timeout=_seconds_left(work, job), max_frame_bytes=job.max_frame_bytes)
    image = render_preview(work.index, source, job.options, ".webp")
    key = preview_key(job.name, work.ref.series_uuid)
    job.cache.write(key, image.data)
    for failure in image.failures:
        _log.warning("%s: %s", work.ref.url, failure)
    return replace(work, index=None, finished=True, result=replace(work.result, **_describe_image(image, key)))


def _describe_image(image: EncodedImage, key: str) -> dict[str, Any]:
    return {
        "status": "done",
        "preview": key,
        "n_tiles": image.n_tiles,
        "width": image.width,
        "height": image.height,
        "preview_bytes": len(image.data),
        "window_center": image.window.center if image.window else None,
        "window_width": image.window.width if image.window else None,
        "error": image.failures[0] if image.failures else None,
    }


def _guarded(stage: Callable[[SeriesWork, Job], SeriesWork], work: SeriesWork, job: Job, clock: str) -> SeriesWork:
    """Run one stage of one series; whatever it raises becomes that series' row."""
    begin = time.perf_counter()
    with measure_usage() as usage:
        try:
            after = stage(work, job)
        except Exception as error:  # noqa: BLE001  # the shard boundary: one bad series costs one row
            after = replace(work, headers=None, index=None, finished=True, result=_failed(work.result, error, job))
    return replace(after, result=_account(after.result, clock, time.perf_counter() - begin, usage))


def _account(result: SeriesResult, clock: str, seconds: float, usage: Usage) -> SeriesResult:
    spent: dict[str, Any] = {
        clock: seconds,
        "bytes_read": result.bytes_read + usage.bytes_read,
        "requests": result.requests + usage.requests,
    }
    return replace(result, **spent)


def _failed(result: SeriesResult, error: Exception, job: Job) -> SeriesResult:
    if isinstance(error, DspBatchError):
        status: Status = "skipped" if error.reason in SKIPPED_REASONS else "failed"
        return replace(result, status=status, reason=error.reason, error=error.message)
    if isinstance(error, TimeoutError):
        message = f"{result.root}/{result.series_uuid} took longer than {job.timeout:g} s: raise --timeout-per-series"
        return replace(result, reason="timeout", error=message)
    if isinstance(error, MemoryError):
        return replace(result, reason="out-of-memory", error="it needs more memory than the worker has")
    _log.exception("%s/%s", result.root, result.series_uuid)
    return replace(result, reason="internal", error=f"{type(error).__name__}: {error}".splitlines()[0])


def _seconds_left(work: SeriesWork, job: Job) -> float:
    """What is left of the series' time, waiting for its neighbours not counted."""
    left = job.timeout - work.result.seconds_headers - work.result.seconds_index - work.result.seconds_render
    if left <= 0:
        raise TimeoutError
    return left


def _worker_address() -> str | None:
    from distributed import get_worker  # noqa: PLC0415  # a shard also runs without Dask

    try:
        address: str = get_worker().address
    except ValueError:
        return None
    return address
