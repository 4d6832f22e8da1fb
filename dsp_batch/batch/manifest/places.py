"""From what the lines of a manifest say to series: through the IDC index, through listings, else below the root."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, repeat
from operator import attrgetter, itemgetter
from typing import Protocol, TypeGuard, cast

from dsp_batch import idc
from dsp_batch.batch.manifest.rows import (
    BareUid,
    BareUuid,
    NamedLine,
    Reading,
    Surroundings,
    make_ref,
    reject,
)
from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.errors import DspBatchError, ManifestError
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.names import SeriesListing, SeriesName, first_match
from dsp_batch.storage.public_buckets import is_idc_root

_ROOT, _SUPERSEDED = attrgetter("root"), attrgetter("superseded")
_NUMBER, _NAME, _COLUMNS = map(itemgetter, range(3))
"""Fields of a `BareUuid` and a `BareUid`."""

_log = logging.getLogger(__name__)


class StoreListing(SeriesListing, Protocol):
    """The part of a store that is asked before anything is read."""

    def list_objects(self, series_uuid: str) -> Sequence[ObjectInfo]:
        """The objects of a series, with their sizes."""


StoreOf = Callable[[str, str | None], StoreListing]
"""Root and S3-compatible server (None for the default) → where to list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """Where names are looked up that do not say themselves where the series is."""

    index: idc.IdcIndex | None
    """The IDC index; None where it is not installed."""

    store_of: StoreOf
    warns: bool = True
    """Of series that are superseded, and of what else is odd about a manifest; not when it is read a second time."""


def default_lookup(endpoint_url: str | None = None, anonymous: bool | None = None) -> Lookup:  # noqa: FBT001  # as in Store
    """The installed IDC index, and stores of this process.

    Args:
        endpoint_url: S3-compatible server given by hand.
        anonymous: Whether to list unsigned; None to decide by bucket and credentials.
    """

    @lru_cache(maxsize=64)
    def store_of(root: str, manifest_endpoint_url: str | None) -> StoreListing:
        from dsp_batch.storage.store import build_store  # noqa: PLC0415  # only where something is listed

        return build_store(
            root, endpoint_url=endpoint_url, manifest_endpoint_url=manifest_endpoint_url, anonymous=anonymous
        )

    return Lookup(index=idc.open_index(), store_of=store_of)


def resolve_lines(
    batches: Iterable[list[Reading]], surroundings: Surroundings, lookup: Lookup
) -> Iterator[list[SeriesRef | RejectedLine]]:
    """Find the series of each line, in order, those of a batch together."""
    superseded = 0
    folders = _FolderUids(lookup)
    for batch in batches:
        if _are_settled(batch):
            yield batch
            continue
        kinds = {*map(type, batch)}
        here = _place_uuids(batch, surroundings.root, lookup)
        uuids, there = _place_uids(batch, surroundings.root, folders, lookup)
        places = _look_up(batch, folders, lookup) if NamedLine in kinds else {}
        used = chain(here, filter(None, there), (found.place for found in places.values()))
        superseded += sum(map(_SUPERSEDED, used))
        if kinds == {BareUuid}:
            yield _refer_together(batch, map(_NAME, batch), here)
        elif kinds == {BareUid} and all(there):
            yield _refer_together(batch, uuids, cast("list[idc.Place]", there))
        else:
            following_uuid, following_uid = iter(here), zip(uuids, there, strict=True)
            yield [
                make_ref((next(following_uuid).root, entry.uuid, None, entry.columns, entry.number))
                if isinstance(entry, BareUuid)
                else _refer_uid(entry, *next(following_uid), surroundings, lookup)
                if isinstance(entry, BareUid)
                else _resolve_line(entry, surroundings, places, lookup)
                if isinstance(entry, NamedLine)
                else entry
                for entry in batch
            ]
    if superseded and surroundings.warns:
        _log.warning(
            "%s: %d series are superseded in IDC's current version; they are read from where they were",
            surroundings.source,
            superseded,
        )


def _refer_together(
    batch: list[Reading], uuids: Iterable[str], places: Iterable[idc.Place]
) -> list[SeriesRef | RejectedLine]:
    """Series of lines that give a UUID or a SeriesInstanceUID alone, at their places."""
    there = map(_ROOT, places), uuids, repeat(None, len(batch))
    return [*map(make_ref, zip(*there, map(_COLUMNS, batch), map(_NUMBER, batch), strict=True))]


def _are_settled(batch: list[Reading]) -> TypeGuard[list[SeriesRef | RejectedLine]]:
    """Whether nothing of some lines is left to look up."""
    return {*map(type, batch)} <= {SeriesRef, RejectedLine}


class _FolderUids:
    """Which SeriesInstanceUIDs are folders of a private root: listed once, when the first one is asked for."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._folders: dict[str, frozenset[str]] = {}

    def of(self, root: str) -> frozenset[str]:
        if is_idc_root(root):
            return frozenset()
        if root not in self._folders:
            self._folders[root] = frozenset(self._lookup.store_of(root, None).list_series(""))
        return self._folders[root]


def _look_up(batch: list[Reading], folders: _FolderUids, lookup: Lookup) -> dict[str, idc.PlacedUuid]:
    """Places of the names of rows that give several, by UUID or SeriesInstanceUID."""
    names = [name for entry in batch if type(entry) is NamedLine for name in entry.names if not name.own_root]
    placed = {
        name.name: idc.PlacedUuid(name.name, idc.Place(name.root, superseded=False))
        for name in names
        if name.kind == "uid" and name.name in folders.of(name.root)
    }
    if lookup.index is None or not names:
        return placed
    # A root that is not IDC's was chosen by the user: a mirror, or a private archive. It is not second-guessed.
    uuids = [name.name for name in names if name.kind == "folder" and is_idc_root(name.root)]
    places = zip(uuids, idc.find_places(lookup.index, uuids), strict=True)
    uids = list({name.name: None for name in names if name.kind == "uid" and name.name not in placed})
    found = zip(uids, idc.find_series_uids(lookup.index, uids), strict=True)
    placed |= {uuid: idc.PlacedUuid(uuid, place) for uuid, place in places if place is not None}
    return placed | {uid: series for uid, series in found if series is not None}


def _place_uuids(batch: list[Reading], root: str, lookup: Lookup) -> list[idc.Place]:
    """Places of the lines that give a UUID and no bucket: below the root where the index does not know them."""
    here = idc.Place(root, superseded=False)
    uuids = [entry.uuid for entry in batch if type(entry) is BareUuid]
    return [place or here for place in idc.find_places(lookup.index, uuids)] if lookup.index else [here] * len(uuids)


def _place_uids(
    batch: list[Reading], root: str, folders: _FolderUids, lookup: Lookup
) -> tuple[list[str], list[idc.Place | None]]:
    """Folders and places of the lines that give a SeriesInstanceUID alone: those below the root before the index's."""
    uids = [entry.uid for entry in batch if type(entry) is BareUid]
    own = folders.of(root) if uids else frozenset()
    others = [uid for uid in uids if uid not in own] if own else uids
    unknown: list[idc.Place | None] = [None] * len(others)
    found = idc.place_series_uids(lookup.index, others) if lookup.index else (others, unknown)
    if not own:
        return found
    here, following = idc.Place(root, superseded=False), zip(*found, strict=True)
    placed = [(uid, here) if uid in own else next(following) for uid in uids]
    return [name for name, _ in placed], [place for _, place in placed]


def _refer_uid(
    line: BareUid, series_uuid: str, place: idc.Place | None, surroundings: Surroundings, lookup: Lookup
) -> SeriesRef | RejectedLine:
    if place is None:
        return reject(line.number, line.uid, surroundings, _explain_uid(line.uid, surroundings.root, lookup))
    return make_ref((place.root, series_uuid, None, line.columns, line.number))


def _resolve_line(
    line: NamedLine, surroundings: Surroundings, places: dict[str, idc.PlacedUuid], lookup: Lookup
) -> SeriesRef | RejectedLine:
    name = next((name for name in line.names if name.name in places and not name.own_root), line.names[0])
    try:
        root, folder = _find_place(name, line.endpoint_url, places, lookup)
    except DspBatchError as error:
        return reject(line.number, line.text, surroundings, error.message)
    endpoint_url = line.endpoint_url if name.own_root else None
    return SeriesRef(root=root, series_uuid=folder, endpoint_url=endpoint_url, columns=line.columns, line=line.number)


def _find_place(
    name: SeriesName, endpoint_url: str | None, places: dict[str, idc.PlacedUuid], lookup: Lookup
) -> tuple[str, str]:
    """Root and folder of a name."""
    found = None if name.own_root else places.get(name.name)
    if found is not None:
        return found.place.root, found.series_uuid
    if name.kind == "folder":
        return name.root, name.name
    if name.kind == "prefix":
        matches = lookup.store_of(name.root, endpoint_url).list_series(name.name)
        if len(matches) > 1:
            raise ManifestError(f"{len(matches)} series below {name.root} begin with {name.name}: write more digits")
        return name.root, first_match(name, matches)
    raise ManifestError(_explain_uid(name.name, name.root, lookup))


def _explain_uid(uid: str, root: str, lookup: Lookup) -> str:
    """Why a SeriesInstanceUID leads nowhere."""
    if lookup.index is None:
        return f"SeriesInstanceUID {uid} can only be found in the IDC index: {idc.INSTALL_HINT}"
    return f"SeriesInstanceUID {uid} is neither below {root} nor in the IDC index"
