"""Look through the sources of the viewer, read the headers of the series found, and fill the catalog with them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.codecs import TRANSFER_SYNTAXES
from dsp_batch.dicom.pixels.format import describe_aspect
from dsp_batch.dicom.syntaxes import describe_syntax
from dsp_batch.errors import DspBatchError
from dsp_batch.model.series import SeriesRef
from dsp_batch.web.viewer.catalog import Catalog, FileEntry, SeriesEntry
from dsp_batch.web.viewer.library import Library, OpenSeries
from dsp_batch.web.viewer.pixels.frames import describe_window, find_own_window
from dsp_batch.web.viewer.sources import SourceSearch

_log = logging.getLogger(__name__)

READ_AHEAD = 4
"""Series whose headers are read at the same time during the scan."""

MOST_FILES = 200_000
"""Files after which the scan reads no further headers: series found later are read when somebody opens them."""

_SERIES_TEXTS = {
    "series_instance_uid": "SeriesInstanceUID",
    "study_instance_uid": "StudyInstanceUID",
    "modality": "Modality",
    "description": "SeriesDescription",
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "study_date": "StudyDate",
    "study_description": "StudyDescription",
    "body_part": "BodyPartExamined",
    "sop_class_uid": "SOPClassUID",
}
"""Fields of a series in the API → keywords of its attributes."""


@dataclass(slots=True, kw_only=True)
class Discovery:
    """Fills the catalog: in the background, and at once with a series that somebody opens."""

    catalog: Catalog
    library: Library
    search: SourceSearch
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, sources: Sequence[str]) -> None:
        """Look through all sources. A source that cannot be read costs one warning."""
        waiting: deque[tuple[SeriesEntry, Future[OpenSeries]]] = deque()
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="dsp-batch-scan") as pool:
            for ref in self._list_all(sources):
                entry = self.catalog.add_series(ref, {})
                if entry is None or self.catalog.file_count >= MOST_FILES:
                    continue
                waiting.append((entry, pool.submit(self.library.open, ref)))
                while len(waiting) >= 2 * READ_AHEAD:
                    self._settle_next(waiting)
            while waiting and not self.stopping.is_set():
                self._settle_next(waiting)
            pool.shutdown(cancel_futures=True)
        self.catalog.scan_complete = True

    def open(self, series: str) -> tuple[SeriesEntry, OpenSeries]:
        """Open a series that is in the catalog.

        Raises:
            KeyError: There is no such series.
            DspBatchError: It cannot be read.
        """
        entry = self.catalog.find_series(series)
        if entry is None:
            raise KeyError(series)
        opened = self.library.open(entry.ref)
        if entry.state != "ready":
            entry = self._settle(series, opened)
        return entry, opened

    def _list_all(self, sources: Sequence[str]) -> Iterator[SeriesRef]:
        for source in sources:
            try:
                for ref in self.search.list_series(source):
                    if self.stopping.is_set():
                        return
                    yield ref
            except DspBatchError as error:
                _log.warning("%s", error.message)

    def _settle_next(self, waiting: deque[tuple[SeriesEntry, Future[OpenSeries]]]) -> None:
        entry, future = waiting.popleft()
        try:
            self._settle(entry.id, future.result())
        except DspBatchError as error:
            _log.warning("%s", error.message)
            self.catalog.fail_series(entry.id, error)

    def _settle(self, series: str, opened: OpenSeries) -> SeriesEntry:
        return self.catalog.settle_series(series, describe_series_facts(opened), list_file_entries(series, opened))


def describe_series_facts(opened: OpenSeries) -> dict[str, Any]:
    """Describe a series for the API, by its first instance."""
    index = opened.index
    first = index.attributes(0)
    facts: dict[str, Any] = {name: first.text(keyword) for name, keyword in _SERIES_TEXTS.items()}
    facts["series_number"] = first.integer("SeriesNumber")
    facts["frame_count"] = sum(opened.frame_counts)
    facts["has_pixels"] = facts["frame_count"] > 0
    facts["burned_in_annotation"] = "YES" in index.texts("BurnedInAnnotation")
    facts["rows"], facts["columns"] = first.integer("Rows"), first.integer("Columns")
    syntaxes = {syntax for syntax in index.texts("TransferSyntaxUID") if syntax}
    facts["unsupported"] = next(map(describe_syntax, sorted(syntaxes - TRANSFER_SYNTAXES.keys())), None)
    facts["notes"] = list(index.notes)
    return facts


def list_file_entries(series: str, opened: OpenSeries) -> list[FileEntry]:
    """Describe each file of a series, in display order."""
    return [
        FileEntry(series=series, name=name, facts=_describe_file(opened, row, opened.index.attributes(row)))
        for row, name in enumerate(opened.index.object_names)
    ]


def _describe_file(opened: OpenSeries, row: int, attributes: Attributes) -> dict[str, Any]:
    index = opened.index
    syntax = index.texts("TransferSyntaxUID")[row]
    has_pixels = row in opened.drawable
    is_supported = not has_pixels or syntax in TRANSFER_SYNTAXES
    number = attributes.integer("InstanceNumber")
    name = attributes.text("SeriesDescription") or attributes.text("Modality") or index.texts("FileName")[row]
    grid = index.grid(row)
    return {
        "path": "/".join(part for part in (index.root, index.objects_folder, index.values("FileName")[row]) if part),
        "label": name if number is None else f"{name} #{number}",
        "has_pixels": has_pixels,
        "frame_count": opened.frame_counts[row],
        "rows": grid.rows if grid else attributes.integer("Rows"),
        "columns": grid.columns if grid else attributes.integer("Columns"),
        "transfer_syntax_uid": syntax or None,
        "default_window": describe_window(find_own_window(opened, row)) if has_pixels else None,
        "sop_instance_uid": attributes.text("SOPInstanceUID"),
        "sop_class_uid": attributes.text("SOPClassUID"),
        "instance_number": number,
        "modality": attributes.text("Modality"),
        "photometric_interpretation": attributes.text("PhotometricInterpretation"),
        "pixel_aspect_ratio": index.derive(describe_aspect, row) if has_pixels else None,
        "support_state": "renderable" if has_pixels and is_supported else "unsupported" if has_pixels else "no_pixels",
        "support_reason": None if is_supported else describe_syntax(syntax),
    }
