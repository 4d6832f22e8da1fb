"""What the IDC index says of each series: where it lies, and what it is.

The index is two Parquet files of the package `idc-index-data` (extra `idc`) with a row per series: the series of IDC's
current version, and those that only earlier versions served. The columns that are needed are loaded once, on the client
alone, when the first series is looked up.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dsp_batch.errors import ManifestError
from dsp_batch.idc.table import Column, FoundRows, Keys, format_uids, hold, pack_uids
from dsp_batch.model.identifiers import format_uuids, normalise_uuid, parse_uuids

INSTALL_HINT = "pip install 'dsp-batch[idc]'"

_UUID, _UID, _BUCKET = "crdc_series_uuid", "SeriesInstanceUID", "aws_bucket"
"""Columns without which an index file says nothing; others come and go with the versions of the package."""

_DESCRIBED = ("Modality", "SOPClassUID", "TransferSyntaxUID", "instanceCount")
"""Columns of few values that are given as they are, in the order of the fields of `IdcSeries`."""

_SOURCE = ("collection_id", "license_short_name", "source_DOI")
"""Columns that tell where a series comes from, in the order of the fields of `SeriesSource`."""

_STUDY_UID, _SIZE, _VERSION = "StudyInstanceUID", "series_size_MB", "max_idc_version"
_CURRENT = 2**31
"""A later version than any that is noted; only of superseded series the index notes the last version that had them."""

_BATCH_ROWS = 65_536
_BUFFER_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class IdcIndex:
    """Where the index files are. Nothing is read until something is asked."""

    path: Path
    """`idc_index.parquet`: the series of the current version."""

    prior_path: Path | None = None
    """`prior_versions_index.parquet`: series that an earlier version served and the current one does not."""


class StoredSeries(NamedTuple):
    """A series of IDC, and where it lies."""

    series_uuid: str
    root: str
    """The bucket: `s3://idc-open-data`."""

    superseded: bool
    """The current version of IDC no longer serves it; its objects are still there."""


class IdcSeries(NamedTuple):
    """What the index knows of one series."""

    series_uuid: str
    root: str
    """The bucket: `s3://idc-open-data`."""

    superseded: bool
    """The current version of IDC no longer serves it; its objects are still there."""

    series_instance_uid: str
    study_instance_uid: str
    modality: str | None
    sop_class_uid: str | None
    """None for superseded series: the table of prior versions does not say it."""

    transfer_syntax_uid: str | None
    """Several, separated by commas, where a series mixes them."""

    n_instances: int | None
    size_mb: float | None
    """Megabytes (10⁶ bytes) of all objects."""


class SeriesSource(NamedTuple):
    """Where a series comes from, and what may be done with it."""

    collection_id: str | None
    license: str | None
    """Short name of the license: `CC BY 4.0`."""

    source_doi: str | None
    """DOI of the publication that the collection or the analysis asks to cite."""


@lru_cache(maxsize=1)
def open_idc_index() -> IdcIndex | None:
    """The installed index; None where the package is not installed."""
    if importlib.util.find_spec("idc_index_data") is None:
        return None
    import idc_index_data  # noqa: PLC0415  # an extra

    prior = getattr(idc_index_data, "PRIOR_VERSIONS_INDEX_PARQUET_FILEPATH", None)
    return IdcIndex(path=Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)), prior_path=prior and Path(prior))


def require_idc_index() -> IdcIndex:
    """The installed index.

    Raises:
        ManifestError: The package is not installed; the message says how to get it.
    """
    index = open_idc_index()
    if index is None:
        raise ManifestError(f"the IDC index is not installed: {INSTALL_HINT}")
    return index


def find_series(index: IdcIndex, series_uuids: Sequence[str]) -> list[StoredSeries | None]:
    """Look up where series lie.

    Args:
        index: The index.
        series_uuids: Hyphenated UUIDs.

    Returns:
        Each series; None where neither the index nor its table of prior versions knows it.
    """
    table = _load_table(index)
    return _locate(table, table.uuids.find(parse_uuids(series_uuids)))


def find_series_uids(index: IdcIndex, series_instance_uids: Sequence[str]) -> list[StoredSeries | None]:
    """Look up series by SeriesInstanceUID (0020,000E).

    Returns:
        For each its current version, else the last version that had it; None where there is none.
    """
    table = _load_table(index)
    return _locate(table, table.uids.find(pack_uids(series_instance_uids)))


def _locate(table: _SeriesTable, matches: FoundRows) -> list[StoredSeries | None]:
    """Tell where the series that were found lie; None for the others."""
    located = zip(format_uuids(table.uuids.keys[matches.rows]), table.buckets.take(matches.rows), strict=True)
    series = (StoredSeries(uuid, *bucket) for uuid, bucket in located)
    return [next(series) if is_found else None for is_found in matches.found.tolist()]


def describe_series(index: IdcIndex, series_uuids: Iterable[str]) -> dict[str, IdcSeries]:
    """Everything that the index knows of some series.

    Args:
        index: The index.
        series_uuids: Hyphenated UUIDs.

    Returns:
        UUID → series, for those that the index or its table of prior versions knows.
    """
    uuids = [*dict.fromkeys(series_uuids)]
    if not uuids:
        return {}
    table, described = _load_table(index), _load_descriptions(index)
    found, rows = table.uuids.find(parse_uuids(uuids))
    known = [*compress(uuids, found)]
    fields = (
        known,
        *zip(*table.buckets.take(rows), strict=True),
        format_uids(table.uids.keys[rows]),
        format_uids(described[_STUDY_UID].take(rows)),
        *(described[name].take(rows).tolist() for name in _DESCRIBED),
        [None if isnan(size) else size for size in described[_SIZE].take(rows).tolist()],
    )
    return dict(zip(known, map(IdcSeries._make, zip(*fields, strict=True)), strict=True)) if known else {}


def find_sources(index: IdcIndex, series_uuids: Iterable[str]) -> dict[str, SeriesSource]:
    """Look up where series come from.

    Args:
        index: The index.
        series_uuids: Names of series; those that are no hyphenated UUIDs are not IDC's.

    Returns:
        UUID → source, for those that the index or its table of prior versions knows.
    """
    uuids = [name for name in dict.fromkeys(series_uuids) if normalise_uuid(name) == name]
    if not uuids:
        return {}
    found, rows = _load_table(index).uuids.find(parse_uuids(uuids))
    sources = _load_sources(index)
    fields = (sources[name].take(rows).tolist() for name in _SOURCE)
    return dict(zip(compress(uuids, found), map(SeriesSource._make, zip(*fields, strict=True)), strict=True))


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Record batches of some columns of an index file, in that order.

    Raises:
        ManifestError: The file is missing or damaged, or lacks one of the columns.
    """
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    file = _open_file(path, columns)
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[*columns], use_threads=False):
            yield batch.select(columns)
            # The pool would hoard the pages: 40 MB more.
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise _explain(path, error) from error


class _SeriesTable(NamedTuple):
    """What series are looked up by, and where they lie: a row for each version of a series, in the order of the files.

    All of IDC takes a second and 60 MB.
    """

    uuids: Keys
    uids: Keys
    """SeriesInstanceUIDs (0020,000E) as `pack_uids` gives them."""

    buckets: Column
    """URL of the bucket, and whether the series is superseded."""


@lru_cache(maxsize=1)
def _load_table(index: IdcIndex) -> _SeriesTable:
    paths = _list_files(index)
    versions = _encode_column(paths, _VERSION)
    ages = -np.array([version or _CURRENT for version in versions.values])[versions.codes]
    try:
        uuids = np.concatenate([parse_uuids(_read_texts(cells)) for cells in _read_column(paths, _UUID)])
        uids = np.concatenate([pack_uids(_read_texts(cells)) for cells in _read_column(paths, _UID)])
    except ValueError as error:
        raise _explain(index.path, error) from error
    return _SeriesTable(Keys(uuids, ages), Keys(uids, ages), _encode_buckets(index))


@lru_cache(maxsize=1)
def _load_descriptions(index: IdcIndex) -> dict[str, Column]:
    """Load what is known of each series besides: for all of IDC half a second and 30 MB."""
    paths = _list_files(index)
    # The texts of the studies take most memory on the way: they are gone before anything else is held.
    columns = {_STUDY_UID: _pack_column(_encode_column(paths, _STUDY_UID))}
    sizes_mb = np.concatenate([np.array(cells.to_pylist(), np.float64) for cells in _read_column(paths, _SIZE)])
    columns[_SIZE] = Column(values=sizes_mb, codes=np.arange(len(sizes_mb), dtype=np.int32))
    return columns | {name: _encode_column(paths, name) for name in _DESCRIBED}


@lru_cache(maxsize=1)
def _load_sources(index: IdcIndex) -> dict[str, Column]:
    """Load where each series comes from: few values, so that all of IDC takes 6 MB."""
    return {name: _encode_column(_list_files(index), name) for name in _SOURCE}


def _pack_column(column: Column) -> Column:
    """A column of UIDs with its values packed."""
    return Column(values=pack_uids([uid or "" for uid in column.values]), codes=column.codes)


def _encode_buckets(index: IdcIndex) -> Column:
    """The bucket of each series, and whether it is superseded: which of the files knows it."""
    buckets: list[tuple[str, bool]] = []
    codes = []
    for path in _list_files(index):
        column = _encode_column([path], _BUCKET)
        codes.append(column.codes + np.uint8(len(buckets)))
        buckets += [(f"s3://{bucket}", path != index.path) for bucket in column.values]
    return Column(values=hold(buckets), codes=np.concatenate(codes))


def _encode_column(paths: Sequence[Path], name: str) -> Column:
    """A column of some files, in their order, encoded by its values."""
    numbers: dict[Any, int] = {}
    codes = []
    for cells in _read_column(paths, name):
        encoded = cells.dictionary_encode(null_encoding="encode")
        own = [numbers.setdefault(value, len(numbers)) for value in encoded.dictionary.to_pylist()]
        codes.append(np.array(own, np.int32)[np.from_dlpack(encoded.indices)])
    return Column(values=hold([*numbers]), codes=np.concatenate(codes).astype(np.min_scalar_type(len(numbers))))


def _read_column(paths: Sequence[Path], name: str) -> Iterator[Any]:
    """A column of some files, in their order and in pieces; nulls where a file lacks it, or has no rows."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    for path in paths:
        file = _open_file(path, (_UUID, _UID, _BUCKET))
        if name in file.schema_arrow.names and file.metadata.num_rows:
            yield from (batch.column(0) for batch in read_batches(path, [name]))
        else:
            yield pa.nulls(file.metadata.num_rows)


def _read_texts(cells: Any) -> list[str]:
    """Texts of a column, empty where the index says nothing."""
    return [text or "" for text in cells.to_pylist()]


def _list_files(index: IdcIndex) -> list[Path]:
    """The current version, then the prior ones."""
    return [index.path, *([index.prior_path] if index.prior_path else [])]


def _open_file(path: Path, required: Sequence[str]) -> Any:
    """An index file, which must have some columns."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.parquet as pq  # noqa: PLC0415  # pyarrow is slow to import

    try:
        # A column of all of IDC is one chunk of up to 20 MB: it is read piece by piece.
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise _explain(path, error) from error
    if lacking := [name for name in required if name not in file.schema_arrow.names]:
        raise ManifestError(f"the IDC index {path} has no column {', '.join(lacking)}: {INSTALL_HINT} --upgrade")
    return file


def _explain(path: Path, error: Exception) -> ManifestError:
    return ManifestError(f"the IDC index {path} cannot be read ({error}); {INSTALL_HINT} again")
