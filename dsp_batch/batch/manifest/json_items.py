"""Reads the series that JSON names: an array, JSON Lines, or an answer of IDC's API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, TextIO

from dsp_batch.batch.manifest.columns import explain_columns, match_columns
from dsp_batch.batch.manifest.line import parse_line, parse_row
from dsp_batch.batch.manifest.rows import LONGEST_LINE, PIECE, TOO_LONG, Reading, Surroundings, read_lines, reject
from dsp_batch.errors import ManifestError

_LISTS = frozenset(("manifest", "manifest_data"))
"""Keys of IDC's API that lead to the list."""

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
    item = _parse(next(line for line in iter(partial(stream.readline, LONGEST_LINE), "") if not line.isspace()))
    stream.seek(0)
    if isinstance(item, dict) and not item.keys() & _LISTS:
        yield from _parse_json_lines(stream, surroundings)
        return
    number = 0
    try:
        for number, item in enumerate(_Document(stream).read_items(), 1):  # tells how far it came
            yield _parse_item(number, item, surroundings)
    except ValueError as error:
        # JSON Lines may begin with a broken one.
        if number == 0 and item is None and _has_objects(stream, surroundings):
            yield from _parse_json_lines(stream, surroundings)
            return
        where = f" behind item {number}" if number else ""
        raise ManifestError(f"{surroundings.source}: not readable as JSON{where}: {error}") from None


def _has_objects(stream: TextIO, surroundings: Surroundings) -> bool:
    """Tell whether any line of a text is an object. The text is rewound."""
    stream.seek(0)
    found = any(isinstance(_parse(line), dict) for line in read_lines(stream, surroundings.source))
    stream.seek(0)
    return found


def _parse_json_lines(stream: TextIO, surroundings: Surroundings) -> Iterator[Reading]:
    for number, text in enumerate(read_lines(stream, surroundings.source), 1):
        item = _parse(text)
        if item is not None:
            yield _parse_item(number, item, surroundings)
        elif text:
            yield reject(number, text, surroundings, TOO_LONG if len(text) >= LONGEST_LINE else "not readable as JSON")


def _parse_item(number: int, item: Any, surroundings: Surroundings) -> Reading:
    """Read an object with the columns of a table, or the name of a series as a text."""
    if isinstance(item, str):
        return parse_line(number, item.strip(), surroundings)
    columns = match_columns(tuple(item)) if isinstance(item, dict) else None
    if columns is not None:
        return parse_row(number, item, [*item.values()], columns, surroundings)
    reason = explain_columns("keys") if isinstance(item, dict) else "an item is an object or a text"
    return reject(number, item, surroundings, reason)


def _parse(text: str) -> Any:
    """Read a JSON text; None where it is not readable."""
    text = text.strip()
    try:
        value, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


class _Document:
    """A JSON text that is read piece by piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._offset = 0
        self._has_ended = False

    def read_items(self) -> Iterator[Any]:
        """Read the items of a list, of the list below `manifest`, `manifest_data` or both, or an object without these.

        Raises:
            ValueError: It is no JSON, or holds no list. The items before the damage have been given.
        """
        yield from self._read_list() if self._peek() == "[" else self._read_object(is_inner=False)
        if self._peek():
            raise ValueError("more behind its end")

    def _read_object(self, *, is_inner: bool) -> Iterator[Any]:
        others: dict[str, Any] = {}
        found = False
        for _ in self._read_members("{}"):
            key = self._read_value()
            if not isinstance(key, str):
                raise ValueError("a key that is no text")  # noqa: TRY004  # of the document, not of this program
            self._take(":")
            follows = self._peek() if key in _LISTS and not found else ""
            if follows == "[":
                found = True
                yield from self._read_list()
            elif follows == "{" and not is_inner:
                found = True
                yield from self._read_object(is_inner=True)
            else:
                others[key] = self._read_value()
        if not found and (is_inner or others.keys() & _LISTS):
            raise ValueError("no list of series: give an array, or manifest.manifest_data")
        if not found:
            yield others

    def _read_list(self) -> Iterator[Any]:
        for _ in self._read_members("[]"):
            yield self._read_value()

    def _read_members(self, brackets: str) -> Iterator[None]:
        """Stop before each member between two brackets. The caller reads it before the next."""
        end = brackets[1]
        self._take(brackets[0])
        sign = self._take(end) if self._peek() == end else ","
        while sign == ",":
            yield
            sign = self._take(f",{end}")

    def _read_value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = _decode(self._text, self._offset)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._has_ended:
                    raise ValueError(error.msg) from None
            else:
                if end < len(self._text) or self._has_ended:  # else a number may go on
                    self._offset = end
                    return value
            if len(self._text) - self._offset > LONGEST_LINE:
                raise ValueError(f"a value that is damaged, or {TOO_LONG}")
            self._read_on()

    def _peek(self) -> str:
        """Return the next sign that is no blank, and stay before it; empty at the end."""
        while True:
            match = _BLANKS.match(self._text, self._offset)
            self._offset = match.end() if match else self._offset
            if self._offset < len(self._text) or self._has_ended:
                return self._text[self._offset : self._offset + 1]
            self._read_on()

    def _take(self, signs: str) -> str:
        sign = self._peek()
        if not sign or sign not in signs:
            raise ValueError(f"{sign or 'its end'!r} where {' or '.join(signs)} was expected")
        self._offset += 1
        return sign

    def _read_on(self) -> None:
        piece = self._stream.read(PIECE)
        self._has_ended = not piece
        self._text = self._text[self._offset :] + piece
        self._offset = 0
