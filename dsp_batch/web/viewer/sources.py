"""Find the series that a source of the viewer holds: a file, a folder, a name, a URL, or a manifest."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import NO_COLUMNS, ObjectInfo, SeriesRef
from dsp_batch.names import SeriesName, find_local, parse_series, resolve_series
from dsp_batch.scan.choose import scan_file
from dsp_batch.scan.find import find_named_series
from dsp_batch.scan.folder_scan import ALL_FOLDERS, walk_objects
from dsp_batch.scan.identity import Identity, SeriesGroup, find_common_folder, identify_objects, name_groups
from dsp_batch.scan.settings import ScanSettings
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import locate_below, normalise_root, parse_location
from dsp_batch.web.viewer.library import ReadAccess

_log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 1000
"""Objects whose series are looked up together."""

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
            return find_named_series(name, ScanSettings(open_store=self.access.store_of))
        return resolve_series(name, self.access.store_of)

    def _scan(self, root: str) -> Iterator[SeriesRef]:
        """Find the series below a root. One that grows while the walk goes on is found again, with all its objects."""
        store = self.access.store_of(root)
        gathered = _Gathered(store=store)
        objects: list[ObjectInfo] = []
        found = 0
        unlisted: dict[str, StorageError] = {}
        for each in walk_objects(store, ALL_FOLDERS, unlisted, is_deep=self.recursive):
            if isinstance(each, SeriesRef):
                found += 1
                yield each
                continue
            objects.append(each)
            if len(objects) == OBJECTS_AT_ONCE:
                yield from gathered.add(objects)
                objects = []
        yield from gathered.add(objects, is_last=True)
        for error in unlisted.values():
            gathered.warn()
            raise error
        if not found and not gathered.listed:
            raise gathered.explain_nothing()
        gathered.warn()


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """Objects below a root that were found so far, by the series that they belong to.

    The scan of a batch lists series at its end. Here they are listed on the way, so that the page fills.
    """

    store: Store
    members: dict[str, dict[SeriesGroup, list[Identity]]] = field(default_factory=dict)
    """Objects by SeriesInstanceUID, or by folder without one; then by patient, who are told apart together."""

    listed: dict[SeriesGroup, int] = field(default_factory=dict)
    """Number of objects that each series had when it was listed last."""

    rejected: dict[str, DspBatchError] = field(default_factory=dict)

    def add(self, objects: Sequence[ObjectInfo], *, is_last: bool = False) -> Iterator[SeriesRef]:
        """Add objects, and list the series that are new or have twice as many objects; at the end all that have more.

        Listed more often, a series of 100,000 objects would be read a hundred times.
        """
        for each in identify_objects(self.store, objects, self.rejected):
            patients = self.members.setdefault(each.series_instance_uid or f"/{each.folder}", {})
            patients.setdefault(each.group, []).append(each)
        for patients in self.members.values():
            for group, identities in patients.items():
                count, before = len(identities), self.listed.get(group, 0)
                if count >= 2 * before if not is_last else count > before:
                    self.listed[group] = count
                    yield self._describe(name_groups(self.store.root, patients)[group], identities)

    def _describe(self, series_uuid: str, identities: Sequence[Identity]) -> SeriesRef:
        return SeriesRef(
            self.store.root,
            series_uuid,
            folder=find_common_folder(each.folder for each in identities),
            objects=tuple(sorted((each.object for each in identities), key=lambda each: each.name)),
        )

    def explain_nothing(self) -> StorageError:
        """Make the error of a root without any series."""
        hint = "check the name"
        for name, error in [*self.rejected.items()][:1]:
            hint = f"{len(self.rejected)} objects are no instances; the first, {name}: {error.message}"
        return StorageError(f"no DICOM series below {self.store.root}: {hint}", "not-found")

    def warn(self) -> None:
        """Say how many objects are no instances."""
        for name, error in [*self.rejected.items()][:1]:
            message = "%s: %d objects are no instances and left out; the first, %s: %s"
            _log.warning(message, self.store.root, len(self.rejected), name, error.message)
