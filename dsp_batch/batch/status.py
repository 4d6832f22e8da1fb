"""How runs stand: read from what they wrote, while they go on and afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.results import latest_rows
from dsp_batch.batch.state import list_runs, read_json, results_folder
from dsp_batch.cache import Cache, open_cache
from dsp_batch.errors import ManifestError


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

    by_status: dict[str, int]
    by_reason: dict[str, int]
    """Series that failed or were skipped, the most frequent reason first."""

    attempts: int
    started: str | None
    """When the last attempt began, ISO 8601."""

    finished: str | None
    """When it ended; None while it goes on, and after it was killed."""

    series_per_second: float | None
    """Of the last attempt; None before it has ended."""

    megabytes_per_second: float | None


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
    if "/runs/" in cache.url:
        return [_read_status(*find_run(url, endpoint_url))]
    runs = list_runs(cache)
    if not runs:
        raise ManifestError(f"there is no run in {cache.url}: give a cache directory, or CACHE_DIR/runs/RUN")
    return [_read_status(cache, run) for run in runs]


def _read_status(cache: Cache, run: str) -> RunStatus:
    job = read_json(cache, f"runs/{run}/job.json")
    summary = read_json(cache, f"runs/{run}/summary.json") or {}
    rows = latest_rows(cache, results_folder(run), ["reason", "bytes_read"])
    # Rows and summary of earlier attempts say nothing of one that makes everything anew, or goes on.
    rows = rows.filter(pc.greater_equal(rows.column("attempt"), job["since"]))
    ended = summary.get("attempt") == job["attempt"]
    return RunStatus(
        run=run,
        url=cache.url_of(f"runs/{run}"),
        verb=job["verb"],
        name=job["name"],
        manifest=job["manifest"],
        series=job["series"],
        by_status=_count(rows.column("status")),
        by_reason=_count(rows.column("reason").drop_null()),
        attempts=job["attempt"],
        started=job["started"],
        finished=summary["finished"] if ended else None,
        **_describe_pace(rows, summary if ended else None),
    )


def _count(column: Any) -> dict[str, int]:
    return dict(Counter(column.to_pylist()).most_common())


def _describe_pace(rows: pa.Table, summary: dict[str, Any] | None) -> dict[str, float | None]:
    """Series and bytes a second of the last attempt, where it had anything to do."""
    last = rows.filter(pc.equal(rows.column("attempt"), summary["attempt"])) if summary else rows.slice(0, 0)
    if summary is None or not len(last) or not summary["seconds"]:
        return {"series_per_second": None, "megabytes_per_second": None}
    total = pc.sum(last.column("bytes_read")).as_py() or 0
    return {
        "series_per_second": round(len(last) / summary["seconds"], 3),
        "megabytes_per_second": round(total / summary["seconds"] / 1e6, 3),
    }
