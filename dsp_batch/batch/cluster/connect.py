"""A Dask client on the cluster that the user named, or on a local one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import dask
from dask.system import CPU_COUNT
from dask.utils import parse_timedelta
from distributed import Client, LocalCluster, Security
from distributed.comm.core import connect as connect_to
from distributed.system import MEMORY_LIMIT
from distributed.utils import LoopRunner

from dsp_batch.batch.cluster.dashboard import find_dashboard
from dsp_batch.batch.cluster.health import ask_threads, find_scheduler, lost_connection
from dsp_batch.errors import DspBatchError, OptionsError, first_line
from dsp_batch.options import SCHEDULER_VARIABLE, ClusterOptions
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

DEATHS_BEFORE_SPLIT = 1
"""Local workers that one shard may kill and still be tried again as a whole. Dask's default of 3 is for clusters whose
machines come and go; a local worker dies of what it does."""

SECONDS_WITHOUT_SIGN = 60.0
"""Seconds without a sign of life after which a local worker counts as frozen and is started again. Dask would wait five
minutes. Signs come twice a second, and no decoder holds Python's lock for more than seconds."""

SECONDS_TO_CHECK = 120.0
"""Seconds that the scheduler and all workers have to import what tasks need, from a slow disk. A frozen one never
answers."""


class ClusterConnection:
    """A connection to the cluster that opens when it is first needed, and stays open until the block ends.

    Args:
        options: The cluster.
    """

    def __init__(self, options: ClusterOptions) -> None:
        self.options = options
        self._client: Client | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, series: int) -> Client:
        """Return the client, and connect it the first time; arguments and errors are those of `connect`."""
        if self._client is None:
            self._client = self._open.enter_context(connect(self.options, series))
        return self._client

    def close(self) -> None:
        """Close the client, and a cluster that was started for it."""
        self._client = None
        self._open.close()


@contextmanager
def connect(options: ClusterOptions, series: int) -> Iterator[Client]:
    """Open a client with at least one worker that has this package.

    Args:
        options: The cluster.
        series: Number of series to work on. A local cluster of more processes would start for nothing.

    Raises:
        OptionsError: The client that was given cannot be worked with.
        DspBatchError: There is no scheduler, no worker in time, or a worker lacks the package.
    """
    with _quiet("distributed", logging.CRITICAL):  # the run itself tells of a lost cluster, in one line
        if options.client is not None:
            client = _check_client(options.client)
            _prepare(client, options)
            yield client
        elif options.is_remote:
            with _remote_client(options) as client:
                _prepare(client, options)
                yield client
                _log.debug("closing the connection to the scheduler")
        else:
            with _local_cluster(options, series) as cluster, Client(cluster) as client:
                _announce(client, len(cluster.workers))
                yield client
                _log.debug("closing the local cluster")


def _check_client(client: object) -> Client:
    """Refuse what is no open client of the usual kind."""
    if not isinstance(client, Client):
        raise OptionsError(f"client must be a distributed.Client, not {type(client).__name__}")
    if client.asynchronous:
        raise OptionsError("client is asynchronous: give one that was opened without asynchronous=True")
    if client.status != "running":
        raise OptionsError(f"client is {client.status}: give one that is connected to its scheduler")
    return client


def _prepare(client: Client, options: ClusterOptions) -> None:
    """Wait for the first worker of a cluster that runs, and make sure that it can run the tasks."""
    _wait_for_workers(client, options.wait_for_workers)
    _announce(client, _check_program(client))


def _announce(client: Client, workers: int) -> None:
    dashboard = find_dashboard(client)
    count = "1 worker" if workers == 1 else f"{workers} workers"
    _log.info("%s%s", count, f", dashboard {dashboard}" if dashboard else "")


@contextmanager
def _quiet(root: str, level: int) -> Iterator[None]:
    """Hide records below a level, of a logger and of those below it that have a level of their own."""
    names = [name for name in logging.root.manager.loggerDict if name == root or name.startswith(f"{root}.")]
    loggers = [logger for logger in map(logging.getLogger, names) if logger.name == root or logger.level]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(level, logger.level))
    try:
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)


@contextmanager
def _local_cluster(options: ClusterOptions, series: int) -> Iterator[LocalCluster]:
    """Start processes of one thread each: parsing and windowing hold the GIL, requests overlap inside a task."""
    workers = options.workers or max(1, min(CPU_COUNT, series))
    settings = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": DEATHS_BEFORE_SPLIT,
        "distributed.scheduler.worker-ttl": _shorten(dask.config.get("distributed.scheduler.worker-ttl")),
        # However often a worker dies it is started again: Dask would let one go that is down 15 s after a death.
        "distributed.deploy.lost-worker-timeout": "1 day",
        # The profile of the last hour takes 130 KB of each worker's memory a second.
        "distributed.worker.profile.enabled": False,
        # By default the scheduler keeps the last thousand messages to each worker, with the tasks in them.
        "distributed.admin.low-level-log-length": 10,
        # By default the event loop is watched fifty times a second: 3 % of a core here, and 1 % in each worker.
        "distributed.admin.tick.interval": "500ms",
    }
    with dask.config.set(settings):  # for workers that are started later, in the place of dead ones, too
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=MEMORY_LIMIT // workers,
                dashboard_address="127.0.0.1:0" if find_spec("bokeh") else None,
                preload=[*dask.config.get("distributed.worker.preload"), "dsp_batch.batch.cluster.preload"],
                silence_logs=logging.ERROR,
                security=_make_certificate(),
            )
        except RuntimeError as error:
            message = (
                f"the local cluster of {workers} workers does not start ({first_line(error)}): give fewer --workers"
            )
            raise DspBatchError(message) from error
        with cluster:
            yield cluster


def _make_certificate() -> Security | None:
    """Make a certificate that only this run has: whoever connects to a scheduler may run code as its owner.

    Returns:
        The certificate, in memory; None without the package `cryptography`, so that any user of this machine may
        connect.
    """
    return Security.temporary() if find_spec("cryptography") else None


def _shorten(configured: str | float | None) -> float | None:
    """Take the user's seconds without a sign of life where they are fewer; None where it is turned off."""
    return None if configured is None else min(parse_timedelta(configured), SECONDS_WITHOUT_SIGN)


def _remote_client(options: ClusterOptions) -> Client:
    where = os.fspath(options.scheduler_file or options.scheduler or os.environ.get(SCHEDULER_VARIABLE, ""))
    seconds = options.wait_for_workers
    try:
        address = _read_address(Path(where), seconds) if options.scheduler_file else where
        _try_connection(address, seconds)
        return Client(address, timeout=seconds)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as error:
        cause = first_line(error)
        message = f"no Dask scheduler answers at {where} ({cause}): check the address, the TLS files and that it runs"
        raise DspBatchError(message) from error


def _read_address(path: Path, seconds: float) -> str:
    """Read the address in a scheduler's file, which may be about to be written."""
    limit = time.monotonic() + seconds
    while True:
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["address"])
        except FileNotFoundError as error:
            if time.monotonic() > limit:
                raise FileNotFoundError(f"there is no such file after {seconds:g} s") from error
        except ValueError:
            if time.monotonic() > limit:
                raise
        time.sleep(0.1)


def _try_connection(address: str, seconds: float) -> None:
    """Connect to a scheduler once: a client waits without end for a frozen one, or for a server of another kind."""
    runner = LoopRunner()  # a notebook has a loop of its own running in this thread
    runner.start()
    try:
        runner.run_sync(_connect_once, address, seconds)
    finally:
        runner.stop()


async def _connect_once(address: str, seconds: float) -> None:
    arguments = Security().get_connection_args("client")
    try:
        comm = await asyncio.wait_for(connect_to(address, timeout=seconds, **arguments), seconds)
    except TimeoutError as error:
        raise TimeoutError(f"no answer for {seconds:g} s") from error
    await comm.close()


def _wait_for_workers(client: Client, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not ask_threads(client, max(1.0, limit - time.monotonic())):
        if time.monotonic() > limit:
            raise DspBatchError(
                f"the scheduler {find_scheduler(client)} has no worker after {seconds:g} s: "
                "start `dask worker`, or wait longer with --wait-for-workers"
            )
        time.sleep(0.1)


def _check_program(client: Client) -> int:
    """Refuse a cluster that cannot run the tasks, before any is submitted.

    Returns:
        Number of its workers.
    """
    try:
        found: dict[str, Any] = {
            "the scheduler": client.run_on_scheduler(_installed_version, callback_timeout=SECONDS_TO_CHECK)
        }
        found |= client.run(_installed_version, on_error="return", callback_timeout=SECONDS_TO_CHECK)
    except TimeoutError as error:
        raise DspBatchError(
            f"the scheduler {find_scheduler(client)} or one of its workers does not answer for "
            f"{SECONDS_TO_CHECK:.0f} s: start anew what is frozen"
        ) from error
    except OSError as error:
        raise lost_connection() from error
    except Exception as error:  # the function is pickled by its name: any other failure of it is one to import
        raise DspBatchError(_install_advice("the scheduler or a worker", error)) from error
    for place, answer in found.items():
        if isinstance(answer, BaseException):
            raise DspBatchError(_install_advice(place, answer)) from answer
        if answer != __version__:
            raise DspBatchError(
                f"{place} has dsp-batch {answer}, this client {__version__}: install the same version on both"
            )
    return len(found) - 1


def _install_advice(place: str, error: BaseException) -> str:
    cause = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{place} cannot run the tasks ({cause}): install dsp-batch {__version__} "
        "in the environment of the scheduler and of every worker"
    )


def _installed_version() -> str:
    import dsp_batch.batch.cluster.tasks  # noqa: F401, PLC0415  # what the tasks need
    from dsp_batch.dicom.pixels.codecs import require_codecs  # noqa: PLC0415  # the codecs of the process that this runs in
    from dsp_batch.version import __version__ as found  # noqa: PLC0415  # of the process that this runs in

    require_codecs()
    return found
