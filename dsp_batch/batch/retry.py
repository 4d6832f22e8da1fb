"""The failed series of a run, once more and in the same run."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.account import RunSummary, Survey, conclude
from dsp_batch.batch.cluster import ClusterOptions
from dsp_batch.batch.expectations import expect_series
from dsp_batch.batch.job import Job, Verb
from dsp_batch.batch.latest import pick_rows
from dsp_batch.batch.patience import wait_out
from dsp_batch.batch.progress import Progress
from dsp_batch.batch.results import ResultsWriter, carried_names, list_parts, read_part
from dsp_batch.batch.run import work_through
from dsp_batch.batch.runner import Series
from dsp_batch.batch.state import open_attempt, read_json, results_folder, write_json
from dsp_batch.cache import Cache
from dsp_batch.display import Window
from dsp_batch.errors import ManifestError
from dsp_batch.idc import open_index
from dsp_batch.model import SeriesRef
from dsp_batch.options import Contrast, ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions, Options

_OPTIONS: dict[Verb, type[Options]] = {
    "mosaic": MosaicOptions,
    "get-image": ImageOptions,
    "contrast-mosaic": ContrastMosaicOptions,
    "build-index": IndexOptions,
}


def retry_run(cache: Cache, run: str, cluster: ClusterOptions, progress: Progress) -> RunSummary:
    """Run the failed series of a run again, as its job says, and renew its account.

    The series are taken from the result rows, with the columns that their manifest had: neither the manifest nor
    `failed.txt` need still be there, and the run keeps one row per series. Series that have no row yet are not failed;
    the command that began the run goes on with these.

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
    attempt = open_attempt(job, run)
    survey = _survey_of(asked)
    refs = _read_failed(cache, run, survey)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(cache, f"runs/{run}/job.json", {**asked, **attempt.describe(), "started": started})
    writer = ResultsWriter(cache=cache, folder=results_folder(run), attempt=attempt.number, columns=survey.columns)
    progress.start(len(refs))
    expected, skipped = expect_series(refs, job, open_index(), attempt.number)
    writer.add(skipped)
    progress.advance(skipped)
    work_through(Series(iter(expected), len(expected), attempt.number), job, cluster, writer, progress)
    account = partial(conclude, run, job, survey, attempt.number, time.monotonic() - begin)
    return wait_out(account, "the account of the run")


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
    return _OPTIONS[verb](**parsed)


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
        endpoints=asked.get("endpoints", {}),
    )


def _read_failed(cache: Cache, run: str, survey: Survey) -> list[SeriesRef]:
    """The failed series with the columns that their manifest gave them."""
    folder = results_folder(run)
    keys = list_parts(cache, folder)
    refs = []
    for key, chosen in zip(keys, pick_rows(cache, keys), strict=True):
        rows = read_part(cache, key).take(pa.array(chosen))
        failed = rows.filter(pc.equal(rows.column("status"), "failed"))
        refs += [_ref_of(row, survey) for row in failed.to_pylist()]
    return refs


def _ref_of(row: dict[str, Any], survey: Survey) -> SeriesRef:
    return SeriesRef(
        root=row["root"],
        series_uuid=row["series_uuid"],
        endpoint_url=survey.endpoints.get(row["root"]),
        columns={column: row.get(name) for column, name in carried_names(survey.columns).items()},
    )
