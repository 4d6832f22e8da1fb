"""The work that is expected of series before anything of them is read, and which of them have no pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dsp_batch.batch.plan.estimate import SeriesFacts, build_facts, count_tiles, estimate_work
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult, build_row
from dsp_batch.idc.index import IdcIndex, IdcSeries, describe_series
from dsp_batch.idc.viewer import is_indexed, link_viewer
from dsp_batch.kinds.registry import lacks_pictures
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import LATENCY


class Expected(NamedTuple):
    """A series, and the work that is expected of it."""

    ref: SeriesRef
    seconds: float | None = None
    """Seconds of one worker thread, of which only the ratio to other series counts. None where nothing is known of the
    series."""


_MODALITY, _CLASS, _COUNT, _SIZE = "modality", "sopclassuid", "instancecount", "series_size_mb"


def expect_series(
    refs: Sequence[SeriesRef], job: Job, index: IdcIndex | None, attempt: int = 1
) -> tuple[list[Expected], list[SeriesResult]]:
    """Estimate the work of series, and tell those apart that the IDC index knows to have no pixels.

    Only series in IDC's own buckets are looked up, and only by a client that has the index. Of the others the manifest
    may tell something.

    Args:
        refs: Some thousand series.
        job: What is to be done with them; an index is built of series without pixels too.
        index: The IDC index, where the client has it.
        attempt: Number of this attempt, for the rows.

    Returns:
        Series to work on, and rows of those that are skipped.
    """
    uuids = [ref.series_uuid for ref in refs if is_indexed(ref, job.endpoint_url)] if index else []
    known = describe_series(index, uuids) if index else {}
    tiles = count_tiles(job.options)
    expected: list[Expected] = []
    rows: list[SeriesResult] = []
    for ref in refs:
        series = known.get(ref.series_uuid)
        if job.needs_pixels and series and lacks_pictures(series.sop_class_uid or ""):
            rows.append(_skip(ref, series, job, attempt))
        else:
            facts = _facts_of_series(series) if series else read_facts(ref.columns)
            # The seconds that series really take correct the scale of all.
            expected.append(Expected(ref, estimate_work(facts, tiles).seconds(LATENCY) if facts else None))
    return expected, rows


def read_facts(columns: Mapping[str, Any]) -> SeriesFacts | None:
    """Read facts of a series from a manifest's own columns, under the names that IDC's index has for them.

    Args:
        columns: `Modality`, `SOPClassUID`, `instanceCount`, `series_size_MB` in any case; others mean nothing here.

    Returns:
        None where they tell neither how many objects there are nor how large they are.
    """
    if not columns:
        return None
    cells = {name.lower(): value for name, value in columns.items()}
    count, size = _read_number(cells.get(_COUNT)), _read_number(cells.get(_SIZE))
    if count is None and size is None:
        return None
    return build_facts(
        str(cells.get(_MODALITY) or "") or None,
        str(cells.get(_CLASS) or "") or None,
        None if count is None else max(1, round(count)),
        size,
    )


def _read_number(cell: Any) -> float | None:
    """Read a cell of a table as a number; None where it is none, or none that makes sense."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and 0 <= number < 1e9 else None


def _facts_of_series(series: IdcSeries) -> SeriesFacts:
    return build_facts(series.modality, series.sop_class_uid, series.n_instances, series.size_mb)


def _skip(ref: SeriesRef, series: IdcSeries, job: Job, attempt: int) -> SeriesResult:
    from dsp_batch.kinds.registry import without_pixels  # noqa: PLC0415  # pydicom, for the names of SOP classes

    error = without_pixels(ref.url, [series.sop_class_uid or ""])
    return build_row(
        ref,
        "skipped",
        attempt,
        reason=error.reason,
        error=error.message,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        modality=series.modality,
        sop_class=series.sop_class_uid,
        viewer=link_viewer(ref, job.endpoint_url, series._asdict()),
        n_instances=series.n_instances,
        transfer_syntax="|".join((series.transfer_syntax_uid or "").replace(" ", "").split(",")) or None,
    )
