"""What other runs tell of previews that are there: some 200 bytes a row, found by the key of their series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.batch.manifest.keys import KeyArray, name_keys
from dsp_batch.batch.runs.latest import fold_latest
from dsp_batch.batch.runs.parts import SCHEMA
from dsp_batch.batch.runs.row import SeriesResult
from dsp_batch.cache import Cache
from dsp_batch.model.series import BoolArray, IntArray

_SAID_ANEW = ("series_uuid", "endpoint_url", "viewer", "status", "reason", "preview", "attempt", "columns")
"""Of a row that is kept: by the run that keeps it."""

_SPENT = ("bytes_read", "requests", "worker", "seconds_headers", "seconds_index", "seconds_render")
"""By the run that made the preview, and by no other."""

_TOLD = [f.name for f in fields(SeriesResult) if f.name not in (*_SAID_ANEW, *_SPENT)]
_FEW_VALUES = ("root", "modality", "sop_class", "transfer_syntax", "unit", "program")


class Results(NamedTuple):
    """The rows of another run."""

    folder: str
    """Key of `runs/{RUN}/results`."""

    since: int
    """First attempt whose rows count."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KnownRows:
    """Rows of previews that other runs have made or kept."""

    keys: KeyArray
    """Their series, sorted."""

    order: IntArray
    """Where the row of each is."""

    rows: pa.Table

    def tell(self, places: IntArray) -> list[dict[str, Any]]:
        """Fields of `SeriesResult` that go with previews, of the series at some places of `keys`."""
        told: list[dict[str, Any]] = self.rows.take(pa.array(self.order[places])).to_pylist()
        return told


def read_known(cache: Cache, runs: Iterable[Results]) -> KnownRows:
    """Read what runs tell of the previews that they have made or kept; of several that do, the first counts.

    Raises:
        SinkError: A part cannot be read.
    """
    keys: list[KeyArray] = []
    tables = [pa.schema([SCHEMA.field(name) for name in _TOLD]).empty_table()]
    for run in runs:
        wanted = ["series_uuid", "attempt", "status", *_TOLD]
        for found, table in fold_latest(cache, run.folder, wanted, partial(_choose, since=run.since)):
            keys.append(found)
            tables.append(table)
    names = join_keys(keys)
    order = np.argsort(names, kind="stable")
    return KnownRows(keys=names[order], order=order, rows=_join(tables))


def _choose(tables: Iterator[pa.Table], since: int) -> list[tuple[KeyArray, pa.Table]]:
    chosen = []
    for table in tables:
        is_made = pc.is_in(table.column("status"), pa.array(["done", "kept"]))
        counted = table.filter(pc.and_(is_made, pc.greater_equal(table.column("attempt"), since)))
        chosen.append((keys_of(counted), counted.select(_TOLD)))
    return chosen


def _join(tables: list[pa.Table]) -> pa.Table:
    """One table in one piece, column by column: both together are never in memory."""
    columns = {name: [table.column(name) for table in tables] for name in _TOLD}
    tables.clear()
    joined = {}
    for name in _TOLD:
        column = pa.chunked_array(
            [chunk for part in columns.pop(name) for chunk in part.chunks], SCHEMA.field(name).type
        )
        column = pa.chunked_array([column.combine_chunks()], column.type)
        joined[name] = column.dictionary_encode() if name in _FEW_VALUES else column
        pa.default_memory_pool().release_unused()
    return pa.table(joined)


def keys_of(rows: pa.Table) -> KeyArray:
    """The key of the series of each row."""
    return name_keys(rows.column("series_uuid").to_pylist()).keys


def join_keys(parts: list[KeyArray]) -> KeyArray:
    """All keys, in this order."""
    return np.concatenate(parts) if parts else np.empty(0, "S16")


def find_keys(keys: KeyArray, wanted: KeyArray) -> tuple[BoolArray, IntArray]:
    """Which of the keys that are wanted are among sorted ones, and where (0 where they are not)."""
    if not len(keys):
        return np.zeros(len(wanted), np.bool_), np.zeros(len(wanted), np.int64)
    places = np.searchsorted(keys, wanted)
    places[places == len(keys)] = 0
    return keys[places] == wanted, places
