"""The failed and the missing series of a run, once more and in the same run."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from dsp_batch.batch.cluster.connect import ClusterConnection
from dsp_batch.batch.manifest.table import Manifest, parse_manifest
from dsp_batch.batch.run import StartedRun, complete_run
from dsp_batch.batch.runs.attempt import open_attempt
from dsp_batch.batch.runs.job import read_job, read_json, write_json
from dsp_batch.batch.runs.progress import Progress
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cache import Cache, run_files
from dsp_batch.errors import ManifestError, Reason
from dsp_batch.options import ClusterOptions


def retry_run(
    cache: Cache, run: str, cluster: ClusterOptions, progress: Progress, reasons: frozenset[Reason] = frozenset()
) -> RunSummary:
    """Run the series of a run again that have failed or have no row, as its job says, and renew its summary.

    The series are those that the run has kept: the manifest need not be there any more.

    Args:
        cache: The cache directory.
        run: Name of the run.
        cluster: Where to compute.
        progress: Is told about each series.
        reasons: Take series alone that failed for one of these reasons; empty for all.

    Raises:
        ManifestError: There is no such run, or another version wrote it.
        OptionsError: Its previews have been replaced by others of the same name.
        DspBatchError: There is no cluster, or it is lost.
        KeyboardInterrupt: Ctrl-C was pressed; what was running has finished and its rows are written.
    """
    begin = time.monotonic()
    job, manifest = read_job(cache, run), read_run_manifest(cache, run)
    attempt = open_attempt(job, run)
    job = replace(job, rebuild=attempt.overwrites or attempt.renews)
    key = run_files(run).job
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(cache, key, {**(read_json(cache, key) or {}), **attempt.describe(), "started": started})
    again = StartedRun(name=run, job=job, manifest=manifest, attempt=attempt, begin=begin, reasons=reasons)
    with ClusterConnection(cluster) as connection:
        return complete_run(again, connection, progress)


def read_run_manifest(cache: Cache, run: str) -> Manifest:
    """Read the series that a run has kept.

    Raises:
        ManifestError: It has kept none, or they cannot be read.
    """
    key = run_files(run).manifest
    data = cache.read(key)
    repeat = "repeat the command that began the run"
    if data is None:
        raise ManifestError(f"there is no {cache.url_of(key)}: an older version made this run; {repeat}")
    try:
        return parse_manifest(data)
    except ManifestError as error:
        raise ManifestError(f"{cache.url_of(key)} is {error.message}; {repeat}") from error
