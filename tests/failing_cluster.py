"""A Dask cluster whose workers fail at the series that a test names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_processes import QUICK, DaskCluster, run_cluster
from worker_failures import VARIABLE

PRELOAD = Path(__file__).with_name("worker_failures.py")


@dataclass(frozen=True)
class FailingCluster:
    """Workers that can be told what happens to them at which series."""

    dask: DaskCluster
    told: Path

    def tell(self, series: str, what: str) -> None:
        """Tell all workers what happens at a series, or at `any`: `kill`, `die`, `freeze`, `pause 0.1`."""
        (self.told / series).write_text(what)

    def opened(self) -> list[str]:
        """The series of which objects were opened, one entry an object, in this order."""
        log = self.told / "opened"
        return log.read_text().split() if log.exists() else []

    @property
    def options(self) -> tuple[str, str]:
        """The cluster on the command line."""
        return ("--scheduler-file", str(self.dask.file))


@contextmanager
def run_failing_cluster(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None, nannies: int = 2
) -> Iterator[FailingCluster]:
    """Run a cluster as `run_cluster` does, with quick settings, and with workers that do as they are told."""
    told = folder / "told"
    told.mkdir(parents=True)
    known = {**QUICK, VARIABLE: str(told), **(environment or {})}
    with run_cluster(folder, "--preload", str(PRELOAD), *options, environment=known, nannies=nannies) as dask:
        yield FailingCluster(dask, told)
