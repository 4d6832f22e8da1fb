"""A scan of folders, in a client: it walks them, cuts what it finds into chunks, and sums up what tasks make of these.

Each chunk is a task, which reads the headers of its objects and writes a part; see `batch/scan/parts.py`.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsp_batch.batch.scan.parts import GroupPart, ScanChunk, ScannedPart
from dsp_batch.cache import Cache, scan_key
from dsp_batch.errors import StorageError
from dsp_batch.index.arrays import build_array, read_parquet, write_parquet
from dsp_batch.model.series import ObjectInfo, SeriesRef, digest_objects, format_digest
from dsp_batch.scan import ALL_FOLDERS, SeriesGroup, find_common_folder, name_groups, walk_objects
from dsp_batch.storage.store import Store

_log = logging.getLogger(__name__)

OBJECTS_PER_PART = 1000
"""Objects of one part. Reading their headers takes some seconds in a bucket."""

_FOLDERS = "folders"
"""Name of the table that says which part tells of which folder."""


class OlderParts(NamedTuple):
    """The parts of the last scan, by the folders that they tell of."""

    folders: npt.NDArray[np.uint64]
    """Digests of folders, rising."""

    parts: list[str]
    """Name of the part that tells of each."""

    @classmethod
    def read(cls, cache: Cache, root: str) -> OlderParts:
        """Read which parts the last scan of a root has left."""
        data = cache.read(scan_key(root, _FOLDERS))
        if data is None:
            return cls(np.empty(0, np.uint64), [])
        table = read_parquet(data)
        folders = table.column("folder").to_numpy()
        order = np.argsort(folders, kind="stable")
        return cls(folders[order], table.column("part").take(pa.array(order)).to_pylist())

    def leave_out(self, folders: Sequence[int]) -> pa.Table:
        """Tell the parts of all folders but some, which another scan tells of."""
        left = ~np.isin(self.folders, np.array(folders, np.uint64))
        parts = [part for part, is_left in zip(self.parts, left.tolist(), strict=True) if is_left]
        return pa.table({"folder": pa.array(self.folders[left]), "part": build_array(parts, pa.string())})

    def find(self, name: str, folders: Iterable[int]) -> tuple[str, ...]:
        """Find the parts that tell of objects in some folders; the one of that name alone, if it is among them."""
        found: dict[str, None] = {}
        for each in folders:
            first, last = (np.searchsorted(self.folders, np.uint64(each), side) for side in ("left", "right"))
            found |= dict.fromkeys(self.parts[first:last])
        return (name,) if name in found else tuple(found)


@dataclass(slots=True, kw_only=True)
class FolderScan:
    """A scan of folders below the root of a store, in a client."""

    store: Store
    cache: Cache
    folders: tuple[str, ...] = ALL_FOLDERS
    """Names of the folders that are scanned, with all below them."""

    refresh: bool = False
    """True to read objects again of which the listing tells no time."""

    unlisted: dict[str, StorageError] = field(default_factory=dict)
    """Takes the errors of those `folders` that cannot be listed."""

    _older: OlderParts | None = None
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
        """Walk the folders: series whose folders are named by UUIDs, and chunks of all other objects."""
        self._older = older = OlderParts.read(self.cache, self.store.root)
        gathered: list[ObjectInfo] = []
        for each in walk_objects(self.store, self.folders, self.unlisted):
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
            self.cache.write(scan_key(root, _FOLDERS), self._serialize_folders())
        for group, series_uuid in name_groups(root, self._series).items():
            parts = self._series[group]
            yield SeriesRef(
                root,
                series_uuid,
                folder=find_common_folder(each.folder for each in parts),
                scan=f"{group.digest}:{','.join(dict.fromkeys(self._parts_of[group]))}",
                digest=_format_digest(parts),
            )

    def _cut_chunk(self, objects: Sequence[ObjectInfo], older: OlderParts) -> ScanChunk:
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
        found = pa.table({"folder": pa.array(np.array(self._folders, np.uint64)), "part": parts.cast(pa.string())})
        if self._older is None or self.folders == ALL_FOLDERS:
            return write_parquet(found)
        return write_parquet(pa.concat_tables([found, self._older.leave_out(self._folders)]))


def _format_digest(parts: Sequence[GroupPart]) -> str:
    return format_digest(sum(each.objects for each in parts), sum(each.digest for each in parts))


def _digest_folder(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
