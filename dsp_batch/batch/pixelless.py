"""Series that the IDC index knows to have no pixels: their rows are written without a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from dsp_batch import idc
from dsp_batch.batch.idc_series import is_indexed, link_viewer
from dsp_batch.batch.job import Job
from dsp_batch.dicom.objects import lacks_pixels
from dsp_batch.model import SeriesRef, SeriesResult
from dsp_batch.version import __version__


def skip_pixelless(refs: Sequence[SeriesRef], job: Job, attempt: int) -> tuple[list[SeriesRef], list[SeriesResult]]:
    """Tell series that may have pixels from those that the IDC index knows to have none.

    Only series in IDC's own buckets are looked up, and only by a client that has the index; a pass over it takes half
    a second, so that many series should come at once.

    Args:
        refs: Some thousand series.
        job: What is to be done with them; an index is built of series without pixels too.
        attempt: Number of this attempt, for the rows.

    Returns:
        Series to work on, and rows of those that are skipped.
    """
    index = idc.open_index() if job.draws else None
    if index is None:
        return list(refs), []
    asked = [ref.series_uuid for ref in refs if is_indexed(ref, job.endpoint_url)]
    known = idc.describe_series(index, asked)
    pixelless = {uuid: series for uuid, series in known.items() if lacks_pixels(series.sop_class_uid or "")}
    rows = [_describe(ref, pixelless[ref.series_uuid], job, attempt) for ref in refs if ref.series_uuid in pixelless]
    return [ref for ref in refs if ref.series_uuid not in pixelless], rows


def _describe(ref: SeriesRef, series: idc.IdcSeries, job: Job, attempt: int) -> SeriesResult:
    from dsp_batch.drawables import without_pixels  # noqa: PLC0415  # pydicom, for the names of SOP classes

    error = without_pixels(ref.url, [series.sop_class_uid or ""])
    return SeriesResult(
        series_uuid=ref.series_uuid,
        root=ref.root,
        status="skipped",
        reason=error.reason,
        error=error.message,
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        modality=series.modality,
        sop_class=series.sop_class_uid,
        viewer=link_viewer(ref, job.endpoint_url, asdict(series)),
        n_instances=series.n_instances,
        transfer_syntax="|".join((series.transfer_syntax_uid or "").replace(" ", "").split(",")) or None,
        attempt=attempt,
        program=__version__,
        columns=ref.columns,
    )
