"""A scan of folders: it walks them, cuts what it finds into chunks, and sums up what is told of each.

A chunk is scanned where there is time for it: here, or in a task of a batch. See `scan/parts.py`.
"""

from __future__ import annotations

import logging
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dsp_batch.cache import Cache, scan_key
from dsp_batch.errors import StorageError
from dsp_batch.index.arrays import build_array, read_parquet, write_parquet
from dsp_batch.model.series import ObjectInfo, SeriesRef, digest_objects, format_digest
from dsp_batch.scan.identity import SeriesGroup, find_common_folder, name_groups
from dsp_batch.scan.parts import (
    GroupPart,
    ScanChunk,
    ScannedPart,
    collect_objects,
    list_parts,
    name_parts,
    read_part,
    scan_chunk,
)
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import locate_below

_log = logging.getLogger(__name__)

ALL_FOLDERS = ("",)
"""The root itself, in the place of names of folders below it."""

OBJECTS_PER_PART = 1000
"""Objects of one part. Reading their headers takes some seconds in a bucket."""

_PARTS_AT_ONCE = 4
"""Parts that are held in memory while objects are added to series: neighbours lie in the same ones."""

_DELETIONS_AT_ONCE = 16
"""Parts that are deleted at the same time."""

_FOLDERS = "folders"
"""Name of the table that says which part tells of which folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series that a scan has found."""

    ref: SeriesRef
    series_instance_uid: str | None
    modality: str | None
    number: int | None
    description: str | None
    count: int
    """Number of its objects."""

    size: int | None
    """Bytes of its objects; None where a listing does not tell."""

    def describe(self) -> str:
        """Tell of the series in one line."""
        told = (
            self.series_instance_uid or "without SeriesInstanceUID",
            self.modality or "no modality",
            f"number {'unknown' if self.number is None else self.number}",
            repr(self.description) if self.description else "no description",
            f"{self.count} instance{'' if self.count == 1 else 's'}",
            self.ref.url,
        )
        return ", ".join(told)


def walk_objects(
    store: Store, folders: Iterable[str], unlisted: dict[str, StorageError], *, is_deep: bool = True
) -> Iterator[SeriesRef | ObjectInfo]:
    """Walk folders below the root of a store, to any depth.

    Args:
        store: The store.
        folders: Names of the folders; empty for the root itself.
        unlisted: Takes the errors of those that cannot be listed.
        is_deep: False for what lies directly in the folders alone.

    Yields:
        Series whose folders are named by UUIDs, without a look into these; and the objects of all other folders, with
        names below the root.
    """
    for top in folders:
        try:
            for folder in store.walk(top) if is_deep else islice(store.walk(top), 1):
                for name in folder.uuids if is_deep else ():
                    yield SeriesRef(locate_below(store.root, folder.name), name)
                above = f"{folder.name}/" if folder.name else ""
                for each in sorted(folder.objects, key=lambda each: each.name):
                    yield replace(each, name=above + each.name)
        except StorageError as error:
            unlisted[top] = error


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


@dataclass(slots=True)
class _Series:
    """What the parts tell of one series, summed up."""

    first: GroupPart
    folder: str
    objects: int = 0
    size: int | None = 0
    digest: int = 0
    parts: list[str] = field(default_factory=list)

    def add(self, told: GroupPart, part: str) -> None:
        """Take what one more part tells."""
        self.folder = find_common_folder((self.folder, told.folder))
        self.objects += told.objects
        self.size = None if self.size is None or told.size is None else self.size + told.size
        self.digest += told.digest
        self.parts.append(part)


@dataclass(slots=True, kw_only=True)
class FolderScan:
    """A scan of folders below the root of a store, in a client: some hundred bytes of memory a series."""

    store: Store
    cache: Cache
    folders: tuple[str, ...] = ALL_FOLDERS
    """Names of the folders that are scanned, with all below them."""

    is_deep: bool = True
    """False to scan what lies directly in these folders alone."""

    refresh: bool = False
    """True to read objects again of which the listing tells no time."""

    unlisted: dict[str, StorageError] = field(default_factory=dict)
    """Takes the errors of those `folders` that cannot be listed."""

    _older: OlderParts | None = None
    _folders: array[int] = field(default_factory=lambda: array("Q"))
    _parts: array[int] = field(default_factory=lambda: array("L"))
    """For each folder of each part: digest of the folder, and number of the part."""

    _names: list[str] = field(default_factory=list)
    _series: dict[SeriesGroup, _Series] = field(default_factory=dict)
    _objects: int = 0
    _rejected: int = 0
    _first_rejected: str | None = None

    def cut(self) -> Iterator[SeriesRef | ScanChunk]:
        """Walk the folders: series whose folders are named by UUIDs, and chunks of all other objects."""
        self._older = older = OlderParts.read(self.cache, self.store.root)
        gathered: list[ObjectInfo] = []
        for each in walk_objects(self.store, self.folders, self.unlisted, is_deep=self.is_deep):
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
        """Take what was told of a chunk."""
        for each in part.groups:
            series = self._series.get(each.group)
            if series is None:
                series = self._series[each.group] = _Series(each, each.folder)
            series.add(each, part.name)
        self._objects += part.objects
        self._rejected += part.rejected
        self._first_rejected = self._first_rejected or part.first_rejected

    def finish(self) -> Iterator[FoundSeries]:
        """Yield the series that all parts make up, by their groups, and renew in the cache what older scans left."""
        root = self.store.root
        if self._rejected:
            message = "%s: %d of %d objects are no instances and left out; the first, %s"
            _log.warning(message, root, self._rejected, self._objects, self._first_rejected)
        if self._older is not None and (self._names or (self._older.parts and not self.unlisted)):
            self._renew_cache(self._older)
        for group, series_uuid in name_groups(root, self._series).items():
            yield _describe(root, series_uuid, self._series.pop(group))  # whoever takes it holds it from here on

    def attach_objects(self, found: Iterable[FoundSeries]) -> Iterator[SeriesRef]:
        """Add to each series its objects, which the parts hold; series come in the order of the walk."""
        ranks = {name: rank for rank, name in enumerate(self._names)}
        read = lru_cache(maxsize=_PARTS_AT_ONCE)(partial(read_part, self.cache, self.store.root))
        for each in sorted(found, key=lambda each: ranks[list_parts(each.ref)[0]]):
            yield each.ref._replace(objects=collect_objects(each.ref, read), scan=None, digest=None)

    def _cut_chunk(self, objects: Sequence[ObjectInfo], older: OlderParts) -> ScanChunk:
        folders = [_digest_folder(name) for name in {each.name.rpartition("/")[0] for each in objects}]
        name = blake2b(digest_objects(objects).encode("ascii"), digest_size=8).hexdigest()
        self._folders.extend(folders)
        self._parts.extend([len(self._names)] * len(folders))
        self._names.append(name)
        return ScanChunk(self.store, self.cache, tuple(objects), name, older.find(name, folders), self.refresh)

    def _renew_cache(self, older: OlderParts) -> None:
        """Write which part tells of which folder, and delete the parts that tell of none any more."""
        parts = pa.DictionaryArray.from_arrays(
            pa.array(np.array(self._parts, np.int32)), build_array(self._names, pa.string())
        )
        table = pa.table({"folder": pa.array(np.array(self._folders, np.uint64)), "part": parts.cast(pa.string())})
        if self.folders != ALL_FOLDERS:
            table = pa.concat_tables([table, older.leave_out(self._folders)])
        self.cache.write(scan_key(self.store.root, _FOLDERS), write_parquet(table))
        replaced = {*older.parts}.difference(table.column("part").to_pylist())
        with ThreadPoolExecutor(_DELETIONS_AT_ONCE) as threads:
            for done in [threads.submit(self.cache.delete, scan_key(self.store.root, name)) for name in replaced]:
                done.result()


def scan_here(scan: FolderScan) -> Iterator[SeriesRef | FoundSeries]:
    """Run a whole scan in this process: series whose folders are named by UUIDs, then those that it has found.

    Raises:
        StorageError: An object cannot be read.
    """
    for each in scan.cut():
        if isinstance(each, SeriesRef):
            yield each
        else:
            scan.add(scan_chunk(each))
    yield from scan.finish()


def scan_with_objects(scan: FolderScan) -> Iterator[SeriesRef]:
    """Run a whole scan in this process, and tell the objects of each series that it has found.

    Raises:
        StorageError: An object cannot be read.
    """
    found = list[FoundSeries]()
    for each in scan_here(scan):
        if isinstance(each, FoundSeries):
            found.append(each)
        else:
            yield each
    yield from scan.attach_objects(found)


@contextmanager
def keep_parts(cache: Cache | None) -> Iterator[Cache]:
    """Keep the parts of a scan in a cache, or where there is none in a temporary folder, so that memory is bounded."""
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="dsp-batch-scan-") as folder:
        yield Cache(url=folder)


def _describe(root: str, series_uuid: str, series: _Series) -> FoundSeries:
    group = series.first.group
    ref = SeriesRef(
        root,
        series_uuid,
        folder=series.folder,
        scan=name_parts(group, series.parts),
        digest=format_digest(series.objects, series.digest),
    )
    return FoundSeries(
        ref=ref,
        series_instance_uid=group.series_instance_uid or None,
        modality=series.first.modality,
        number=series.first.number,
        description=series.first.description,
        count=series.objects,
        size=series.size,
    )


def _digest_folder(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
