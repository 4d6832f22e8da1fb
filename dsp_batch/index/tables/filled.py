"""Make one table of an index, in which what all instances share stands in each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from dsp_batch.index.columns import Column, build_constant
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


def fill_table(index: SeriesIndex) -> pa.Table:
    """Make a table with a row for each instance, in display order.

    Returns:
        The columns of the index, then the elements that all instances share, by tag.
    """
    table, shared = index.table, _list_constants(index, len(index))
    return pa.Table.from_arrays(
        [*table.columns, *(array for _, array in shared)],
        schema=pa.schema([*table.schema, *(field for field, _ in shared)]),
    )


def _list_constants(index: SeriesIndex, count: int) -> list[Column]:
    return [build_constant(int(tag, 16), element, count) for tag, element in sorted(index.constants.items())]


def _build_table(columns: Sequence[Column]) -> pa.Table:
    return pa.Table.from_arrays([array for _, array in columns], schema=pa.schema([field for field, _ in columns]))
