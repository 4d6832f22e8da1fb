"""Lines of a manifest (lines of a text, items of a JSON list, rows of a table) and the names of series in them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TextIO

from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.errors import ManifestError, printable
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName

LONGEST_LINE = 1_048_576
"""Characters. A longer line is reported, not read."""

TOO_LONG = f"longer than {LONGEST_LINE} characters"

DELIMITERS = (",", "\t", ";")

PIECE = 131_072
"""Characters that are read at once."""

_BLANKS = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign != "\t")
_SHOWN_CHARACTERS = 500
_HIDDEN_CHARACTERS = 4_096
"""Characters in which passwords are hidden. A user name that begins among those shown ends among these."""

_PASSWORD = re.compile(r"//\S*@")


class NamedLine(NamedTuple):
    """A line, row or item of a manifest whose series must be looked up or listed."""

    number: int
    text: str
    names: tuple[SeriesName, ...]
    """The names that it may mean, best first: a row without header may hold the UUIDs of study and series."""

    endpoint_url: str | None = None
    columns: Mapping[str, Any] = NO_COLUMNS


Reading = SeriesRef | NamedLine | RejectedLine
"""A line that was read: a series whose root is certain, a name to look up, or no series."""


class DuplicateLine(NamedTuple):
    """A line that names a series which an earlier line named."""

    line: int
    series_uuid: str


Entry = SeriesRef | RejectedLine | DuplicateLine
"""A line of a manifest, after all look-ups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What counts for a line of a manifest that does not say it itself."""

    source: str
    """Name of the manifest, for messages."""

    root: str
    """Where series are looked for that do not name their own root."""

    server: str | None = None
    """S3-compatible server that is read; None for AWS."""

    server_is_given: bool = False
    """True where the server was given by hand or by the environment: then the comments of the manifest do not count."""

    root_is_certain: bool = True
    """True where UUIDs without a root are below `root`; False where the IDC index is asked first."""

    endpoint_url: str | None = None
    """The server that the comments of the manifest name, which its series remember; None for AWS."""


def read_lines(stream: TextIO, source: str, end: str = "\n") -> Iterator[str]:
    """Read the lines of a text, without the blanks around them.

    Tabs stay: they part cells, of which the first and last may be empty. Of a line of `LONGEST_LINE` or more characters
    the beginning is kept.

    Args:
        stream: The text.
        source: Name of the manifest.
        end: What its lines end with: a line end or NUL.

    Raises:
        ManifestError: The text holds NUL bytes that end no line: it is binary, or UTF-16 without byte order mark.
    """
    rest, before = "", 0
    while piece := stream.read(PIECE):
        text = rest + piece
        if "\0" in piece and end != "\0":
            number = before + text.count("\n", 0, text.index("\0")) + 1
            raise ManifestError(
                f"{source}:{number}: NUL bytes: a text manifest is UTF-8, or UTF-16 with a byte order mark; "
                "tables are CSV, JSON or Parquet"
            )
        lines = text.split(end)
        rest = lines.pop()[:LONGEST_LINE]
        before += len(lines)
        yield from map(_strip_line, lines)
    if rest:
        yield _strip_line(rest)


def _strip_line(line: str) -> str:
    if len(line) >= LONGEST_LINE:
        return line[:LONGEST_LINE]
    return line.strip(_BLANKS) if "\t" in line and not line.isspace() else line.strip()


def split_record(text: str, delimiter: str) -> list[str]:
    """Split a row into cells, without their quotation marks and the blanks around them.

    Returns:
        The cells; none where the row cannot be read.
    """
    if len(text) >= LONGEST_LINE:
        return []
    if '"' not in text:
        return [*map(str.strip, text.split(delimiter))]
    try:
        rows = csv.reader([text], delimiter=delimiter, skipinitialspace=True)
        return [*map(str.strip, next(rows, []))]
    except csv.Error:  # a line end outside of quotation marks, or a cell of more than 131,072 characters
        return []


def reject(number: int, record: Any, surroundings: Surroundings, reason: str) -> RejectedLine:
    """Note that a line names no series.

    Its text is kept as it may be shown: the beginning of a long one, without passwords in URLs, and with control
    characters written out.

    Args:
        number: Its line, row or item.
        record: Its text, or the value that stands for it, which is shown as JSON.
        surroundings: Those of the manifest.
        reason: Why it names no series.
    """
    text = record if isinstance(record, str) else json.dumps(record, default=str)
    shown = _PASSWORD.sub("//…@", text[:_HIDDEN_CHARACTERS]) if "@" in text else text
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[: _SHOWN_CHARACTERS - 1]}…"
    return RejectedLine(surroundings.source, number, printable(shown), printable(reason))
