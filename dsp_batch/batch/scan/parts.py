"""The parts of a scan in the cache: each tells which series some objects belong to.

A part is made by a task, which reads the headers of its objects. A later scan reads the headers of those objects alone
whose name, size or time has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from dsp_batch.cache import Cache, scan_key
from dsp_batch.errors import DspBatchError
from dsp_batch.index.arrays import build_array, read_parquet, write_parquet
from dsp_batch.model.series import ObjectInfo, SeriesRef, digest_objects
from dsp_batch.scan import Identity, SeriesGroup, find_common_folder, identify_objects
from dsp_batch.storage.store import Store

_SCHEMA = pa.schema(
    [
        ("name", pa.binary()),
        ("size", pa.int64()),
        ("modified", pa.float64()),
        ("series_instance_uid", pa.string()),
        ("patient_id", pa.string()),
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


class ScannedPart(NamedTuple):
    """What a task returns of a chunk."""

    name: str
    groups: tuple[GroupPart, ...]
    objects: int
    rejected: int
    first_rejected: str | None
    """The first object that is no instance, and why."""


class _Known(NamedTuple):
    """What is known of an object: its identity, or why it is none."""

    identity: Identity | None
    error: str | None


def scan_chunk(chunk: ScanChunk) -> ScannedPart:
    """Find out which series the objects of a chunk belong to, and write that to the cache.

    Raises:
        StorageError: An object cannot be read.
    """
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


def read_scanned_objects(ref: SeriesRef, cache: Cache) -> tuple[ObjectInfo, ...] | None:
    """Read which objects make up a series that a scan has found; None where the parts are gone or another scan's."""
    group, _, names = (ref.scan or "").partition(":")
    found: list[ObjectInfo] = []
    for name in names.split(","):
        rows = _read_part(cache, ref.root, name)
        if rows is None:
            return None
        found += [info for info, each in rows if each.identity and each.identity.group.digest == group]
    objects = tuple(sorted(found, key=lambda each: each.name))
    return objects if digest_objects(objects) == ref.digest else None


def _read_known(chunk: ScanChunk) -> dict[str, _Known]:
    """Read what older parts tell of the objects of a chunk that have not changed since."""
    wanted = {each.name: (each.size, each.modified) for each in chunk.objects}
    known: dict[str, _Known] = {}
    for name in chunk.older:
        for info, each in _read_part(chunk.cache, chunk.store.root, name) or ():
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
        digest = int(digest_objects(objects).rpartition(":")[2], 16)
        yield GroupPart(group, find_common_folder(each.folder for each in members), len(objects), digest)


def _read_part(cache: Cache, root: str, name: str) -> list[tuple[ObjectInfo, _Known]] | None:
    """Read the objects of a part, and what is known of each; None where there is no such part."""
    data = cache.read(scan_key(root, name))
    if data is None:
        return None
    return [_parse_row(row) for row in read_parquet(data).to_pylist()]


def _parse_row(row: dict[str, Any]) -> tuple[ObjectInfo, _Known]:
    name = row["name"].decode("utf-8", "surrogateescape")
    info = ObjectInfo(name=name, size=row["size"], modified=row["modified"])
    if row["error"] is not None:
        return info, _Known(None, row["error"])
    return info, _Known(Identity(info, row["series_instance_uid"], row["patient_id"]), None)


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
        build_array([each.error for _, each in rows], pa.string()),
    ]
    return write_parquet(pa.Table.from_arrays(arrays, schema=_SCHEMA))
