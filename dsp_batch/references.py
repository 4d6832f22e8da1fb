"""Load the indices of other series that a series draws upon, from the SeriesInstanceUIDs that its kind names."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from dsp_batch.cache import Cache, read_index
from dsp_batch.errors import OptionsError, StorageError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import group_by_kind
from dsp_batch.model.identifiers import build_series_uuid, normalise_uuid
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, resolve_series
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A series that another draws upon, whose index was found."""

    index: SeriesIndex
    store: Store
    """The store to read its objects from."""


def load_references(index: SeriesIndex, store: Store, cache: Cache | None) -> tuple[Reference, ...]:
    """Load the indices of the series that a series draws upon.

    Only indices that the cache has already are loaded: no other series is read for a picture. A series that is not
    found is left out, and the picture is drawn without it.

    Args:
        index: The series that is drawn.
        store: The store that its objects are read from.
        cache: The cache that keeps indices; None for no references.
    """
    if cache is None:
        return ()
    found = []
    for uid in _name_series(index):
        refs = (ref for find in (_find_series, _name_scanned) if (ref := find(uid, store)))
        indices = (read_index(cache, ref.series_uuid, ref.root, ref.folder) for ref in refs)
        known = next((each for each in indices if each), None)
        if known:
            found.append(Reference(index=known, store=replace(store, root=known.root)))
        else:
            _log.debug("%s/%s draws upon %s, which is not at hand", index.root, index.series_uuid, uid)
    return tuple(found)


def _name_series(index: SeriesIndex) -> list[str]:
    """List the SeriesInstanceUIDs of the other series that a series draws upon."""
    named = [uid for kind, instances in group_by_kind(index) for uid in kind.name_references(instances)]
    own = set(index.texts("SeriesInstanceUID"))
    return [uid for uid in dict.fromkeys(named) if uid not in own]


def _name_scanned(uid: str, store: Store) -> SeriesRef | None:
    """Name the series of the same root that a scan would have found."""
    return None if is_idc_root(store.root) else SeriesRef(store.root, build_series_uuid(uid), folder="")


def _find_series(uid: str, store: Store) -> SeriesRef | None:
    """Find a series: in a folder of the same root, or where the IDC index says."""
    name = SeriesName(root=store.root, name=uid, kind="uid")
    try:
        found = resolve_series(name, lambda root: replace(store, root=root))
    except (OptionsError, StorageError) as error:
        _log.debug("%s", error.message)
        return None
    is_scanned = normalise_uuid(found.series_uuid) is None
    return found._replace(folder=found.series_uuid) if is_scanned else found
