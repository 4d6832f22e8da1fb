"""A run on Dask's dashboard: its span, figures of its tasks, and a report of its performance."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import ProxyHandler, build_opener
from uuid import uuid4

from dask.base import get_annotations
from dask.delayed import delayed
from distributed import Client, performance_report, span
from distributed.metrics import context_meter

from dsp_batch.batch.cluster.health import lost_connection, no_answer
from dsp_batch.batch.runs.figures import STAGES
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.errors import DspBatchError, OptionsError
from dsp_batch.storage.objects import write_whole

_log = logging.getLogger(__name__)

SECONDS_TO_REPORT = 60.0
"""Seconds that the scheduler has for its report. A frozen one would be waited for at the end of the run."""

SECONDS_TO_SHOW = 5.0
"""Seconds that the dashboard has to answer before it counts as not served."""


@contextmanager
def report_run(client: Client, job: Job, report: str | os.PathLike[str] | None) -> Iterator[None]:
    """Tag the tasks of the block as those of one run, and report on the cluster when it ends, however it ends.

    Args:
        client: The cluster.
        job: Names the span: `mosaic/NAME`.
        report: Path or URL of the HTML file that Dask's report is written to; None for none.

    Raises:
        OptionsError: A report is wanted, and the scheduler has no bokeh.
    """
    with _report_performance(client, report), span(f"{job.verb}/{job.name}"), _hold_groups(client):
        yield


@contextmanager
def _hold_groups(client: Client) -> Iterator[None]:
    """Hold one task of each of the groups that the tasks of shards belong to.

    Dask forgets a group with its last task, but not in the books of the span: with few workers nearly each shard would
    leave three groups there.
    """
    tasks = [delayed(bool, pure=False)(dask_key_name=(name_group(stage), "held", uuid4().hex)) for stage in STAGES]
    held = client.compute(tasks, optimize_graph=False)
    try:
        yield
    finally:
        for future in held:
            future.release()


def name_group(name: str) -> str:
    """Name the group of some tasks, the first part of their keys: `mosaic-0a1b2c3d`, which Dask shows as `mosaic`.

    Dask counts all tasks of one group for one span: runs that share a cluster need groups of their own.
    """
    current = get_annotations().get("span")
    return f"{name}-{current['ids'][-1][:8]}" if current else name


def publish_rows(rows: Iterable[SeriesResult]) -> None:
    """Add what series took to Dask's figures of the task that calls this: its dashboard shows them by span.

    Seconds of stages have a unit of their own: series of one task may overlap, and Dask takes what is told in `seconds`
    off its own count of the CPU time of the task.
    """
    counts = Counter[tuple[str, str]]()
    for row in rows:
        counts["series", "count"] += 1
        counts["requests", "count"] += row.requests
        counts["read", "bytes"] += row.bytes_read
        for stage in STAGES:
            counts[stage, "series-seconds"] += getattr(row, f"seconds_{stage}")
    for (label, unit), value in counts.items():
        context_meter.digest_metric(label, value, unit)


@contextmanager
def _report_performance(client: Client, output: str | os.PathLike[str] | None) -> Iterator[None]:
    if output is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="dsp-batch-") as folder:
        file = Path(folder) / "report.html"
        report = performance_report(filename=str(file))
        _begin_report(client, report)
        try:
            yield
        finally:
            _write_report(client, report, file, os.fspath(output))


def _begin_report(client: Client, report: performance_report) -> None:
    if not _ask_for_bokeh(client):
        raise OptionsError(
            "--performance-report needs bokeh where the scheduler runs: pip install 'dsp-batch[dashboard]' there"
        )
    try:
        client.sync(report.__aenter__, callback_timeout=SECONDS_TO_REPORT)
    except TimeoutError as error:
        raise no_answer(client, SECONDS_TO_REPORT) from error
    except OSError as error:
        raise lost_connection() from error


def _write_report(client: Client, report: performance_report, file: Path, output: str) -> None:
    """Write the report whole. What goes wrong here must not hide how the run ended."""
    try:
        client.sync(report.__aexit__, None, None, None, callback_timeout=SECONDS_TO_REPORT)
        write_whole(output, file.read_bytes())
    except (OSError, TimeoutError, ValueError) as error:
        _log.error(
            "the scheduler gave no performance report (%s)", " ".join(str(error).split()) or type(error).__name__
        )
    except DspBatchError as error:
        _log.error("%s", error.message)
    else:
        _log.info("performance report in %s", output)


def find_dashboard(client: Client) -> str | None:
    """Find the address of the scheduler's dashboard; None where it has no bokeh, or the address does not answer."""
    link = client.dashboard_link or ""
    if not link.startswith(("http://", "https://")) or not _ask_for_bokeh(client):
        return None
    try:
        # A cluster is reached as it is: a proxy to the outside does not know its addresses.
        with build_opener(ProxyHandler({})).open(link, timeout=SECONDS_TO_SHOW):
            return link
    except (OSError, ValueError):
        return None


def _ask_for_bokeh(client: Client) -> bool:
    try:
        return bool(client.run_on_scheduler(_has_bokeh, callback_timeout=SECONDS_TO_REPORT))
    except TimeoutError as error:
        raise no_answer(client, SECONDS_TO_REPORT) from error
    except OSError as error:
        raise lost_connection() from error


def _has_bokeh() -> bool:
    return find_spec("bokeh") is not None
