"""The three tasks of a shard: the same stages as the single command, some series at a time.

A stage that fails turns its series into a result row; the other series of the shard go on. Headers, indices and small
whole objects go from stage to stage; frames live and die in the last one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, TypeVar

from dsp_batch.batch.cluster.dashboard import publish_rows
from dsp_batch.batch.cluster.metrics import count_rows
from dsp_batch.batch.cluster.watchdog import end_worker_after
from dsp_batch.batch.cluster.worker import find_address, find_memory, has_nanny, return_memory
from dsp_batch.batch.outage import LONGEST_OUTAGE, wait_out
from dsp_batch.batch.plan.estimate import SERIES_AT_ONCE, count_tiles
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult, Status, build_row
from dsp_batch.cache import preview_key, write_index
from dsp_batch.errors import SKIPPED_REASONS, DspBatchError, NoPixelsError, first_line, out_of_memory
from dsp_batch.fetch import KEPT_BYTES_OF_MANY, Allowance, fetch_headers, find_index
from dsp_batch.idc.viewer import link_viewer
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.overlays.registry import name_images
from dsp_batch.kinds.registry import add_statements
from dsp_batch.model.deadline import limit_time
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.notes import join_notes
from dsp_batch.model.series import SeriesHeaders, SeriesRef
from dsp_batch.options import IndexOptions
from dsp_batch.pipeline import describe_index, render_preview
from dsp_batch.references.load import Context, Search, load_references
from dsp_batch.render.compose import FrameSource, count_drawing_bytes
from dsp_batch.scan.find import find_again
from dsp_batch.scan.parts import read_scanned_objects
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import Usage, measure_usage

_log = logging.getLogger(__name__)

T = TypeVar("T")

_ALONE = Context()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesWork:
    """A series on its way through the stages."""

    ref: SeriesRef
    result: SeriesResult
    """The row so far; its status holds once `finished`."""

    begun: float = 0.0
    """When the present stage began, by the clock of this process."""

    finished: bool = False
    """True when nothing more is done with the series."""

    is_set_aside: bool = False
    """True where the series needs more memory than its share, and waits until it is alone."""

    may_end_worker: bool = False
    """True where the worker is started again when its process ends."""

    headers: SeriesHeaders | None = None
    index: SeriesIndex | None = None
    context: Context = _ALONE
    """The series that it draws upon, as far as they are at hand."""

    @property
    def is_under_way(self) -> bool:
        """True where the series is neither finished nor set aside."""
        return not self.finished and not self.is_set_aside


class MemoryShare(NamedTuple):
    """Memory that one series may take of its worker."""

    size: int
    """Bytes of the share."""

    is_all: bool
    """True where the series is alone, and the share is all that there is."""


Shard = tuple[SeriesWork, ...]


def fetch_shard_headers(refs: tuple[SeriesRef, ...], job: Job, attempt: int) -> Shard:
    """First stage: for each series its cached index, else its headers.

    The headers of all series are held until their indices are built, so each has its share of the worker's memory. A
    series that needs more is set aside until the end of the last stage, and then has all of it: what becomes of a
    series does not depend on its neighbours.

    Args:
        refs: The series.
        job: What to do with each.
        attempt: Number of this run's attempt, for the rows.
    """
    share = MemoryShare(find_memory() // len(refs), is_all=len(refs) == 1)
    worker, may_end_worker = find_address(), has_nanny()

    def begin(ref: SeriesRef) -> SeriesWork:
        result = build_row(ref, "failed", attempt, worker=worker)
        return SeriesWork(ref=ref, result=result, may_end_worker=may_end_worker)

    return _overlap(lambda ref: _guarded("seconds_headers", begin(ref), job, share), refs)


def build_shard_indices(shard: Shard, job: Job) -> Shard:
    """Second stage: an index for each series that has none yet, written to the cache."""
    share = MemoryShare(find_memory(), is_all=True)
    return _overlap(lambda work: _guarded("seconds_index", work, job, share) if work.is_under_way else work, shard)


def render_shard(shard: Shard, job: Job) -> tuple[SeriesResult, ...]:
    """Last stage: previews, written to the cache, and what is left of each series: its row, in their order."""
    budget = find_memory()
    share = MemoryShare(budget // min(SERIES_AT_ONCE, len(shard)), is_all=len(shard) == 1)
    drawn = _overlap(lambda work: _guarded("seconds_render", work, job, share) if work.is_under_way else work, shard)
    alone = MemoryShare(budget, is_all=True)
    rows = tuple((_finish_alone(work, job, alone) if work.is_set_aside else work).result for work in drawn)
    ended = [row for row in rows if row.status != "waiting"]
    publish_rows(ended)
    count_rows(ended, job)
    return_memory()
    return rows


def _overlap(stage: Callable[[T], SeriesWork], series: Sequence[T]) -> Shard:
    """Take a few series at a time through a stage: while one waits for storage, another computes."""
    with ThreadPoolExecutor(min(SERIES_AT_ONCE, len(series)), thread_name_prefix="dsp-batch-series") as pool:
        return tuple(pool.map(stage, series))


def _finish_alone(work: SeriesWork, job: Job, share: MemoryShare) -> SeriesWork:
    """Take a series that was set aside through the stages that it lacks."""
    work = replace(work, is_set_aside=False)
    for seconds_field in _STAGES:
        if work.is_under_way:
            work = _guarded(seconds_field, work, job, share)
    return work


def _fetch(work: SeriesWork, job: Job, share: MemoryShare) -> SeriesWork:
    """First stage: the cached index, else the headers."""
    if work.index is not None:
        return work
    options = job.options if isinstance(job.options, IndexOptions) else IndexOptions()
    store = job.open_store(work.ref)
    ref = _wait_for_cache(lambda: _find_objects(work.ref, store, job), work, job)
    if options == IndexOptions() and not job.rebuild:
        index = _wait_for_cache(lambda: find_index(ref, store, job.cache, refresh=job.refresh), work, job)
        if index is not None:
            return replace(work, index=index)
    kept_bytes = min(KEPT_BYTES_OF_MANY, share.size // 8) if job.draws else None
    allowance = Allowance(
        seconds=_seconds_left(work, job), kept_bytes=kept_bytes, needs_pixels=job.needs_pixels, memory=share.size
    )
    headers = fetch_headers(ref, store, options, allowance)
    return replace(work, headers=replace(headers, ref=ref._replace(objects=None)))


def _find_objects(ref: SeriesRef, store: Store, job: Job) -> SeriesRef:
    """Add the objects of a series that a scan has found: as the cache keeps them, else by a scan of its folder."""
    if ref.folder is None:
        return ref
    objects = read_scanned_objects(ref, job.cache) if ref.scan else None
    return find_again(ref, store) if objects is None else ref._replace(objects=objects)


def _build(work: SeriesWork, job: Job, _share: MemoryShare) -> SeriesWork:
    """Second stage: an index where there is none yet, written to the cache.

    An object that speaks of images is drawn after them: at its first turn it says only which images these are.
    """
    index = work.index
    if index is None and work.headers is not None:
        built = index = add_statements(build_index(work.headers))
        _wait_for_cache(lambda: write_index(built, job.cache), work, job)
    if index is None:
        raise ValueError("a series came to its second stage without headers and without an index")
    known = describe_index(index, describe=job.describe)
    store = job.open_store(work.ref)
    result = replace(work.result, **known, viewer=link_viewer(work.ref, job.endpoint_url, known))
    if job.draws:
        if job.context in ("cached", "fetch") and work.ref.neighbours is None:
            named = name_images(index)
            if named is not None:
                waiting = replace(result, status="waiting", references=named)
                return replace(work, finished=True, headers=None, index=None, result=waiting)
        search = Search(
            mode=job.context, places=work.ref.neighbours or (), asks_idc=False, seconds=_seconds_left(work, job)
        )
        context = _wait_for_cache(lambda: load_references(index, store, job.cache, search), work, job)
        return replace(work, index=index, headers=None, result=result, context=context)
    status: Status = "kept" if work.headers is None else "done"
    return replace(work, finished=True, headers=None, index=None, result=replace(result, status=status))


def _render(work: SeriesWork, job: Job, share: MemoryShare) -> SeriesWork:
    """Last stage: the preview, written to the cache."""
    if work.index is None or isinstance(job.options, IndexOptions):
        raise ValueError("a series came to its last stage without an index or without anything to draw")
    needed = count_drawing_bytes(work.index, count_tiles(job.options))
    if needed > share.size:
        raise out_of_memory(f"drawing {work.ref.url} takes", needed, share.size)
    store = job.open_store(work.ref)
    source = FrameSource(
        store=store,
        references=work.context.references,
        missing=work.context.missing,
        timeout=_seconds_left(work, job),
        max_frame_bytes=job.max_frame_bytes,
    )
    image = render_preview(work.index, source, job.options, ".webp")
    key = preview_key(job.name, work.ref.series_uuid)
    _wait_for_cache(lambda: job.cache.write(key, image.data), work, job)
    for failure in image.failures:
        _log.warning("%s: %s", work.ref.url, failure)
    return replace(
        work, index=None, context=_ALONE, finished=True, result=replace(work.result, **_describe_image(image, key))
    )


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
        "window_source": image.window_source,
        "drawn_as": image.drawn_as,
        "context": image.context,
        "title": image.title,
        "summary": None if image.summary is None else json.dumps(image.summary, ensure_ascii=False),
        "n_items": image.n_items,
        "references": image.references,
        "grid": json.dumps(asdict(image.grid)) if image.grid else None,
        "error": image.failures[0] if image.failures else None,
        "notes": join_notes(image.notes),
    }


_STAGES: dict[str, Callable[[SeriesWork, Job, MemoryShare], SeriesWork]] = {
    "seconds_headers": _fetch,
    "seconds_index": _build,
    "seconds_render": _render,
}
"""Field of the row that holds the seconds of a stage → the stage."""


def _guarded(seconds_field: str, work: SeriesWork, job: Job, share: MemoryShare) -> SeriesWork:
    """Run one stage of one series. Whatever it raises becomes the row of that series, or sets it aside."""
    begin = time.perf_counter()
    work = replace(work, begun=begin)
    left = _time_left(work, job)
    watched = end_worker_after(left, work.ref.url) if work.may_end_worker else nullcontext()
    with measure_usage() as usage, limit_time(left), watched:
        try:
            after = _STAGES[seconds_field](work, job, share)
        except Exception as error:  # noqa: BLE001  # the shard boundary: one bad series costs one row
            after = _set_aside(work) if _lacks_memory(error) and not share.is_all else _fail(work, error, job)
    return replace(after, result=_add_usage(after.result, seconds_field, time.perf_counter() - begin, usage))


def _lacks_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, DspBatchError) and error.reason == "out-of-memory")


def _set_aside(work: SeriesWork) -> SeriesWork:
    return replace(work, headers=None, is_set_aside=True)


def _fail(work: SeriesWork, error: Exception, job: Job) -> SeriesWork:
    result = work.result
    if isinstance(error, NoPixelsError) and error.known:
        viewer = link_viewer(work.ref, job.endpoint_url, error.known)
        result = replace(result, viewer=viewer, **error.known)  # type: ignore[arg-type]  # fields that are texts
    return replace(
        work, headers=None, index=None, finished=True, result=_describe_failure(result, error, work.ref.url, job)
    )


def _add_usage(result: SeriesResult, seconds_field: str, seconds: float, usage: Usage) -> SeriesResult:
    spent: dict[str, Any] = {
        seconds_field: getattr(result, seconds_field) + seconds,
        "bytes_read": result.bytes_read + usage.bytes_read,
        "requests": result.requests + usage.requests,
    }
    return replace(result, **spent)


def _describe_failure(result: SeriesResult, error: Exception, url: str, job: Job) -> SeriesResult:
    if isinstance(error, DspBatchError) and error.reason != "timeout":
        status: Status = "skipped" if error.reason in SKIPPED_REASONS else "failed"
        return replace(result, status=status, reason=error.reason, error=error.message)
    if isinstance(error, DspBatchError | TimeoutError):
        message = f"{url} took longer than {job.timeout:g} s: raise --timeout-per-series"
        return replace(result, reason="timeout", error=message)
    if isinstance(error, MemoryError):
        return replace(result, reason="out-of-memory", error="it needs more memory than the worker has")
    _log.exception("%s", url)
    return replace(result, reason="internal", error=f"{type(error).__name__}: {first_line(error)}")


def _seconds_left(work: SeriesWork, job: Job) -> float:
    """Count the seconds that the series has left, without the time that it waited for its neighbours.

    Raises:
        TimeoutError: It has none left.
    """
    left = _time_left(work, job)
    if left <= 0:
        raise TimeoutError
    return left


def _time_left(work: SeriesWork, job: Job) -> float:
    result = work.result
    spent = result.seconds_headers + result.seconds_index + result.seconds_render + time.perf_counter() - work.begun
    return max(job.timeout - spent, 0.0)


def _wait_for_cache(action: Callable[[], T], work: SeriesWork, job: Job) -> T:
    """Read or write the cache, at least once, and in an outage again and again as long as the series has time.

    What has been computed is worth more than that time.
    """
    return wait_out(action, work.ref.url, min(LONGEST_OUTAGE, _time_left(work, job)))
