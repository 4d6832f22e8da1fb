"""One manifest, one run: what is there, what is missing, and the account of it."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from typing import Any

from dsp_batch.batch.cluster.connect import connect
from dsp_batch.batch.cluster.dashboard import observe
from dsp_batch.batch.cluster.window import Cluster, Series, run_series
from dsp_batch.batch.manifest.places import Lookup, default_lookup
from dsp_batch.batch.manifest.read import Entry, digest_series, hold_manifest, read_entries
from dsp_batch.batch.manifest.source import is_folder
from dsp_batch.batch.plan.expectations import Expected, expect_series
from dsp_batch.batch.runs.job import Job, describe_job, run_name
from dsp_batch.batch.runs.outage import PATIENCE, wait_out
from dsp_batch.batch.runs.parts import ResultsWriter
from dsp_batch.batch.runs.progress import Progress
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.batch.runs.state import Attempt, RunState, find_state, open_attempt, results_folder, write_json
from dsp_batch.batch.runs.summary import RunSummary, Survey, conclude
from dsp_batch.cache import FOLDERS
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.idc import open_index
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ClusterOptions
from dsp_batch.storage.objects import remove_stale_temporary
from dsp_batch.storage.urls import local_path, normalise_root
from dsp_batch.version import __version__

__all__ = ["RunOptions", "RunSummary", "find_missing", "run_manifest", "work_through"]

_log = logging.getLogger(__name__)

SERIES_PER_LOOK = 16_384
"""Series that are compared at once with what is there, and looked up in the IDC index."""

_LIBRARIES = ("dask", "distributed", "imagecodecs", "numpy", "obstore", "pillow", "pyarrow", "pydicom", "s3fs")


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
    """Make everything anew, whatever is there."""

    patience: float = PATIENCE
    """Seconds that the run waits for a cache that cannot be written."""


def run_manifest(options: RunOptions, job: Job, cluster: ClusterOptions, progress: Progress) -> RunSummary:
    """Run a job over the series of a manifest, going on with what an earlier attempt left.

    Every start is an attempt of its own with result parts of its own: the same run started twice at the same time does
    all work twice and loses none.

    Raises:
        ManifestError: The manifest cannot be read, or has lines that are not understood and must not.
        OptionsError: The previews of that name were made with other options.
        Interrupted: Ctrl-C; what was running has finished, its rows are written.
        DspBatchError: There is no cluster, or it is lost.
        SinkError: The cache cannot be written.
    """
    begin = time.monotonic()
    _check_places(options, job)
    with hold_manifest(options.source, job.endpoint_url) as held:
        survey, lookup = Survey(), default_lookup(job.endpoint_url, job.anonymous)
        digest = digest_series(survey.watch(_read(held, options, job, lookup)))
        if options.strict and survey.rejected:
            raise ManifestError(f"lines not understood: {survey.rejected}; --strict is given, so nothing started")
        run = run_name(job, digest)
        attempt = open_attempt(job, run, overwrite=options.overwrite)
        job = replace(job, rebuild=attempt.renews and not job.draws)
        description = {"run": run, "manifest": options.source, "manifest_digest": digest, "root": options.root}
        begin_attempt(job, attempt, survey, description)
        remove_stale_temporary(job.cache.url)
        state = find_state(job, run, attempt)
        writer = ResultsWriter(
            cache=job.cache,
            folder=results_folder(run),
            attempt=attempt.number,
            columns=survey.columns,
            patience=options.patience,
        )
        wait_out(writer.open, "the first part of the results", options.patience)
        progress.start(survey.series)
        progress.skip(len(state.finished))
        again = _read(held, options, job, replace(lookup, warns=False))
        refs = (entry for entry in again if isinstance(entry, SeriesRef))
        missing = find_missing(refs, job, state, writer, progress)
        series = Series(missing, survey.series - len(state.finished), attempt.number)
        work_through(series, job, cluster, writer, progress)
    account = partial(conclude, run, job, survey, attempt, time.monotonic() - begin)
    return wait_out(account, "the account of the run", options.patience)


def begin_attempt(job: Job, attempt: Attempt, survey: Survey, description: dict[str, Any]) -> None:
    """Write down what is asked, and which lines of the manifest are not understood."""
    asked = {
        **describe_job(job),
        **attempt.describe(),
        **survey.describe(),
        **description,
        "program": __version__,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    run = description["run"]
    if attempt.columns is not None and {*attempt.columns} != {*survey.columns}:
        _log.warning("the manifest has other columns than before: rows that stay keep theirs, --overwrite renews them")
    write_json(job.cache, f"runs/{run}/job.json", asked)
    job.cache.write(f"runs/{run}/rejected.txt", survey.rejected_lines())


def work_through(series: Series, job: Job, cluster: ClusterOptions, writer: ResultsWriter, progress: Progress) -> None:
    """Run series on the cluster, which starts when there is a first one, and write their rows, however it ends."""

    def take(rows: tuple[SeriesResult, ...]) -> None:
        writer.add(rows)
        progress.advance(rows)

    try:
        first = next(series.expected, None)
        if first is not None:
            series = series._replace(expected=chain([first], series.expected))
            with connect(cluster, series.total) as client, observe(client, job, cluster.performance_report):
                run_series(Cluster(client, cluster.wait_for_workers), job, series, take)
    except BaseException:
        progress.stop()
        writer.rescue()
        raise
    progress.stop()
    wait_out(writer.flush, "the last part of the results", writer.patience)


def _check_places(options: RunOptions, job: Job) -> None:
    """Refuse to write among the series: the cache's folders would be taken for series by the next run."""
    place = _settle(job.cache.url)
    listed = [_settle(options.source)] if is_folder(options.source) else []
    read = [_settle(options.root), *listed]
    within = any(_is_within(place, each) for each in listed)
    if place in read or within or any(_is_within(each, f"{place}/{folder}") for each in read for folder in FOLDERS):
        raise OptionsError(f"the cache directory {job.cache.url} is also where series are read: give another one")


def _is_within(place: str, folder: str) -> bool:
    return f"{place}/".startswith(f"{folder}/")


def _settle(place: str) -> str:
    """A folder or URL by the one name that it has under all spellings and links."""
    url = normalise_root(place)
    path = local_path(url)
    return url if path is None else str(path.resolve())


def _read(held: str, options: RunOptions, job: Job, lookup: Lookup) -> Iterator[Entry]:
    label = "stdin" if options.source == "-" else options.source
    return read_entries(held, root=options.root, endpoint_url=job.endpoint_url, lookup=lookup, label=label)


def find_missing(
    refs: Iterator[SeriesRef], job: Job, state: RunState, writer: ResultsWriter, progress: Progress
) -> Iterator[Expected]:
    """The series that must be worked on; the rows of the others are written on the way."""
    sorted_out = (state.sort_out(some, job) for some in look_at(refs))
    return expect_missing(sorted_out, job, state.attempt, writer, progress)


def look_at(refs: Iterator[SeriesRef]) -> Iterator[list[SeriesRef]]:
    """Series, as many at once as are looked up together."""
    while some := list(islice(refs, SERIES_PER_LOOK)):
        yield some


def expect_missing(
    sorted_out: Iterable[tuple[list[SeriesRef], list[SeriesResult]]],
    job: Job,
    attempt: Attempt,
    writer: ResultsWriter,
    progress: Progress,
) -> Iterator[Expected]:
    """Say what work is expected of series; rows of others, and of those known to have no pixels, are written."""
    for missing, rows in sorted_out:
        expected, skipped = expect_series(missing, job, open_index(), attempt.number)
        writer.add([*rows, *skipped])
        progress.advance([*rows, *skipped])
        yield from expected
