"""The end of a run: one row a series, in parts of one schema."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from dsp_batch.batch.latest import pick_rows
from dsp_batch.batch.results import ROWS_PER_PART, conform_table, list_parts, read_part, result_schema, write_table
from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
from dsp_batch.model import IntArray


class _Part(NamedTuple):
    key: str
    rows: IntArray
    """Those that count."""

    is_whole: bool
    """All of its rows count."""

    schema: pa.Schema


def compact(cache: Cache, folder: str, attempt: int, columns: Sequence[str]) -> None:
    """Leave exactly one row a series, in parts that have one schema and more than a few rows.

    Nothing is deleted before its rows are written elsewhere. Who is killed here, and who compacts the results of one
    run twice at the same time, leaves rows twice, not none; the next attempt puts that right.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        attempt: Number of the attempt that has ended.
        columns: Columns of the manifest that the rows carry; those that earlier attempts carried stay.
    """
    parts = list(_read_parts(cache, folder))
    schema = _unify([result_schema(columns), *(part.schema for part in parts)], cache.url_of(folder))
    small = [p for p in parts if not (p.is_whole and p.schema.equals(schema) and len(p.rows) >= ROWS_PER_PART // 2)]
    if len(small) == 1 and small[0].is_whole and small[0].schema.equals(schema):
        return
    token = secrets.token_hex(4)
    for number, group in enumerate(_group(small)):
        tables = [conform_table(read_part(cache, part.key).take(pa.array(part.rows)), schema) for part in group]
        if any(map(len, tables)):
            key = f"{folder}/part-{attempt:04d}-{token}-{number:06d}.parquet"
            write_table(cache, pa.concat_tables(tables), key)
        for part in group:
            cache.delete(part.key)


def _unify(schemas: Sequence[pa.Schema], url: str) -> pa.Schema:
    """All columns of all parts: those of this version as it has them, others as they were found."""
    own = schemas[0]
    try:
        found = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        cause = " ".join(str(error).split())
        raise SinkError(
            f"{url} holds parts of another version ({cause}): go on with that, or move them away"
        ) from error
    return pa.schema([own.field(each.name) if each.name in own.names else each for each in found])


def _group(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """Neighbours that make a part of full size together."""
    group: list[_Part] = []
    for part in parts:
        group.append(part)
        if sum(len(each.rows) for each in group) >= ROWS_PER_PART:
            yield group
            group = []
    if group:
        yield group


def _read_parts(cache: Cache, folder: str) -> Iterator[_Part]:
    keys = list_parts(cache, folder)
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key)
        yield _Part(key, rows, len(rows) == len(table), table.schema.remove_metadata())
