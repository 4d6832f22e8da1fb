"""Lines of a manifest, and what each comes to."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, TextIO, cast

from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName

LONGEST_LINE = 1_048_576
"""Characters; a longer line is reported, not read."""

DELIMITERS = (",", "\t", ";")

_BLANKS = "".join(sign for sign in map(chr, range(0x3001)) if sign.isspace() and sign != "\t")

_PIECE = 131_072
"""Characters that are read at once: some thousand lines, which go through all that follows together."""

_SHOWN_CHARACTERS = 500

_MOST_FORMS = 1_000
"""Forms that are remembered: finding one out takes as long as three lines."""

_LONGEST_FORM = 1_000
"""Characters around the UUIDs of a line whose form is remembered."""


class NamedLine(NamedTuple):
    """A line, row or item of a manifest that names a series by what must be looked up or listed."""

    number: int
    text: str
    names: tuple[SeriesName, ...]
    """What it may mean, best first: a row without header may hold the UUIDs of study and series."""

    endpoint_url: str | None = None
    columns: Mapping[str, Any] = NO_COLUMNS


class BareUuid(NamedTuple):
    """A line, row or item that gives the UUID of a series, and not its bucket."""

    number: int
    uuid: str
    columns: Mapping[str, Any] = NO_COLUMNS


class BareUid(NamedTuple):
    """A line, row or item that gives a SeriesInstanceUID alone."""

    number: int
    uid: str
    columns: Mapping[str, Any] = NO_COLUMNS


@dataclass(frozen=True, slots=True, eq=False)
class RowLayout:
    """Where the rows of a table have the columns that are carried along."""

    places: Mapping[str, Any]
    """Column that is carried → its place in a row, or its key in an item."""

    delimiter: str = ""
    """Between the cells of a table in text, around which there may be blanks."""


class CarriedColumns(Mapping[str, Any]):
    """The other cells of one row, found when they are asked for: a dictionary for each takes ten times as long.

    It travels as a dictionary.
    """

    __slots__ = ("_row", "layout")

    def __init__(self, layout: RowLayout, row: str | Sequence[Any] | Mapping[str, Any]) -> None:
        self.layout = layout
        self._row: Any = row

    def __getitem__(self, name: str) -> Any:
        place = self.layout.places[name]
        if isinstance(self._row, str):
            self._row = split_record(self._row, self.layout.delimiter)
        value = self._row[place]
        return _plain(value.strip() if self.layout.delimiter and value else value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layout.places)

    def __len__(self) -> int:
        return len(self.layout.places)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


def _plain(value: Any) -> Any:
    """A cell, as a result row can carry it."""
    if isinstance(value, str):
        return value or None
    return json.dumps(value, default=str) if isinstance(value, (list, dict, tuple)) else value


def name_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    """The names of all columns that some rows carry, in the order in which they come up."""
    if {*map(type, rows)} != {CarriedColumns}:
        return dict.fromkeys(chain.from_iterable(rows))
    tables = dict.fromkeys(map(attrgetter("layout"), rows))
    return dict.fromkeys(chain.from_iterable(table.places for table in tables))


Reading = SeriesRef | BareUuid | BareUid | NamedLine | RejectedLine
"""What a line comes to: a series whose place is certain, one to look up, or none."""


# What these tuples do themselves, without their keywords and defaults: a third of the time.
_Carried = Mapping[str, Any]
make_ref = cast("Callable[[tuple[str, str, str | None, _Carried, int]], SeriesRef]", partial(tuple.__new__, SeriesRef))
_make_rejected = cast("Callable[[tuple[str, int, str, str]], RejectedLine]", partial(tuple.__new__, RejectedLine))
make_bare_uuid = cast("Callable[[tuple[int, str, _Carried]], BareUuid]", partial(tuple.__new__, BareUuid))
make_bare_uid = cast("Callable[[tuple[int, str, _Carried]], BareUid]", partial(tuple.__new__, BareUid))


class Form(NamedTuple):
    """What lines come to that are the same but for the UUIDs in them."""

    place: int
    """Which of the UUIDs is that of the series, counted from 0."""

    root: str | None
    """None where it must be looked up."""

    endpoint_url: str | None


@dataclass(slots=True, kw_only=True)
class Forms:
    """The forms that lines have had so far."""

    known: dict[str, Form | None] = field(default_factory=dict)
    """Shape of a line → what such lines come to; None where each must be read by itself."""

    def has_room(self, shape: str) -> bool:
        """Whether what lines of a shape come to is not known, and worth finding out."""
        return len(self.known) < _MOST_FORMS and shape not in self.known and len(shape) <= _LONGEST_FORM


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the lines of a manifest leave open."""

    source: str
    """Name of the manifest, for messages."""

    root: str
    """Where series are that come without a place."""

    server: str | None = None
    """S3-compatible server that is read; None for AWS."""

    server_is_given: bool = False
    """The server was given by hand or by the environment: the comments of the manifest name none."""

    root_is_certain: bool = True
    """UUIDs without a place are below `root`; False where the IDC index is asked first."""

    endpoint_url: str | None = None
    """The server that the comments name, for the series to remember; None for AWS."""

    warns: bool = True
    """Of what is odd about the whole; not when it is read a second time."""

    forms: Forms = field(default_factory=Forms, init=False, repr=False, compare=False)
    """Filled as lines come."""


def read_blocks(stream: TextIO, source: str) -> Iterator[list[str]]:
    """Some lines of a text after the others, without their ends; of a line of `LONGEST_LINE` or more the beginning.

    Raises:
        ManifestError: The text holds NUL bytes: it is binary, or UTF-16 without byte order mark.
    """
    rest, before = "", 0
    while piece := stream.read(_PIECE):
        text = rest + piece
        if "\0" in piece:
            number = before + text.count("\n", 0, text.index("\0")) + 1
            raise ManifestError(
                f"{source}:{number}: NUL bytes: a text manifest is UTF-8, or UTF-16 with a byte order mark; "
                "tables are CSV, JSON or Parquet"
            )
        lines = text.split("\n")
        rest = lines.pop()[:LONGEST_LINE]
        before += len(lines)
        is_plain = len(text) < LONGEST_LINE and "\t" not in text
        yield [*map(str.strip, lines)] if is_plain else [*map(_strip_line, lines)]
    if rest:
        yield [_strip_line(rest)]


def split_record(text: str, delimiter: str) -> list[str]:
    """The cells of a row, without their quotation marks and the blanks around them; none where it cannot be read."""
    if len(text) >= LONGEST_LINE:
        return []
    if '"' not in text:
        return [*map(str.strip, text.split(delimiter))]
    try:
        return [cell.strip() for cell in next(read_csv([text], delimiter), [])]
    except csv.Error:  # a line end outside of quotation marks, or a cell of more than 131,072 characters
        return []


def read_csv(texts: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The cells of rows of which some are quoted."""
    return csv.reader(texts, delimiter=delimiter, skipinitialspace=True)


def reject(number: int, text: str, surroundings: Surroundings, reason: str) -> RejectedLine:
    """A line that names no series; of a long text the beginning is kept."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
    return _make_rejected((surroundings.source, number, shown, reason))


def _strip_line(line: str) -> str:
    """A line without the blanks around it, but for tabs: they part cells, of which the first and last may be empty."""
    if len(line) >= LONGEST_LINE:
        return line[:LONGEST_LINE]
    return line.strip(_BLANKS) if line.strip() else ""
