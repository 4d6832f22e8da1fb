"""End the command of a run: say why series failed, print its summary on standard output, return the exit status."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dsp_batch.batch.cluster.interrupt import Interrupted
from dsp_batch.batch.runs.figures import format_figures
from dsp_batch.batch.runs.summary import RunSummary, describe_summary
from dsp_batch.cli.logs import logs_json, with_members
from dsp_batch.cli.options import AllowedFailures
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_line

_log = logging.getLogger(__name__)


def finish(run: Callable[[], RunSummary], allowed: AllowedFailures) -> int:
    """Work through a run, and say what became of it.

    Args:
        run: The run.
        allowed: Series that may fail.

    Returns:
        The exit status.
    """
    try:
        summary = run()
    except Interrupted:
        _log.warning("stopped: the same command goes on from here")
        raise KeyboardInterrupt from None
    if logs_json():
        _log.info("%s", summary, extra=with_members(summary=describe_summary(summary)))
    else:
        _say_closing_lines(summary)
    print_line(str(summary))
    failed = summary.by_status.get("failed", 0)
    passes = not (summary.rejected or summary.left) and allowed.cover(failed, summary.series)
    return 0 if passes else EXIT_ERROR


def _say_closing_lines(summary: RunSummary) -> None:
    """Say why the first series failed and where the pictures are; with `-v`, also the figures of the run."""
    for line in format_figures(summary.figures):
        _log.debug("%s", line)
    megabytes = summary.manifest_bytes_read / 1e6
    _log.debug("the manifest and its folders took %d requests, %.1f MB", summary.manifest_requests, megabytes)
    for failure in summary.failures:
        _log.info("%s", failure)
    more = summary.by_status.get("failed", 0) - len(summary.failures)
    if more:
        _log.info("%d more failed: dsp-batch status %s --failed", more, summary.url)
    _log.info("%s in %s", "indices" if summary.products.endswith("/indices") else "previews", summary.products)
