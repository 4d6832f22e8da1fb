"""Which rows count: of each series the one of the highest attempt, read part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.keys import name_keys
from dsp_batch.batch.runs.parts import SCHEMA, list_parts, read_part
from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
from dsp_batch.model.series import IntArray

T = TypeVar("T")


def fold_latest(cache: Cache, folder: str, columns: Sequence[str], fold: Callable[[Iterator[pa.Table]], T]) -> T:
    """Fold the row of each series that counts: that of the highest attempt, the one that did not fail among equals.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        columns: What to read.
        fold: Makes a value of the rows, given part by part. It is called again from the first part on when parts were
            compacted under its hands.

    Raises:
        SinkError: A part cannot be read.
    """
    keys = list_parts(cache, folder)
    while True:
        try:
            return fold(_read_chosen(cache, keys, list(columns)))
        except SinkError:
            before, keys = keys, list_parts(cache, folder)
            if keys == before:
                raise


def latest_rows(cache: Cache, folder: str, columns: Sequence[str]) -> pa.Table:
    """The rows that count as one table, with `series_uuid`, `attempt`, `status` and these columns."""
    wanted = list(dict.fromkeys(["series_uuid", "attempt", "status", *columns]))
    empty = pa.schema([SCHEMA.field(name) for name in wanted]).empty_table()
    return fold_latest(cache, folder, wanted, lambda tables: pa.concat_tables([empty, *tables]))


def pick_rows(cache: Cache, keys: Sequence[str]) -> list[IntArray]:
    """The rows of each part that count, in rising order; 40 bytes a row are in memory."""
    columns = [_read_keys(cache, key) for key in keys]
    if not columns:
        return []
    names, attempts, failed = (np.concatenate(each) for each in zip(*columns, strict=True))
    numbers = np.arange(len(names))
    order = np.lexsort((-numbers, failed, -attempts, names["second"], names["first"]))
    names = names[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = names[1:] != names[:-1]
    chosen = np.sort(order[is_first])
    ends = np.cumsum([len(each[0]) for each in columns])
    starts = np.concatenate([[0], ends[:-1]])
    bounds = np.searchsorted(chosen, np.concatenate([starts, ends[-1:]]))
    return [
        chosen[first:last] - start for first, last, start in zip(bounds[:-1], bounds[1:], starts.tolist(), strict=True)
    ]


def _read_chosen(cache: Cache, keys: Sequence[str], columns: list[str]) -> Iterator[pa.Table]:
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key, columns)
        yield table if len(rows) == len(table) else table.take(pa.array(rows))


_KEY = np.dtype([("first", np.uint64), ("second", np.uint64)])


def _read_keys(cache: Cache, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Key of the series, attempt, and whether it failed, of each row of a part."""
    table = read_part(cache, key, ["series_uuid", "attempt", "status"])
    names = name_keys(table.column("series_uuid").to_pylist()).keys.view(_KEY)
    attempts = pc.fill_null(table.column("attempt"), 0).to_numpy()
    return names, attempts, pc.fill_null(pc.equal(table.column("status"), "failed"), False).to_numpy()
