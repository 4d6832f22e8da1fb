"""The series of a run that failed: which they are, why, and the manifest that names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.write import list_commented_lines
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.errors import printable
from dsp_batch.model.series import SeriesRef

_TOLD = ("series_uuid", "root", "folder", "endpoint_url", "reason", "error")

FAILURE_COLUMNS = ("attempt", "status", *_TOLD)
"""Columns of the results that tell which series failed, and why."""

SHOWN_FAILURES = 5
"""Failures that the closing lines of a run name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSeries:
    """A series that failed, and why."""

    series_uuid: str
    root: str
    folder: str | None = None
    """Folder below the root; None where `series_uuid` names it."""

    endpoint_url: str | None
    """S3-compatible server that the manifest names."""

    reason: str | None
    error: str | None
    """The error in one line."""

    @property
    def cause(self) -> str:
        """Reason and error in one line, as far as they are known."""
        return printable(": ".join(text for text in (self.reason, self.error) if text).strip()) or "unknown"

    def __str__(self) -> str:
        return f"{self.series_uuid} failed, {self.cause}"


def find_failed(row: SeriesResult) -> FailedSeries | None:
    """Tell what failed by its row; None for a row of another status."""
    if row.status != "failed":
        return None
    return FailedSeries(
        series_uuid=row.series_uuid,
        root=row.root,
        folder=row.folder,
        endpoint_url=row.endpoint_url,
        reason=row.reason,
        error=row.error and printable(row.error),
    )


def list_failed(tables: Iterable[pa.Table], since: int = 1) -> Iterator[FailedSeries]:
    """List the series that failed.

    Args:
        tables: Result rows, with the columns of `FAILURE_COLUMNS`.
        since: Number of the first attempt whose rows count.
    """
    for table in tables:
        counted = table.filter(pc.greater_equal(table.column("attempt"), since))
        failed = counted.filter(pc.equal(counted.column("status"), "failed"))
        for values in failed.select(_TOLD).to_pylist():
            yield FailedSeries(**values)


def list_failed_lines(failures: Iterable[FailedSeries], endpoint_url: str | None = None) -> Iterator[str]:
    """List lines, without their ends, of a manifest that names failed series, with `# reason: error` behind each.

    Args:
        failures: The series.
        endpoint_url: S3-compatible server that was given by hand; None for those that the manifest names.
    """
    yield from list_commented_lines((_refer(each, endpoint_url), each.cause) for each in failures)


def _refer(failed: FailedSeries, endpoint_url: str | None) -> SeriesRef:
    server = endpoint_url or failed.endpoint_url
    return SeriesRef(failed.root, failed.series_uuid, server, folder=failed.folder)
