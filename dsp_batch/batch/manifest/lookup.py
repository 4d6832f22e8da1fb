"""Finds the series that a name means: in the IDC index, in listings, by a scan of its folder, else below the root."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import islice
from typing import NamedTuple

from dsp_batch.batch.manifest.entries import NamedLine, Reading, Surroundings
from dsp_batch.batch.manifest.folders import Folders, Scan, scan_lines
from dsp_batch.batch.manifest.line import explain_missing
from dsp_batch.batch.manifest.rejected import RejectedLine, reject
from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError, ManifestError, StorageError
from dsp_batch.idc import index as idc
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, explain_unknown, first_match
from dsp_batch.scan.folder_scan import FolderScan, FoundSeries, keep_parts, scan_here, scan_with_objects
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store, build_store

_log = logging.getLogger(__name__)

_LINES_AT_ONCE = 8_192
"""Lines whose names are looked up together."""


class SeriesSize(NamedTuple):
    """Number and bytes of the objects of a series; None where a listing does not tell."""

    objects: int
    size: int | None


StoreOf = Callable[[str, str | None], Store]
"""Root and S3-compatible server (None for the default) → its store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where names are looked up that do not tell their own root, and what scans folders."""

    index: idc.IdcIndex | None
    """The IDC index; None where it is not installed."""

    store_of: StoreOf
    scan: Scan
    sizes: dict[str, SeriesSize] = field(default_factory=dict)
    """Key of a series that `scan` has found in this process → what it holds."""

    keeps_to_root: bool = False
    """As in `Surroundings`."""


def default_lookup(endpoint_url: str | None = None, anonymous: bool | None = None) -> Lookup:  # noqa: FBT001  # as in Store
    """Look names up in the installed IDC index and in the stores of this process, which scans folders itself.

    Args:
        endpoint_url: S3-compatible server given by hand.
        anonymous: Whether to list unsigned; None to decide by bucket and credentials.
    """

    @lru_cache(maxsize=64)
    def store_of(root: str, manifest_endpoint_url: str | None) -> Store:
        return build_store(
            root, endpoint_url=endpoint_url, manifest_endpoint_url=manifest_endpoint_url, anonymous=anonymous
        )

    sizes: dict[str, SeriesSize] = {}

    def scan(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        with keep_parts(None) as parts:
            for each in scan_here(_begin_scan(folders, unlisted, store_of, parts)):
                if isinstance(each, FoundSeries):
                    sizes[each.ref.series_uuid] = SeriesSize(each.count, each.size)
                yield each.ref._replace(scan=None) if isinstance(each, FoundSeries) else each

    return Lookup(index=idc.open_idc_index(), store_of=store_of, scan=scan, sizes=sizes)


def with_objects(lookup: Lookup) -> Lookup:
    """Return a lookup whose scans tell the objects of each series: for series that are handed on one by one."""

    def scan(folders: Folders, unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
        with keep_parts(None) as parts:
            yield from scan_with_objects(_begin_scan(folders, unlisted, lookup.store_of, parts))

    return replace(lookup, scan=scan)


def resolve_lines(
    readings: Iterator[Reading], surroundings: Surroundings, lookup: Lookup
) -> Iterator[SeriesRef | RejectedLine]:
    """Find the series of each line, in order. Folders that are not named by a UUID are scanned."""

    @cache
    def list_folders(root: str) -> frozenset[str]:
        try:
            return frozenset() if is_idc_root(root) else frozenset(lookup.store_of(root, None).list_series(""))
        except StorageError as error:
            _log.warning("%s: names of folders below the root are not found: %s", surroundings.source, error.message)
            return frozenset()

    superseded = 0
    while some := [*islice(readings, _LINES_AT_ONCE)]:
        found = _look_up([each for each in some if isinstance(each, NamedLine)], list_folders, lookup.index)
        lines: list[SeriesRef | RejectedLine] = []
        for reading in some:
            if isinstance(reading, NamedLine):
                name = next((name for name in reading.names if name in found), reading.names[0])
                superseded += name in found and found[name].superseded
                lines.append(_resolve_line(reading, name, found.get(name), surroundings, lookup))
            else:
                lines.append(reading)
        yield from scan_lines(lines, surroundings, lookup.scan)
    if superseded:
        _log.warning(
            "%s: %d series are superseded in IDC's current version; they are read from where they were",
            surroundings.source,
            superseded,
        )


def _look_up(
    lines: Iterable[NamedLine], list_folders: Callable[[str], frozenset[str]], index: idc.IdcIndex | None
) -> Mapping[SeriesName, idc.StoredSeries]:
    """Find the series of those names that come without a root and are known.

    Of a private root a SeriesInstanceUID, or any other name without a slash, may be a folder.
    """
    names = dict.fromkeys(name for line in lines for name in line.names if not name.own_root)
    found = {
        name: idc.StoredSeries(name.name, name.root, superseded=False)
        for name in names
        if (name.kind == "uid" or _is_unscanned(name)) and name.name in list_folders(name.root)
    }
    if index is None:
        return found
    # A root that is not IDC's was chosen by the user: a mirror, or a private archive. It is not second-guessed.
    uuids = [name for name in names if name.kind == "folder" and is_idc_root(name.root)]
    uids = [name for name in names if name.kind == "uid" and name not in found]
    known = idc.find_series(index, [name.name for name in uuids]) + idc.find_series_uids(
        index, [name.name for name in uids]
    )
    return found | {name: each for name, each in zip([*uuids, *uids], known, strict=True) if each}


def _resolve_line(
    line: NamedLine, name: SeriesName, known: idc.StoredSeries | None, surroundings: Surroundings, lookup: Lookup
) -> SeriesRef | RejectedLine:
    """Return the series, or the folder, that a line means by one of its names."""
    if known is not None:
        return SeriesRef(known.root, known.series_uuid, None, line.columns, line.number)
    try:
        folder = _find_folder(name, line.endpoint_url, surroundings, lookup)
    except DspBatchError as error:
        return reject(line.number, line.text, surroundings.source, error.message)
    return SeriesRef(name.root, folder, line.endpoint_url if name.own_root else None, line.columns, line.number)


def _find_folder(name: SeriesName, endpoint_url: str | None, surroundings: Surroundings, lookup: Lookup) -> str:
    """Return the one folder that is named as the text says.

    Raises:
        DspBatchError: There is none, or several; or it is a SeriesInstanceUID, which was not found.
    """
    if _is_unscanned(name):
        raise ManifestError(f"{explain_unknown(name.name)}; {explain_missing(surroundings)}")
    if name.kind == "folder":
        return name.name
    if name.kind == "prefix":
        matches = lookup.store_of(name.root, endpoint_url).list_series(name.name)
        if len(matches) > 1:
            raise ManifestError(f"{len(matches)} series below {name.root} begin with {name.name}: write more digits")
        return first_match(name, matches)
    if lookup.index is None:
        raise ManifestError(f"SeriesInstanceUID {name.name} can only be found in the IDC index: {idc.INSTALL_HINT}")
    raise ManifestError(f"SeriesInstanceUID {name.name} is neither below {name.root} nor in the IDC index")


def _begin_scan(folders: Folders, unlisted: dict[str, StorageError], store_of: StoreOf, parts: Cache) -> FolderScan:
    store = store_of(folders.root, folders.endpoint_url)
    return FolderScan(store=store, cache=parts, folders=tuple(folders.names), unlisted=unlisted)


def _is_unscanned(name: SeriesName) -> bool:
    return name.kind == "folder" and normalise_uuid(name.name) is None
