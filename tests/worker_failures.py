"""What makes a Dask worker fail at a series; `dask worker --preload` imports this file.

The folder that `WORKER_FAILURES` names says which: it holds files that are named after a series, with what happens to
the process that opens an object of it. `kill`: it is killed with -9, each time. `die`: the same, the first time only.
`freeze`: it is stopped for good, the first time only. `pause 0.1`: it waits as many seconds before each object, as slow
storage would. What is said in the file `any` happens at every series, and what is said in the file `rows` to the first
worker that is asked for the rows of a shard that it has finished. The file `opened` names the series of each object
that was opened.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from distributed import Worker

from dsp_batch.storage import retry

VARIABLE = "WORKER_FAILURES"

FIRST_DELAY = 0.03
"""Seconds; a tenth of what it is elsewhere."""


def _watch_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not str(arguments[0]).endswith(".dcm"):
        return
    folder, series = Path(os.environ[VARIABLE]), Path(arguments[0]).parent.name
    log = os.open(folder / "opened", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, f"{series}\n".encode())
    os.close(log)
    for name in (series, "any"):
        if (folder / name).exists():
            _fail(folder / name)


def _fail(told: Path) -> None:
    what, *seconds = told.read_text().split()
    if what in ("die", "freeze"):
        told.unlink()
    if what in ("kill", "die"):
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif what == "pause":
        time.sleep(float(seconds[0]))


def _watch_gathering(worker: Worker) -> None:
    give = worker.handlers["get_data"]

    def watch(comm: Any, keys: Any, **known: Any) -> Any:
        told = Path(os.environ[VARIABLE], "rows")
        if told.exists() and any(key[0].startswith("render") for key in keys):
            _fail(told)
        return give(comm, keys=keys, **known)

    worker.handlers["get_data"] = watch


def hurry() -> None:
    """Let all attempts at a request that fails take a second in this process, not ten."""
    retry.FIRST_DELAY = FIRST_DELAY


def dask_setup(worker: Worker) -> None:
    """Watch this process; Dask calls this in each worker, not in its nanny."""
    hurry()
    sys.addaudithook(_watch_opening)
    _watch_gathering(worker)
