"""Find the series that a source of the viewer holds: a file, a folder, a name, a manifest, or a cache directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.cache import Cache, open_cache
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.names import SeriesName, find_local, parse_series, resolve_series
from dsp_batch.scan import find_named_series, scan_file, scan_objects, scan_tree
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.urls import local_path, locate_below, normalise_root
from dsp_batch.web.viewer.library import ReadAccess

_MANIFEST_SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".s5cmd", ".manifest")
_CACHE_FOLDERS = ("indices", "runs")
"""Folders that make a folder a cache directory."""


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
        if _is_manifest(source):
            yield from read_manifest(source, root=self.root, endpoint_url=self.access.endpoint_url)
            return
        endpoint = resolve_endpoint(self.access.endpoint_url)
        name = find_local(source) or parse_series(source, normalise_root(self.root, endpoint), endpoint)
        if name.kind == "object":
            yield from (each.ref for each in scan_file(self.access.store_of(name.root), name.name))
        elif name.kind == "tree":
            yield from self._scan(name.root)
        elif name.kind == "folder" and normalise_uuid(name.name) is None:
            yield from self._scan(locate_below(name.root, name.name))
        else:
            yield self._find(name)

    def _find(self, name: SeriesName) -> SeriesRef:
        if name.kind == "uid":
            return find_named_series(name, self.access.store_of, None)
        return resolve_series(name, self.access.store_of)

    def _scan(self, root: str) -> Iterator[SeriesRef]:
        store = self.access.store_of(root)
        if self.recursive:
            yield from scan_tree(store)
            return
        objects: list[ObjectInfo] = list(store.list_objects(""))
        yield from (found.ref for found in scan_objects(store, objects))


def find_cache(source: str, endpoint_url: str | None) -> Cache | None:
    """Open a source that is a cache directory of this machine or a bucket; None where it is none."""
    path = local_path(source) if "://" in source or Path(source).exists() else None
    if path is not None:
        is_cache = path.is_dir() and any((path / name).is_dir() for name in _CACHE_FOLDERS)
        return open_cache(path, endpoint_url) if is_cache else None
    return None


def _is_manifest(source: str) -> bool:
    return source.lower().endswith(_MANIFEST_SUFFIXES)
