"""The newest row of each series over several runs, as plain values, for whoever shows what a cache holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.runs.job import list_runs, read_json
from dsp_batch.batch.runs.result_parts import SCHEMA, conform_table, list_parts, read_part
from dsp_batch.batch.runs.results import pick_rows
from dsp_batch.cache import Cache, run_files
from dsp_batch.errors import SinkError
from dsp_batch.model.identifiers import build_keys, find_keys

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


def list_named_runs(cache: Cache) -> list[NamedRun]:
    """List the runs of a cache, the one that was started last first.

    Raises:
        SinkError: What a run says of itself cannot be read.
    """
    runs = [_read_run(cache, run) for run in list_runs(cache)]
    return sorted(runs, key=lambda each: (str(each.job.get("started")), each.run), reverse=True)


def list_result_parts(cache: Cache, runs: Sequence[NamedRun]) -> list[str]:
    """List the keys of the result parts of some runs: they change whenever rows are added."""
    return [key for run in runs for key in list_parts(cache, run_files(run.run).results)]


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


def _read_run(cache: Cache, run: str) -> NamedRun:
    job = read_json(cache, run_files(run).job) or {}
    summary = read_json(cache, run_files(run).summary) or {}
    ended = summary.get("attempt") == job.get("attempt") and not summary.get("left")
    return NamedRun(run=run, job=job, ended=ended)


def _read_newest(cache: Cache, runs: Sequence[NamedRun], wants: Callable[[str], bool]) -> Iterator[RunRows]:
    seen = np.empty(0, "S16")
    for number, run in enumerate(runs):
        keys = list_parts(cache, run_files(run.run).results)
        found = []
        for key, rows in zip(keys, pick_rows(cache, keys), strict=True):
            table = read_part(cache, key)
            counts = pc.fill_null(pc.greater_equal(table.column("attempt"), run.job.get("since", 1)), False).to_numpy()
            names = build_keys(table.column("series_uuid").to_pylist())
            new = rows[counts[rows] & ~find_keys(seen, names[rows]).found]
            if number + 1 < len(runs):
                found.append(names[new])
            given = [field for field in table.schema if wants(field.name)]
            # Pages take texts for texts, whatever type a part of another version has for them.
            own = [SCHEMA.field(field.name) if field.name in SCHEMA.names else field for field in given]
            table = conform_table(table, pa.schema(own))
            for start in range(0, len(new), _ROWS_AT_ONCE):
                yield RunRows(run, table.take(pa.array(new[start : start + _ROWS_AT_ONCE])).to_pydict())
        seen = np.sort(np.concatenate([seen, *found]))
        pa.default_memory_pool().release_unused()
