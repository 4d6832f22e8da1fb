"""The rows that count: of each series that of the highest attempt of a run, and of several runs that of the newest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.runs.job import find_run, list_runs, read_json, results_folder
from dsp_batch.batch.runs.parts import conform_table, list_parts, read_part, result_schema, unite_schemas
from dsp_batch.cache import Cache
from dsp_batch.errors import SinkError
from dsp_batch.model.identifiers import find_keys, name_keys
from dsp_batch.model.series import IntArray

T = TypeVar("T")

_ROWS_AT_ONCE = 4_096
"""Rows that are plain values at one time, which take ten times as many bytes as in a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRun:
    """A run of a cache, and what was asked of it."""

    run: str
    job: Mapping[str, Any]
    """The content of `job.json`."""

    ended: bool
    """The last attempt has written its summary, and no series is left."""

    @property
    def name(self) -> str:
        """Name of its previews."""
        return str(self.job.get("name"))


class RunRows(NamedTuple):
    """Some rows of one run."""

    run: NamedRun
    columns: dict[str, list[Any]]
    """Column → its value in each row."""


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
        manifest carries.

    Raises:
        ManifestError: There is no such run.
        OptionsError: There are several runs, and none is named.
        SinkError: A part of the results cannot be read.

    Example:
        >>> results = read_results("cache")
        >>> results.num_rows, sorted(set(results["status"].to_pylist()))
        (9, ['done', 'failed', 'skipped'])
    """
    place, name = find_run(cache, run)
    asked = read_json(place, f"runs/{name}/job.json") or {}
    schema, since = result_schema(asked.get("columns", ())), asked.get("since", 1)

    def join(tables: Iterator[pa.Table]) -> pa.Table:
        found = [schema.empty_table(), *(table.replace_schema_metadata(None) for table in tables)]
        united = unite_schemas([table.schema for table in found], place.url_of(results_folder(name)))
        joined = pa.concat_tables([conform_table(table, united) for table in found])
        return joined.filter(pc.greater_equal(joined.column("attempt"), since))

    return fold_latest(place, results_folder(name), None, join)


def list_named_runs(cache: Cache) -> list[NamedRun]:
    """List the runs of a cache, the one that was started last first.

    Raises:
        SinkError: What a run says of itself cannot be read.
    """
    runs = [_read_run(cache, run) for run in list_runs(cache)]
    return sorted(runs, key=lambda each: (str(each.job.get("started")), each.run), reverse=True)


def list_result_parts(cache: Cache, runs: Sequence[NamedRun]) -> list[str]:
    """List the keys of the result parts of some runs: they change whenever rows are added."""
    return [key for run in runs for key in list_parts(cache, results_folder(run.run))]


def fold_newest(
    cache: Cache, runs: Sequence[NamedRun], wants: Callable[[str], bool], fold: Callable[[Iterator[RunRows]], T]
) -> T:
    """Fold the row of each series that counts: the one that the first of several runs has of it.

    Args:
        cache: The cache directory.
        runs: The runs, newest first.
        wants: Tells which columns to give.
        fold: Makes a value of the rows, given part by part. It is called again from the first part on when parts were
            compacted while it read them.

    Raises:
        SinkError: A part cannot be read.
    """
    parts = list_result_parts(cache, runs)
    while True:
        try:
            return fold(_read_newest(cache, runs, wants))
        except SinkError:
            before, parts = parts, list_result_parts(cache, runs)
            if parts == before:
                raise


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
    names = name_keys(table.column("series_uuid").to_pylist()).keys.view(_KEY)
    attempts = pc.fill_null(table.column("attempt"), 0).to_numpy()
    return names, attempts, pc.fill_null(pc.equal(table.column("status"), "failed"), False).to_numpy()


def _read_run(cache: Cache, run: str) -> NamedRun:
    job = read_json(cache, f"runs/{run}/job.json") or {}
    summary = read_json(cache, f"runs/{run}/summary.json") or {}
    ended = summary.get("attempt") == job.get("attempt") and not summary.get("left")
    return NamedRun(run=run, job=job, ended=ended)


def _read_newest(cache: Cache, runs: Sequence[NamedRun], wants: Callable[[str], bool]) -> Iterator[RunRows]:
    seen = np.empty(0, "S16")
    for number, run in enumerate(runs):
        keys = list_parts(cache, results_folder(run.run))
        found = []
        for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
            table = read_part(cache, key)
            counts = pc.fill_null(pc.greater_equal(table.column("attempt"), run.job.get("since", 1)), False).to_numpy()
            names = name_keys(table.column("series_uuid").to_pylist()).keys
            new = rows[counts[rows] & ~find_keys(seen, names[rows]).found]
            if number + 1 < len(runs):
                found.append(names[new])
            table = table.select([name for name in table.column_names if wants(name)])
            for start in range(0, len(new), _ROWS_AT_ONCE):
                yield RunRows(run, table.take(pa.array(new[start : start + _ROWS_AT_ONCE])).to_pydict())
        seen = np.sort(np.concatenate([seen, *found]))
        pa.default_memory_pool().release_unused()
