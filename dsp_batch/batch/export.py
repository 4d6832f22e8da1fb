"""Make one header database of all indices in a cache."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError
from dsp_batch.index.parquet import parse_index
from dsp_batch.index.tables.header_columns import (
    Per,
    build_schema,
    choose_columns,
    list_instance_values,
    list_series_values,
)
from dsp_batch.index.tables.header_file import HeaderFile

_log = logging.getLogger(__name__)

_INDEX_SUFFIX = "_index.parquet"

_READ_AHEAD = 32
"""Indices that are read from the cache while others are worked on. They are small: the median is 60 kB."""

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderExport:
    """What was written."""

    series: int
    rows: int

    partial: int
    """Indices that were built with a limit, and are left out."""

    failed: int
    """Indices that could not be read, each of which was logged."""


def export_headers(cache: Cache, output: Path, *, columns: Iterable[str] = (), per: Per = "instance") -> HeaderExport:
    """Write the headers of all series in a cache as one table, with a row for each instance or for each series.

    What all instances of a series share stands in each of its rows. Memory is bounded, whatever the number of series.

    Args:
        cache: The cache.
        output: The Parquet file, which is replaced when all rows are there.
        columns: Keywords besides the common ones, `gggg_eeee` for private elements.
        per: `instance`, or `series`: then null stands for what is not the same in all instances, and `Varying` lists
            the keywords of that.

    Raises:
        OptionsError: A keyword is unknown, or its values are binary.
        SinkError: The file cannot be written.
        StorageError: The cache cannot be listed or read.
    """
    chosen = choose_columns(columns)
    list_values = list_instance_values if per == "instance" else list_series_values
    series = partial = failed = 0
    with HeaderFile(output, build_schema(chosen, per)) as file:
        for key, data in _read_ahead(lambda key: (key, cache.read(key)), _list_indices(cache)):
            if data is None:  # deleted since it was listed
                continue
            try:
                index = parse_index(data)
                if index.partial:
                    partial += 1
                    continue
                values = list_values(index, chosen)
            except DspBatchError as error:
                _log.warning("%s is left out: %s", cache.url_of(key), error.message)
                failed += 1
                continue
            file.add(values)
            series += 1
    return HeaderExport(series=series, rows=file.rows, partial=partial, failed=failed)


def _list_indices(cache: Cache) -> Iterator[str]:
    return (f"indices/{entry.key}" for entry in cache.list("indices") if entry.key.endswith(_INDEX_SUFFIX))


def _read_ahead(read: Callable[[_Given], _Found], wanted: Iterable[_Given]) -> Iterator[_Found]:
    """Read things in their order, a few of them ahead."""
    waiting: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="dsp-batch-export") as pool:
        for each in wanted:
            waiting.append(pool.submit(read, each))
            if len(waiting) >= _READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
