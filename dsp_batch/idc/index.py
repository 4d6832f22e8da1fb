"""Questions to the IDC index: where series are, what they are, which fit a selection.

The index is one Parquet file of the package `idc-index-data` (extra `idc`), a row per series. It is read by projected
columns, in batches, on the client alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dsp_batch.errors import ManifestError
from dsp_batch.idc.keys import (
    INSTALL_HINT,
    KeyTable,
    Matches,
    find_uids,
    find_uuids,
    format_uuid,
    load_series_uids,
    load_uuid_bytes,
    load_uuids,
    read_batches,
)
from dsp_batch.model import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class IdcIndex:
    """Where the index files are. Nothing is read until something is asked."""

    path: Path
    """`idc_index.parquet`: the series of the current version."""

    prior_path: Path | None = None
    """`prior_versions_index.parquet`: series that an earlier version served and the current one does not."""


class Place(NamedTuple):
    """Where a series of IDC lies."""

    root: str
    """The bucket: `s3://idc-open-data`."""

    superseded: bool
    """The current version of IDC no longer serves it; its objects are still there."""


class PlacedUuid(NamedTuple):
    """The series that a SeriesInstanceUID means."""

    series_uuid: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class IdcSeries:
    """What the index knows of one series."""

    series_uuid: str
    root: str
    """The bucket: `s3://idc-open-data`."""

    series_instance_uid: str
    study_instance_uid: str
    collection_id: str | None = None
    patient_id: str | None = None
    modality: str | None = None
    sop_class_uid: str | None = None
    """None for superseded series: the table of prior versions does not say it."""

    transfer_syntax_uid: str | None = None
    """Several, separated by commas, where a series mixes them."""

    n_instances: int | None = None
    size_mb: float | None = None
    """Megabytes (10⁶ bytes) of all objects."""

    superseded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSelection:
    """Which series of the index are wanted. Values of one field are alternatives, the fields narrow each other."""

    collection_ids: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    patient_ids: tuple[str, ...] = ()
    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    analysis_results: Literal["include", "exclude", "only"] = "exclude"
    limit: int | None = None


_COLUMNS = {
    "crdc_series_uuid": "series_uuid",
    "aws_bucket": "root",
    "SeriesInstanceUID": "series_instance_uid",
    "StudyInstanceUID": "study_instance_uid",
    "collection_id": "collection_id",
    "PatientID": "patient_id",
    "Modality": "modality",
    "SOPClassUID": "sop_class_uid",
    "TransferSyntaxUID": "transfer_syntax_uid",
    "instanceCount": "n_instances",
    "series_size_MB": "size_mb",
}
"""Column of the index → field of `IdcSeries`."""

_FILTERS = {
    "collection_id": "collection_ids",
    "Modality": "modalities",
    "PatientID": "patient_ids",
    "StudyInstanceUID": "study_instance_uids",
    "SeriesInstanceUID": "series_instance_uids",
}
"""Column of the index → field of `SeriesSelection`."""


def installed() -> bool:
    """Whether the extra `idc` is there."""
    return importlib.util.find_spec("idc_index_data") is not None


@lru_cache(maxsize=1)
def open_index() -> IdcIndex | None:
    """The installed index; None where the package is not installed."""
    if not installed():
        return None
    import idc_index_data  # noqa: PLC0415  # an extra

    prior = getattr(idc_index_data, "PRIOR_VERSIONS_INDEX_PARQUET_FILEPATH", None)
    return IdcIndex(path=Path(str(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)), prior_path=prior and Path(prior))


def require_index() -> IdcIndex:
    """The installed index.

    Raises:
        ManifestError: The package is not installed; the message says how to get it.
    """
    index = open_index()
    if index is None:
        raise ManifestError(f"the IDC index is not installed: {INSTALL_HINT}")
    return index


def find_places(index: IdcIndex, series_uuids: Sequence[str]) -> list[Place | None]:
    """Look up where series lie.

    Args:
        index: The index.
        series_uuids: Hyphenated lower-case UUIDs.

    Returns:
        For each its place; None where neither the index nor its table of prior versions knows it.
    """
    places: list[Place | None] = [None] * len(series_uuids)
    for path, superseded in _tables(index) if series_uuids else ():
        table = load_uuids(path)
        matches = find_uuids(table, series_uuids)
        buckets = [Place(f"s3://{name}", superseded) for name in table.bucket_names]
        for number, bucket in _found(table, matches):
            places[number] = places[number] or buckets[bucket]
    return places


def find_series_uids(index: IdcIndex, series_instance_uids: Sequence[str]) -> list[PlacedUuid | None]:
    """Look up series by SeriesInstanceUID (0020,000E).

    Returns:
        For each its current version, else the last version that had it; None where there is none.
    """
    placed: list[PlacedUuid | None] = [None] * len(series_instance_uids)
    for path, superseded in _tables(index) if series_instance_uids else ():
        table = load_series_uids(path)
        matches = find_uids(table, series_instance_uids)
        buckets = [Place(f"s3://{name}", superseded) for name in table.bucket_names]
        uuids = load_uuid_bytes(path)
        for number, bucket in _found(table, matches):
            uuid = uuids[table.rows[matches.places[number]]]
            placed[number] = placed[number] or PlacedUuid(format_uuid(uuid), buckets[bucket])
    return placed


def describe_series(index: IdcIndex, series_uuids: Iterable[str]) -> dict[str, IdcSeries]:
    """Everything that the index knows of some series.

    One pass over the projected columns (about 0.5 s for all of IDC): ask for many at once.

    Returns:
        UUID → series, for those that the index or its table of prior versions knows.
    """
    wanted = sorted(set(series_uuids))
    if not wanted:
        return {}
    described: dict[str, IdcSeries] = {}
    for path, superseded in _tables(index):
        table = load_uuids(path)
        matches = find_uuids(table, wanted)
        rows = np.sort(table.rows[matches.places[matches.found]])
        described = {**{s.series_uuid: s for s in _read_rows(path, rows, superseded=superseded)}, **described}
    return described


def select_series(index: IdcIndex, selection: SeriesSelection) -> Iterator[IdcSeries]:
    """Series of the current version that fit a selection, in the order of the index.

    Collections and modalities are compared without regard to case, `-` and blanks in a collection as `_`.
    """
    left = selection.limit if selection.limit is not None else -1
    columns = [*_COLUMNS, "analysis_result_id"]
    for batch in read_batches(index.path, columns):
        if left == 0:
            return
        chosen = batch.filter(_selection_mask(batch, selection))
        chosen = chosen.slice(0, left) if left > 0 else chosen
        left -= chosen.num_rows if left > 0 else 0
        yield from _series_of(chosen, superseded=False)


def read_values(index: IdcIndex, column: str) -> list[str]:
    """The different values of a column with few of them, sorted: the collections, the modalities."""
    import pyarrow.compute as pc  # noqa: PLC0415  # loaded when an index is read

    values: set[str] = set()
    for batch in read_batches(index.path, [column]):
        values.update(value for value in pc.unique(batch.column(0)).to_pylist() if value is not None)
    return sorted(values)


def _tables(index: IdcIndex) -> list[tuple[Path, bool]]:
    """The current version, then the prior ones."""
    return [(index.path, False), *([(index.prior_path, True)] if index.prior_path else [])]


def _found(table: KeyTable, matches: Matches) -> list[tuple[int, int]]:
    """Number and bucket of the keys that were found."""
    numbers = np.flatnonzero(matches.found)
    return list(zip(numbers.tolist(), table.buckets[matches.places[numbers]].tolist(), strict=True))


def _read_rows(path: Path, rows: IntArray, *, superseded: bool) -> Iterator[IdcSeries]:
    """Describe some rows of a table, given in rising order."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    start = 0
    for batch in read_batches(path, list(_COLUMNS)):
        first, last = np.searchsorted(rows, (start, start + batch.num_rows))
        if last > first:
            yield from _series_of(batch.take(pa.array(rows[first:last] - start)), superseded=superseded)
        start += batch.num_rows


def _series_of(batch: Any, *, superseded: bool) -> Iterator[IdcSeries]:
    names = [name for name in batch.schema.names if name in _COLUMNS]
    targets = [_COLUMNS[name] for name in names]
    for values in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
        row = dict(zip(targets, values, strict=True))
        row["root"] = f"s3://{row['root']}"
        yield IdcSeries(**row, superseded=superseded)


def _selection_mask(batch: Any, selection: SeriesSelection) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.compute as pc  # noqa: PLC0415  # likewise

    mask = pa.array(np.ones(batch.num_rows, dtype=np.bool_))
    for column, name in _FILTERS.items():
        values: tuple[str, ...] = getattr(selection, name)
        if values:
            cells = batch.column(column)
            cells = pc.utf8_lower(cells) if column in ("collection_id", "Modality") else cells
            wanted = [_fold(value) if column == "collection_id" else value for value in values]
            wanted = [value.lower() for value in wanted] if column == "Modality" else wanted
            mask = pc.and_(mask, pc.is_in(cells, value_set=pa.array(wanted, cells.type)))
    if selection.analysis_results != "include":
        is_analysis = pc.is_valid(batch.column("analysis_result_id"))
        mask = pc.and_(mask, is_analysis if selection.analysis_results == "only" else pc.invert(is_analysis))
    return mask


def _fold(collection_id: str) -> str:
    return collection_id.strip().lower().replace("-", "_").replace(" ", "_")
