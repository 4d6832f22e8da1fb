"""The items of a JSON document one by one: a list, or the list in an answer of IDC's API, of any length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

_PIECE, _LARGEST_PIECE = 131_072, 524_288
"""Characters that are read at once."""

_ITEMS_AT_ONCE = 1_500
"""That go through all that follows together; pieces are as long as that takes."""

_LONGEST_VALUE = 1_048_576
"""Characters; a longer value is no item of a manifest."""

_ENDS = {"{": "},", '"': '",'}
"""First sign of an item → what an item like it ends with, and the comma behind it."""

_LISTS = ("manifest", "manifest_data")
"""Keys of IDC's API that lead to the list."""


def read_items(stream: TextIO) -> Iterator[list[Any]]:
    """The items of a list, of the list below `manifest`, `manifest_data` or both, or the object itself without these.

    Yields:
        Some thousand items after the others.

    Raises:
        ValueError: It is no JSON, or holds no list. Items before the place where that shows have been given.
    """
    document = _Document(stream)
    if document.peek() == "[":
        yield from document.read_list()
    else:
        yield from _read_object(document, is_inner=False)
    if document.peek():
        raise ValueError("more behind its end")


def _read_object(document: _Document, *, is_inner: bool) -> Iterator[list[Any]]:
    others: dict[str, Any] = {}
    found = False
    for key in document.read_keys():
        follows = document.peek()
        if key in _LISTS and not found and follows == "[":
            found = True
            yield from document.read_list()
        elif key in _LISTS and not found and not is_inner and follows == "{":
            found = True
            yield from _read_object(document, is_inner=True)
        else:
            others[key] = document.read_value()
    if (is_inner and not found) or (others.keys() & set(_LISTS) and not found):
        raise ValueError("no list of series: give an array, or manifest.manifest_data")
    if not found:
        yield [others]


class _Document:
    """A JSON text that is read piece by piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._has_ended = False
        self._is_tried = False
        self._piece = _PIECE
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next sign that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\n\r\ufeff":
                self._at += 1
            if self._at < len(self._text) or self._has_ended:
                return self._text[self._at : self._at + 1]
            self._read_on()

    def read_list(self) -> Iterator[list[Any]]:
        """The items of a list, those of a piece of the text together."""
        self._take("[")
        sign = "," if self.peek() != "]" else self._take("]")
        items: list[Any] = []
        try:
            while sign == ",":
                if not self._is_tried:
                    yield items
                    items = self._read_run()
                items.append(self.read_value())
                sign = self._take(",]")
        except ValueError:
            yield items
            raise
        yield items

    def read_keys(self) -> Iterator[str]:
        """The keys of an object; the value of each must be read before the next."""
        self._take("{")
        if self.peek() == "}":
            self._take("}")
            return
        sign = ","
        while sign == ",":
            key = self.read_value()
            if not isinstance(key, str):
                raise ValueError("a key that is no text")  # noqa: TRY004  # of the document, not of this program
            self._take(":")
            yield key
            sign = self._take(",}")

    def read_value(self) -> Any:
        """The value that comes next."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError:
                raise ValueError("nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._has_ended:
                    raise ValueError(error.msg) from None
            else:
                if end < len(self._text) or self._has_ended:  # else a number may go on
                    self._at = end
                    return value
            if len(self._text) - self._at > _LONGEST_VALUE:
                raise ValueError(f"a value that is damaged, or longer than {_LONGEST_VALUE} characters")
            self._read_on()

    def _read_run(self) -> list[Any]:
        """The items in sight that a comma follows, decoded at once: a fifth of the time; none where that fails.

        What ends where an object or a text does, and makes a list between brackets, is whole items.
        """
        first = self.peek()
        self._is_tried = True
        end = self._text.rfind(_ENDS[first], self._at) if first in _ENDS else -1
        if end < 0:
            return []
        try:
            values: list[Any] = json.loads(f"[{self._text[self._at : end + 1]}]")
        except (ValueError, RecursionError):
            return []  # a comma inside of an item, or damage: the items come one by one
        self._piece = min(max(_PIECE, _ITEMS_AT_ONCE * (end - self._at) // len(values)), _LARGEST_PIECE)
        self._at = end + 2
        return values

    def _take(self, signs: str) -> str:
        sign = self.peek()
        if not sign or sign not in signs:
            raise ValueError(f"{sign or 'its end'!r} where {' or '.join(signs)} was expected")
        self._at += 1
        return sign

    def _read_on(self) -> None:
        piece = self._stream.read(self._piece)
        self._has_ended = not piece
        self._text = self._text[self._at :] + piece
        self._at = 0
        self._is_tried = False
