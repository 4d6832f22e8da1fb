"""Tables in text: CSV and TSV with a header row.

Most cells of a table are only carried along. Of rows without quotation marks the cells that name the series are cut
out, and the others left in the text until somebody asks for them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, compress, repeat
from typing import NamedTuple

import numpy as np

from dsp_batch.batch.manifest_lines import (
    DELIMITERS,
    LONGEST_LINE,
    RowLayout,
    Reading,
    Surroundings,
    read_csv,
    split_record,
)
from dsp_batch.batch.manifest_tables import Columns, Rows, carry_columns, match_columns, name_rows
from dsp_batch.batch.manifest_text import follow_comments
from dsp_batch.batch.manifest_uuids import Signs, read_signs, write_signs
from dsp_batch.errors import ManifestError
from dsp_batch.model import IntArray
from dsp_batch.naming import normalise_uuid

PREAMBLE_ROWS = 20
"""How many rows of one cell may come before a header row."""

_LONGEST_RECORD = 20
"""Lines that a cell with line ends may make a record of; behind that its quotation mark is taken for a mistake."""


class Header(NamedTuple):
    """The header row of a table in text."""

    names: tuple[str, ...]
    delimiter: str
    place: int
    """Lines before it."""


def find_header(lines: Sequence[str]) -> Header | None:
    """Find the row with the names of key columns among the first lines of a text.

    Only comments, blank lines and rows of one cell that name no series may come before it.
    """
    for place, line in enumerate(lines):
        if not line or line.startswith("#") or len(line) >= LONGEST_LINE:
            continue
        width = 1
        for delimiter in DELIMITERS:
            cells = tuple(split_record(line, delimiter))
            if match_columns(cells) is not None:
                return Header(cells, delimiter, place)
            width = max(width, sum(1 for cell in cells if cell))
        if width > 1 or "://" in line or normalise_uuid(line):
            return None
    return None


def name_records(blocks: Iterator[list[str]], header: Header, surroundings: Surroundings) -> Iterator[list[Reading]]:
    """Rows of a CSV or TSV table, given from its first line on; its header row is in the first block."""
    columns = match_columns(header.names)
    if columns is None:
        raise ManifestError(f"{surroundings.source}: no column of the header row names a series")
    head = next(blocks)
    surroundings = follow_comments(head[: header.place], surroundings)
    for numbers, records in _join_records(chain([head[header.place + 1 :]], blocks), header):
        rows = _cut_rows(numbers, records, header, columns) or _split_rows(numbers, records, header, columns)
        yield name_rows(rows, columns, surroundings)


def _cut_rows(numbers: Sequence[int], records: Sequence[str], header: Header, columns: Columns) -> Rows | None:
    """Rows of which the key columns alone are cut out; None where some are not that simple."""
    joined = "\n".join(records)
    has_comments = joined.startswith("#") or "\n#" in joined
    if '"' in joined or has_comments or len(joined) >= LONGEST_LINE or not all(records):
        return None
    signs = read_signs(f"{joined}\n")
    ends = np.flatnonzero((signs == ord(header.delimiter)) | (signs == ord("\n")))
    width = columns.width
    if len(ends) != width * len(records) or (signs[ends[width - 1 :: width]] != ord("\n")).any():
        return None
    starts = np.append(0, ends[:-1] + 1)
    cells = {place: _cut_cells(signs, starts[place::width], ends[place::width]) for place in columns.key_places}
    if any(header.names[place] in column for place, column in cells.items()):
        return None
    carried = carry_columns(columns, RowLayout(columns.others, header.delimiter), records)
    return Rows(numbers, records, cells, [*carried])


def _cut_cells(signs: Signs, starts: IntArray, ends: IntArray) -> list[str]:
    """The cells between some places of a text, without the blanks around them."""
    signs = signs.copy()
    signs[ends] = ord("\n")
    steps = np.zeros(len(signs) + 1, np.int8)
    steps[starts] = 1
    steps[ends + 1] -= 1
    text = write_signs(signs[steps.cumsum(dtype=np.int8)[:-1] > 0])
    return [*map(str.strip, text.split("\n")[:-1])]


def _split_rows(numbers: Sequence[int], records: Sequence[str], header: Header, columns: Columns) -> Rows:
    """Rows of any kind; without those that are empty, comments, or the header row, which files put together repeat."""
    rows = _split_records(records, header.delimiter, columns.width)
    is_row = [
        bool(record) and (record[0] != "#" or header.delimiter in record) and row != header.names
        for record, row in zip(records, rows, strict=True)
    ]
    rows = [*compress(rows, is_row)]
    cells = {place: [row[place] for row in rows] for place in range(columns.width)}
    carried = carry_columns(columns, RowLayout(columns.others), rows)
    return Rows([*compress(numbers, is_row)], [*compress(records, is_row)], cells, [*carried])


def _split_records(texts: Sequence[str], delimiter: str, width: int) -> list[tuple[str | None, ...]]:
    """The cells of some rows, as `split_record` gives them; None where a row has fewer."""
    rows: list[list[str]] = []
    if sum(map(len, texts)) < LONGEST_LINE:
        with suppress(csv.Error):
            rows = [[*map(str.strip, row)] for row in read_csv(texts, delimiter)]
    if len(rows) != len(texts):  # one that cannot be read, or goes on in the next
        rows = [split_record(text, delimiter) for text in texts]
    return [(*row[:width], *repeat(None, width - len(row))) for row in rows]


def _join_records(blocks: Iterable[list[str]], header: Header) -> Iterator[tuple[list[int], list[str]]]:
    """Number the lines behind a header; join those whose quoted cell holds line ends.

    A quotation mark that is never closed spoils its own line alone.
    """
    first, held = header.place + 2, list[str]()
    for block in chain(blocks, [None]):
        lines = [*held, *(block or ())]
        records: list[str] = []
        numbers: list[int] = []
        place = 0
        if '"' not in "".join(lines) or not any(line.count('"') % 2 for line in lines):
            records, numbers, place = lines, [*range(first, first + len(lines))], len(lines)
        while place < len(lines) and (block is None or place + _LONGEST_RECORD < len(lines)):
            joined = _join_record(lines[place : place + _LONGEST_RECORD + 1], header.delimiter)
            records.append("\n".join(joined))
            numbers.append(first + place)
            place += len(joined)
        if records:
            yield numbers, records
        held = lines[place:]
        first += place


def _join_record(lines: list[str], delimiter: str) -> list[str]:
    """The first of some lines, with those that its last quoted cell goes on in."""
    marks = characters = 0
    for number, line in enumerate(lines, 1):
        marks += line.count('"')
        if marks % 2 == 0:
            joined = lines[:number]
            return joined if number == 1 or split_record("\n".join(joined), delimiter) else lines[:1]
        characters += len(line) + 1
        if characters > LONGEST_LINE:
            break
    return lines[:1]
