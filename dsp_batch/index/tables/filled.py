"""Make one table of an index, in which what all instances share stands in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from dsp_batch.errors import OptionsError
from dsp_batch.index.columns import Column, build_constant, suggest_name
from dsp_batch.index.series_index import SeriesIndex


class SplitTable(NamedTuple):
    """The headers of a series in two tables."""

    varying: pa.Table
    """What varies, and what is kept of every instance: one row for each, in display order."""

    constant: pa.Table
    """What all instances share: one row."""


def split_table(index: SeriesIndex) -> SplitTable:
    """Make a table of what varies, and one of what does not."""
    return SplitTable(index.table.replace_schema_metadata(None), _build_table(_list_constants(index, 1)))


def fill_table(index: SeriesIndex, columns: Sequence[str] | None = None) -> pa.Table:
    """Make a table with a row for each instance, in display order.

    Args:
        index: The series.
        columns: Keywords and columns of the index; None for all that the series has.

    Returns:
        The columns of the index, then the elements that all instances share, by tag; in the order asked for where
        columns are given.

    Raises:
        OptionsError: The series has no such column.
    """
    table, shared = index.table, _list_constants(index, len(index))
    whole = pa.Table.from_arrays(
        [*table.columns, *(array for _, array in shared)],
        schema=pa.schema([*table.schema, *(field for field, _ in shared)]),
    )
    for name in columns or ():
        if name not in whole.schema.names:
            raise OptionsError(f"the series has no {name!r}{suggest_name(name, whole.schema.names)}")
    return whole if columns is None else whole.select(list(dict.fromkeys(columns)))


def _list_constants(index: SeriesIndex, count: int) -> list[Column]:
    return [build_constant(int(tag, 16), element, count) for tag, element in sorted(index.constants.items())]


def _build_table(columns: Sequence[Column]) -> pa.Table:
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))
