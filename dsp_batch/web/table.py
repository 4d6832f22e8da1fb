"""All rows of a gallery: columns for filters and sorting in memory, whole rows in a temporary file.

A million rows with all their texts take more memory than a client should need; their order is known only when the last
of them has been read.
"""

from __future__ import annotations

import marshal
import os
import tempfile
from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import IO, Any

import numpy as np

from dsp_batch.model.series import IntArray
from dsp_batch.web.columns import CodeColumn, NumberColumn
from dsp_batch.web.fields import FACETS, NUMBERS, SEARCHED

_NO_NUMBER = 1e300
"""Rows without a series number follow those that have one."""


class GalleryTable:
    """The rows of a gallery; the temporary file goes with it."""

    def __init__(self, facets: Sequence[str] = ()) -> None:
        self.facets = {name: CodeColumn() for name in dict.fromkeys([*FACETS, *facets])}
        self.searched = {name: CodeColumn() for name in SEARCHED}
        self.numbers = {name: NumberColumn() for name in NUMBERS}
        self.study = CodeColumn()
        self._coded = {**self.facets, **self.searched, "study_instance_uid": self.study}
        self._layouts: list[tuple[str, ...]] = []
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the table
        self._ends = array("Q", [0])

    def __len__(self) -> int:
        """Rows."""
        return len(self._ends) - 1

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()

    def extend(self, columns: dict[str, list[Any]]) -> None:
        """Add rows.

        Args:
            columns: Column → its value in each row, under the names of the gallery.
        """
        count = len(columns["series_uuid"])
        absent = [None] * count
        filled: dict[str, CodeColumn | NumberColumn] = {**self._coded, **self.numbers}
        for name, column in filled.items():
            column.extend(columns.get(name, absent))
        layout = tuple(name for name in columns if name not in self._coded)
        if layout not in self._layouts:
            self._layouts.append(layout)
        number, end = self._layouts.index(layout), self._ends[-1]
        for values in zip(*(columns[name] for name in layout), strict=True):
            end += self._file.write(marshal.dumps((number, *values)))
            self._ends.append(end)

    def sort(self) -> IntArray:
        """The order of the page: by collection, patient, study, series number and description.

        The studies of a patient follow one another by date.

        Returns:
            The row at each place.
        """
        dates = np.full(len(self.study.values), np.inf)
        # `minimum.at` passes NaN on: rows without a date say nothing of their study.
        known = ~np.isnan(self.numbers["study_date"].numbers())
        codes = self.study.codes()
        np.minimum.at(dates, codes[known], self.numbers["study_date"].numbers()[known])
        studies = self.study.rank(zip(dates.tolist(), self.study.values, strict=True))
        description, patient = self.searched["series_description"], self.searched["patient_id"]
        collection = self.facets["collection_id"]
        order: IntArray = np.lexsort(
            (
                description.rank()[description.codes()],
                np.nan_to_num(self.numbers["series_number"].numbers(), nan=_NO_NUMBER),
                studies[codes],
                patient.rank()[patient.codes()],
                collection.rank()[collection.codes()],
            )
        )
        return order

    def read(self, rows: IntArray) -> dict[str, list[Any]]:
        """Read whole rows back.

        Args:
            rows: Their numbers, in the order wanted.

        Returns:
            Column → its value in each row; None where a row lacks it.
        """
        coded = {name: column.take(rows) for name, column in self._coded.items() if not column.is_empty}
        return {**self._read_others(rows), **coded}

    def _read_others(self, rows: IntArray) -> dict[str, list[Any]]:
        """Read the columns that are in the file."""
        found = list(self._load(rows))
        layouts = {number for number, *_ in found}
        if len(layouts) == 1:
            names = self._layouts[layouts.pop()]
            values = zip(*found, strict=True)
            next(values)  # the number of the layout
            return dict(zip(names, map(list, values), strict=True))
        dictionaries = [dict(zip(self._layouts[number], rest, strict=True)) for number, *rest in found]
        names = tuple(dict.fromkeys(name for layout in self._layouts for name in layout))
        return {name: [each.get(name) for each in dictionaries] for name in names}

    def _load(self, rows: IntArray) -> Iterator[tuple[Any, ...]]:
        self._file.flush()
        descriptor, ends = self._file.fileno(), self._ends
        for row in rows.tolist():
            data = os.pread(descriptor, ends[row + 1] - ends[row], ends[row])
            yield marshal.loads(data)  # noqa: S302  # what `extend` wrote


def drop_empty(columns: dict[str, list[Any]], names: Collection[str] | None = None) -> dict[str, list[Any]]:
    """Leave out columns without any value.

    Args:
        columns: Column → its value in each row.
        names: Columns to keep; None for all.
    """
    return {
        name: values
        for name, values in columns.items()
        if (names is None or name in names) and any(value is not None for value in values)
    }
