"""The end of a run: what became of its series, counted, and the series that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import pyarrow as pa

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.notebook import write_summary_html
from dsp_batch.batch.runs.attempt import Attempt
from dsp_batch.batch.runs.compaction import compact, fill_rows
from dsp_batch.batch.runs.failures import (
    FAILURE_COLUMNS,
    SHOWN_FAILURES,
    FailedSeries,
    list_failed,
    list_failed_lines,
)
from dsp_batch.batch.runs.figures import COLUMNS, FigureCounter, RunFigures
from dsp_batch.batch.runs.job import Job, write_json
from dsp_batch.batch.runs.results import fold_latest
from dsp_batch.batch.runs.resume import sort_keys
from dsp_batch.cache import run_files
from dsp_batch.idc.index import open_idc_index
from dsp_batch.version import __version__


class Spent(NamedTuple):
    """What an attempt took besides the work on its series."""

    seconds: float = 0.0
    """Wall time of the whole attempt."""

    manifest_requests: int = 0
    """Requests that read the manifest and scanned the folders that it names."""

    manifest_bytes_read: int = 0
    """Bytes that these read."""


NOTHING_SPENT = Spent()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunSummary:
    """The counts and figures of a run that has ended. As text it is the line that the command ends with."""

    run: str
    """Name of the run."""

    url: str
    """Path or URL of the folder of the run, which `read_results` and `read_status` take."""

    attempt: int
    """Number of the attempt that has ended, from 1."""

    left: int
    """Series of the manifest that have no row."""

    rejected: int
    """Lines of the manifest that name no series."""

    duplicates: int
    """Lines of the manifest that name a series which an earlier line named."""

    seconds: float
    """Wall time of the attempt."""

    manifest_requests: int
    """Requests of the attempt that read the manifest and scanned its folders; they are in no row."""

    manifest_bytes_read: int
    """Bytes that these read."""

    figures: RunFigures
    """Counts of the series, and the seconds and bytes that they took."""

    products: str
    """Path or URL of the folder of the previews; of the indices, where the run makes indices alone."""

    failures: tuple[FailedSeries, ...]
    """The first series that failed, and why; `failed.txt` names all."""

    @property
    def series(self) -> int:
        """Series of the run that have a row."""
        return self.figures.series

    @property
    def by_status(self) -> dict[str, int]:
        """Series by what became of them."""
        return self.figures.by_status

    @property
    def by_reason(self) -> dict[str, int]:
        """Series that failed or were skipped, by reason."""
        return self.figures.by_reason

    @property
    def succeeded(self) -> bool:
        """True when every series is done, kept or skipped, and every line was understood."""
        return not (self.by_status.get("failed") or self.rejected or self.left)

    def __repr__(self) -> str:
        """Return one line."""
        return f"RunSummary({self.run}: {self})"

    def _repr_html_(self) -> str:
        """Show counts and failures in a notebook."""
        failures = [(each.series_uuid, each.cause) for each in self.failures]
        return write_summary_html(self.run, {**self.by_status, "left": self.left}, failures, self.products)

    def __str__(self) -> str:
        statuses = ("done", "kept", "skipped", "failed")
        counts = ", ".join(f"{self.by_status.get(status, 0)} {status}" for status in statuses)
        left = f", {self.left} left" if self.left else ""
        return (
            f"{self.series + self.left} series: {counts}{left}; "
            f"lines: {self.rejected} rejected, {self.duplicates} duplicate; results in {self.url}"
        )


def summarize_run(run: str, job: Job, manifest: Manifest, attempt: Attempt, spent: Spent) -> RunSummary:
    """Bring the results of a run that has ended to their final form, and write its summary and its failed series.

    Args:
        run: Name of the run.
        job: What was done.
        manifest: The series of the run.
        attempt: The attempt that has ended.
        spent: What that attempt took.

    Raises:
        SinkError: A part of the results cannot be read, or the cache cannot be written.
    """
    folder = run_files(run).results
    fill = partial(fill_rows, manifest=manifest, keys=sort_keys(manifest), index=open_idc_index())
    compact(job.cache, folder, manifest.columns, fill)

    def count(tables: Iterator[pa.Table]) -> tuple[RunFigures, tuple[FailedSeries, ...], bytes]:
        counter = FigureCounter(attempt=attempt.number, since=attempt.since)
        failures = list_failed(counter.watch(tables))
        first = tuple(islice(failures, SHOWN_FAILURES))
        text = b"".join(f"{line}\n".encode() for line in list_failed_lines(chain(first, failures), job.endpoint_url))
        return counter.finish(spent.seconds), first, text

    figures, first, failed = fold_latest(job.cache, folder, [*dict.fromkeys((*COLUMNS, *FAILURE_COLUMNS))], count)
    job.cache.write(run_files(run).failed, failed)
    summary = RunSummary(
        run=run,
        url=job.cache.url_of(run_files(run).folder),
        attempt=attempt.number,
        left=max(0, len(manifest) - figures.series),
        rejected=len(manifest.rejected),
        duplicates=manifest.duplicates,
        seconds=round(spent.seconds, 3),
        manifest_requests=spent.manifest_requests,
        manifest_bytes_read=spent.manifest_bytes_read,
        figures=figures,
        products=job.cache.url_of(f"previews/{job.name}" if job.draws else "indices"),
        failures=first,
    )
    write_json(job.cache, run_files(run).summary, describe_summary(summary))
    return summary


def describe_summary(summary: RunSummary) -> dict[str, Any]:
    """Describe the end of a run for `summary.json`."""
    names = ("run", "attempt", "left", "rejected", "duplicates", "seconds", "manifest_requests", "manifest_bytes_read")
    own = {name: getattr(summary, name) for name in names}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {**own, **asdict(summary.figures), "program": __version__, "finished": finished}
