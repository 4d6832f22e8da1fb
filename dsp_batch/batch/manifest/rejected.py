"""The lines of a manifest that name no series: how they are noted, held, shown and written."""

from __future__ import annotations

import gzip
import io
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from dsp_batch.errors import printable
from dsp_batch.storage.urls import hide_secrets

_log = logging.getLogger(__name__)

SHOWN_LINES = 20
"""Lines that are shown one by one."""

_SHOWN_CHARACTERS = 500
_HIDDEN_CHARACTERS = 4_096
"""Characters in which secrets are hidden. A user name that begins among those shown ends among these."""


class RejectedLine(NamedTuple):
    """A line, row or item of a manifest that names no series."""

    source: str
    """Name of the manifest."""

    line: int
    """Counted from 1; in a JSON array, a table or a Parquet file the item or row."""

    text: str
    """The line itself, without secrets and control characters; of a long one the beginning."""

    reason: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}: {self.reason}"


def reject(number: int, record: Any, source: str, reason: str) -> RejectedLine:
    """Note that a line names no series.

    Args:
        number: Its line, row or item.
        record: Its text, or the value that stands for it, which is shown as JSON.
        source: Name of the manifest.
        reason: Why it names no series.
    """
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    shown = hide_secrets(text[:_HIDDEN_CHARACTERS])
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[: _SHOWN_CHARACTERS - 1]}…"
    return RejectedLine(source, number, printable(shown), printable(reason))


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
