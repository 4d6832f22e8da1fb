"""The parts of a scan in the cache: each tells which series some objects belong to.

A part is made by a task, which reads the headers of its objects. A later scan reads the headers of those objects alone
whose name, size or time has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from dsp_batch.cache import Cache, scan_key
from dsp_batch.errors import DspBatchError
from dsp_batch.index.arrays import build_array, read_parquet, write_parquet
from dsp_batch.model.series import ObjectInfo, SeriesRef, digest_objects
from dsp_batch.scan.identity import Identity, SeriesGroup, find_common_folder, identify_objects
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_SCHEMA = pa.schema(
    [
        ("name", pa.binary()),
        ("size", pa.int64()),
        ("modified", pa.float64()),
        ("series_instance_uid", pa.string()),
        ("patient_id", pa.string()),
        ("modality", pa.string()),
        ("series_number", pa.int64()),
        ("series_description", pa.string()),
        ("error", pa.string()),
    ]
)
"""Columns of a part. Names are bytes, because those of files need not be UTF-8. `error` says why an object is no
instance."""

_LASTING = frozenset({"not-dicom", "bad-header", "too-large"})
"""Reasons of objects that stay no instances as long as they do not change."""


class ScanChunk(NamedTuple):
    """Objects whose headers are read in one task."""

    store: Store
    cache: Cache
    objects: tuple[ObjectInfo, ...]
    """The objects, with names below the root of the store."""

    name: str
    """Name of the part that tells of exactly these objects."""

    older: tuple[str, ...]
    """Names of parts that tell of objects in the same folders."""

    refresh: bool = False
    """True to read objects again of which the listing tells no time."""


class GroupPart(NamedTuple):
    """What one part tells of one series."""

    group: SeriesGroup
    folder: str
    """Folder that holds all of its objects in this part."""

    objects: int
    """Number of its objects in this part."""

    digest: int
    """Digest of its objects; those of several parts add up."""

    size: int | None = None
    """Bytes of its objects; None where a listing does not tell."""

    modality: str | None = None
    number: int | None = None
    """Series Number (0020,0011) of the first of them."""

    description: str | None = None
    """Series Description (0008,103E) of the first of them."""


class ScannedPart(NamedTuple):
    """What a task returns of a chunk."""

    name: str
    groups: tuple[GroupPart, ...]
    objects: int
    rejected: int
    first_rejected: str | None
    """The first object that is no instance, and why."""

    requests: int = 0
    """Requests that this took."""

    bytes_read: int = 0


class _Known(NamedTuple):
    """What is known of an object: its identity, or why it is none."""

    identity: Identity | None
    error: str | None


_Row = tuple[ObjectInfo, _Known]


def scan_chunk(chunk: ScanChunk) -> ScannedPart:
    """Find out which series the objects of a chunk belong to, and write that to the cache.

    Raises:
        StorageError: An object cannot be read.
    """
    with measure_usage() as usage:
        part = _scan_chunk(chunk)
    return part._replace(requests=usage.requests, bytes_read=usage.bytes_read)


def _scan_chunk(chunk: ScanChunk) -> ScannedPart:
    known = _read_known(chunk)
    unknown = [each for each in chunk.objects if each.name not in known]
    rejected = dict[str, DspBatchError]()
    for identity in identify_objects(chunk.store, unknown, rejected):
        known[identity.object.name] = _Known(identity, None)
    lasting = {name: error.message for name, error in rejected.items() if error.reason in _LASTING}
    known |= {name: _Known(None, message) for name, message in lasting.items()}
    if unknown or chunk.name not in chunk.older:
        chunk.cache.write(scan_key(chunk.store.root, chunk.name), _serialize(chunk.objects, known))
    errors = {each.name: known[each.name].error for each in chunk.objects if each.name in known}
    errors |= {name: error.message for name, error in rejected.items()}
    told = [f"{name}: {error}" for name, error in errors.items() if error is not None]
    return ScannedPart(
        name=chunk.name,
        groups=tuple(_sum_up(known[each.name].identity for each in chunk.objects if each.name in known)),
        objects=len(chunk.objects),
        rejected=len(told),
        first_rejected=told[0] if told else None,
    )


def name_parts(group: SeriesGroup, parts: Iterable[str]) -> str:
    """Name the parts that tell of a series, for `SeriesRef.scan`."""
    return f"{group.digest}:{','.join(dict.fromkeys(parts))}"


def list_parts(ref: SeriesRef) -> list[str]:
    """List the names of the parts that tell of a series which a scan has found."""
    return (ref.scan or "").partition(":")[2].split(",")


def read_scanned_objects(ref: SeriesRef, cache: Cache) -> tuple[ObjectInfo, ...] | None:
    """Read which objects make up a series that a scan has found; None where the parts are gone or another scan's."""
    return collect_objects(ref, partial(read_part, cache, ref.root))


def collect_objects(ref: SeriesRef, read: Callable[[str], Sequence[_Row] | None]) -> tuple[ObjectInfo, ...] | None:
    """Collect the objects of a series from its parts.

    Args:
        ref: The series.
        read: Name of a part → its rows; None where there is no such part.

    Returns:
        The objects by name; None where a part is gone or another scan's.
    """
    group, found = (ref.scan or "").partition(":")[0], list[ObjectInfo]()
    for name in list_parts(ref):
        rows = read(name)
        if rows is None:
            return None
        found += [info for info, each in rows if each.identity and each.identity.group.digest == group]
    objects = tuple(sorted(found, key=lambda each: each.name))
    return objects if digest_objects(objects) == ref.digest else None


def read_part(cache: Cache, root: str, name: str) -> Sequence[_Row] | None:
    """Read the objects of a part, and what is known of each; None where there is no part of this format."""
    data = cache.read(scan_key(root, name))
    if data is None:
        return None
    table = read_parquet(data)
    return [_parse_row(row) for row in table.to_pylist()] if table.schema.names == _SCHEMA.names else None


def _read_known(chunk: ScanChunk) -> dict[str, _Known]:
    """Read what older parts tell of the objects of a chunk that have not changed since."""
    wanted = {each.name: (each.size, each.modified) for each in chunk.objects}
    known: dict[str, _Known] = {}
    for name in chunk.older:
        for info, each in read_part(chunk.cache, chunk.store.root, name) or ():
            is_told = info.modified is not None or not chunk.refresh
            if is_told and wanted.get(info.name) == (info.size, info.modified):
                known[info.name] = each
    return known


def _sum_up(identities: Iterable[Identity | None]) -> Iterator[GroupPart]:
    groups: dict[SeriesGroup, list[Identity]] = {}
    for each in identities:
        if each is not None:
            groups.setdefault(each.group, []).append(each)
    for group, members in groups.items():
        objects = [each.object for each in members]
        first, sizes = members[0], [each.size for each in objects if each.size is not None]
        yield GroupPart(
            group=group,
            folder=find_common_folder(each.folder for each in members),
            objects=len(objects),
            digest=int(digest_objects(objects).rpartition(":")[2], 16),
            size=sum(sizes) if len(sizes) == len(objects) else None,
            modality=first.modality,
            number=first.number,
            description=first.description,
        )


def _parse_row(row: dict[str, Any]) -> tuple[ObjectInfo, _Known]:
    name = row["name"].decode("utf-8", "surrogateescape")
    info = ObjectInfo(name=name, size=row["size"], modified=row["modified"])
    if row["error"] is not None:
        return info, _Known(None, row["error"])
    told = (row[name] for name in _SCHEMA.names[3:-1])
    return info, _Known(Identity(info, *told), None)


def _serialize(objects: Iterable[ObjectInfo], known: dict[str, _Known]) -> bytes:
    rows = [(each, known[each.name]) for each in objects if each.name in known]
    identities = [each.identity for _, each in rows]
    names = [info.name.encode("utf-8", "surrogateescape") for info, _ in rows]
    arrays = [
        pa.array(names, pa.binary()),
        build_array([info.size for info, _ in rows], pa.int64()),
        build_array([info.modified for info, _ in rows], pa.float64()),
        build_array([each and each.series_instance_uid for each in identities], pa.string()),
        build_array([each and each.patient_id for each in identities], pa.string()),
        build_array([each and each.modality for each in identities], pa.string()),
        build_array([each and each.number for each in identities], pa.int64()),
        build_array([each and each.description for each in identities], pa.string()),
        build_array([each.error for _, each in rows], pa.string()),
    ]
    return write_parquet(pa.Table.from_arrays(arrays, schema=_SCHEMA))
