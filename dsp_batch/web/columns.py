"""One column of all series for the page: codes of a dictionary, or numbers, as the bytes of typed arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dsp_batch.model.series import IntArray
from dsp_batch.web.fields import read_number
from dsp_batch.web.scripts import Packed


class _Codes(dict[str, int]):
    """Gives each new value the next code."""

    def __missing__(self, value: str) -> int:
        code = self[value] = len(self)
        return code


class CodeColumn:
    """A column of text: each value once, and for each row its code. Code 0 means that there is no value."""

    def __init__(self) -> None:
        self._codes: list[npt.NDArray[np.unsignedinteger[Any]]] = []
        self._known = _Codes({"": 0})
        self._taken: list[str | None] | None = None

    def extend(self, values: Sequence[Any]) -> None:
        """Add the values of further rows."""
        texts = ["" if value is None else value if isinstance(value, str) else str(value) for value in values]
        codes = [*map(self._known.__getitem__, texts)]
        self._codes.append(np.array(codes, np.min_scalar_type(len(self._known))))  # most columns have few values

    @property
    def is_empty(self) -> bool:
        """No row has a value."""
        return len(self._known) == 1

    @property
    def values(self) -> list[str]:
        """The values, in the order of their codes."""
        return list(self._known)

    def rank(self, keys: Iterable[Any] | None = None) -> IntArray:
        """The place of each code in the order of the values, or of other keys of them.

        Args:
            keys: A key for each value; None to order by the value, in any letter case.
        """
        compared = [(value.lower(), value) for value in self._known] if keys is None else list(keys)
        ranks = np.empty(len(compared), np.int64)
        ranks[sorted(range(len(compared)), key=compared.__getitem__)] = np.arange(len(compared))
        return ranks

    def codes(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """The code of each row."""
        self._codes = [np.concatenate([np.empty(0, np.uint8), *self._codes])]
        return self._codes[0]

    def take(self, rows: IntArray) -> list[str | None]:
        """The values of some rows."""
        values: list[str | None] = [None, *self.values[1:]] if self._taken is None else self._taken
        self._taken = values
        return [values[code] for code in self.codes()[rows].tolist()]

    def pack(self, order: IntArray, *, with_values: bool = True) -> Packed:
        """The column in an order of rows, with codes that rise with the values.

        Args:
            order: The row at each place.
            with_values: False for codes alone: which rows have the same value.
        """
        ranks = self.rank()
        codes = ranks[self.codes()][order]
        kind = "u1" if len(ranks) <= 1 << 8 else "u2" if len(ranks) <= 1 << 16 else "u4"
        header: dict[str, Any] = {"kind": "codes", "type": kind}
        if with_values:
            values = self.values
            header["values"] = [values[code] for code in np.argsort(ranks).tolist()]
        return Packed(header, codes.astype(f"<{kind}").tobytes())


class NumberColumn:
    """A column of numbers; NaN where a row has none."""

    def __init__(self) -> None:
        self._numbers: list[npt.NDArray[np.floating[Any]]] = []

    def extend(self, values: Sequence[Any]) -> None:
        """Add the values of further rows: numbers, or text that stands for one."""
        try:
            numbers = np.array(values, np.float64)  # None becomes NaN
        except (ValueError, TypeError):
            numbers = np.array([*map(read_number, values)], np.float64)
        self._numbers.append(_shorten(numbers))

    @property
    def is_empty(self) -> bool:
        """No row has a number."""
        return bool(np.isnan(self.numbers()).all())

    def numbers(self) -> npt.NDArray[np.float64]:
        """The number of each row."""
        return np.concatenate([np.empty(0, np.float64), *self._numbers])

    def pack(self, order: IntArray) -> Packed:
        """The column in an order of rows, in half the bytes where that loses nothing."""
        numbers = _shorten(self.numbers()[order])
        return Packed({"kind": "numbers", "type": f"f{numbers.itemsize}"}, numbers.tobytes())


def _shorten(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.floating[Any]]:
    """Numbers of 32 bits where that loses nothing."""
    with np.errstate(over="ignore"):
        short = numbers.astype(np.float32)
    return short if np.array_equal(short.astype(np.float64), numbers, equal_nan=True) else numbers
