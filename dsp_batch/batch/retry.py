"""The failed series of a run, once more and in the same run."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.cluster.window import Series
from dsp_batch.batch.manifest.places import default_lookup
from dsp_batch.batch.manifest.read import digest_series, read_entries
from dsp_batch.batch.manifest.source import STDIN
from dsp_batch.batch.run import RunOptions, expect_missing, look_at, run_manifest, work_through
from dsp_batch.batch.runs.job import OPTIONS, Job, run_name
from dsp_batch.batch.runs.latest import pick_rows
from dsp_batch.batch.runs.outage import wait_out
from dsp_batch.batch.runs.parts import ResultsWriter, carried_names, list_parts, read_part
from dsp_batch.batch.runs.progress import Progress
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.batch.runs.state import open_attempt, read_json, results_folder, write_json
from dsp_batch.batch.runs.summary import RunSummary, Survey, conclude
from dsp_batch.cache import Cache
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import IntArray, SeriesRef
from dsp_batch.model.window import Window
from dsp_batch.options import ClusterOptions, Contrast, Options, Verb

_log = logging.getLogger(__name__)


def retry_run(cache: Cache, run: str, cluster: ClusterOptions, progress: Progress) -> RunSummary:
    """Run the failed series of a run again, as its job says, and renew its account.

    The series are taken from the result rows, with the columns that their manifest had: neither the manifest nor
    `failed.txt` need still be there, and the run keeps one row per series. Where series have no row, since the run was
    stopped, the whole run goes on, if its manifest can be read from here and names the same series.

    Args:
        cache: The cache directory.
        run: Name of the run.
        cluster: Where to compute.
        progress: Told about each series.

    Raises:
        ManifestError: There is no such run, or another version wrote it.
        OptionsError: Its previews have been replaced by others of the same name.
        Interrupted: Ctrl-C; what was running has finished, its rows are written.
        DspBatchError: There is no cluster, or it is lost.
    """
    begin = time.monotonic()
    job = read_job(cache, run)
    asked = read_json(cache, f"runs/{run}/job.json") or {}
    told = _read_told(cache, run, asked.get("since", 1))
    if told.rows < asked.get("series", 0) and _names_the_same(job, run, asked, asked["series"] - told.rows):
        return run_manifest(RunOptions(source=asked["manifest"], root=asked["root"]), job, cluster, progress)
    attempt = open_attempt(job, run)
    job = replace(job, rebuild=attempt.renews and not job.draws)
    survey = _survey_of(asked)
    failed = told.failed if attempt.since == asked.get("since", 1) else {}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(cache, f"runs/{run}/job.json", {**asked, **attempt.describe(), "started": started})
    writer = ResultsWriter(cache=cache, folder=results_folder(run), attempt=attempt.number, columns=survey.columns)
    count = sum(map(len, failed.values()))
    progress.start(count)
    again = ((some, list[SeriesResult]()) for some in look_at(_read_rows(cache, failed, survey)))
    expected = expect_missing(again, job, attempt, writer, progress)
    work_through(Series(expected, count, attempt.number), job, cluster, writer, progress)
    account = partial(conclude, run, job, survey, attempt, time.monotonic() - begin)
    return wait_out(account, "the account of the run")


def _names_the_same(job: Job, run: str, asked: dict[str, Any], left: int) -> bool:
    """Whether the manifest of a run can be read again, and names the same series; else a warning says why not."""
    source, trouble = asked["manifest"], "the manifest was read from stdin"
    if source != STDIN:
        lookup = default_lookup(job.endpoint_url, job.anonymous)
        entries = read_entries(source, root=asked["root"], endpoint_url=job.endpoint_url, lookup=lookup)
        try:
            if run_name(job, digest_series(entry for entry in entries if isinstance(entry, SeriesRef))) == run:
                return True
        except ManifestError as error:
            trouble = error.message
        else:
            trouble = f"{source} names other series than then"
    _log.warning("%d series have no row (%s): repeat the command that began the run for these", left, trouble)
    return False


def read_job(cache: Cache, run: str) -> Job:
    """Read what a run was asked to do from its `job.json`.

    Raises:
        ManifestError: There is none, or it is of another version.
    """
    key = f"runs/{run}/job.json"
    found = read_json(cache, key)
    if found is None:
        raise ManifestError(f"there is no run {run} in {cache.url}")
    try:
        names = ("verb", "name", "endpoint_url", "anonymous", "max_workers", "max_frame_bytes", "timeout")
        options = _parse_options(found["verb"], found["options"])
        return Job(**{name: found[name] for name in names}, options=options, cache=cache)
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{cache.url_of(key)} was written by another version ({error}): repeat the command that began the run"
        ) from error


def _parse_options(verb: Verb, values: dict[str, Any]) -> Options:
    parsed = dict(values)
    if "contrast" in parsed:
        parsed["contrast"] = _parse_contrast(parsed["contrast"])
    if "contrasts" in parsed:
        parsed["contrasts"] = tuple(map(_parse_contrast, parsed["contrasts"]))
    options: Options = OPTIONS[verb](**parsed)
    return options


def _parse_contrast(values: dict[str, Any]) -> Contrast:
    window = values["window"]
    return Contrast(kind=values["kind"], window=window and Window(**window))


def _survey_of(asked: dict[str, Any]) -> Survey:
    """What the run found in its manifest: lines that are not understood stay so."""
    return Survey(
        series=asked.get("series", 0),
        duplicates=asked.get("duplicates", 0),
        rejected=asked.get("rejected", 0),
        columns=tuple(asked.get("columns", ())),
    )


class _Told(NamedTuple):
    """What the rows of a run tell."""

    rows: int
    """Those that count."""

    failed: dict[str, IntArray]
    """Key of a part → places of the rows of failed series."""


def _read_told(cache: Cache, run: str, since: int) -> _Told:
    keys = list_parts(cache, results_folder(run))
    count, failed = 0, {}
    for key, chosen in zip(keys, pick_rows(cache, keys), strict=True):
        rows = read_part(cache, key, ["status", "attempt"]).take(pa.array(chosen))
        counts = pc.greater_equal(rows.column("attempt"), since)
        count += pc.sum(counts).as_py() or 0
        failed[key] = chosen[pc.and_(counts, pc.equal(rows.column("status"), "failed")).to_numpy()]
    return _Told(count, failed)


def _read_rows(cache: Cache, places: Mapping[str, IntArray], survey: Survey) -> Iterator[SeriesRef]:
    """The series of some rows, with the columns that their manifest gave them."""
    names = carried_names(survey.columns)
    for key, chosen in places.items():
        for row in read_part(cache, key).take(pa.array(chosen)).to_pylist() if len(chosen) else ():
            columns = {column: row.get(name) for column, name in names.items()}
            yield SeriesRef(row["root"], row["series_uuid"], row.get("endpoint_url"), columns)
