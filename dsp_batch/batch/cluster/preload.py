"""The start of a worker of a local cluster: Dask imports this before the first task."""

from __future__ import annotations

import logging
import signal

from distributed import Worker

import dsp_batch.batch.cluster.tasks  # noqa: F401  # what tasks need is imported before the first is timed
from dsp_batch.batch.garbage import collect_rarely

LOGGERS = ("dsp_batch", "distributed")


def dask_setup(_worker: Worker) -> None:
    """Leave Ctrl-C and the terminal to the client, and look for garbage as rarely as the client does.

    Ctrl-C reaches every process of the terminal: a worker that heeded it could not finish what it runs. The row of a
    series says what went wrong with it; a worker's own lines would break the client's progress bar.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_rarely()
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
