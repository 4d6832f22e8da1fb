"""Write tables of headers as Parquet, JSON, JSON lines or CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from dsp_batch.errors import OptionsError, printable
from dsp_batch.index.arrays import write_parquet
from dsp_batch.index.columns import widen_decimal
from dsp_batch.index.tables.filled import SplitTable
from dsp_batch.options import TableFormat

_FORMULA = re.compile(r"[=+@\t\r]|-(?![\d.])")
"""Beginning of a text that spreadsheets run as a formula."""


def write_table(table: pa.Table, form: TableFormat) -> bytes:
    """Write a table as a file.

    Args:
        table: Columns of headers.
        form: In JSON and JSON lines each row is an object by column, with null for what is absent, sequences as
            objects, and binary values in base64. In CSV several values are joined by backslashes, as in DICOM, control
            characters are written out, and a text that a spreadsheet would run as a formula has an apostrophe before
            it.
    """
    if form == "parquet":
        return write_parquet(table)
    if form == "json":
        return _join_json("[\n", [_to_json(row) for row in _list_rows(table)], "\n]\n")
    if form == "jsonl":
        return "".join(f"{_to_json(row)}\n" for row in _list_rows(table)).encode()
    return _write_csv(table)


def write_split(tables: SplitTable, form: TableFormat) -> bytes:
    """Write what varies and what does not as one JSON document: `{"constant": {…}, "instances": [{…}, …]}`.

    As JSON lines the first line is `{"constant": {…}}`, and the others are the instances.

    Raises:
        OptionsError: The format holds one table only.
    """
    (shared,) = _list_rows(tables.constant)
    rows = [_to_json(row) for row in _list_rows(tables.varying)]
    if form == "json":
        return _join_json(f'{{"constant": {_to_json(shared)},\n"instances": [\n', rows, "\n]}\n")
    if form == "jsonl":
        return "".join(f"{line}\n" for line in [_to_json({"constant": shared}), *rows]).encode()
    raise OptionsError(f"{form} holds one table only: give a file, beside which another is written, or choose json")


def _join_json(before: str, rows: list[str], after: str) -> bytes:
    return (before + ",\n".join(rows) + after).encode()


def _to_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)  # in ASCII, so that no header controls a terminal


def _list_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    columns = {field.name: _list_values(field, table.column(field.name)) for field in table.schema}
    return (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))


def _list_values(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    """List the values of a column as JSON has them."""
    metadata = field.metadata or {}
    if metadata.get(b"vr") == b"SQ" and pa.types.is_string(field.type):
        return [json.loads(text) if text else None if text is None else [] for text in column.to_pylist()]
    inner = field.type.value_type if pa.types.is_list(field.type) else field.type
    # An FL or FD in 32 bits is the number itself; any other one stands for a decimal number.
    is_decimal = pa.types.is_float32(inner) and metadata.get(b"vr") not in (b"FL", b"FD")
    return [_to_plain(value, is_decimal=is_decimal) for value in column.to_pylist()]


def _to_plain(value: Any, *, is_decimal: bool) -> Any:
    if isinstance(value, list):
        return [_to_plain(each, is_decimal=is_decimal) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, float):
        return (widen_decimal(value) if is_decimal else value) if math.isfinite(value) else str(value)
    return value


def _write_csv(table: pa.Table) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(table.schema.names)
    for row in _list_rows(table):
        writer.writerow([_to_cell(value) for value in row.values()])
    return sink.getvalue().encode("utf-8", "replace")


def _to_cell(value: Any) -> str:
    """Write a value into a cell: a list of scalars as in DICOM, a sequence as JSON."""
    if value is None:
        return ""
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
        return _to_json(value)
    text = "\\".join("" if each is None else str(each) for each in (value if isinstance(value, list) else [value]))
    return printable(f"'{text}" if _FORMULA.match(text) else text)
