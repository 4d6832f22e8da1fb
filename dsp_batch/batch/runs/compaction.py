"""Result parts put together when a run ends: one row a series, in parts of one schema."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.runs.result_parts import (
    ROWS_PER_PART,
    conform_table,
    list_parts,
    read_part,
    result_schema,
    serialize_table,
    unite_schemas,
)
from dsp_batch.batch.runs.results import pick_rows
from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
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
    """True where all rows count."""

    schema: pa.Schema


def compact(cache: Cache, folder: str, columns: Sequence[str]) -> None:
    """Leave exactly one row a series, in parts that have one schema and more than a few rows.

    Nothing is deleted before its rows are written elsewhere: a process that is killed here leaves rows twice, not none,
    and the next attempt puts that right. Parts are named after their content: processes that compact the results of one
    run at the same time come to the same parts.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        columns: Columns of the manifest that the rows carry. Columns that earlier attempts carried stay.

    Raises:
        SinkError: A part cannot be read, or the cache not be written.
    """
    keys = list_parts(cache, folder)
    for _ in range(_ROUNDS):
        try:
            left = _rewrite(cache, folder, keys, columns)
        except SinkError:
            if (now := list_parts(cache, folder)) == keys:
                raise
        else:
            if (now := list_parts(cache, folder)) == left:
                return
        keys = now  # another attempt at the run writes or compacts too
    _log.warning("the results in %s are still being written by others", cache.url_of(folder))


def _rewrite(cache: Cache, folder: str, keys: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Put small and partly outdated parts together.

    Returns:
        Keys of the parts that are left, sorted.
    """
    parts = list(_read_parts(cache, keys))
    schema = unite_schemas([result_schema(columns), *(part.schema for part in parts)], cache.url_of(folder))
    small = [p for p in parts if not (p.is_whole and p.schema.equals(schema) and len(p.rows) >= ROWS_PER_PART // 2)]
    left = set(keys)
    if len(small) == 1 and small[0].is_whole and small[0].schema.equals(schema):
        return sorted(left)
    for group in _group(small):
        tables = [conform_table(read_part(cache, part.key).take(pa.array(part.rows)), schema) for part in group]
        table = pa.concat_tables(tables)
        outdated = {part.key for part in group}
        if len(table):
            data = serialize_table(table)
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


def _read_parts(cache: Cache, keys: Sequence[str]) -> Iterator[_Part]:
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key)
        yield _Part(key, rows, len(rows) == len(table), table.schema.remove_metadata())
