"""One manifest, one run: what is there, what is missing, and the account of it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pyarrow.compute as pc
from distributed import Client

from dsp_batch.batch.cluster import ClusterOptions, connect
from dsp_batch.batch.job import Job, describe_job, run_name
from dsp_batch.batch.manifest import (
    DuplicateLine,
    Entry,
    RejectedLine,
    digest_series,
    hold_manifest,
    list_lines,
    read_entries,
)
from dsp_batch.batch.manifest_lookup import default_lookup
from dsp_batch.batch.progress import Progress
from dsp_batch.batch.results import ResultsWriter, compact, latest_rows
from dsp_batch.batch.runner import Series, run_series
from dsp_batch.batch.state import RunState, claim_product, find_state, results_folder, write_json
from dsp_batch.errors import ManifestError
from dsp_batch.model import SeriesRef, SeriesResult
from dsp_batch.storage.sink import remove_stale_temporary
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

SHOWN_REJECTS = 20
"""Rejected lines that are shown; all are in `rejected.txt`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is about, besides its job."""

    source: str
    """Path or URL of the manifest, `-` for stdin."""

    root: str
    """Where series are that the manifest gives no place for."""

    strict: bool = False
    """Refuse to start when a line of the manifest is not understood."""

    overwrite: bool = False
    """Make all previews anew, whatever is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The account of a run that has ended."""

    run: str
    url: str
    """Where the run's files are."""

    series: int
    by_status: dict[str, int]
    by_reason: dict[str, int]
    rejected: int
    duplicates: int
    seconds: float
    """Wall time of this attempt."""

    bytes_read: int
    requests: int

    @property
    def succeeded(self) -> bool:
        """Every series is done, kept or skipped, and every line was understood."""
        return not self.by_status.get("failed") and not self.rejected

    def __str__(self) -> str:
        statuses = ("done", "kept", "skipped", "failed")
        counts = ", ".join(f"{self.by_status.get(status, 0)} {status}" for status in statuses)
        return (
            f"{self.series} series: {counts}; {self.rejected} lines rejected, {self.duplicates} duplicates; "
            f"results in {self.url}"
        )


@dataclass(slots=True, kw_only=True)
class _Survey:
    """What the first pass over a manifest finds."""

    series: int = 0
    duplicates: int = 0
    rejected: list[RejectedLine] = field(default_factory=list)

    def watch(self, entries: Iterator[Entry]) -> Iterator[SeriesRef]:
        for entry in entries:
            if isinstance(entry, RejectedLine):
                self.rejected.append(entry)
            elif isinstance(entry, DuplicateLine):
                self.duplicates += 1
            else:
                self.series += 1
                yield entry


def run_manifest(options: RunOptions, job: Job, cluster: ClusterOptions, progress: Progress) -> RunSummary:
    """Run a job over the series of a manifest, going on with what an earlier attempt left.

    Raises:
        ManifestError: The manifest cannot be read, or has lines that are not understood and must not.
        OptionsError: The previews of that name were made with other options.
        Interrupted: Ctrl-C; what was running has finished, its rows are written.
        DspBatchError: There is no cluster, or it is lost.
        SinkError: The cache cannot be written.
    """
    begin = time.monotonic()
    with hold_manifest(options.source, job.endpoint_url) as held:
        survey = _Survey()
        run = run_name(job, digest_series(survey.watch(_read(held, options, job))))
        _report_rejected(survey, strict=options.strict)
        claim_product(job, overwrite=options.overwrite)
        state = find_state(job, run, overwrite=options.overwrite)
        write_json(job.cache, f"runs/{run}/job.json", _describe(run, options, job, survey))
        remove_stale_temporary(job.cache.url)
        writer = ResultsWriter(cache=job.cache, folder=results_folder(run), attempt=state.attempt)
        progress.start(survey.series)
        try:
            refs = _missing(_Survey().watch(_read(held, options, job)), job, state, writer, progress)
            series = Series(refs, survey.series - len(state.finished))
            _run_missing(series, job, cluster, writer, progress)
        finally:
            writer.flush()
            progress.stop()
    return _conclude(run, job, survey, state, time.monotonic() - begin)


def _read(held: str, options: RunOptions, job: Job) -> Iterator[Entry]:
    label = "stdin" if options.source == "-" else options.source
    lookup = default_lookup(job.endpoint_url, job.anonymous)
    return read_entries(held, root=options.root, endpoint_url=job.endpoint_url, lookup=lookup, label=label)


def _report_rejected(survey: _Survey, *, strict: bool) -> None:
    for line in survey.rejected[:SHOWN_REJECTS]:
        _log.warning("%s", line)
    if len(survey.rejected) > SHOWN_REJECTS:
        _log.warning("%d more lines are not understood; all are in rejected.txt", len(survey.rejected) - SHOWN_REJECTS)
    if strict and survey.rejected:
        raise ManifestError(f"{len(survey.rejected)} lines are not understood, and --strict is given: nothing started")


def _describe(run: str, options: RunOptions, job: Job, survey: _Survey) -> dict[str, Any]:
    return {
        **describe_job(job),
        "run": run,
        "manifest": options.source,
        "root": options.root,
        "series": survey.series,
        "program": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _missing(
    refs: Iterator[SeriesRef], job: Job, state: RunState, writer: ResultsWriter, progress: Progress
) -> Iterator[SeriesRef]:
    """The series that must be worked on; the rows of the others are written on the way."""
    for ref in refs:
        if ref.series_uuid in state.finished:
            progress.skip(1)
        elif (kept := state.keep(ref, job)) is not None:
            writer.add([kept])
            progress.advance([kept])
        else:
            yield ref


def _run_missing(series: Series, job: Job, cluster: ClusterOptions, writer: ResultsWriter, progress: Progress) -> None:
    """Start the cluster when there is a first series to work on: a run that is complete needs none."""
    first = next(series.refs, None)
    if first is None:
        return

    def take(rows: tuple[SeriesResult, ...]) -> None:
        writer.add(rows)
        progress.advance(rows)

    with connect(cluster) as client:
        _announce(client)
        run_series(client, job, series._replace(refs=chain([first], series.refs)), writer.attempt, take)


def _announce(client: Client) -> None:
    _log.info("%d workers, dashboard %s", len(client.nthreads()), client.dashboard_link or "off (it needs bokeh)")


def _conclude(run: str, job: Job, survey: _Survey, state: RunState, seconds: float) -> RunSummary:
    folder = results_folder(run)
    if state.attempt > 1:
        compact(job.cache, folder, state.attempt)
    rows = latest_rows(job.cache, folder, ["root", "status", "reason", "bytes_read", "requests"])
    failed = (
        rows.filter(pc.equal(rows.column("status"), "failed")).select(["series_uuid", "root"]).to_pylist()
    )
    summary = RunSummary(
        run=run,
        url=job.cache.url_of(f"runs/{run}"),
        series=len(rows),
        by_status=dict(Counter(rows.column("status").to_pylist())),
        by_reason=dict(Counter(reason for reason in rows.column("reason").to_pylist() if reason)),
        rejected=len(survey.rejected),
        duplicates=survey.duplicates,
        seconds=round(seconds, 3),
        bytes_read=pc.sum(rows.column("bytes_read")).as_py() or 0,
        requests=pc.sum(rows.column("requests")).as_py() or 0,
    )
    refs = (SeriesRef(**row, endpoint_url=job.endpoint_url) for row in failed)
    job.cache.write(f"runs/{run}/failed.txt", "".join(f"{line}\n" for line in list_lines(refs)).encode())
    rejected = "".join(f"{line.line}\t{line.text}\t{line.reason}\n" for line in survey.rejected)
    job.cache.write(f"runs/{run}/rejected.txt", rejected.encode())
    write_json(job.cache, f"runs/{run}/summary.json", _summary_json(summary))
    return summary


def _summary_json(summary: RunSummary) -> dict[str, Any]:
    names = ("run", "series", "by_status", "by_reason", "rejected", "duplicates", "seconds", "bytes_read", "requests")
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {name: getattr(summary, name) for name in names} | {"program": __version__, "finished": finished}
