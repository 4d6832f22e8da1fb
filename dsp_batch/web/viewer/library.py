"""The series that the viewer has opened: the index of each, and where its frames are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from dsp_batch.cache import Cache, read_index
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES
from dsp_batch.fetch import find_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import drawable_rows
from dsp_batch.model.series import SeriesRef
from dsp_batch.pipeline import index_series, open_frames
from dsp_batch.render.compose import FrameSource
from dsp_batch.scan.find import find_again
from dsp_batch.storage.store import Store, build_store

T = TypeVar("T")

MOST_ROWS = 20_000
"""Instances of series whose indices are kept in memory, at most; that of one series always is. An index takes about
5 KB for each."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenSeries:
    """A series whose index is in memory."""

    ref: SeriesRef
    index: SeriesIndex
    source: FrameSource
    _derived: dict[Hashable, Any] = field(default_factory=dict)

    def derive(self, name: Hashable, compute: Callable[[], T]) -> T:
        """Compute something of the series, once.

        Args:
            name: Name of what is computed.
            compute: Function that computes it.
        """
        if name not in self._derived:
            self._derived[name] = compute()
        found: T = self._derived[name]
        return found

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Name of each object → its row of the index."""
        return {name: row for row, name in enumerate(self.index.object_names)}

    @cached_property
    def varying_tags(self) -> frozenset[str]:
        """Tags, of 8 hexadecimal digits, of the elements that are not the same in all instances."""
        metadata = (field.metadata or {} for field in self.index.columns.schema)
        return frozenset(each[b"tag"].decode() for each in metadata if b"tag" in each)

    @cached_property
    def drawable(self) -> frozenset[int]:
        """Rows of the instances that have pixels."""
        return frozenset(drawable_rows(self.index))

    @cached_property
    def frame_counts(self) -> list[int]:
        """Number of frames of each row, or of slices of a grid image; 0 without pixels."""
        counts = [0] * len(self.index)
        for row in self.index.frames.instance.tolist():
            counts[row] += 1
        return [count if row in self.drawable else 0 for row, count in enumerate(counts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAccess:
    """How series are read."""

    endpoint_url: str | None = None
    anonymous: bool | None = None
    cache: Cache | None = None
    """Where indices are kept; None to neither read nor write any."""

    keeps_local: bool = True
    """False to leave no index behind of series that lie on this machine."""

    max_frame_bytes: int = MAX_FRAME_BYTES

    def store_of(self, root: str, manifest_endpoint_url: str | None = None) -> Store:
        """Open the store of a root."""
        return build_store(
            root,
            endpoint_url=self.endpoint_url,
            manifest_endpoint_url=manifest_endpoint_url,
            anonymous=self.anonymous,
        )


@dataclass(slots=True, kw_only=True)
class Library:
    """Opens series, each once, and keeps the latest ones open."""

    access: ReadAccess
    _open: OrderedDict[str, OpenSeries] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _opening: dict[str, threading.Lock] = field(default_factory=dict)

    def open(self, ref: SeriesRef) -> OpenSeries:
        """Open a series.

        Raises:
            StorageError: It is not there, or cannot be read.
            SeriesError: None of its objects is a DICOM instance.
        """
        key = ref.series_uuid
        with self._lock:
            known = self._find(ref)
            gate = self._opening.setdefault(key, threading.Lock())
        if known:
            return known
        with gate:
            with self._lock:
                known = self._find(ref)
            return known or self._keep(key, self._read(ref))

    def _find(self, ref: SeriesRef) -> OpenSeries | None:
        """Find a series that is open. Where further objects of it have been found since, it is opened again."""
        known = self._open.get(ref.series_uuid)
        if known is None or len(known.ref.objects or ()) != len(ref.objects or ()):
            return None
        self._open.move_to_end(ref.series_uuid)
        return known

    def _keep(self, key: str, opened: OpenSeries) -> OpenSeries:
        with self._lock:
            self._opening.pop(key, None)
            self._open[key] = opened
            while len(self._open) > 1 and sum(len(each.index) for each in self._open.values()) > MOST_ROWS:
                self._open.popitem(last=False)
        return opened

    def _read(self, ref: SeriesRef) -> OpenSeries:
        access = self.access
        store = access.store_of(ref.root, ref.endpoint_url)
        index = self._find_index(ref, store)
        if index is None:
            is_lost = ref.folder is not None and ref.objects is None
            again = find_again(ref, store) if is_lost else ref
            index = index_series(again, store, access.cache if access.keeps_local or not store.is_local else None)
        # The pool of the server decodes several frames at once already.
        source = replace(open_frames(index, store, access.cache, max_frame_bytes=access.max_frame_bytes), decoders=1)
        return OpenSeries(ref=ref, index=index, source=source)

    def _find_index(self, ref: SeriesRef, store: Store) -> SeriesIndex | None:
        """Find the index of a series in the cache. A cache alone does not tell the objects of a series in a folder."""
        cache = self.access.cache
        if cache is None:
            return None
        if ref.folder is not None and ref.objects is None:
            return read_index(cache, ref.series_uuid, ref.root, ref.folder)
        return find_index(ref, store, cache)
