"""Write a header database as one Parquet file, a bounded number of rows at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.errors import SinkError
from dsp_batch.index.arrays import build_array

_ROWS_AT_ONCE = 16_384
"""Rows that are held before they are written: some 100 MB, whatever the size of the database."""


class HeaderFile:
    """A Parquet file that grows by the rows of one series after the other, whole under its name when it is closed.

    Args:
        path: The file. It is written beside, under a hidden name, until it is complete.
        schema: Its columns.

    Raises:
        SinkError: It cannot be written.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._columns: list[list[Any]] = [[] for _ in schema]
        self.rows = 0
        """Number of rows that were added."""

        try:
            self._writer = pq.ParquetWriter(self._temporary, schema, compression="zstd")
        except OSError as error:
            raise self._explain(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
                self._writer.close()
                self._temporary.replace(self._path)
            else:
                with suppress(OSError):  # what went wrong before is what the user is told
                    self._writer.close()
        except OSError as failure:
            raise self._explain(failure) from failure
        finally:
            self._temporary.unlink(missing_ok=True)

    def add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Add rows.

        Args:
            columns: The values of each column of the schema, None for null.

        Raises:
            SinkError: The file cannot be written.
        """
        for held, values in zip(self._columns, columns, strict=True):
            held.extend(values)
        self.rows += len(columns[0])
        if len(self._columns[0]) >= _ROWS_AT_ONCE:
            try:
                self._flush()
            except OSError as error:
                raise self._explain(error) from error

    def _flush(self) -> None:
        if not self._columns[0]:
            return
        arrays = [build_array(values, field.type) for values, field in zip(self._columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        for held in self._columns:
            held.clear()

    def _explain(self, error: OSError) -> SinkError:
        reason = os.strerror(error.errno) if error.errno else str(error)  # Arrow puts a sentence of its own before it
        return SinkError(f"cannot write {self._path}: {reason.lower()}; choose another place")
