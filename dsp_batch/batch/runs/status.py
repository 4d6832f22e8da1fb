"""How runs stand: read from what they wrote, while they go on and afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from dsp_batch.batch.runs.figures import COLUMNS, RunFigures, Tally
from dsp_batch.batch.runs.latest import fold_latest
from dsp_batch.batch.runs.parts import list_parts, read_seconds
from dsp_batch.batch.runs.state import list_runs, read_json, results_folder
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import ManifestError, SinkError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """One run."""

    run: str
    url: str
    verb: str
    name: str
    """Name of its previews."""

    manifest: str
    """Where its manifest was read, as it was written."""

    series: int
    """Series of the manifest."""

    attempts: int
    started: str | None
    """When the last attempt began, ISO 8601."""

    finished: str | None
    """When it ended; None while it goes on, after it was killed, and where series have no row."""

    seconds: float | None
    """What the last attempt took, or had taken when it last wrote rows; None before it wrote any."""

    figures: RunFigures
    """What became of its series so far, and what they took."""


def find_run(url: str, endpoint_url: str | None = None) -> tuple[Cache, str]:
    """Open a run by the path or URL of its folder.

    Returns:
        The cache directory that it lies in, and its name.

    Raises:
        ManifestError: There is no run.
    """
    cache = open_cache(url, endpoint_url)
    directory, _, run = cache.url.rpartition("/runs/")
    if not directory or "/" in run:
        raise ManifestError(f"{url} is no run: give the folder CACHE_DIR/runs/RUN that a run printed")
    cache = open_cache(directory, endpoint_url)
    if read_json(cache, f"runs/{run}/job.json") is None:
        raise ManifestError(
            f"there is no run {run} in {directory}: `dsp-batch status {directory}` lists those there are"
        )
    return cache, run


def read_statuses(url: str, endpoint_url: str | None = None) -> list[RunStatus]:
    """Read how one run, or every run of a cache directory, stands.

    Args:
        url: Path or URL of `CACHE_DIR/runs/RUN`, or of `CACHE_DIR`.
        endpoint_url: S3-compatible server; None for the environment's.

    Raises:
        ManifestError: There is no run.
        StorageError: The place cannot be read.
    """
    cache = open_cache(url, endpoint_url)
    runs = list_runs(cache)
    if not runs and "/runs/" in cache.url:
        return [_read_status(*find_run(url, endpoint_url))]
    if not runs:
        raise ManifestError(f"there is no run in {cache.url}: give a cache directory, or CACHE_DIR/runs/RUN")
    return [status for run in runs if (status := _try_status(cache, run))]


def _try_status(cache: Cache, run: str) -> RunStatus | None:
    """One of several runs; one that cannot be read is a warning, and does not hide the others."""
    try:
        return _read_status(cache, run)
    except (ManifestError, SinkError) as error:
        _log.warning("%s", error.message)
        return None


def _read_status(cache: Cache, run: str) -> RunStatus:
    job = read_json(cache, f"runs/{run}/job.json") or {}
    summary = read_json(cache, f"runs/{run}/summary.json") or {}
    if missing := {"attempt", "since", "series", "verb", "name", "manifest", "started"} - job.keys():
        url = cache.url_of(f"runs/{run}/job.json")
        raise ManifestError(f"{url} was written by another version (no {min(missing)}): read results/ itself")
    ended = summary.get("attempt") == job["attempt"]
    seconds = summary.get("seconds") if ended else _read_seconds(cache, run, job["attempt"])

    def count(tables: Iterator[pa.Table]) -> RunFigures:
        # Rows of earlier attempts say nothing of one that makes everything anew.
        tally = Tally(attempt=job["attempt"], since=job["since"])
        for _ in tally.watch(tables):
            pass
        return tally.finish(seconds)

    return RunStatus(
        run=run,
        url=cache.url_of(f"runs/{run}"),
        verb=job["verb"],
        name=job["name"],
        manifest=job["manifest"],
        series=job["series"],
        attempts=job["attempt"],
        started=job["started"],
        finished=summary.get("finished") if ended and not summary.get("left") else None,
        seconds=seconds,
        figures=fold_latest(cache, results_folder(run), COLUMNS, count),
    )


def _read_seconds(cache: Cache, run: str, attempt: int) -> float | None:
    """How long an attempt has taken, by the last part that it has written; None before there is one."""
    last = {}
    for key in list_parts(cache, results_folder(run)):
        writer = key.rpartition("-")[0]
        if writer.startswith(f"{results_folder(run)}/part-{attempt:04d}-"):
            last[writer] = key
    return max((read_seconds(cache, key) or 0 for key in last.values()), default=0) or None
