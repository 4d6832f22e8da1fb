"""The IDC index: what the Imaging Data Commons says about each of its series, without a request.

The index is one Parquet file of the package `idc-index-data` (extra `idc`), a row per series. It is read by projected
columns, in batches, on the client alone; only a sorted table of UUIDs stays in memory (21 bytes a series).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dsp_batch.errors import ManifestError
from dsp_batch.model import IntArray

INSTALL_HINT = "pip install 'dsp-batch[idc]'"

KeyArray = npt.NDArray[np.bytes_]
"""Fixed-length keys that compare as bytes."""

_BATCH_ROWS = 16_384
_BUFFER_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class IdcIndex:
    """Where the index files are. Nothing is read until something is asked."""

    path: Path
    """`idc_index.parquet`: the series of the current version."""

    prior_path: Path | None = None
    """`prior_versions_index.parquet`: series that an earlier version served and the current one does not."""


class Place(NamedTuple):
    """Where a series of IDC lies."""

    series_uuid: str
    root: str
    superseded: bool
    """The current version of IDC no longer serves it; its objects are still there."""


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
    """Which series of the index are wanted. Several values of one field are alternatives; the fields narrow each other."""

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


def find_places(index: IdcIndex, series_uuids: Sequence[str]) -> dict[str, Place]:
    """Look up where series lie.

    Args:
        index: The index.
        series_uuids: Hyphenated lower-case UUIDs.

    Returns:
        UUID → place, for those that the index or its table of prior versions knows.
    """
    if not series_uuids:
        return {}
    wanted = np.array([bytes.fromhex(uuid.replace("-", "")) for uuid in series_uuids], dtype="S16")
    places: dict[str, Place] = {}
    for path, superseded in _tables(index):
        table = _load_uuids(path)
        found, rows = _search(table.keys, wanted)
        codes = table.buckets[rows]
        for number in np.flatnonzero(found).tolist():
            uuid = series_uuids[number]
            places.setdefault(uuid, Place(uuid, f"s3://{table.bucket_names[codes[number]]}", superseded))
    return places


def find_series_uids(index: IdcIndex, series_instance_uids: Sequence[str]) -> dict[str, Place]:
    """Look up series by SeriesInstanceUID (0020,000E).

    Returns:
        SeriesInstanceUID → place of its current version, else of the last version that had it.
    """
    if not series_instance_uids:
        return {}
    text = np.array([uid.encode("ascii") for uid in series_instance_uids], dtype="S64")
    wanted = _pack_uids(text.view(np.uint8).reshape(len(text), 64))
    places: dict[str, Place] = {}
    for path, superseded in _tables(index):
        table = _load_series_uids(path)
        found, positions = _search(table.keys, wanted)
        uuids = table.uuids[positions]
        codes = table.buckets[positions]
        for number in np.flatnonzero(found).tolist():
            place = Place(_uuid_text(uuids[number]), f"s3://{table.bucket_names[codes[number]]}", superseded)
            places.setdefault(series_instance_uids[number], place)
    return places


def describe_series(index: IdcIndex, series_uuids: Iterable[str]) -> dict[str, IdcSeries]:
    """Everything that the index knows of some series.

    One pass over the projected columns (about 0.5 s for all of IDC): ask for many at once.

    Returns:
        UUID → series, for those that the index or its table of prior versions knows.
    """
    wanted = sorted(set(series_uuids))
    if not wanted:
        return {}
    keys = np.array([bytes.fromhex(uuid.replace("-", "")) for uuid in wanted], dtype="S16")
    described: dict[str, IdcSeries] = {}
    for path, superseded in _tables(index):
        table = _load_uuids(path)
        found, positions = _search(table.keys, keys)
        rows = np.sort(table.rows[positions[found]])
        described = {**{s.series_uuid: s for s in _read_rows(path, rows, superseded)}, **described}
    return described


def select_series(index: IdcIndex, selection: SeriesSelection) -> Iterator[IdcSeries]:
    """Series of the current version that fit a selection, in the order of the index.

    Collections and modalities are compared without regard to case, `-` and blanks in a collection as `_`.
    """
    left = selection.limit if selection.limit is not None else -1
    columns = [*_COLUMNS, "analysis_result_id"]
    for batch in _read_batches(index.path, columns):
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
    for batch in _read_batches(index.path, [column]):
        values.update(value for value in pc.unique(batch.column(0)).to_pylist() if value is not None)
    return sorted(values)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _UuidTable:
    """Series UUIDs in sorted order."""

    keys: KeyArray
    """16 bytes of each UUID, shape (n,)."""

    rows: IntArray
    """Row of the file, shape (n,)."""

    buckets: IntArray
    """Entry of `bucket_names`, shape (n,)."""

    bucket_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _UidTable:
    """SeriesInstanceUIDs in sorted order."""

    keys: KeyArray
    """Each UID packed to 32 bytes, shape (n,)."""

    uuids: KeyArray
    buckets: IntArray
    bucket_names: tuple[str, ...]


@lru_cache(maxsize=4)
def _load_uuids(path: Path) -> _UuidTable:
    keys, buckets, names = _read_keys(path)
    order = np.argsort(keys, kind="stable").astype(np.int32)
    return _UuidTable(keys=keys[order], rows=order, buckets=buckets[order], bucket_names=names)


@lru_cache(maxsize=4)
def _load_series_uids(path: Path) -> _UidTable:
    uuids, buckets, names = _read_keys(path)
    versions = "max_idc_version" in _column_names(path)
    parts, ages = [], []
    for batch in _read_batches(path, ["SeriesInstanceUID", *(["max_idc_version"] if versions else [])]):
        parts.append(_pack_uids(_characters(batch.column(0), 64)))
        if versions:
            ages.append(-batch.column(1).to_numpy(zero_copy_only=False).astype(np.int32))
    keys = np.concatenate(parts)
    # The last version of a UID comes first among equals: that is the one a search finds.
    by_age = np.argsort(np.concatenate(ages), kind="stable") if versions else np.arange(len(keys))
    order = by_age[np.argsort(keys[by_age], kind="stable")]
    return _UidTable(keys=keys[order], uuids=uuids[order], buckets=buckets[order], bucket_names=names)


def _read_keys(path: Path) -> tuple[KeyArray, IntArray, tuple[str, ...]]:
    """UUID and bucket of each row, in the order of the file."""
    names: dict[str, int] = {}
    keys, codes = [], []
    for batch in _read_batches(path, ["crdc_series_uuid", "aws_bucket"]):
        keys.append(_pack_uuids(_characters(batch.column(0), 36)))
        buckets = batch.column(1).dictionary_encode()
        own = [names.setdefault(name, len(names)) for name in buckets.dictionary.to_pylist()]
        codes.append(np.array(own, dtype=np.int16)[buckets.indices.to_numpy(zero_copy_only=False)])
    if not keys:
        return np.empty(0, dtype="S16"), np.empty(0, dtype=np.int16), ()
    return np.concatenate(keys), np.concatenate(codes), tuple(names)


def _search(keys: KeyArray, wanted: KeyArray) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Which keys are there, and where the first of each is (0 where it is not)."""
    if len(keys) == 0:
        return np.zeros(len(wanted), dtype=np.bool_), np.zeros(len(wanted), dtype=np.int64)
    positions = np.searchsorted(keys, wanted)
    positions[positions == len(keys)] = 0
    found = keys[positions] == wanted
    return found, np.where(found, positions, 0)


def _characters(column: Any, width: int) -> npt.NDArray[np.uint8]:
    """Characters of a column of ASCII strings, shape (n, width), zero behind the end; longer strings become empty."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    column = column.cast(pa.large_string())
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int64, count=len(column) + 1, offset=8 * column.offset)
    data = np.frombuffer(column.buffers()[2] or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    fits = lengths <= width
    characters = np.zeros((len(column), width), dtype=np.uint8)
    inside = np.arange(width) < np.where(fits, lengths, 0)[:, None]
    characters[inside] = data[np.repeat(fits, lengths)]
    return characters


_HEX_VALUES = np.zeros(256, dtype=np.uint8)
_HEX_VALUES[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
_HEX_VALUES[np.frombuffer(b"ABCDEF", np.uint8)] = np.arange(10, 16)
_UUID_DIGITS = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])
_UID_VALUES = np.zeros(256, dtype=np.uint8)
_UID_VALUES[np.frombuffer(b"0123456789.", np.uint8)] = np.arange(1, 12)


def _pack_uuids(characters: npt.NDArray[np.uint8]) -> KeyArray:
    return _pack(_HEX_VALUES[characters[:, _UUID_DIGITS]])


def _pack_uids(characters: npt.NDArray[np.uint8]) -> KeyArray:
    """UIDs hold digits and dots alone (PS3.5 9.1): half a byte a character."""
    return _pack(_UID_VALUES[characters])


def _pack(nibbles: npt.NDArray[np.uint8]) -> KeyArray:
    packed = np.ascontiguousarray(nibbles[:, 0::2] << 4 | nibbles[:, 1::2])
    return packed.view(f"S{packed.shape[1]}").reshape(len(packed))


def _uuid_text(key: bytes) -> str:
    digits = key.ljust(16, b"\0").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _tables(index: IdcIndex) -> list[tuple[Path, bool]]:
    """The current version, then the prior ones."""
    return [(index.path, False), *([(index.prior_path, True)] if index.prior_path else [])]


def _column_names(path: Path) -> list[str]:
    import pyarrow.parquet as pq  # noqa: PLC0415  # loaded when an index is read

    names: list[str] = pq.read_schema(path).names
    return names


def _read_batches(path: Path, columns: list[str]) -> Iterator[Any]:
    """Record batches of some columns, in that order; a column that the file lacks is left out."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read
    import pyarrow.parquet as pq  # noqa: PLC0415  # likewise

    try:
        # A column is one chunk of up to 20 MB: read it piece by piece, and give pages back that the pool would hoard.
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        present = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=present, use_threads=False):
            yield batch.select(present)
            pa.default_memory_pool().release_unused()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"the IDC index {path} cannot be read ({error}): {INSTALL_HINT}") from error


def _read_rows(path: Path, rows: IntArray, superseded: bool) -> Iterator[IdcSeries]:  # noqa: FBT001  # a field
    """Describe some rows of a table, given in rising order."""
    import pyarrow as pa  # noqa: PLC0415  # loaded when an index is read

    start = 0
    for batch in _read_batches(path, list(_COLUMNS)):
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
