"""Reads the series that JSON names: an array, JSON Lines, or an answer of IDC's API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

from dsp_batch.batch.manifest.entries import LONGEST_LINE, TOO_LONG, Reading, Surroundings
from dsp_batch.batch.manifest.line import parse_line
from dsp_batch.batch.manifest.rejected import reject
from dsp_batch.batch.manifest.rows import explain_columns, match_columns, parse_row
from dsp_batch.batch.manifest.text import PIECE, read_lines
from dsp_batch.errors import ManifestError

_LISTS = frozenset(("manifest", "manifest_data"))
"""Keys of IDC's API that lead to the list."""

_LIST_START = re.compile(r'(?<!\\)"manifest(?:_data)?"\s*:\s*\[')
"""The key of the list, and its bracket. Within a text its quotation marks would be escaped."""

_BLANKS = re.compile("[ \t\n\r\ufeff]*")
_decode = json.JSONDecoder().raw_decode  # a third of the time of json.loads


def parse_json(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
    """Read the series that a JSON text names which begins with `[` or `{`, in pieces, whatever its form.

    Args:
        stream: The text; must be seekable.
        surroundings: What its items leave open.

    Raises:
        ManifestError: It is no JSON, or holds no list of series.
    """
    head = stream.read(LONGEST_LINE).lstrip()
    stream.seek(0)
    first, whole = _parse(head.partition("\n")[0]), _parse(head)
    if head[0] == "[":
        yield from _parse_list(stream, re.compile(r"\["), surroundings)
    elif not (isinstance(first, dict) and first.keys().isdisjoint(_LISTS)) and _LIST_START.search(head):
        yield from _parse_list(stream, _LIST_START, surroundings)
    elif isinstance(whole, dict) and not whole.keys().isdisjoint(_LISTS):
        raise ManifestError(f"{surroundings.source}: JSON without a list of series: give an array, or manifest_data")
    elif isinstance(whole, dict):
        yield _parse_item(1, whole, surroundings)
    else:
        yield from _parse_json_lines(stream, surroundings)


def _parse_list(stream: TextIO, start: re.Pattern[str], surroundings: Surroundings) -> Iterator[Reading]:
    """Read the items of the list that begins behind a match."""
    number = 0
    try:
        for number, item in enumerate(_read_items(stream, start), 1):  # tells how far it came
            yield _parse_item(number, item, surroundings)
    except ValueError as error:
        where = f" behind item {number}" if number else ""
        raise ManifestError(f"{surroundings.source}: not readable as JSON{where}: {error}") from None


def _parse_json_lines(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
    for number, text in enumerate(read_lines(stream, surroundings.source), 1):
        item = _parse(text)
        if item is not None:
            yield _parse_item(number, item, surroundings)
        elif text:
            reason = TOO_LONG if len(text) >= LONGEST_LINE else "not readable as JSON"
            yield reject(number, text, surroundings.source, reason)


def _parse_item(number: int, item: Any, surroundings: Surroundings) -> Reading:
    """Read an object with the columns of a table, or the name of a series as a text."""
    if isinstance(item, str):
        return parse_line(number, item.strip(), surroundings)
    columns = match_columns(tuple(item)) if isinstance(item, dict) else None
    if columns is not None:
        return parse_row(number, item, [*item.values()], columns, surroundings)
    reason = explain_columns("keys") if isinstance(item, dict) else "an item is an object or a text"
    return reject(number, item, surroundings.source, reason)


def _parse(text: str) -> Any:
    """Read a JSON text; None where it is not readable."""
    text = text.strip()
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


def _read_items(stream: TextIO, start: re.Pattern[str]) -> Iterator[Any]:
    """Read the items of the list that begins behind a match.

    Raises:
        ValueError: The text is no JSON. The items before the damage have been given.
    """
    text = _Pieces(stream)
    head = text.take(start)
    sign = text.peek()
    while sign != "]":
        yield text.read_value()
        sign = text.peek()
        if sign not in ("]", ","):
            raise ValueError(f"{sign or 'its end'!r} where , or ] was expected")
        text.offset += sign == ","
    try:
        json.loads(head + text.read_rest())  # a document is whole without its items
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its end is damaged, or there is more behind it ({error})") from None


class _Pieces:
    """A JSON text that is read piece by piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._has_ended = False
        self.offset = 0

    def take(self, start: re.Pattern[str]) -> str:
        """Take the beginning of the text, up to the end of a match that it holds."""
        self._text = self._stream.read(LONGEST_LINE)
        found = start.search(self._text)
        self.offset = found.end() if found else 0
        return self._text[: self.offset].lstrip("\ufeff")

    def peek(self) -> str:
        """Return the next sign that is no blank, and stay before it; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self.offset)
            self.offset = match.end() if match else self.offset
            if self.offset < len(self._text) or self._has_ended:
                return self._text[self.offset : self.offset + 1]
            self._read_on()

    def read_value(self) -> Any:
        """Read a value.

        Raises:
            ValueError: It is damaged, too long, or nested too deeply.
        """
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self.offset)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._has_ended:
                    raise ValueError(error.msg) from None
            else:
                if end < len(self._text) or self._has_ended:  # else a number may go on
                    self.offset = end
                    return value
            if len(self._text) - self.offset > LONGEST_LINE:
                raise ValueError(f"a value that is damaged, or {TOO_LONG}")
            self._read_on()

    def read_rest(self) -> str:
        """Read to the end."""
        return self._text[self.offset :] + self._stream.read()

    def _read_on(self) -> None:
        piece = self._stream.read(PIECE)
        self._has_ended = not piece
        self._text = self._text[self.offset :] + piece
        self.offset = 0
