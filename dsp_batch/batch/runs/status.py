"""The status of runs, read from what they have written, while they go on and afterwards."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from dsp_batch.batch.notebook import write_summary_html
from dsp_batch.batch.runs.failures import FAILURE_COLUMNS, FailedSeries, list_failed
from dsp_batch.batch.runs.figures import COLUMNS, FigureCounter, RunFigures
from dsp_batch.batch.runs.job import find_run, list_runs, read_json
from dsp_batch.batch.runs.result_parts import list_parts, read_seconds
from dsp_batch.batch.runs.results import fold_latest
from dsp_batch.cache import Cache, open_cache, run_files
from dsp_batch.errors import ManifestError, SinkError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunStatus:
    """The status of a run: its counts and figures, so far or in the end."""

    run: str
    """Name of the run."""

    url: str
    """Path or URL of the folder of the run."""

    verb: str
    """`mosaic`, `get-image`, `contrast-mosaic` or `build-index`."""

    name: str
    """Name of the previews."""

    manifest: str
    """Path or URL of the manifest, as the user wrote it."""

    series: int
    """Series of the manifest."""

    attempts: int
    """Starts of the run so far."""

    started: str | None
    """When the last attempt began, ISO 8601."""

    finished: str | None
    """When the last attempt ended; None while it goes on, after it was killed, and where series have no row."""

    seconds: float | None
    """Seconds that the last attempt took, or had taken when it last wrote rows; None before it wrote any."""

    figures: RunFigures
    """Counts of the series so far, and the seconds and bytes that they took."""

    def __repr__(self) -> str:
        """Return one line."""
        counts = ", ".join(f"{count} {status}" for status, count in self.figures.by_status.items())
        return f"RunStatus({self.run}: {'ended' if self.finished else 'open'}, {self.series} series, {counts})"

    def _repr_html_(self) -> str:
        """Show the counts in a notebook."""
        left = self.series - self.figures.series
        return write_summary_html(self.run, {**self.figures.by_status, "left": left}, [], self.url)


def read_status(cache: Cache | str | os.PathLike[str], run: str | None = None) -> RunStatus:
    """Read how a run stands, while it goes on or afterwards.

    Args:
        cache: The cache directory, as a path, a URL, or from `open_cache`; or the folder of the run, as
            `RunSummary.url` names it.
        run: Name of the run; None for the folder of a run, and where the cache directory holds one run alone.

    Raises:
        ManifestError: There is no such run, or another version wrote it.
        OptionsError: There are several runs, and none is named.
        SinkError: What the run has written cannot be read.

    Example:
        >>> status = read_status("cache")
        >>> status.series, status.figures.by_status["done"]
        (13, 12)
    """
    return _read_status(*find_run(cache, run))


def read_statuses(place: str, endpoint_url: str | None = None) -> list[RunStatus]:
    """Read how one run, or every run of a cache directory, stands.

    Args:
        place: Path or URL of `CACHE_DIR/runs/RUN`, or of `CACHE_DIR`.
        endpoint_url: S3-compatible server; None for the environment's.

    Raises:
        ManifestError: There is no run.
        StorageError: The place cannot be read.
    """
    cache = open_cache(place, endpoint_url)
    runs = list_runs(cache)
    if not runs:
        return [read_status(cache)]
    return [status for run in runs if (status := _try_status(cache, run))]


def read_failures(place: str, endpoint_url: str | None = None) -> Iterator[tuple[str, list[FailedSeries]]]:
    """Read which series of one run, or of every run of a cache directory, have failed so far or in the end.

    Args:
        place: Path or URL of `CACHE_DIR/runs/RUN`, or of `CACHE_DIR`.
        endpoint_url: S3-compatible server; None for the environment's.

    Returns:
        Name of each run, and its failed series.

    Raises:
        ManifestError: There is no run.
        SinkError: A part of the results cannot be read.
    """
    cache = open_cache(place, endpoint_url)
    runs = list_runs(cache)
    for found, run in [(cache, run) for run in runs] if runs else [find_run(cache)]:
        since = (read_json(found, run_files(run).job) or {}).get("since", 1)

        def find(tables: Iterator[pa.Table], since: int = since) -> list[FailedSeries]:
            return list(list_failed(tables, since))

        yield run, fold_latest(found, run_files(run).results, FAILURE_COLUMNS, find)


def _try_status(cache: Cache, run: str) -> RunStatus | None:
    """Read the status of one of several runs. One that cannot be read is a warning, and does not hide the others."""
    try:
        return _read_status(cache, run)
    except (ManifestError, SinkError) as error:
        _log.warning("%s", error.message)
        return None


def _read_status(cache: Cache, run: str) -> RunStatus:
    job = read_json(cache, run_files(run).job) or {}
    summary = read_json(cache, run_files(run).summary) or {}
    if missing := {"attempt", "since", "series", "verb", "name", "manifest", "started"} - job.keys():
        url = cache.url_of(run_files(run).job)
        raise ManifestError(f"{url} was written by another version (no {min(missing)}): read results/ itself")
    ended = summary.get("attempt") == job["attempt"]
    seconds = summary.get("seconds") if ended else _read_seconds(cache, run, job["attempt"])

    def count(tables: Iterator[pa.Table]) -> RunFigures:
        # Rows of earlier attempts say nothing of one that makes everything anew.
        counter = FigureCounter(attempt=job["attempt"], since=job["since"])
        for _ in counter.watch(tables):
            pass
        return counter.finish(seconds)

    return RunStatus(
        run=run,
        url=cache.url_of(run_files(run).folder),
        verb=job["verb"],
        name=job["name"],
        manifest=job["manifest"],
        series=job["series"],
        attempts=job["attempt"],
        started=job["started"],
        finished=summary.get("finished") if ended and not summary.get("left") else None,
        seconds=seconds,
        figures=fold_latest(cache, run_files(run).results, COLUMNS, count),
    )


def _read_seconds(cache: Cache, run: str, attempt: int) -> float | None:
    """Find the seconds that an attempt has taken when it last wrote a part; None before it wrote any."""
    last = {}
    for key in list_parts(cache, run_files(run).results):
        writer = key.rpartition("-")[0]
        if writer.startswith(f"{run_files(run).results}/part-{attempt:04d}-"):
            last[writer] = key
    return max((read_seconds(cache, key) or 0 for key in last.values()), default=0) or None
