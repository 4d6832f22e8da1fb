"""The account of a run: what its manifest held, and what became of each series."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from operator import attrgetter
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.read import SHOWN_REJECTS, Entry, RejectedLine, list_lines
from dsp_batch.batch.manifest.rows import name_columns
from dsp_batch.batch.runs.compaction import compact
from dsp_batch.batch.runs.figures import COLUMNS, RunFigures, Tally
from dsp_batch.batch.runs.job import Job
from dsp_batch.batch.runs.latest import fold_latest
from dsp_batch.batch.runs.state import Attempt, results_folder, write_json
from dsp_batch.model.series import SeriesRef
from dsp_batch.version import __version__

_log = logging.getLogger(__name__)

_WATCHED_AT_ONCE = 1_024

_CARRIED = attrgetter("columns")
_FLAT = str.maketrans("\t\r\n", "   ")

MOST_COLUMNS = 500
"""Columns of a manifest that are carried: JSON items may each bring their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The account of a run that has ended."""

    run: str
    url: str
    """Where the run's files are."""

    attempt: int
    left: int
    """Series of the manifest that have no row: the run was stopped, and only its failed ones were retried since."""

    rejected: int
    duplicates: int
    seconds: float
    """Wall time of this attempt."""

    figures: RunFigures
    """What the series took."""

    @property
    def series(self) -> int:
        """Series of the run that have a row."""
        return self.figures.series

    @property
    def by_status(self) -> dict[str, int]:
        """Series by what became of them."""
        return self.figures.by_status

    @property
    def by_reason(self) -> dict[str, int]:
        """Series that failed or were skipped, by reason."""
        return self.figures.by_reason

    @property
    def succeeded(self) -> bool:
        """Every series is done, kept or skipped, and every line was understood."""
        return not (self.by_status.get("failed") or self.rejected or self.left)

    def __str__(self) -> str:
        statuses = ("done", "kept", "skipped", "failed")
        counts = ", ".join(f"{self.by_status.get(status, 0)} {status}" for status in statuses)
        left = f", {self.left} left" if self.left else ""
        return (
            f"{self.series + self.left} series: {counts}{left}; "
            f"lines: {self.rejected} rejected, {self.duplicates} duplicate; results in {self.url}"
        )


class PackedText:
    """A long text that is written once and read once, in a tenth of its memory: its lines are much alike."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(level=1)
        self._packed = list[bytes]()  # one long piece would be copied whenever it grows

    def add(self, text: str) -> None:
        """Append some lines."""
        self._packed.append(self._packer.compress(text.encode("utf-8", "backslashreplace")))

    def unpack(self) -> bytes:
        """The whole, in UTF-8. What is no Unicode is written with backslashes."""
        return zlib.decompress(b"".join([*self._packed, self._packer.copy().flush()]))


@dataclass(slots=True, kw_only=True)
class Survey:
    """What a pass over a manifest finds."""

    series: int = 0
    duplicates: int = 0
    rejected: int = 0
    columns: tuple[str, ...] = ()
    """Columns that are carried into the results."""

    _lines: PackedText = field(default_factory=PackedText)
    """What `rejected.txt` will hold."""

    def watch(self, entries: Iterator[Entry]) -> Iterator[SeriesRef]:
        """Pass on the series and take note of all else."""
        return chain.from_iterable(self._watch_together(entries))

    def _watch_together(self, entries: Iterator[Entry]) -> Iterator[list[SeriesRef]]:
        columns: dict[str, None] = {}
        while batch := [*islice(entries, _WATCHED_AT_ONCE)]:
            refs = cast("list[SeriesRef]", batch)
            if {*map(type, batch)} != {SeriesRef}:
                refs = [entry for entry in batch if type(entry) is SeriesRef]
                rejected = [entry for entry in batch if type(entry) is RejectedLine]
                self.duplicates += len(batch) - len(refs) - len(rejected)
                self._reject(rejected)
            self.series += len(refs)
            if len(columns) < MOST_COLUMNS:
                columns |= name_columns([*map(_CARRIED, refs)])
            yield refs
        self.columns = tuple(columns)[:MOST_COLUMNS]

    def describe(self) -> dict[str, Any]:
        """What `job.json` says of the manifest."""
        names = ("series", "duplicates", "rejected", "columns")
        return {name: getattr(self, name) for name in names}

    def rejected_lines(self) -> bytes:
        """What `rejected.txt` says: number, text and reason of each line, between tabs."""
        return self._lines.unpack()

    def _reject(self, lines: Sequence[RejectedLine]) -> None:
        for line in lines[: max(0, SHOWN_REJECTS - self.rejected)]:
            _log.warning("%s", line)
        if self.rejected <= SHOWN_REJECTS < self.rejected + len(lines):
            _log.warning("more lines are not understood; all are in rejected.txt")
        self.rejected += len(lines)
        rows = "".join([f"{number}\t{text}\t{reason}\n" for _, number, text, reason in lines])
        if (rows.count("\t"), rows.count("\n"), rows.count("\r")) != (2 * len(lines), len(lines), 0):
            cells = ((number, text.translate(_FLAT), reason.translate(_FLAT)) for _, number, text, reason in lines)
            rows = "".join([f"{number}\t{text}\t{reason}\n" for number, text, reason in cells])
        self._lines.add(rows)


def conclude(run: str, job: Job, survey: Survey, attempt: Attempt, seconds: float) -> RunSummary:
    """Bring the results of a run that has ended to their final form, and write its account.

    Args:
        run: Name of the run.
        job: What was done.
        survey: What its manifest held.
        attempt: The attempt that has ended.
        seconds: How long it took.
    """
    folder = results_folder(run)
    compact(job.cache, folder, survey.columns)

    def count(tables: Iterator[pa.Table]) -> tuple[RunFigures, bytes]:
        tally = Tally(attempt=attempt.number, since=attempt.since)
        lines = list_lines(_read_failed(tally.watch(tables), job))
        text = b"".join(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)
        return tally.finish(seconds), text

    figures, failed = fold_latest(job.cache, folder, [*COLUMNS, "root", "endpoint_url"], count)
    job.cache.write(f"runs/{run}/failed.txt", failed)
    summary = RunSummary(
        run=run,
        url=job.cache.url_of(f"runs/{run}"),
        attempt=attempt.number,
        left=max(0, survey.series - figures.series),
        rejected=survey.rejected,
        duplicates=survey.duplicates,
        seconds=round(seconds, 3),
        figures=figures,
    )
    write_json(job.cache, f"runs/{run}/summary.json", _describe(summary))
    return summary


def _read_failed(tables: Iterable[pa.Table], job: Job) -> Iterator[SeriesRef]:
    for table in tables:
        failed = table.filter(pc.equal(table.column("status"), "failed"))
        for row in failed.select(["series_uuid", "root", "endpoint_url"]).to_pylist():
            yield SeriesRef(row["root"], row["series_uuid"], job.endpoint_url or row["endpoint_url"])


def _describe(summary: RunSummary) -> dict[str, Any]:
    own = {name: getattr(summary, name) for name in ("run", "attempt", "left", "rejected", "duplicates", "seconds")}
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    return {**own, **asdict(summary.figures), "program": __version__, "finished": finished}
