"""Dask's processes and `dsp-batch` itself, started as users start them, to be killed and frozen by tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from program_outcome import Outcome
from servers import run_process, wait_for

SECONDS_TO_START = 240.0
SECONDS_TO_END = 300.0

QUICK = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5 s",
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5 s",
    "DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "forkserver",
}
"""Dask's settings that let failures show within seconds; every task on a worker that dies is blamed at once, and the
next worker finds the libraries imported."""


@dataclass(frozen=True)
class DaskCluster:
    """A scheduler, and workers that find it by its file."""

    file: Path
    folder: Path
    environment: Mapping[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """The scheduler, then one process for each `dask worker`: the nanny of its workers."""

    @property
    def scheduler(self) -> subprocess.Popen[bytes]:
        """The scheduler's process."""
        return self.processes[0]

    def worker_processes(self, nanny: int = 0) -> list[int]:
        """Process numbers of the workers that a nanny keeps: its children that listen to it."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.processes[1 + nanny].pid)], check=False, capture_output=True, text=True, timeout=30
        )
        return [int(child) for child in children.stdout.split()]

    @property
    def log(self) -> Path:
        """What all of them say."""
        return self.folder / "dask.log"


@contextmanager
def run_cluster(
    folder: Path,
    *options: str,
    protocol: str = "tcp",
    environment: Mapping[str, str] | None = None,
    nannies: int = 2,
) -> Iterator[DaskCluster]:
    """Run `dask scheduler`, and `dask worker` as often as asked, of one thread each.

    Args:
        folder: For the scheduler's file, the log and the workers' scratch space.
        options: Further options of `dask worker`.
        protocol: `tcp` or `tls`.
        environment: Further variables for all of these processes.
        nannies: How many times `dask worker` is started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder / "scheduler.json", folder, environment or {})
    cluster.file.unlink(missing_ok=True)
    listen = ["--host", f"{protocol}://127.0.0.1", "--port", "0", "--no-dashboard"]
    with ExitStack() as running:
        known = ("--scheduler-file", str(cluster.file))
        cluster.processes.append(running.enter_context(_start_dask(cluster, "scheduler", *listen, *known)))
        for _ in range(nannies):
            cluster.processes.append(running.enter_context(start_worker(cluster, *options)))
        wait_for(cluster.file.exists, SECONDS_TO_START, "the scheduler", cluster.log)
        yield cluster


def start_worker(
    cluster: DaskCluster, *options: str, **environment: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a further `dask worker` of one thread, with further options and variables."""
    own = ("--nthreads", "1", "--no-dashboard", "--local-directory", str(cluster.folder))
    return _start_dask(cluster, "worker", "--scheduler-file", str(cluster.file), *own, *options, **environment)


def _start_dask(
    cluster: DaskCluster, *command: str, **environment: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return run_process([sys.executable, "-m", "dask", *command], cluster.log, **cluster.environment, **environment)


PROGRAM = (str(Path(sys.executable).with_name("dsp-batch")),)

IMPATIENT_PROGRAM = (sys.executable, str(Path(__file__).with_name("impatient_client.py")), "300")
"""`dsp-batch` that waits less between attempts and between result parts; the last word, how long for a cache."""


@contextmanager
def start_batch(
    *arguments: object, environment: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM
) -> Iterator[subprocess.Popen[str]]:
    """Run `dsp-batch`, or a program that does what it does, as a process that ends with the block."""
    with subprocess.Popen(
        [*program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish_batch(process: subprocess.Popen[str]) -> Outcome:
    """Wait for the end of a `dsp-batch`."""
    stdout, stderr = process.communicate(timeout=SECONDS_TO_END)
    return Outcome(process.returncode, stdout, stderr)


def run_batch(
    *arguments: object, environment: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM
) -> Outcome:
    """Run `dsp-batch`, or a program that does what it does, to its end."""
    with start_batch(*arguments, environment=environment, program=program) as process:
        return finish_batch(process)


def kill_batch(process: subprocess.Popen[str]) -> None:
    """Kill a `dsp-batch` with -9, which must still be running."""
    assert process.poll() is None, finish_batch(process)
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that other processes do, as long as one of them runs."""
    limit = time.monotonic() + SECONDS_TO_START
    while not condition():
        assert process is None or process.poll() is None, finish_batch(process)
        assert time.monotonic() < limit
        time.sleep(0.03)
