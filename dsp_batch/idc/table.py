"""Series of IDC in memory: their sorted keys, and columns in which few values return often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.model.identifiers import KeyArray
from dsp_batch.model.series import ByteArray, FloatArray, IntArray

UID_CHARACTERS = 64
"""The longest UID (PS3.5 9.1)."""

_CHARACTERS = np.zeros(16, np.uint8)
_CHARACTERS[1:12] = np.frombuffer(b"0123456789.", np.uint8)
"""The character that each half byte of a packed UID stands for; zero fills it up behind the end."""

_HALF_BYTES = np.zeros(256, np.uint8)
_HALF_BYTES[_CHARACTERS[1:12]] = np.arange(1, 12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Column:
    """A column that is encoded by its different values."""

    values: npt.NDArray[Any]
    """The different values, shape (values,)."""

    codes: npt.NDArray[np.integer[Any]]
    """Which value each row has, shape (rows,)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesTable:
    """One row for each version of a series, in rising order of series UUIDs; of equal ones the latest comes first."""

    uuids: KeyArray
    """Series UUID of each row, dtype `S16`."""

    uids: KeyArray
    """SeriesInstanceUIDs (0020,000E) as `pack_uids` gives them, in rising order; of equal ones the latest first."""

    uid_rows: IntArray
    """Row of each of `uids`."""

    uid_ranks: IntArray
    """Rank of the SeriesInstanceUID of each row among `uids`."""

    sizes_mb: FloatArray
    """Megabytes of all objects of each row; NaN where they are not known."""

    columns: Mapping[str, Column]
    """What else is known of each row."""

    def take(self, name: str, rows: IntArray) -> npt.NDArray[Any]:
        """A column of some rows, in their order."""
        column = self.columns[name]
        values: npt.NDArray[Any] = column.values[column.codes[rows]]
        return values


def build_table(
    uuids: KeyArray, uids: KeyArray, ages: IntArray, sizes_mb: FloatArray, columns: Mapping[str, Column]
) -> SeriesTable:
    """Sort series by their keys.

    Args:
        uuids: Series UUIDs, shape (n,), in any order.
        uids: SeriesInstanceUIDs of the same series, as `pack_uids` gives them.
        ages: Smaller for later versions.
        sizes_mb: Their sizes in megabytes.
        columns: What else is known of the same series.
    """
    order = np.lexsort((ages, uuids)).astype(np.int32)
    uid_order = np.lexsort((ages, uids)).astype(np.int32)
    uid_rows = _invert(order)[uid_order]
    return SeriesTable(
        uuids=uuids[order],
        uids=uids[uid_order],
        uid_rows=uid_rows,
        uid_ranks=_invert(uid_rows),
        sizes_mb=sizes_mb[order],
        columns={name: Column(values=each.values, codes=each.codes[order]) for name, each in columns.items()},
    )


def hold(values: Sequence[Any]) -> npt.NDArray[Any]:
    """An array of values as they are, shape (values,); numpy by itself would make rows of tuples."""
    return np.fromiter(values, np.object_, len(values))


def _invert(order: IntArray) -> IntArray:
    """The new rank of each row, where an order gives the row of each rank."""
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order), dtype=order.dtype)
    return ranks


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
