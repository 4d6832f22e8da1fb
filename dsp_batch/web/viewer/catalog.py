"""The series and files that the viewer has found so far: numbered as they come, looked up by number or name."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SeriesState = Literal["listed", "ready", "failed", "left-out"]
"""`listed`: its headers have not been read yet. `ready`: its files have numbers. `failed`: it cannot be read.
`left-out`: the filters leave none of its files, so that it is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file of a series that is ready: one DICOM instance."""

    series: str
    """Identifier of its series."""

    name: str
    """Name of the object, as the index of its series has it."""

    facts: Mapping[str, Any]
    """What the API tells of it, apart from its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEntry:
    """One series that was found."""

    id: str
    """Its identifier in the API: the UUID that names it in the cache."""

    state: SeriesState = "listed"
    revision: int = 0
    """Number of the change of the catalog that made it what it is."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    """Name of the object of each of its files → the number of the file."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the API tells of it besides."""

    error: str | None = None
    """Why it cannot be read, in one line."""


class Catalog:
    """All series and files found so far. Threads may fill and read it at the same time.

    Args:
        shows_unread: False to list no series whose headers have not been read, because filters may leave it out.
    """

    def __init__(self, *, shows_unread: bool = True) -> None:
        self._shown = {"listed", "ready", "failed"} if shows_unread else {"ready", "failed"}
        self._lock = threading.Lock()
        self._series: dict[str, SeriesEntry] = {}
        self._files: list[FileEntry] = []
        self._changes: list[str] = []
        self.scan_complete = False
        """True once all sources have been looked through."""

        self.scanned = 0
        """Number of objects that were looked at."""

        self.skipped = 0
        """Number of objects that are no DICOM instances."""

        self.filtered = 0
        """Number of files that the filters leave out."""

    def add_series(self, series: str, facts: Mapping[str, Any]) -> SeriesEntry:
        """Take in a series, and what is known of it before its headers are read, unless it is there already."""
        with self._lock:
            return self._series.get(series) or self._change(SeriesEntry(id=series, facts=facts))

    def settle_series(self, series: str, facts: Mapping[str, Any], files: Sequence[FileEntry]) -> SeriesEntry:
        """Take in what is known of a series now, and give numbers to those of its files that have none."""
        with self._lock:
            entry = self._series[series]
            numbers = dict(entry.numbers)
            for file in files:
                if file.name not in numbers:
                    numbers[file.name] = len(self._files)
                    self._files.append(file)
            if entry.state == "ready" and len(numbers) == len(entry.numbers):
                return entry
            known = {**entry.facts, **facts}
            return self._change(replace(entry, state="ready", numbers=numbers, facts=known, error=None))

    def fail_series(self, series: str, error: str) -> None:
        """Note that a series cannot be read, and why."""
        with self._lock:
            entry = self._series[series]
            if entry.state == "listed":
                self._change(replace(entry, state="failed", error=error))

    def leave_out(self, series: str) -> SeriesEntry:
        """Note that the filters leave nothing of a series."""
        with self._lock:
            return self._change(replace(self._series[series], state="left-out"))

    def count(self, *, scanned: int, skipped: int, filtered: int) -> None:
        """Count objects that were looked at, those that are no DICOM instances, and files that are not shown."""
        with self._lock:
            self.scanned += scanned
            self.skipped += skipped
            self.filtered += filtered

    def find_series(self, series: str) -> SeriesEntry | None:
        """Find a series by its identifier."""
        return self._series.get(series)

    def find_file(self, number: int) -> FileEntry | None:
        """Find a file by its number."""
        return self._files[number] if 0 <= number < len(self._files) else None

    def list_files(self, since: int, limit: int) -> list[FileEntry]:
        """List files from a number on."""
        return self._files[since : since + limit]

    def list_series(self, since: int, limit: int) -> list[SeriesEntry]:
        """List series that have changed since a revision, in the order of these changes, each as it is now."""
        with self._lock:
            found: dict[str, SeriesEntry] = {}
            for number in range(since, len(self._changes)):
                entry = self._series[self._changes[number]]
                if entry.revision == number + 1 and entry.state in self._shown:
                    found[entry.id] = entry
                    if len(found) == limit:
                        break
            return list(found.values())

    def list_ready(self) -> list[SeriesEntry]:
        """List the series whose files have numbers."""
        with self._lock:
            return [entry for entry in self._series.values() if entry.state == "ready"]

    @property
    def file_count(self) -> int:
        """Number of files found so far."""
        return len(self._files)

    @property
    def series_count(self) -> int:
        """Number of series found so far."""
        return sum(entry.state in self._shown for entry in list(self._series.values()))

    @property
    def revision(self) -> int:
        """Number of changes so far."""
        return len(self._changes)

    def _change(self, entry: SeriesEntry) -> SeriesEntry:
        changed = replace(entry, revision=len(self._changes) + 1)
        self._changes.append(entry.id)
        self._series[entry.id] = changed
        return changed
