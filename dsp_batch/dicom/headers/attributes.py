"""Read the decoded attributes of one instance or sequence item by keyword."""

from __future__ import annotations

from typing import Any, Protocol

_LISTS = (list, tuple)
"""Types of values that hold several: a union made anew for each attribute would take several times as long to check."""


class Values(Protocol):
    """A container of decoded values, which may decode them when asked."""

    def get(self, keyword: str, /) -> Any:
        """Return the value of an element; None where it is absent."""


class Attributes:
    """The attributes of a header by keyword, wherever it is kept: in a cached index, as DICOM JSON, in a dictionary.

    Args:
        values: Values by keyword. A value is a scalar, a list of scalars, bytes, or for a sequence a list of
            `Attributes`. None and empty lists count as absent. Private and repeating elements have the names
            `gggg_eeee`.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Values) -> None:
        self._values = values

    def __contains__(self, keyword: str) -> bool:
        return self._first(keyword) is not None

    def value(self, keyword: str) -> Any:
        """Return the value of an element as it is; None where it is absent."""
        return self._values.get(keyword)

    def _all(self, keyword: str) -> list[Any]:
        value = self._values.get(keyword)
        if value is None:
            return []
        return list(value) if isinstance(value, _LISTS) else [value]

    def _first(self, keyword: str) -> Any:
        value = self._values.get(keyword)
        if isinstance(value, _LISTS):
            for each in value:
                if each is not None and each != "":
                    return each
            return None
        return None if value == "" else value

    def text(self, keyword: str) -> str | None:
        """Return the first value as text; None where it is absent."""
        value = self._first(keyword)
        return None if value is None else str(value)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return all values as text."""
        return tuple("" if value is None else str(value) for value in self._all(keyword))

    def number(self, keyword: str) -> float | None:
        """Return the first value as a number; None where it is absent or no number."""
        return _number(self._first(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """Return all values as numbers, or none of them if any is not a number."""
        numbers = tuple(_number(value) for value in self._all(keyword))
        return tuple(n for n in numbers if n is not None) if None not in numbers else ()

    def optional_numbers(self, keyword: str) -> tuple[float | None, ...]:
        """Return all values by their index; None for each that is empty or no number."""
        return tuple(map(_number, self._all(keyword)))

    def integer(self, keyword: str) -> int | None:
        """Return the first value as an integer; None where it is absent or not integral."""
        number = _number(self._first(keyword))
        return int(number) if number is not None and number == number // 1 else None

    def binary(self, keyword: str) -> bytes | None:
        """Return the value field of a binary element (OB, OW …); None where it is absent or was not fetched."""
        value = self._values.get(keyword)
        return value if isinstance(value, bytes) else None

    def items(self, keyword: str) -> tuple[Attributes, ...]:
        """Return the items of a sequence."""
        values = self._values.get(keyword)
        return tuple(each for each in values if isinstance(each, Attributes)) if isinstance(values, _LISTS) else ()

    def item_at(self, keyword: str, number: int) -> Attributes:
        """Return one item of a sequence, counted from 0, or an empty one. A long sequence is not copied for it."""
        values = self._values.get(keyword)
        found = values[number] if isinstance(values, _LISTS) and number < len(values) else None
        return found if isinstance(found, Attributes) else EMPTY

    def item(self, keyword: str) -> Attributes:
        """Return the first item of a sequence, or an empty one."""
        values = self._values.get(keyword)
        for each in values if isinstance(values, _LISTS) else ():
            if isinstance(each, Attributes):
                return each
        return EMPTY

    def private_name(self, creator: str, group: int, element: int) -> str:
        """Find the name `gggg_eeee` of a private element.

        Args:
            creator: Its private creator. It may reserve any block of the group, from object to object another one.
            group: Its group, an odd number.
            element: The last two hexadecimal digits of its element number.

        Returns:
            The name; empty, which no element is called, where the creator reserves no block.

        References:
            DICOM PS3.5 7.8.1 (Private Data Element Tags).
        """
        for block in _PRIVATE_BLOCKS:
            found = self._first(f"{group:04x}_{block:04x}")
            if isinstance(found, str) and found.strip() == creator:
                return f"{group:04x}_{block:02x}{element:02x}"
        return ""


EMPTY = Attributes({})

_PRIVATE_BLOCKS = range(0x10, 0x100)
"""Blocks that a private creator may reserve: it is the element of this number."""


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, bytes | Attributes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def frame_macro(attributes: Attributes, frame: int, sequence: str) -> Attributes:
    """Find the item of a functional group macro that applies to one frame.

    Args:
        attributes: The whole header of the instance.
        frame: Frame number from 0.
        sequence: Keyword of the macro's sequence, for example `PlanePositionSequence`.

    Returns:
        The per-frame item, else the shared one, else an empty one.
    """
    if items := attributes.item_at("PerFrameFunctionalGroupsSequence", frame).items(sequence):
        return items[0]
    return attributes.item("SharedFunctionalGroupsSequence").item(sequence)
