"""The figures of a run: counts, rates, seconds by stage, the slowest and the largest series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.model.series import FloatArray

STAGES = ("headers", "index", "render")
_SECONDS = tuple(f"seconds_{stage}" for stage in STAGES)

COLUMNS = ("series_uuid", "attempt", "status", "reason", "modality", "bytes_read", "requests", *_SECONDS)
"""Columns of the results that are counted."""

SHOWN_SERIES = 5
"""Number of the slowest, and of the largest, series that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """Seconds that one stage took, over the series that went through it."""

    series: int
    """Series that went through the stage."""

    total: float
    """Seconds of all of them together."""

    p50: float
    """Median of the seconds of one series."""

    p95: float
    """95th percentile of the seconds of one series."""

    max: float
    """Seconds of the slowest series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFigures:
    """Seconds and bytes that one series took."""

    series_uuid: str
    modality: str | None
    seconds: float
    """Seconds of all stages."""

    bytes_read: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """Counts of the series of a run, and the seconds and bytes that they took, so far or in the end."""

    series: int
    """Series that have a row."""

    by_status: dict[str, int]
    """Status → series, the most frequent first."""

    by_reason: dict[str, int]
    """Reason → series that failed or were skipped, the most frequent first."""

    bytes_read: int
    requests: int
    series_per_second: float | None
    """Rate of the last attempt; None where it had nothing to do."""

    megabytes_per_second: float | None
    """Rate of the last attempt in 10⁶ bytes; None where it had nothing to do."""

    stages: dict[str, StageFigures]
    """Stages that any series went through, in their order."""

    slowest: tuple[SeriesFigures, ...]
    """Series that took the most seconds, the slowest first."""

    largest: tuple[SeriesFigures, ...]
    """Series of which the most bytes were read, the largest first."""


@dataclass(slots=True, kw_only=True)
class FigureCounter:
    """Counts rows as they stream by. It keeps 12 bytes a series, for the percentiles."""

    attempt: int
    """Number of the attempt whose rate is wanted."""

    since: int = 1
    """Number of the first attempt whose rows count."""

    _statuses: Counter[str] = field(default_factory=Counter)
    _reasons: Counter[str] = field(default_factory=Counter)
    _bytes: int = 0
    _requests: int = 0
    _last_series: int = 0
    _last_bytes: int = 0
    _seconds: dict[str, list[FloatArray]] = field(default_factory=lambda: {name: [] for name in _SECONDS})
    _slowest: list[SeriesFigures] = field(default_factory=list)
    _largest: list[SeriesFigures] = field(default_factory=list)

    def watch(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Count the rows of tables with the columns of `COLUMNS`, and pass on those that count."""
        for table in tables:
            counted = table.filter(pc.greater_equal(table.column("attempt"), self.since)) if self.since > 1 else table
            self._add(counted)
            yield counted

    def finish(self, seconds: float | None) -> RunFigures:
        """Make the figures of the rows that have been counted.

        Args:
            seconds: Seconds that the last attempt has taken; None where that is not known.
        """
        has_rate = bool(seconds and self._last_series)
        return RunFigures(
            series=self._statuses.total(),
            by_status=dict(self._statuses.most_common()),
            by_reason=dict(self._reasons.most_common()),
            bytes_read=self._bytes,
            requests=self._requests,
            series_per_second=round(self._last_series / seconds, 3) if seconds and has_rate else None,
            megabytes_per_second=round(self._last_bytes / seconds / 1e6, 3) if seconds and has_rate else None,
            stages=dict(self._describe_stages()),
            slowest=tuple(self._slowest),
            largest=tuple(self._largest),
        )

    def _add(self, table: pa.Table) -> None:
        self._statuses.update(_count(table.column("status")))
        self._reasons.update(_count(table.column("reason")))
        self._bytes += _sum(table.column("bytes_read"))
        self._requests += _sum(table.column("requests"))
        last = table.column("bytes_read").filter(pc.equal(table.column("attempt"), self.attempt))
        self._last_series += len(last)
        self._last_bytes += _sum(last)
        total = np.zeros(len(table))
        for name in _SECONDS:
            seconds = pc.fill_null(table.column(name), 0).to_numpy()
            total += seconds
            self._seconds[name].append(seconds[seconds > 0].astype(np.float32))
        sizes = pc.fill_null(table.column("bytes_read"), 0).to_numpy()
        self._slowest = _merge(self._slowest, _top(table, total, total), "seconds")
        self._largest = _merge(self._largest, _top(table, total, sizes), "bytes_read")

    def _describe_stages(self) -> Iterator[tuple[str, StageFigures]]:
        for stage, name in zip(STAGES, _SECONDS, strict=True):
            seconds = np.concatenate(self._seconds[name]) if self._seconds[name] else np.empty(0, np.float32)
            if len(seconds):
                p50, p95, longest = (round(float(each), 4) for each in np.percentile(seconds, (50, 95, 100)))
                total = round(float(seconds.sum(dtype=np.float64)), 3)
                yield stage, StageFigures(series=len(seconds), total=total, p50=p50, p95=p95, max=longest)


def format_figures(figures: RunFigures) -> list[str]:
    """Write the figures as text, line by line; figures that are not known are left out."""
    lines = [f"read {figures.bytes_read / 1e6:,.1f} MB in {figures.requests:,} requests"]
    if figures.series_per_second is not None and figures.megabytes_per_second is not None:
        lines[0] += (
            f"; this attempt {figures.series_per_second:,.1f} series/s, {figures.megabytes_per_second:,.1f} MB/s"
        )
    for name, stage in figures.stages.items():
        lines.append(
            f"{name}: p50 {stage.p50:.3f} s, p95 {stage.p95:.3f} s, max {stage.max:.3f} s a series, "
            f"{stage.total:,.1f} s together"
        )
    for title, shown in (("slowest", figures.slowest), ("largest", figures.largest)):
        if shown:
            lines.append(f"{title}: {'; '.join(map(_describe_series, shown))}")
    return lines


def _describe_series(series: SeriesFigures) -> str:
    kind = f" ({series.modality})" if series.modality else ""
    return f"{series.series_uuid}{kind} {series.seconds:.1f} s, {series.bytes_read / 1e6:,.1f} MB"


def _count(column: pa.ChunkedArray) -> dict[str, int]:
    counts = {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
    return {value: count for value, count in counts.items() if value is not None}


def _sum(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)


def _top(table: pa.Table, seconds: FloatArray, measure: np.ndarray[Any, Any]) -> Iterator[SeriesFigures]:
    """Find the series of the largest measures in a table, without those that measure nothing."""
    largest = np.argsort(-measure, kind="stable")[:SHOWN_SERIES]
    largest = largest[measure[largest] > 0]
    for number, row in zip(largest.tolist(), table.take(pa.array(largest)).to_pylist(), strict=True):
        yield SeriesFigures(
            series_uuid=row["series_uuid"],
            modality=row["modality"],
            seconds=round(float(seconds[number]), 3),
            bytes_read=row["bytes_read"] or 0,
        )


def _merge(known: list[SeriesFigures], found: Iterable[SeriesFigures], name: str) -> list[SeriesFigures]:
    return sorted([*known, *found], key=lambda series: -getattr(series, name))[:SHOWN_SERIES]
