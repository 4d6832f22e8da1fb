"""Find series by their SeriesInstanceUID among the result rows of a cache, whichever run wrote them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dsp_batch.cache import Cache
from dsp_batch.errors import StorageError
from dsp_batch.index.arrays import read_parquet
from dsp_batch.model.places import SeriesPlace

_log = logging.getLogger(__name__)

_MADE = ["done", "kept"]
"""Statuses of rows whose series has an index in the cache."""


class FinishedSeries(NamedTuple):
    """A finished series."""

    place: SeriesPlace
    written: float | None
    """Seconds since 1970 at which its row was written; None where the storage does not tell."""


def find_finished(cache: Cache, series: Collection[str], studies: Collection[str]) -> list[SeriesPlace]:
    """Find finished series.

    Args:
        cache: The cache. All rows of all its runs are looked at, part by part.
        series: SeriesInstanceUIDs that are wanted.
        studies: StudyInstanceUIDs all of whose series are wanted.

    Returns:
        Each series once for each of its places, in the order of the runs. A part of the results that cannot be read is
        left out.
    """
    return [*dict.fromkeys(each.place for each in find_finished_parts(cache, series, studies))]


def find_finished_parts(cache: Cache, series: Collection[str], studies: Collection[str]) -> Iterator[FinishedSeries]:
    """Find the rows of finished series, and when they were written; as `find_finished`."""
    for entry in sorted(cache.list("runs"), key=lambda each: each.key):
        if "/results/part-" in entry.key and entry.key.endswith(".parquet"):
            found = _read_part(cache, f"runs/{entry.key}", series, studies)
            yield from (FinishedSeries(place, entry.modified) for place in found)


def _read_part(cache: Cache, key: str, series: Collection[str], studies: Collection[str]) -> Iterator[SeriesPlace]:
    columns = [*SeriesPlace._fields, "status"]
    try:
        data = cache.read(key)
        table = read_parquet(data, columns) if data else None
        if table is None or not {*columns} <= {*table.column_names}:
            return
        is_wanted = pc.or_(
            pc.is_in(table.column("series_instance_uid"), pa.array(series, pa.string())),
            pc.is_in(table.column("study_instance_uid"), pa.array(studies, pa.string())),
        )
        is_made = pc.is_in(table.column("status"), pa.array(_MADE))
        rows = table.filter(pc.and_(is_wanted, is_made)).select(SeriesPlace._fields).to_pylist()
    except (pa.ArrowException, OSError, LookupError, ValueError, StorageError) as error:
        _log.debug("%s tells of no series: %s", cache.url_of(key), error)
        return
    for row in rows:
        texts = {name: row[name] or "" for name in ("series_instance_uid", "study_instance_uid", "sop_class")}
        yield SeriesPlace(**{**row, **texts})
