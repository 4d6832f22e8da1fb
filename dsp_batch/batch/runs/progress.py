"""The progress of a run: counts and rates as it goes on, and plain lines of them in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from dsp_batch.batch.runs.result_row import SeriesResult

_log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


class Progress(Protocol):
    """Is told about a run as it goes on."""

    def start(self, total: int) -> None:
        """The run begins; it has that many series."""

    def skip(self, series: int) -> None:
        """An earlier attempt has finished that many series."""

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """The rows of some series are there now."""

    def stop(self) -> None:
        """The run has ended, for whatever reason."""


@dataclass(slots=True)
class ProgressCounts:
    """Series, failures and bytes of a run so far, and the rates that follow from them."""

    total: int = 0
    """Series of the run."""

    earlier: int = 0
    """Series that earlier attempts have finished."""

    series: int = 0
    """Series whose rows have come since."""

    failed: int = 0
    bytes_read: int = 0
    begin: float = field(default_factory=time.monotonic)

    def skip(self, series: int) -> None:
        """Count series that an earlier attempt has finished."""
        self.earlier += series

    def add(self, rows: Iterable[SeriesResult]) -> None:
        """Count rows."""
        for row in rows:
            self.series += 1
            self.failed += row.status == "failed"
            self.bytes_read += row.bytes_read

    def describe(self) -> str:
        """Counts and rates in a few words."""
        seconds = max(time.monotonic() - self.begin, 1e-3)
        return (
            f"{self.earlier + self.series} of {self.total} series, {self.failed} failed, "
            f"{self.series / seconds:.1f} series/s, {self.bytes_read / seconds / 1e6:.1f} MB/s"
        )

    def seconds_left(self) -> float | None:
        """Seconds until the end at the present rate; None before the first row."""
        left = self.total - self.earlier - self.series
        return left * (time.monotonic() - self.begin) / self.series if self.series else None


class LineProgress:
    """Writes a line to the log every half minute."""

    def __init__(self) -> None:
        self._counts = ProgressCounts()
        self._next = 0.0

    def start(self, total: int) -> None:
        """Begin counting."""
        self._counts = ProgressCounts(total=total)
        self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def skip(self, series: int) -> None:
        """Count series that were there before."""
        self._counts.skip(series)

    def advance(self, rows: Iterable[SeriesResult]) -> None:
        """Count rows, and write a line when it is time."""
        self._counts.add(rows)
        if time.monotonic() >= self._next:
            left = self._counts.seconds_left()
            _log.info("%s%s", self._counts.describe(), f", {left / 60:.0f} min left" if left is not None else "")
            self._next = time.monotonic() + SECONDS_BETWEEN_LINES

    def stop(self) -> None:
        """Nothing is left to do."""
