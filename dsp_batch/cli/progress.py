"""The progress of a run on standard error: a bar on a terminal, or a record for each failure."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from dsp_batch.batch.runs.failures import find_failed
from dsp_batch.batch.runs.progress import LineProgress, Progress, ProgressCounts
from dsp_batch.batch.runs.result_row import SeriesResult
from dsp_batch.cli.logs import logs_json, with_members

_log = logging.getLogger(__name__)


class BarProgress:
    """A bar with rate, failures and time left."""

    def __init__(self) -> None:
        self._counts = ProgressCounts()
        self._bar: Any = None
        self._task: Any = None

    def start(self, total: int) -> None:
        """Show the bar."""
        from rich.console import Console  # noqa: PLC0415  # 0.1 s, on terminals only
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415  # as above
        from rich.progress import Progress as Bar  # noqa: PLC0415  # as above

        self._counts = ProgressCounts(total=total)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=Console(stderr=True), refresh_per_second=4)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def skip(self, series: int) -> None:
        """Move the bar over series that were there before."""
        self._counts.skip(series)
        self._bar.advance(self._task, series)

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """Move the bar."""
        before = self._counts.series
        self._counts.add(rows)
        self._bar.update(self._task, advance=self._counts.series - before, description=self._counts.describe())

    def stop(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()


class FailureRecords:
    """Lines in the log, and a record for each series that fails, as soon as it has."""

    def __init__(self) -> None:
        self._lines = LineProgress()

    def start(self, total: int) -> None:
        """Begin counting."""
        self._lines.start(total)

    def skip(self, series: int) -> None:
        """Count series that were there before."""
        self._lines.skip(series)

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """Count rows, and write a record for each that failed."""
        rows = tuple(rows)
        self._lines.advance(rows)
        for failure in filter(None, map(find_failed, rows)):
            _log.warning("%s", failure, extra=with_members(failure=asdict(failure)))

    def stop(self) -> None:
        """Nothing is left to do."""
        self._lines.stop()


def open_progress() -> Progress:
    """A record for each failure where messages are JSON, a bar on a terminal, else lines in the log."""
    if logs_json():
        return FailureRecords()
    return BarProgress() if sys.stderr.isatty() else LineProgress()
