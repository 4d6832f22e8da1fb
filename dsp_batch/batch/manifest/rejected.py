"""Holds, shows and writes the lines of a manifest that name no series."""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

_log = logging.getLogger(__name__)

SHOWN_LINES = 20
"""Lines that are shown one by one."""


class RejectedLine(NamedTuple):
    """A line, row or item of a manifest that names no series."""

    source: str
    """Name of the manifest."""

    line: int
    """Counted from 1; in a JSON array, a table or a Parquet file the item or row."""

    text: str
    """The line itself, without passwords and control characters; of a long one the beginning."""

    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLines:
    """The lines of a manifest that name no series. They are packed, because there may be millions of them.

    Iterating unpacks them one by one, in the order of the manifest.
    """

    source: str
    """Name of the manifest."""

    count: int
    packed: bytes
    """Number, text and reason of each as JSON Lines, compressed with gzip."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[RejectedLine]:
        with gzip.open(io.BytesIO(self.packed), "rt", encoding="ascii") as lines:
            for line in lines:
                yield RejectedLine(self.source, *json.loads(line))


def show_rejected(lines: RejectedLines, more: str) -> None:
    """Show the first lines as warnings.

    Args:
        lines: The lines.
        more: What is said of the others, where there are any.
    """
    for line in islice(lines, SHOWN_LINES):
        _log.warning("%s", line)
    if len(lines) > SHOWN_LINES:
        _log.warning("%s", more)


def format_rejected(lines: Iterable[RejectedLine]) -> bytes:
    """Write lines for `rejected.txt`: number, text and reason, between tabs."""
    return "".join(f"{line.line}\t{line.text}\t{line.reason}\n" for line in lines).encode()
