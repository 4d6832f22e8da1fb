"""Tables in text: CSV and TSV with a header row.

Most cells of a table are only carried along. Of rows without quotation marks the cells that name the series are cut
out, and the others left in the text until somebody asks for them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, compress, filterfalse, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from dsp_batch.batch.manifest.columns import Columns, Rows, carry_columns, match_columns, name_rows
from dsp_batch.batch.manifest.rows import (
    DELIMITERS,
    LONGEST_LINE,
    Reading,
    RowLayout,
    Surroundings,
    read_csv,
    split_record,
)
from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.batch.manifest.text import follow_comments
from dsp_batch.batch.manifest.uuids import Signs, read_signs, tell_inside, write_signs
from dsp_batch.errors import ManifestError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import IntArray

PREAMBLE_ROWS = 20
"""How many rows of one cell may come before a header row."""

_NOTHING = ' "' + "".join(DELIMITERS)

_LONGEST_RECORD = 20
"""Lines that a cell with line ends may make a record of; behind that its quotation mark is taken for a mistake."""


class Header(NamedTuple):
    """The header row of a table in text."""

    names: tuple[str, ...]
    delimiter: str
    place: int
    """Lines before it."""


class Records(NamedTuple):
    """Some rows of a table as they stand in the text."""

    numbers: Sequence[int]
    """Line in which each begins."""

    texts: Sequence[str]


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
    for records in _join_records(chain([head[header.place + 1 :]], blocks), header):
        given = records, header, columns
        rows = _cut_rows(*given) or _split_simple_rows(*given) or _split_rows(*given)
        readings = name_rows(rows, columns, surroundings)
        yield readings if RejectedLine not in {*map(type, readings)} else [*filterfalse(_is_none, readings)]


def _is_none(reading: Reading) -> bool:
    """Whether a row that names no series begins as comments do, or is but delimiters, as spreadsheets write them."""
    return isinstance(reading, RejectedLine) and (reading.text.startswith("#") or not reading.text.strip(_NOTHING))


def _cut_rows(records: Records, header: Header, columns: Columns) -> Rows | None:
    """Rows of which the key columns alone are cut out; None where some are quoted, or not that simple."""
    joined = "\n".join(records.texts)
    if '"' in joined or len(joined) >= LONGEST_LINE or _have_gaps(records):
        return None
    signs = read_signs(f"{joined}\n")
    ends = np.flatnonzero((signs == ord(header.delimiter)) | (signs == ord("\n")))
    width = columns.width
    if len(ends) != width * len(records.texts) or (signs[ends[width - 1 :: width]] != ord("\n")).any():
        return None
    starts = np.append(0, ends[:-1] + 1)
    cells = {place: _cut_cells(signs, starts[place::width], ends[place::width]) for place in columns.key_places}
    return _gather(records, records.texts, cells, header, columns)


def _split_simple_rows(records: Records, header: Header, columns: Columns) -> Rows | None:
    """Rows with all their cells; None where some are not as wide as the table, or are none."""
    rows = [] if _have_gaps(records) else _split_together(records, header)
    if len(rows) != len(records.texts) or {*map(len, rows)} != {columns.width}:
        return None
    cells = {place: [*map(str.strip, map(itemgetter(place), rows))] for place in columns.key_places}
    return _gather(records, rows, cells, header, columns)


def _split_rows(records: Records, header: Header, columns: Columns) -> Rows:
    """Rows of any kind; without those that are empty, comments, or the header row, which files put together repeat."""
    split = _split_together(records, header)
    if len(split) != len(records.texts):  # one that cannot be read, or goes on in the next
        split = [split_record(text, header.delimiter) for text in records.texts]
    width = columns.width
    rows = [(*map(str.strip, row[:width]), *repeat(None, width - len(row))) for row in split]
    is_row = [
        bool(text) and (text[0] != "#" or header.delimiter in text) and row != header.names
        for text, row in zip(records.texts, rows, strict=True)
    ]
    rows = [*compress(rows, is_row)]
    cells = {place: [row[place] for row in rows] for place in range(width)}
    carried = carry_columns(columns, RowLayout(columns.others, header.delimiter), rows)
    return Rows([*compress(records.numbers, is_row)], [*compress(records.texts, is_row)], cells, [*carried])


def _gather(
    records: Records, rows: Sequence[Any], cells: Mapping[int, Sequence[str]], header: Header, columns: Columns
) -> Rows | None:
    """Rows with the cells of their key columns; None where the header row may be among them."""
    if any(header.names[place] in column for place, column in cells.items()):
        return None
    carried = carry_columns(columns, RowLayout(columns.others, header.delimiter), rows)
    return Rows(records.numbers, records.texts, cells, [*carried])


def _have_gaps(records: Records) -> bool:
    """Whether empty lines or comments are among some."""
    return not all(records.texts) or "#" in {*map(itemgetter(0), records.texts)}


def _split_together(records: Records, header: Header) -> list[list[str]]:
    """The cells of rows, with blanks around them; not as many rows where one of them cannot be read."""
    if sum(map(len, records.texts)) < LONGEST_LINE:
        with suppress(csv.Error):
            return [*read_csv(records.texts, header.delimiter)]
    return []


def _cut_cells(signs: Signs, starts: IntArray, ends: IntArray) -> list[str]:
    """The cells between some places of a text, without the blanks around them."""
    signs = signs.copy()
    signs[ends] = ord("\n")
    text = write_signs(signs[tell_inside(len(signs), starts, ends + 1)])
    return [*map(str.strip, text.split("\n")[:-1])]


def _join_records(blocks: Iterable[list[str]], header: Header) -> Iterator[Records]:
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
            yield Records(numbers, records)
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
