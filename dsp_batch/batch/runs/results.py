"""The rows that count: for each series the row of the highest attempt, read part by part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.notebook import describe_source, show_tables_of_results
from dsp_batch.batch.runs.job import find_run, read_json
from dsp_batch.batch.runs.result_parts import conform_table, list_parts, read_part, result_schema, unite_schemas
from dsp_batch.cache import Cache, run_files
from dsp_batch.errors import SinkError
from dsp_batch.model.identifiers import build_keys
from dsp_batch.model.series import IntArray

T = TypeVar("T")


def fold_latest(cache: Cache, folder: str, columns: Sequence[str] | None, fold: Callable[[Iterator[pa.Table]], T]) -> T:
    """Fold the row of each series that counts: the one of the highest attempt, and of two such one that did not fail.

    Args:
        cache: The cache directory.
        folder: Key of `runs/{RUN}/results`.
        columns: Columns to read; None for all that each part has.
        fold: Makes a value of the rows, given part by part. It is called again with the first part when another process
            has compacted the parts meanwhile.

    Raises:
        SinkError: A part cannot be read.
    """
    keys = list_parts(cache, folder)
    while True:
        try:
            return fold(_read_chosen(cache, keys, columns))
        except SinkError:
            before, keys = keys, list_parts(cache, folder)
            if keys == before:
                raise


def read_results(cache: Cache | str | os.PathLike[str], run: str | None = None) -> pa.Table:
    """Read the results of a run, while it goes on or afterwards.

    Args:
        cache: The cache directory, as a path, a URL, or from `open_cache`; or the folder of the run, as
            `RunSummary.url` names it.
        run: Name of the run; None for the folder of a run, and where the cache directory holds one run alone.

    Returns:
        One row a series that has one, as its latest attempt left it: the columns of the results, then those that the
        manifest carries. A notebook shows the first pictures.

    Raises:
        ManifestError: There is no such run.
        OptionsError: There are several runs, and none is named.
        SinkError: A part of the results cannot be read.

    Example:
        >>> results = read_results("cache")
        >>> results.num_rows, sorted(set(results["status"].to_pylist()))
        (13, ['done', 'failed'])
    """
    place, name = find_run(cache, run)
    document = read_json(place, run_files(name).job) or {}
    schema, since = result_schema(document.get("columns", ())), document.get("since", 1)

    def join(tables: Iterator[pa.Table]) -> pa.Table:
        found = [schema.empty_table(), *(table.replace_schema_metadata(None) for table in tables)]
        united = unite_schemas([table.schema for table in found], place.url_of(run_files(name).results))
        joined = pa.concat_tables([conform_table(table, united) for table in found])
        counted = joined.filter(pc.greater_equal(joined.column("attempt"), since))
        return counted.replace_schema_metadata(describe_source(place))

    show_tables_of_results(pa.Table)
    return fold_latest(place, run_files(name).results, None, join)


def pick_rows(cache: Cache, keys: Sequence[str]) -> list[IntArray]:
    """Find the rows of each part that count, in rising order. It takes 40 bytes of memory a row."""
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


def _read_chosen(cache: Cache, keys: Sequence[str], columns: Sequence[str] | None) -> Iterator[pa.Table]:
    for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
        table = read_part(cache, key, None if columns is None else list(columns))
        yield table if len(rows) == len(table) else table.take(pa.array(rows))


_KEY = np.dtype([("first", np.uint64), ("second", np.uint64)])


def _read_keys(cache: Cache, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the key of the series, the attempt, and whether the series failed, for each row of a part."""
    table = read_part(cache, key, ["series_uuid", "attempt", "status"])
    names = build_keys(table.column("series_uuid").to_pylist()).view(_KEY)
    attempts = pc.fill_null(table.column("attempt"), 0).to_numpy()
    return names, attempts, pc.fill_null(pc.equal(table.column("status"), "failed"), False).to_numpy()
