"""Columns of IDC's series in memory: their keys, and those in which few values return often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.model.identifiers import KeyArray
from dsp_batch.model.series import BoolArray, ByteArray, IntArray

UID_CHARACTERS = 64
"""The longest UID (PS3.5 9.1)."""

_FEW_KEYS = 8
"""Keys that are compared with all others: that takes 10 ms for each, and to sort a million keys half a second."""

_CHARACTERS = np.zeros(16, np.uint8)
_CHARACTERS[1:12] = np.frombuffer(b"0123456789.", np.uint8)
"""The character that each half byte of a packed UID stands for; zero fills it up behind the end."""

_HALF_BYTES = np.zeros(256, np.uint8)
_HALF_BYTES[_CHARACTERS[1:12]] = np.arange(1, 12)


class FoundRows(NamedTuple):
    """The answer to a look-up of n keys."""

    found: BoolArray
    """True where the key is there, shape (n,)."""

    rows: IntArray
    """Row of each key that is there, in their order, shape (found,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A column that is encoded by its different values."""

    values: npt.NDArray[Any]
    """The different values, shape (values,)."""

    codes: npt.NDArray[np.integer[Any]]
    """Which value each row has, shape (rows,)."""

    def take(self, rows: IntArray) -> npt.NDArray[Any]:
        """The values of some rows, in their order."""
        values: npt.NDArray[Any] = self.values[self.codes[rows]]
        return values


class Keys:
    """A column of keys, in the order of the rows. It is sorted when many keys are looked up, and not for a few.

    Args:
        keys: The keys, shape (rows,).
        ages: Smaller for later versions, shape (rows,).
    """

    def __init__(self, keys: KeyArray, ages: IntArray) -> None:
        self.keys = keys
        self._ages = ages

    @cached_property
    def _order(self) -> npt.NDArray[np.intp]:
        """Row of each rank among the sorted keys; of equal ones the latest comes first."""
        return np.lexsort((self._ages, self.keys))

    def find(self, wanted: KeyArray) -> FoundRows:
        """Look keys up. Of several rows with one key the latest is found."""
        if len(wanted) <= _FEW_KEYS and "_order" not in self.__dict__:
            return self._compare(wanted)
        ranks = np.searchsorted(self.keys, wanted, sorter=self._order)
        found = ranks < len(self.keys)
        rows = self._order[ranks[found]]
        is_same = self.keys[rows] == wanted[found]
        found[found] = is_same
        return FoundRows(found, rows[is_same])

    def _compare(self, wanted: KeyArray) -> FoundRows:
        matches = [np.flatnonzero(self.keys == key) for key in wanted]
        rows = [each[np.argmin(self._ages[each])] for each in matches if len(each)]
        return FoundRows(np.array([len(each) > 0 for each in matches], np.bool_), np.array(rows, np.intp))


def hold(values: Sequence[Any]) -> npt.NDArray[Any]:
    """An array of values as they are, shape (values,); numpy by itself would make rows of tuples."""
    return np.fromiter(values, np.object_, len(values))


def pack_uids(texts: Sequence[str]) -> KeyArray:
    """Pack UIDs into keys of half a byte a character: they are digits and dots.

    Returns:
        Keys in the order of the texts, shape (n,), dtype `S32`; empty for a text of more than 64 characters.
    """
    characters = np.array(texts, f"S{UID_CHARACTERS + 1}").view(np.uint8).reshape(-1, UID_CHARACTERS + 1)
    half_bytes = _HALF_BYTES[characters[:, :UID_CHARACTERS]]
    half_bytes[characters[:, UID_CHARACTERS] != 0] = 0
    return np.frombuffer((half_bytes[:, 0::2] << 4 | half_bytes[:, 1::2]).tobytes(), f"S{UID_CHARACTERS // 2}")


def format_uids(keys: KeyArray) -> list[str]:
    """The text of each packed UID."""
    packed = np.frombuffer(keys.tobytes(), np.uint8).reshape(-1, UID_CHARACTERS // 2)
    characters: ByteArray = np.full((len(keys), UID_CHARACTERS + 1), ord("\n"), np.uint8)
    characters[:, 0:-1:2] = _CHARACTERS[packed >> 4]
    characters[:, 1::2] = _CHARACTERS[packed & 15]
    text: bytes = characters[characters != 0].tobytes()
    return text.decode("ascii").split("\n")[:-1]
