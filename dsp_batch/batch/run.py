"""A batch: one manifest, one run. Started again, it goes on with what is there."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain

from dsp_batch.batch.cluster.connect import ClusterConnection
from dsp_batch.batch.cluster.dashboard import report_run
from dsp_batch.batch.cluster.health import Cluster
from dsp_batch.batch.cluster.in_flight import SeriesToRun, run_series
from dsp_batch.batch.cluster.scan import scan_on_cluster
from dsp_batch.batch.manifest.lookup import default_lookup
from dsp_batch.batch.manifest.read import read_manifest_table
from dsp_batch.batch.manifest.rejected import format_rejected, show_rejected
from dsp_batch.batch.manifest.source import Source, is_folder
from dsp_batch.batch.manifest.table import Manifest, serialize_manifest
from dsp_batch.batch.outage import LONGEST_OUTAGE, wait_out
from dsp_batch.batch.plan.expectations import Expected, expect_series
from dsp_batch.batch.runs.attempt import Attempt, open_attempt
from dsp_batch.batch.runs.job import Job, describe_job, find_verb, run_name, write_json
from dsp_batch.batch.runs.progress import LineProgress, Progress
from dsp_batch.batch.runs.result_parts import ResultsWriter
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.batch.runs.resume import RunState, find_state, keep_failed
from dsp_batch.batch.runs.summary import NOTHING_SPENT, RunSummary, Spent, summarize_run
from dsp_batch.batch.waiting import WaitingSeries, take_waiting, tell_places
from dsp_batch.cache import FOLDERS, Cache, open_cache, run_files
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.errors import ManifestError, OptionsError, Reason
from dsp_batch.idc.index import open_idc_index
from dsp_batch.options import ClusterOptions, MosaicOptions, Options, PreviewOptions, convert_fields
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.objects import remove_stale_temporary
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.storage.urls import parse_location
from dsp_batch.storage.usage import measure_usage
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

SERIES_PER_LOOK = 16_384
"""Series that are looked up in the IDC index at once."""

_LIBRARIES = ("dask", "distributed", "imagecodecs", "numpy", "obstore", "pillow", "pyarrow", "pydicom", "s3fs")
_MOSAIC = MosaicOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The manifest of a run, and how its lines and the results of earlier runs are taken."""

    source: object
    """The manifest: a path or URL, `-` for stdin, names of series, or a table."""

    root: str | os.PathLike[str] = DEFAULT_ROOT
    """Root to look in for series that do not name their own."""

    strict: bool = False
    """Refuse to start when a line of the manifest is not understood."""

    only_below_root: bool = False
    """Reject lines that lead elsewhere than below `root`, and do not follow servers that the manifest names."""

    overwrite: bool = False
    """Make everything again, whatever is there."""

    longest_outage: float = LONGEST_OUTAGE
    """Seconds that the run waits for a cache that cannot be written."""

    def __post_init__(self) -> None:
        convert_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedRun:
    """One attempt at a run that has begun: what is asked of it is written down."""

    name: str
    """Name of the run."""

    job: Job
    manifest: Manifest
    attempt: Attempt
    begin: float
    """When the attempt began, by the monotonic clock."""

    spent: Spent = NOTHING_SPENT
    """What reading its manifest took."""

    reasons: frozenset[Reason] = frozenset()
    """Work on series alone that failed for one of these reasons; empty for all that have failed or have no row."""


def run_batch(  # noqa: PLR0913  # what is drawn, where it is read and who works, each by its name
    manifest: Source,
    options: Options = _MOSAIC,
    *,
    cache: Cache | str | os.PathLike[str] | None = None,
    name: str | None = None,
    root: str | os.PathLike[str] = DEFAULT_ROOT,
    endpoint_url: str | None = None,
    anonymous: bool | None = None,
    scheduler: str | None = None,
    client: object | None = None,
    cluster: ClusterOptions | None = None,
    strict: bool = False,
    only_below_root: bool = False,
    overwrite: bool = False,
    refresh: bool = False,
    describe: bool = True,
    timeout: float = 600.0,
    max_workers: int = 256,
    max_frame_bytes: int = MAX_FRAME_BYTES,
    progress: Progress | None = None,
) -> RunSummary:
    """Draw or index every series of a manifest, and write a row for each: what `dsp-batch` does.

    Called again with the same series and options it goes on where it stopped. Every call is an attempt of its own with
    result parts of its own: the same run started twice at the same time does all work twice and loses none.

    Without `scheduler`, `client` and `cluster` it runs on the scheduler that `DASK_SCHEDULER_ADDRESS` names, else on
    processes of this machine, one a core. These import the main module: a script calls this function below
    `if __name__ == "__main__":`.

    Args:
        manifest: Path or URL of a manifest in any of its forms, or of a folder or bucket of series; or names of series
            (texts or `SeriesRef`), a `pyarrow.Table`, or a data frame of pandas or Polars with the columns of a CSV
            manifest.
        options: `PreviewOptions`, `MosaicOptions`, `ImageOptions`, `ContrastMosaicOptions`, or `IndexOptions` for
            indices alone.
        cache: Where indices, previews and results are written: a path, a URL, or from `open_cache`; None for the
            default directory.
        name: Name of the previews; None for that of the verb, such as `mosaic`.
        root: Root to look in for series that do not name their own.
        endpoint_url: S3-compatible server; None for the environment's (`AWS_ENDPOINT_URL`), else the manifest's, else
            AWS.
        anonymous: Whether series are read unsigned; None: from IDC's public buckets, and where there are no
            credentials.
        scheduler: Address of a running Dask scheduler, `tcp://` or `tls://`.
        client: A `distributed.Client` to work with; it stays open.
        cluster: All that can be said of the cluster, in the place of `scheduler` and `client`.
        strict: Refuse to start when a line of the manifest names no series.
        only_below_root: Reject lines that lead elsewhere than below `root`, and do not follow servers that the manifest
            names: for a service that takes manifests from others.
        overwrite: Make everything again, whatever is there, also under other options.
        refresh: List remote folders again, and draw those again that have changed. Local folders always are.
        describe: Tell patient identifiers, dates and descriptions in the rows, and in the pictures of `preview`.
        timeout: Seconds that one series may take.
        max_workers: Requests in flight for one series, at most.
        max_frame_bytes: Bytes of a decoded frame that are accepted.
        progress: Is told about each series; None for a line in the log every half minute.

    Returns:
        Counts, figures, and the folder of the run, which `read_results` takes.

    Raises:
        ManifestError: The manifest cannot be read, names no series, or has lines that name none and must not.
        OptionsError: An argument is wrong, or the previews of that name were made with other options.
        DspBatchError: There is no cluster, or it is lost.
        SinkError: The cache cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed; what was running has finished and its rows are written.

    Example:
        >>> summary = run_batch(["fab43f47-d595-57c7-9ed5-b9ecd3d19919"], root="series", cache="batch")
        >>> summary.by_status, summary.succeeded
        ({'done': 1}, True)
    """
    if cluster is None:
        cluster = ClusterOptions(scheduler=scheduler, client=client)
    elif scheduler is not None or client is not None:
        raise OptionsError("give scheduler and client within cluster=ClusterOptions(…), or without it")
    verb = find_verb(options)
    if isinstance(options, PreviewOptions):
        describe = describe and options.describe
        options = replace(options, describe=describe)
    job = Job(
        verb=verb,
        options=options,
        cache=cache if isinstance(cache, Cache) else open_cache(cache, endpoint_url),
        name=verb if name is None else name,
        endpoint_url=endpoint_url,
        anonymous=anonymous,
        max_workers=max_workers,
        max_frame_bytes=max_frame_bytes,
        timeout=timeout,
        refresh=refresh,
        describe=describe,
    )
    run_options = RunOptions(
        source=manifest, root=root, strict=strict, only_below_root=only_below_root, overwrite=overwrite
    )
    return run_manifest(run_options, job, cluster, LineProgress() if progress is None else progress)


def run_manifest(options: RunOptions, job: Job, cluster: ClusterOptions, progress: Progress) -> RunSummary:
    """Run a job over the series of a manifest; errors are those of `run_batch`."""
    _check_places(options, job)
    with ClusterConnection(cluster) as connection:
        started = start_run(options, job, connection)
        return complete_run(started, connection, progress, options.longest_outage)


def start_run(options: RunOptions, job: Job, connection: ClusterConnection) -> StartedRun:
    """Read the manifest of a run, and write down what is asked; errors are those of `run_batch`."""
    begin = time.monotonic()
    lookup = default_lookup(job.endpoint_url, job.anonymous)
    scan = partial(scan_on_cluster, job=job, connection=connection)
    lookup = replace(lookup, scan=scan, keeps_to_root=options.only_below_root)
    root = os.fspath(options.root)
    with measure_usage() as reading:
        manifest = read_manifest_table(options.source, root=root, endpoint_url=job.endpoint_url, lookup=lookup)
    show_rejected(manifest.rejected, "more lines are not understood; all are in rejected.txt")
    if options.strict and manifest.rejected:
        raise ManifestError(f"lines not understood: {len(manifest.rejected)}; --strict is given, so nothing started")
    name = run_name(job, manifest.digest)
    attempt = open_attempt(job, name, overwrite=options.overwrite)
    job = replace(job, rebuild=attempt.overwrites or attempt.renews)
    spent = Spent(manifest_requests=reading.requests, manifest_bytes_read=reading.bytes_read)
    started = StartedRun(name=name, job=job, manifest=manifest, attempt=attempt, begin=begin, spent=spent)
    source = options.source if isinstance(options.source, str | os.PathLike) else manifest.rejected.source
    begin_attempt(started, {"manifest": os.fspath(source), "root": root})
    return started


def begin_attempt(run: StartedRun, source: dict[str, str]) -> None:
    """Write down what is asked of a run, its series, and which lines of its manifest are not understood.

    Args:
        run: The run.
        source: Path or label of the manifest and the root of series that do not name their own, for `job.json`.
    """
    manifest, attempt, cache = run.manifest, run.attempt, run.job.cache
    document = {
        **describe_job(run.job),
        **attempt.describe(),
        **source,
        "run": run.name,
        "manifest_digest": manifest.digest,
        "series": len(manifest),
        "duplicates": manifest.duplicates,
        "rejected": len(manifest.rejected),
        "columns": manifest.columns,
        "program": __version__,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if attempt.columns is not None and {*attempt.columns} != {*manifest.columns}:
        _log.warning("the manifest has other columns than before: rows that stay keep theirs, --overwrite renews them")
    cache.write(run_files(run.name).manifest, serialize_manifest(manifest))
    write_json(cache, run_files(run.name).job, document)
    cache.write(run_files(run.name).rejected, format_rejected(manifest.rejected))


def complete_run(
    run: StartedRun, connection: ClusterConnection, progress: Progress, longest_outage: float = LONGEST_OUTAGE
) -> RunSummary:
    """Work on the series of a run that are missing or have failed, and summarize it.

    Args:
        run: The run.
        connection: Where to compute.
        progress: Is told about each series.
        longest_outage: Seconds to wait for a cache that cannot be written.
    """
    job, attempt, total = run.job, run.attempt, len(run.manifest)
    remove_stale_temporary(job.cache.url)
    state = find_state(job, run.name, attempt, run.manifest)
    if run.reasons:
        state = keep_failed(state, job, run.name, run.reasons)
    writer = ResultsWriter(
        cache=job.cache,
        folder=run_files(run.name).results,
        attempt=attempt.number,
        columns=run.manifest.columns,
        longest_outage=longest_outage,
    )
    wait_out(writer.open, "the first part of the results", longest_outage)
    finished = int(state.finished.sum())
    progress.start(total)
    progress.skip(finished)
    series = SeriesToRun(find_missing(state, job, writer, progress), total - finished, attempt.number)
    work_through(series, run, connection, writer, progress)
    connection.close()
    spent = run.spent._replace(seconds=time.monotonic() - run.begin)
    summarize = partial(summarize_run, run.name, job, run.manifest, attempt, spent)
    return wait_out(summarize, "the account of the run", longest_outage)


def find_missing(state: RunState, job: Job, writer: ResultsWriter, progress: Progress) -> Iterator[Expected]:
    """Find the series that must be worked on, and say what work is expected of them.

    Rows of series that are kept, and of those known to have no pixels, are written on the way.
    """
    for start in range(0, len(state.manifest), SERIES_PER_LOOK):
        missing, rows = state.sort_out(start, start + SERIES_PER_LOOK, job)
        expected, skipped = expect_series(missing, job, open_idc_index(), state.attempt.number)
        writer.add([*rows, *skipped])
        progress.advance([*rows, *skipped])
        yield from expected


def work_through(
    series: SeriesToRun, run: StartedRun, connection: ClusterConnection, writer: ResultsWriter, progress: Progress
) -> None:
    """Run series on the cluster, which starts when there is a first one, and write their rows, however it ends.

    Objects that speak of images come last, so that one run finds the images that it draws them over.
    """
    job, manifest = run.job, run.manifest

    waiting: list[WaitingSeries] = []

    def take(rows: tuple[SeriesResult, ...]) -> None:
        ended = [row for row in rows if row.status != "waiting"]
        waiting.extend(take_waiting(rows))
        writer.add(ended)
        progress.advance(ended)

    try:
        first = next(series.expected, None)
        if first is not None:
            series = series._replace(expected=chain([first], series.expected))
            client, options = connection.open(series.total), connection.options
            with report_run(client, job, options.performance_report):
                workers = Cluster(client, options.wait_for_workers)
                run_series(workers, job, series, take)
                if waiting:
                    # Their images are found by the rows that have been written.
                    wait_out(writer.flush, "a part of the results", writer.longest_outage)
                    objects = map(Expected, tell_places(tuple(waiting), manifest, job.cache))
                    run_series(workers, job, SeriesToRun(objects, len(waiting), series.attempt), take)
    except BaseException:
        progress.stop()
        writer.rescue()
        raise
    progress.stop()
    wait_out(writer.flush, "the last part of the results", writer.longest_outage)


def _check_places(options: RunOptions, job: Job) -> None:
    """Refuse to write among the series: the cache's folders would be taken for series by the next run."""
    endpoint_url = resolve_endpoint(job.endpoint_url)
    place = _resolve(job.cache.url, job.cache.endpoint_url)
    source = options.source
    listed = [_resolve(source, endpoint_url)] if isinstance(source, str | os.PathLike) and is_folder(source) else []
    read = [_resolve(options.root, endpoint_url), *listed]
    within = any(_is_within(place, each) for each in listed)
    if place in read or within or any(_is_within(each, f"{place}/{folder}") for each in read for folder in FOLDERS):
        raise OptionsError(f"the cache directory {job.cache.url} is also where series are read: give another one")


def _is_within(place: str, folder: str) -> bool:
    return f"{place}/".startswith(f"{folder}/")


def _resolve(folder: str | os.PathLike[str], endpoint_url: str | None) -> str:
    """Bring a path or URL into the one form that it has under all spellings and links."""
    location = parse_location(folder, endpoint_url)
    return str(location if location.path is None else location.path.resolve())
