"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsp_batch.batch.runs.row import SeriesResult

_log = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Told about a run as it goes on."""

    def start(self, total: int) -> None:
        """The run begins; it has that many series."""

    def skip(self, series: int) -> None:
        """Series that an earlier attempt finished."""

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """Series whose rows are there now."""

    def stop(self) -> None:
        """The run has ended, for whatever reason."""


@dataclass(slots=True)
class _Counts:
    total: int = 0
    earlier: int = 0
    series: int = 0
    failed: int = 0
    bytes_read: int = 0
    begin: float = field(default_factory=time.monotonic)

    def add(self, rows: Iterable[SeriesResult]) -> None:
        for row in rows:
            self.series += 1
            self.failed += row.status == "failed"
            self.bytes_read += row.bytes_read

    def describe(self) -> str:
        seconds = max(time.monotonic() - self.begin, 1e-3)
        return (
            f"{self.earlier + self.series} of {self.total} series, {self.failed} failed, "
            f"{self.series / seconds:.1f} series/s, {self.bytes_read / seconds / 1e6:.1f} MB/s"
        )

    def seconds_left(self) -> float | None:
        left = self.total - self.earlier - self.series
        return left * (time.monotonic() - self.begin) / self.series if self.series else None


class LineProgress:
    """A line in the log every half minute."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._next = 0.0

    def start(self, total: int) -> None:
        """Begin counting."""
        self._counts = _Counts(total=total)
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def skip(self, series: int) -> None:
        """Count series that were there before."""
        self._counts.earlier += series

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """Count rows, and write a line when it is time."""
        self._counts.add(rows)
        if time.monotonic() >= self._next:
            left = self._counts.seconds_left()
            _log.info("%s%s", self._counts.describe(), f", {left / 60:.0f} min left" if left is not None else "")
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def stop(self) -> None:
        """Nothing is left to do."""


class BarProgress:
    """A bar with rate, failures and time left."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._bar: Any = None
        self._task: Any = None

    def start(self, total: int) -> None:
        """Show the bar."""
        from rich.console import Console  # noqa: PLC0415  # 0.1 s, on terminals only
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415  # as above
        from rich.progress import Progress as Bar  # noqa: PLC0415  # as above

        self._counts = _Counts(total=total)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=Console(stderr=True), refresh_per_second=4)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def skip(self, series: int) -> None:
        """Move the bar over series that were there before."""
        self._counts.earlier += series
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


def open_progress(*, bar: bool = True) -> Progress:
    """A bar where standard error is a terminal, else lines.

    Args:
        bar: Whether a bar may be shown at all.
    """
    return BarProgress() if bar and sys.stderr.isatty() else LineProgress()
