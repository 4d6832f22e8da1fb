"""Find the series that a source of the viewer holds: a file, a folder, a name, a URL, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import NO_COLUMNS, SeriesRef
from dsp_batch.names import SeriesName, find_local, parse_series, resolve_series
from dsp_batch.scan.find import Scanning, find_named_series, scan_file
from dsp_batch.scan.folder_scan import FolderScan, keep_parts, scan_with_objects
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.urls import locate_below, normalise_root, parse_location
from dsp_batch.web.viewer.library import ReadAccess

_MANIFEST_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".s5cmd", ".manifest")


class ListedSeries(NamedTuple):
    """A series that a source holds."""

    ref: SeriesRef
    facts: Mapping[str, Any] = NO_COLUMNS
    """What the API tells of it before its headers are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSearch:
    """How sources are searched for series."""

    access: ReadAccess
    root: str
    recursive: bool = True

    def list_series(self, source: str) -> Iterator[SeriesRef]:
        """List the series of a source, each as soon as it is found.

        Args:
            source: A path, a URL, a name of a series, or a manifest.

        Raises:
            DspBatchError: The text names nothing that can be read.
        """
        if source.lower().endswith(_MANIFEST_SUFFIXES):
            yield from read_manifest(source, root=self.root, endpoint_url=self.access.endpoint_url)
            return
        endpoint = resolve_endpoint(self.access.endpoint_url)
        if "://" in source and not parse_location(source, endpoint).parts:
            yield from self._scan(normalise_root(source, endpoint))
            return
        name = find_local(source) or parse_series(source, normalise_root(self.root, endpoint), endpoint)
        if name.kind == "object":
            yield scan_file(self.access.store_of(name.root), name.name).ref
        elif name.kind == "tree":
            yield from self._scan(name.root)
        elif name.kind == "folder" and normalise_uuid(name.name) is None:
            yield from self._scan(locate_below(name.root, name.name))
        else:
            yield self._find(name)

    def _find(self, name: SeriesName) -> SeriesRef:
        if name.kind == "uid":
            return find_named_series(name, Scanning(store_of=self.access.store_of))
        return resolve_series(name, self.access.store_of)

    def _scan(self, root: str) -> Iterator[SeriesRef]:
        store = self.access.store_of(root)
        with keep_parts(None) as parts:
            scan = FolderScan(store=store, cache=parts, is_deep=self.recursive)
            yield from scan_with_objects(scan)
            for error in scan.unlisted.values():
                raise error
