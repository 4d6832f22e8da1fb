"""Result parts put together when a run ends: one row a series, in parts of one schema."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.table import Manifest
from dsp_batch.batch.runs.result_parts import (
    ROWS_PER_PART,
    carried_names,
    conform_table,
    list_parts,
    read_part,
    result_schema,
    unite_schemas,
)
from dsp_batch.batch.runs.result_row import SOURCE_COLUMNS
from dsp_batch.batch.runs.results import pick_rows
from dsp_batch.batch.runs.resume import ManifestKeys
from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
from dsp_batch.idc.index import IdcIndex, find_sources
from dsp_batch.index.arrays import write_parquet
from dsp_batch.model.identifiers import build_keys
from dsp_batch.model.series import IntArray

_log = logging.getLogger(__name__)

_ROUNDS = 10
"""Times that parts are put together while others write to the same run."""


class _Part(NamedTuple):
    """One part of the results."""

    key: str
    rows: IntArray
    """Rows that count."""

    is_whole: bool
    """True where all rows count, and lack nothing."""

    schema: pa.Schema


Fill = Callable[[pa.Table], pa.Table]
"""Fills in what rows lack; a table that lacks nothing is returned itself."""


def compact(cache: Cache, folder: str, columns: Sequence[str], fill: Fill = lambda table: table) -> None:
    """Leave exactly one row a series, in parts that have one schema and more than a few rows.

    Nothing is deleted before its rows are written elsewhere: a process that is killed here leaves rows twice, not none,
    and the next attempt puts that right. Parts are named after their content: processes that compact the results of one
    run at the same time come to the same parts.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        columns: Columns of the manifest that the rows carry. Columns that earlier attempts carried stay.
        fill: Fills in what rows of earlier attempts lack.

    Raises:
        SinkError: A part cannot be read, or the cache not be written.
    """
    keys = list_parts(cache, folder)
    for _ in range(_ROUNDS):
        try:
            left = _rewrite(cache, folder, keys, columns, fill)
        except SinkError:
            if (now := list_parts(cache, folder)) == keys:
                raise
        else:
            if (now := list_parts(cache, folder)) == left:
                return
        keys = now  # another attempt at the run writes or compacts too
    _log.warning("the results in %s are still being written by others", cache.url_of(folder))


def _rewrite(cache: Cache, folder: str, keys: Sequence[str], columns: Sequence[str], fill: Fill) -> list[str]:
    """Put small and partly outdated parts together, and those whose rows lack something.

    Returns:
        Keys of the parts that are left, sorted.
    """
    parts = list(_read_parts(cache, keys, result_schema(columns), fill))
    schema = unite_schemas([result_schema(columns), *(part.schema for part in parts)], cache.url_of(folder))
    small = [p for p in parts if not (p.is_whole and p.schema.equals(schema) and len(p.rows) >= ROWS_PER_PART // 2)]
    left = set(keys)
    if len(small) == 1 and small[0].is_whole and small[0].schema.equals(schema):
        return sorted(left)
    for group in _group(small):
        tables = [conform_table(read_part(cache, part.key).take(pa.array(part.rows)), schema) for part in group]
        table = fill(pa.concat_tables(tables))
        outdated = {part.key for part in group}
        if len(table):
            data = write_parquet(table)
            attempt, digest = pc.max(table.column("attempt")).as_py(), hashlib.sha256(data).hexdigest()[:16]
            key = f"{folder}/part-{attempt:04d}-{digest}.parquet"
            cache.write(key, data)
            left.add(key)
            outdated.discard(key)
        for each in outdated:
            cache.delete(each)
        left -= outdated
    return sorted(left)


def _group(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Group neighbours that make a part of full size together."""
    group: list[_Part] = []
    for part in parts:
        group.append(part)
        if sum(len(each.rows) for each in group) >= ROWS_PER_PART:
            yield group
            group = []
    if group:
        yield group


def _read_parts(cache: Cache, keys: Sequence[str], schema: pa.Schema, fill: Fill) -> Iterator[_Part]:
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key)
        is_whole = len(rows) == len(table) and not _lacks(table, schema, fill)
        yield _Part(key, rows, is_whole, table.schema.remove_metadata())


def _lacks(table: pa.Table, schema: pa.Schema, fill: Fill) -> bool:
    """Tell whether rows lack something that can be filled in."""
    own = table.select([name for name in schema.names if name in table.column_names])
    return fill(own) is not own


def fill_rows(table: pa.Table, manifest: Manifest, keys: ManifestKeys, index: IdcIndex | None) -> pa.Table:
    """Fill in what rows of earlier attempts lack: columns that the manifest has, and where the series come from.

    Args:
        table: Rows of the results.
        manifest: The series of the run.
        keys: Those of the manifest.
        index: The IDC index; None where it is not installed.

    Returns:
        The rows with what was null filled in, as far as it is known; the same table where that is nothing.
    """
    names = table.column("series_uuid").to_pylist()
    rows = keys.find(build_keys(names))
    places = pa.array(rows, mask=rows < 0)
    carried = manifest.table.column_names[-len(manifest.columns) :] if manifest.columns else []
    for column, name in zip(carried, carried_names(manifest.columns).values(), strict=True):
        if _has_nulls(table, name):
            table = _fill_column(table, name, manifest.table.column(column).take(places))
    if index is None or not any(_has_nulls(table, name) for name in SOURCE_COLUMNS):
        return table
    known = find_sources(index, names)
    for number, name in enumerate(SOURCE_COLUMNS):
        found = [known[uuid][number] if uuid in known else None for uuid in names]
        table = _fill_column(table, name, pa.array(found, pa.string()))
    return table


def _has_nulls(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table.column(name).null_count > 0


def _fill_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """Fill in the nulls of a column, if the table has it; the table itself where that changes nothing."""
    if not _has_nulls(table, name):
        return table
    column = table.column(name)
    filled = pc.coalesce(column, values.cast(pa.string()))
    if filled.null_count == column.null_count:
        return table
    return table.set_column(table.column_names.index(name), name, filled)
