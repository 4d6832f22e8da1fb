"""Finds the series that a name without a root means: in the IDC index, in listings, else below the root."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice

from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.batch.manifest.rows import NamedLine, Reading, Surroundings, reject
from dsp_batch.errors import DspBatchError, ManifestError
from dsp_batch.idc import index as idc
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, first_match
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store, build_store

_log = logging.getLogger(__name__)

_LINES_AT_ONCE = 8_192
"""Lines whose names are looked up together."""


StoreOf = Callable[[str, str | None], Store]
"""Root and S3-compatible server (None for the default) → its store."""

Scan = Callable[[str], Iterator[SeriesRef]]
"""Root → the series below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where names are looked up that do not tell their own root."""

    index: idc.IdcIndex | None
    """The IDC index; None where it is not installed."""

    store_of: StoreOf
    scan: Scan | None = None
    """Scans folders for a batch, which keeps in its cache what it finds; None to scan them in this process."""


def default_lookup(endpoint_url: str | None = None, anonymous: bool | None = None) -> Lookup:  # noqa: FBT001  # as in Store
    """Look names up in the installed IDC index and in the stores of this process.

    Args:
        endpoint_url: S3-compatible server given by hand.
        anonymous: Whether to list unsigned; None to decide by bucket and credentials.
    """

    @lru_cache(maxsize=64)
    def store_of(root: str, manifest_endpoint_url: str | None) -> Store:
        return build_store(
            root, endpoint_url=endpoint_url, manifest_endpoint_url=manifest_endpoint_url, anonymous=anonymous
        )

    return Lookup(index=idc.open_idc_index(), store_of=store_of)


def resolve_lines(
    readings: Iterator[Reading], surroundings: Surroundings, lookup: Lookup
) -> Iterator[SeriesRef | RejectedLine]:
    """Find the series of each line, in order."""

    @cache
    def list_folders(root: str) -> frozenset[str]:
        return frozenset() if is_idc_root(root) else frozenset(lookup.store_of(root, None).list_series(""))

    superseded = 0
    while some := [*islice(readings, _LINES_AT_ONCE)]:
        found = _look_up([each for each in some if isinstance(each, NamedLine)], list_folders, lookup.index)
        for reading in some:
            if isinstance(reading, NamedLine):
                name = next((name for name in reading.names if name in found), reading.names[0])
                superseded += name in found and found[name].place.superseded
                yield _resolve_line(reading, name, found.get(name), surroundings, lookup)
            else:
                yield reading
    if superseded:
        _log.warning(
            "%s: %d series are superseded in IDC's current version; they are read from where they were",
            surroundings.source,
            superseded,
        )


def _look_up(
    lines: Iterable[NamedLine], list_folders: Callable[[str], frozenset[str]], index: idc.IdcIndex | None
) -> Mapping[SeriesName, idc.PlacedUuid]:
    """Find the series of those UUIDs and SeriesInstanceUIDs that come without a root and are known.

    A SeriesInstanceUID that is a folder of a private root is that folder.
    """
    names = dict.fromkeys(name for line in lines for name in line.names if not name.own_root)
    found = {
        name: idc.PlacedUuid(name.name, idc.Place(name.root, superseded=False))
        for name in names
        if name.kind == "uid" and name.name in list_folders(name.root)
    }
    if index is None:
        return found
    # A root that is not IDC's was chosen by the user: a mirror, or a private archive. It is not second-guessed.
    uuids = [name for name in names if name.kind == "folder" and is_idc_root(name.root)]
    places = idc.find_places(index, [name.name for name in uuids])
    found |= {name: idc.PlacedUuid(name.name, place) for name, place in zip(uuids, places, strict=True) if place}
    uids = [name for name in names if name.kind == "uid" and name not in found]
    series = idc.find_series_uids(index, [name.name for name in uids])
    return found | {name: each for name, each in zip(uids, series, strict=True) if each}


def _resolve_line(
    line: NamedLine, name: SeriesName, known: idc.PlacedUuid | None, surroundings: Surroundings, lookup: Lookup
) -> SeriesRef | RejectedLine:
    """Return the series that a line means by one of its names."""
    if known is not None:
        return SeriesRef(known.place.root, known.series_uuid, None, line.columns, line.number)
    try:
        folder = name.name if name.kind == "folder" else _find_folder(name, line.endpoint_url, lookup)
    except DspBatchError as error:
        return reject(line.number, line.text, surroundings, error.message)
    return SeriesRef(name.root, folder, line.endpoint_url if name.own_root else None, line.columns, line.number)


def _find_folder(name: SeriesName, endpoint_url: str | None, lookup: Lookup) -> str:
    """Return the one folder whose name begins as the text says.

    Raises:
        DspBatchError: There is none, or several; or it is a SeriesInstanceUID, which was not found.
    """
    if name.kind == "prefix":
        matches = lookup.store_of(name.root, endpoint_url).list_series(name.name)
        if len(matches) > 1:
            raise ManifestError(f"{len(matches)} series below {name.root} begin with {name.name}: write more digits")
        return first_match(name, matches)
    if lookup.index is None:
        raise ManifestError(f"SeriesInstanceUID {name.name} can only be found in the IDC index: {idc.INSTALL_HINT}")
    raise ManifestError(f"SeriesInstanceUID {name.name} is neither below {name.root} nor in the IDC index")
