"""Scans of folders for a batch: parts in the cache tell which objects make up each series.

A client walks the folder and cuts what it finds into chunks of objects. Each chunk is a task, which reads the headers
and writes a part. A later scan reads the headers of those objects alone whose name, size or time has changed.
"""

from __future__ import annotations

import io
import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError
from dsp_batch.index.arrays import build_array, read_parquet
from dsp_batch.model.series import ObjectInfo, SeriesRef, digest_objects, format_digest
from dsp_batch.scan import Identity, SeriesGroup, find_common_folder, identify_objects, name_groups, walk_objects
from dsp_batch.storage.store import Store

_log = logging.getLogger(__name__)

OBJECTS_PER_PART = 1000
"""Objects of one part. Reading their headers takes some seconds in a bucket."""

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
        chunk.cache.write(_part_key(chunk.store.root, chunk.name), _serialize(chunk.objects, known))
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


@dataclass(slots=True, kw_only=True)
class FolderScan:
    """A scan of all folders below the root of a store, in a client."""

    store: Store
    cache: Cache
    refresh: bool = False
    """True to read objects again of which the listing tells no time."""

    _folders: array[int] = field(default_factory=lambda: array("Q"))
    _parts: array[int] = field(default_factory=lambda: array("L"))
    """For each folder of each part: digest of the folder, and number of the part."""

    _names: list[str] = field(default_factory=list)
    _series: dict[SeriesGroup, list[GroupPart]] = field(default_factory=dict)
    _parts_of: dict[SeriesGroup, list[str]] = field(default_factory=dict)
    _objects: int = 0
    _rejected: int = 0
    _first_rejected: str | None = None

    def cut(self) -> Iterator[SeriesRef | ScanChunk]:
        """Walk the folder: series whose folders are named by UUIDs, and chunks of all other objects."""
        older = _OlderParts.read(self.cache, self.store.root)
        gathered: list[ObjectInfo] = []
        for each in walk_objects(self.store):
            if isinstance(each, SeriesRef):
                yield each
                continue
            gathered.append(each)
            if len(gathered) == OBJECTS_PER_PART:
                yield self._cut_chunk(gathered, older)
                gathered = []
        if gathered:
            yield self._cut_chunk(gathered, older)

    def add(self, part: ScannedPart) -> None:
        """Take what a task has found."""
        for each in part.groups:
            self._series.setdefault(each.group, []).append(each)
            self._parts_of.setdefault(each.group, []).append(part.name)
        self._objects += part.objects
        self._rejected += part.rejected
        self._first_rejected = self._first_rejected or part.first_rejected

    def finish(self) -> Iterator[SeriesRef]:
        """Yield the series that all parts make up, and note in the cache which part tells of which folder."""
        root = self.store.root
        if self._rejected:
            message = "%s: %d of %d objects are no instances and left out; the first, %s"
            _log.warning(message, root, self._rejected, self._objects, self._first_rejected)
        if self._names:
            self.cache.write(_folders_key(root), self._serialize_folders())
        for group, series_uuid in name_groups(root, self._series).items():
            parts = self._series[group]
            yield SeriesRef(
                root,
                series_uuid,
                folder=find_common_folder(each.folder for each in parts),
                scan=f"{group.digest}:{','.join(dict.fromkeys(self._parts_of[group]))}",
                digest=_format_digest(parts),
            )

    def _cut_chunk(self, objects: Sequence[ObjectInfo], older: _OlderParts) -> ScanChunk:
        folders = [_digest_folder(name) for name in {each.name.rpartition("/")[0] for each in objects}]
        name = blake2b(digest_objects(objects).encode("ascii"), digest_size=8).hexdigest()
        self._folders.extend(folders)
        self._parts.extend([len(self._names)] * len(folders))
        self._names.append(name)
        return ScanChunk(self.store, self.cache, tuple(objects), name, older.find(name, folders), self.refresh)

    def _serialize_folders(self) -> bytes:
        parts = pa.DictionaryArray.from_arrays(
            pa.array(np.array(self._parts, np.int32)), build_array(self._names, pa.string())
        )
        return _write_parquet(pa.table({"folder": pa.array(np.array(self._folders, np.uint64)), "part": parts}))


class _OlderParts(NamedTuple):
    """The parts of the last scan, by the folders that they tell of."""

    folders: npt.NDArray[np.uint64]
    """Digests of folders, rising."""

    parts: list[str]
    """Name of the part that tells of each."""

    @classmethod
    def read(cls, cache: Cache, root: str) -> _OlderParts:
        """Read which parts the last scan of a root has left."""
        data = cache.read(_folders_key(root))
        if data is None:
            return cls(np.empty(0, np.uint64), [])
        table = read_parquet(data)
        folders = table.column("folder").to_numpy()
        order = np.argsort(folders, kind="stable")
        return cls(folders[order], table.column("part").take(pa.array(order)).to_pylist())

    def find(self, name: str, folders: Iterable[int]) -> tuple[str, ...]:
        """Find the parts that tell of objects in some folders; the one of that name alone, if it is among them."""
        found: dict[str, None] = {}
        for each in folders:
            first, last = (np.searchsorted(self.folders, np.uint64(each), side) for side in ("left", "right"))
            found |= dict.fromkeys(self.parts[first:last])
        return (name,) if name in found else tuple(found)


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


def _format_digest(parts: Sequence[GroupPart]) -> str:
    return format_digest(sum(each.objects for each in parts), sum(each.digest for each in parts))


def _read_part(cache: Cache, root: str, name: str) -> list[tuple[ObjectInfo, _Known]] | None:
    """Read the objects of a part, and what is known of each; None where there is no such part."""
    data = cache.read(_part_key(root, name))
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
    return _write_parquet(pa.Table.from_arrays(arrays, schema=_SCHEMA))


def _write_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _digest_folder(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _folder_key(root: str) -> str:
    return f"scans/{blake2b(root.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


def _part_key(root: str, name: str) -> str:
    return f"{_folder_key(root)}/{name}.parquet"


def _folders_key(root: str) -> str:
    return f"{_folder_key(root)}/folders.parquet"
