"""A Dask client on the cluster that the user named, or on a local one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import dask
from distributed import Client, LocalCluster

from dsp_batch.errors import DspBatchError, OptionsError

_log = logging.getLogger(__name__)
SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Where the tasks of a run are computed."""

    scheduler: str | None = None
    """Address of a running scheduler, `tcp://` or `tls://`."""

    scheduler_file: str | None = None
    """JSON file that a running scheduler wrote."""

    workers: int | None = None
    """Processes of a local cluster; None for one a core."""

    wait_for_workers: float = 60.0
    """Seconds to wait for the first worker."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise OptionsError(f"--workers must be 1 or more, not {self.workers}")
        if self.scheduler and self.scheduler_file:
            raise OptionsError("give either --scheduler or --scheduler-file, not both")
        if self.workers is not None and self.is_remote:
            raise OptionsError("--workers is for a local cluster: it does not go together with a scheduler")

    @property
    def is_remote(self) -> bool:
        """Whether a running scheduler was named."""
        return bool(self.scheduler or self.scheduler_file or os.environ.get(SCHEDULER_VARIABLE))


@contextmanager
def connect(options: ClusterOptions) -> Iterator[Client]:
    """A client with at least one worker that has this package.

    Raises:
        DspBatchError: There is no scheduler, no worker in time, or a worker lacks the package.
    """
    if not options.is_remote:
        with _local_cluster(options) as cluster, Client(cluster) as client:
            yield client
        return
    with _remote_client(options) as client:
        _wait_for_workers(client, options)
        _check_program(client)
        yield client


def _local_cluster(options: ClusterOptions) -> LocalCluster:
    """Spawned processes of one thread: parsing and windowing hold the GIL, requests overlap inside a task."""
    dashboard = ":0" if _has_bokeh() else None
    with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
        return LocalCluster(
            n_workers=options.workers or os.cpu_count() or 1,
            threads_per_worker=1,
            processes=True,
            dashboard_address=dashboard,
            silence_logs=logging.ERROR,
        )


def _has_bokeh() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415  # only here

    return find_spec("bokeh") is not None


def _remote_client(options: ClusterOptions) -> Client:
    address = options.scheduler or os.environ.get(SCHEDULER_VARIABLE)
    try:
        if options.scheduler_file:
            return Client(scheduler_file=options.scheduler_file, timeout=options.wait_for_workers)
        return Client(address, timeout=min(options.wait_for_workers, 30.0))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        where = options.scheduler_file or address
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"no Dask scheduler answers at {where} ({cause}): check the address, the TLS files and that it runs"
        raise DspBatchError(message) from error


def _wait_for_workers(client: Client, options: ClusterOptions) -> None:
    try:
        client.wait_for_workers(1, timeout=options.wait_for_workers)
    except TimeoutError as error:
        raise DspBatchError(
            f"the scheduler {_address(client)} has no worker after {options.wait_for_workers:g} s: "
            "start `dask worker`, or wait longer with --wait-for-workers"
        ) from error


def _address(client: Client) -> str:
    return str(client.scheduler_info()["address"])


def _check_program(client: Client) -> None:
    """Refuse a cluster that cannot run the tasks, before any is submitted."""
    ours = version("dsp-batch")
    try:
        on_workers: dict[str, Any] = client.run(_installed_version, on_error="return")
        on_scheduler = client.run_on_scheduler(_installed_version)
    except ModuleNotFoundError as error:
        raise DspBatchError(_install_advice("the scheduler", ours)) from error
    except Exception as error:  # the check itself is pickled: any failure of it is a failure to import
        raise DspBatchError(f"{_install_advice('a worker or the scheduler', ours)} ({error})") from error
    for address, found in [("the scheduler", on_scheduler), *on_workers.items()]:
        if isinstance(found, BaseException) or found is None:
            raise DspBatchError(_install_advice(f"worker {address}", ours))
        if found != ours:
            raise DspBatchError(
                f"{address} has dsp-batch {found}, this client {ours}: install the same version on both"
            )


def _install_advice(where: str, ours: str) -> str:
    return (
        f"{where} cannot import dsp_batch: install dsp-batch {ours} in the environment of the scheduler and the workers"
    )


def _installed_version() -> str:
    import imagecodecs  # noqa: F401, PLC0415

    import dsp_batch.batch.shard  # noqa: F401, PLC0415  # what the tasks need, codecs' package included

    return version("dsp-batch")
