"""The content of objects without pixels as a column of the index: for each instance a list of what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from operator import attrgetter

import pyarrow as pa

from dsp_batch.index.arrays import build_array
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.statement import Statement

CONTENT = "Content"
"""Name of the column."""

_NUMBERS = {"group": pa.int32(), "segment": pa.int32(), "value": pa.float64()}

STATEMENT_TYPE = pa.struct([(each.name, _NUMBERS.get(each.name, pa.string())) for each in fields(Statement)])
"""Type of a statement. Texts are null where there is nothing to say."""

CONTENT_TYPE = pa.list_(STATEMENT_TYPE)
"""Type of the column. It is the same for all kinds of objects, so that many indices make one table."""

_LARGEST = 0x7FFFFFFF
_read_fields = attrgetter(*STATEMENT_TYPE.names)


def add_content(index: SeriesIndex, statements: Sequence[Sequence[Statement] | None]) -> SeriesIndex:
    """Add the column `Content` to an index.

    Args:
        index: The series. Not modified.
        statements: What the instance of each row says; None for one whose kind says nothing.
    """
    if all(each is None for each in statements):
        return index
    field = pa.field(CONTENT, CONTENT_TYPE)
    rows = [None if each is None else [*map(_list_fields, each)] for each in statements]
    return replace(index, columns=index.table.append_column(field, build_array(rows, CONTENT_TYPE)))


def _list_fields(statement: Statement) -> tuple[object, ...]:
    """List the fields of a statement as the column holds them: a number that an int32 cannot hold is null."""
    values = _read_fields(statement)
    return tuple(
        None if value == "" or (isinstance(value, int) and abs(value) > _LARGEST) else value for value in values
    )
