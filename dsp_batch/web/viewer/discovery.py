"""Look through the sources of the viewer, read the headers of the series found, and fill the catalog with them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError
from dsp_batch.kinds.overlays.registry import name_images
from dsp_batch.model.series import SeriesRef
from dsp_batch.references.load import Reference
from dsp_batch.render.compose import FrameSource
from dsp_batch.web.viewer.cached import list_cached_series
from dsp_batch.web.viewer.catalog import Catalog, FileEntry, SeriesEntry
from dsp_batch.web.viewer.describing import describe_file, describe_series, locate_file
from dsp_batch.web.viewer.filters import FileFilter, passes_all
from dsp_batch.web.viewer.library import Library, OpenSeries
from dsp_batch.web.viewer.masking import Mask, Pseudonyms
from dsp_batch.web.viewer.regions import ImageSize, RegionFile, RegionStore
from dsp_batch.web.viewer.sources import ListedSeries, SourceSearch

_log = logging.getLogger(__name__)

READ_AHEAD = 4
"""Series whose headers are read at the same time during the scan."""

MOST_FILES = 200_000
"""Files after which the scan reads no further headers: series found later are read when somebody opens them."""

_MOST_IMAGES = 64
"""Series that one picture is drawn over, at most."""

MOST_SERIES = 50_000
"""Series after which the scan likewise reads no further headers: manifests and caches may list a million."""


@dataclass(slots=True, kw_only=True)
class Discovery:
    """Fills the catalog: in the background, and at once with a series that somebody opens."""

    catalog: Catalog
    library: Library
    search: SourceSearch
    caches: Mapping[str, Cache] = field(default_factory=dict)
    """Sources that are cache directories."""

    regions: RegionStore = field(default_factory=RegionStore)
    filters: tuple[FileFilter, ...] = ()
    pseudonyms: Pseudonyms | None = None
    """Pseudonyms of patients; None to tell all."""

    stopping: threading.Event = field(default_factory=threading.Event)
    _refs: dict[str, SeriesRef] = field(default_factory=dict)
    """Identifier of each series of the catalog → where it is."""

    _shown: dict[str, str] = field(default_factory=dict)
    """SeriesInstanceUID of each series that is ready → its identifier. The facts of the catalog may be masked."""

    def run(self, sources: Sequence[str]) -> None:
        """Look through all sources. A source that cannot be read costs one warning."""
        waiting: deque[tuple[SeriesEntry, Future[OpenSeries]]] = deque()
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="dsp-batch-scan") as pool:
            for listed in self._list_all(sources):
                series = listed.ref.series_uuid
                is_known = series in self._refs
                if is_known and len(listed.ref.objects or ()) <= len(self._refs[series].objects or ()):
                    continue
                self._refs[series] = listed.ref
                entry = self.catalog.add_series(series, self._mask_facts(listed.facts))
                if self.catalog.file_count >= MOST_FILES or entry.revision > MOST_SERIES:
                    continue
                waiting.append((entry, pool.submit(self.library.open, listed.ref)))
                while len(waiting) >= 2 * READ_AHEAD:
                    self._settle_next(waiting)
            while waiting and not self.stopping.is_set():
                self._settle_next(waiting)
            pool.shutdown(cancel_futures=True)

    def open(self, series: str) -> tuple[SeriesEntry, OpenSeries]:
        """Open a series that is in the catalog.

        Raises:
            KeyError: There is no such series.
            DspBatchError: It cannot be read.
        """
        entry = self.catalog.find_series(series)
        if entry is None:
            raise KeyError(series)
        opened = self.library.open(self._refs[series])
        return entry if entry.state == "ready" else self._settle(series, opened), opened

    def open_images(self, opened: OpenSeries) -> FrameSource:
        """Say where the frames of a series are read, and those of the images that it speaks of and that are shown.

        An image that cannot be opened any more is left out, and the picture is drawn without it.
        """
        named = name_images(opened.index)
        if named is None:
            return opened.source
        found: list[Reference] = []
        for series in [self._shown[uid] for uid in named if uid in self._shown][:_MOST_IMAGES]:
            try:
                image = self.library.open(self._refs[series])
            except DspBatchError as error:
                _log.debug("%s", error.message)
                continue
            found.append(Reference(index=image.index, store=image.source.store))
        return replace(opened.source, references=(*opened.source.references, *found), missing="absent")

    def mask_of(self, opened: OpenSeries, row: int) -> Mask | None:
        """Make the mask of the patient of a file; None where patients are not masked."""
        return None if self.pseudonyms is None else self.pseudonyms.mask(opened.index.attributes(row))

    def _list_all(self, sources: Sequence[str]) -> Iterator[ListedSeries]:
        for source in sources:
            try:
                for listed in self._list_source(source):
                    if self.stopping.is_set():
                        return
                    yield listed
            except DspBatchError as error:
                _log.warning("%s", error.message)

    def _list_source(self, source: str) -> Iterator[ListedSeries]:
        cache = self.caches.get(source)
        return list_cached_series(cache) if cache else map(ListedSeries, self.search.list_series(source))

    def _mask_facts(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """Tell nothing of a series whose headers have not been read where patients are masked."""
        return facts if self.pseudonyms is None else {}

    def _settle_next(self, waiting: deque[tuple[SeriesEntry, Future[OpenSeries]]]) -> None:
        entry, future = waiting.popleft()
        try:
            self._settle(entry.id, future.result())
        except DspBatchError as error:
            _log.warning("%s", error.message)
            self.catalog.fail_series(entry.id, error.message if self.pseudonyms is None else "it cannot be read")

    def _settle(self, series: str, opened: OpenSeries) -> SeriesEntry:
        index = opened.index
        rows = [row for row in range(len(index)) if passes_all(self.filters, index.attributes(row))]
        listed = index.objects.get("listed", len(index))
        self.catalog.count(scanned=listed, skipped=listed - len(index), filtered=len(index) - len(rows))
        if not rows:
            return self.catalog.leave_out(series)
        self._shown |= dict.fromkeys(index.texts("SeriesInstanceUID"), series)
        files = [
            FileEntry(
                series=series,
                name=index.object_names[row],
                facts=describe_file(opened, row, self.mask_of(opened, row)),
            )
            for row in rows
        ]
        entry = self.catalog.settle_series(series, describe_series(opened, rows, self.mask_of(opened, rows[0])), files)
        for row, file in zip(rows, files, strict=True):
            facts = file.facts
            size = ImageSize(rows=facts["rows"], columns=facts["columns"], frames=facts["frame_count"])
            self.regions.add_file(
                RegionFile(
                    number=entry.numbers[file.name],
                    path=locate_file(opened, row, None),
                    shown_path=facts["path"],
                    instance=facts["sop_instance_uid"] or "",
                    size=size if facts["has_pixels"] else None,
                )
            )
        return entry
