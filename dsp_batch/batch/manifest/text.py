"""Reads the series that texts name: plain names, URLs, copy commands, and tables with or without a header row."""

from __future__ import annotations

import csv
import logging
import re
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, islice
from typing import NamedTuple, TextIO

from dsp_batch.batch.manifest.entries import LONGEST_LINE, TOO_LONG, Reading, Surroundings
from dsp_batch.batch.manifest.line import (
    DELIMITERS,
    SETTING,
    drop_comment,
    follow_endpoint,
    parse_line,
    split_record,
)
from dsp_batch.batch.manifest.rejected import RejectedLine, reject
from dsp_batch.batch.manifest.rows import Columns, match_columns, parse_row
from dsp_batch.errors import ManifestError, OptionsError
from dsp_batch.model.identifiers import normalise_uuid

_log = logging.getLogger(__name__)

_COLUMN_NAME = re.compile(r'"?[A-Za-z][A-Za-z0-9]*_[A-Za-z0-9_]*"?', re.ASCII)

_TCIA_TITLE = re.compile(r"ListOfSeriesToDownload\s*=", re.ASCII | re.IGNORECASE)
"""The last setting of a manifest of TCIA, behind which its SeriesInstanceUIDs come."""

_PREAMBLE_ROWS = 20
"""Rows of one cell that may come before a header row."""

_HEAD_LINES = 1_000
"""Lines among which a header row is looked for, with comments and blank lines."""

_LONGEST_RECORD = 20
"""Lines that a cell with line ends may spread over; behind that its quotation mark is taken for a mistake."""

_EMPTY_CELLS = ' "' + "".join(DELIMITERS)

PIECE = 131_072
"""Characters that are read at once."""

_BLANKS = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign != "\t")


class Header(NamedTuple):
    """The header row of a table in text."""

    names: tuple[str, ...]
    columns: Columns
    delimiter: str
    lines_before: int


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


def parse_lines(lines: Iterator[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that the lines of a text name, be it a table with a header row or not.

    Args:
        lines: From the first on, without blanks around them but for tabs.
        surroundings: What they leave open.
    """
    head = [*islice(lines, _HEAD_LINES)]
    header = _find_header(head)
    if header is None:
        yield from _parse_plain_lines(chain(_drop_preamble(head), lines), surroundings)
        return
    for line in head[: header.lines_before]:
        surroundings = _follow_comment(line, surroundings)
    yield from _parse_table(chain(head[header.lines_before + 1 :], lines), header, surroundings)


def _find_header(lines: Sequence[str]) -> Header | None:
    """Find the row with the names of key columns.

    Only comments, blank lines and rows of one cell that name no series may come before it.
    """
    rows = 0
    for number, line in enumerate(lines):
        if not line or line.startswith("#") or len(line) >= LONGEST_LINE:
            continue
        rows += 1
        width = 1
        for delimiter in DELIMITERS:
            cells = tuple(split_record(drop_comment(line), delimiter))
            columns = match_columns(cells)
            if columns is not None:
                return Header(cells, columns, delimiter, number)
            width = max(width, sum(1 for cell in cells if cell))
        if width > 1 or rows > _PREAMBLE_ROWS or "://" in line or normalise_uuid(line):
            return None
    return None


def _drop_preamble(lines: list[str]) -> list[str]:
    """Blank the lines above the series that tell about them.

    They are the settings of a TCIA manifest, or a column name alone with URLs or commands below it. Above other lines a
    column name is a mistake.
    """
    title = next((number for number, line in enumerate(lines) if _TCIA_TITLE.match(line)), None)
    if title is not None:
        settings = ["" if SETTING.match(line) else line for line in lines[:title]]
        return [*settings, lines[title].partition("=")[2].strip(), *lines[title + 1 :]]
    rows = [number for number, line in enumerate(lines) if line and line[0] != "#"][:2]
    if len(rows) == 2 and _COLUMN_NAME.fullmatch(lines[rows[0]]) and "://" in lines[rows[1]]:
        return [*lines[: rows[0]], "", *lines[rows[0] + 1 :]]
    return lines


def _parse_plain_lines(lines: Iterator[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read lines that each name a series; follow the endpoint in comments."""
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#"):
            surroundings = _follow_comment(text, surroundings)
        elif text:
            yield parse_line(number, text, surroundings)


def _parse_table(lines: Iterator[str], header: Header, surroundings: Surroundings) -> Iterator[Reading]:
    """Read the rows below a header row; without those that are empty, comments, or the header row once more."""
    columns, delimiter = header.columns, header.delimiter
    for number, text in _join_records(lines, header):
        is_comment = text.startswith("#")
        if not text or (is_comment and delimiter not in text):
            continue
        cells = split_record(text, delimiter)
        row = [*cells[: columns.width], *[None] * (columns.width - len(cells))]
        if tuple(row) == header.names:
            continue
        if cells:
            reading = parse_row(number, text, row, columns, surroundings)
        else:
            is_long = len(text) >= LONGEST_LINE
            reason = TOO_LONG if is_long else f"a cell is longer than {csv.field_size_limit()} characters"
            reading = reject(number, text, surroundings.source, reason)
        # Spreadsheets write rows of delimiters alone, and a comment may hold a delimiter.
        if not isinstance(reading, RejectedLine) or (not is_comment and text.strip(_EMPTY_CELLS)):
            yield reading


def _join_records(lines: Iterator[str], header: Header) -> Iterator[tuple[int, str]]:
    """Number the rows behind a header; join those whose quoted cell holds line ends.

    A quotation mark that is never closed spoils its own line alone.
    """
    number, held = header.lines_before + 2, deque[str]()
    while (line := held.popleft() if held else next(lines, None)) is not None:
        more = 0
        if line.count('"') % 2:
            held.extend(islice(lines, _LONGEST_RECORD - len(held)))
            more = _count_more(line, held, header.delimiter)
        yield number, "\n".join([line, *(held.popleft() for _ in range(more))])
        number += 1 + more


def _count_more(line: str, following: Sequence[str], delimiter: str) -> int:
    """Count the lines that the last quoted cell of a line goes on in; 0 where it is never closed."""
    marks = accumulate(text.count('"') for text in (line, *following))
    more = next((number for number, count in enumerate(marks) if count % 2 == 0), 0)
    return more if split_record("\n".join([line, *islice(following, more)]), delimiter) else 0


def _follow_comment(line: str, surroundings: Surroundings) -> Surroundings:
    """Return the surroundings behind a line: IDC's portal names the S3-compatible server in a comment."""
    try:
        return follow_endpoint(line, surroundings) if line.startswith("#") else surroundings
    except OptionsError as error:
        _log.warning("%s: %s; the comment is passed over", surroundings.source, error.message)
        return surroundings
