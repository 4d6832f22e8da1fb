"""End the command of a run: log its figures, print its summary on standard output, return the exit status."""

from __future__ import annotations

import logging
from collections.abc import Callable

from dsp_batch.batch.cluster.interrupt import Interrupted
from dsp_batch.batch.runs.figures import format_figures
from dsp_batch.batch.runs.summary import RunSummary
from dsp_batch.cli.program import EXIT_ERROR
from dsp_batch.cli.tables import print_line

_log = logging.getLogger(__name__)


def finish(run: Callable[[], RunSummary]) -> int:
    """Work through a run and print its summary.

    Returns:
        The exit status.
    """
    try:
        summary = run()
    except Interrupted:
        _log.warning("stopped: the same command goes on from here")
        raise KeyboardInterrupt from None
    for line in format_figures(summary.figures):
        _log.info("%s", line)
    print_line(str(summary))
    return 0 if summary.succeeded else EXIT_ERROR
