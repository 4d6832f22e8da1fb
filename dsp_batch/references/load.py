"""Load the indices of other series that a series draws upon, or speaks of, by their SeriesInstanceUIDs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dsp_batch.cache import Cache, find_index_anywhere, write_index
from dsp_batch.errors import OptionsError, SeriesError, StorageError, TooDearError
from dsp_batch.fetch import Allowance, fetch_headers
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.overlays.registry import name_images
from dsp_batch.kinds.registry import add_statements, group_by_kind, is_image
from dsp_batch.model.frame import ContextState
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.places import ContextMode, SeriesPlace
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, resolve_series
from dsp_batch.options import IndexOptions
from dsp_batch.scan.find import find_again
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store

_log = logging.getLogger(__name__)

MOST_HEADER_BYTES = 64 << 20
"""Bytes of headers that are read of a referenced series, at most."""

_MOST_NEIGHBOURS = 8
"""Series of the same study that are looked at where an object names none."""

_MOST_NAMED = 64
"""Series that are looked for, at most: a selection of key objects may name thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A series that another draws upon, whose index was found."""

    index: SeriesIndex
    store: Store
    """The store to read its objects from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The other series that a series is drawn with."""

    references: tuple[Reference, ...] = ()
    """Those that were found."""

    missing: ContextState | None = None
    """Why the image that an object speaks of is not drawn, unless it is; None where it needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where other series are looked for, besides the folders of the same root."""

    mode: ContextMode | None = None
    """What may be read for the image that an object speaks of; None where such an image is not drawn."""

    places: tuple[SeriesPlace, ...] = ()
    """Series of the same manifest or the same scan, and finished series of the cache."""

    asks_idc: bool = True
    """True to ask the IDC index, which takes two seconds and 90 MB to load."""

    seconds: float | None = None
    """Seconds that reading headers may take; None for no limit."""


EVERYWHERE = Search()
"""The search for series that a kind draws upon, without the image that an object speaks of."""


def load_references(index: SeriesIndex, store: Store, cache: Cache | None, search: Search = EVERYWHERE) -> Context:
    """Load the indices of the series that a series draws upon or speaks of.

    They are those that the cache has already; headers are read only where the search says so. A series that is not
    found is left out, and the picture is drawn without it.

    Args:
        index: The series that is drawn.
        store: The store that its objects are read from.
        cache: The cache that keeps indices; None for none, so that there are only references whose headers are read.
        search: Where they are looked for.
    """
    images = name_images(index) if search.mode is not None else None
    named = [
        uid
        for kind, rows in group_by_kind(index).items()
        if kind.name_references is not None
        for uid in kind.name_references({row: index.attributes(row) for row in rows})
    ]
    if images is None and not named:
        return Context()
    missing: ContextState | None = None if images is None else "not-looked-for" if search.mode == "off" else "absent"
    is_looked_for = named if search.mode in (None, "off") else True
    if not is_looked_for or (cache is None and search.mode != "fetch"):
        return Context(missing=missing)
    own = set(index.texts("SeriesInstanceUID"))
    wanted = [uid for uid in dict.fromkeys([*named, *(images or ())]) if uid not in own][:_MOST_NAMED]
    references: list[Reference] = []
    for uid in wanted:
        try:
            found = _load_named(uid, store, cache, search)
        except TooDearError as error:
            _log.debug("%s", error.message)
            missing = "too-dear"
            continue
        references += [found] if found else []
        if found is None:
            _log.debug("%s speaks of %s, which is not at hand", index.url, uid)
    if images is not None and not references:
        references = _load_neighbours(index, {*own, *wanted}, store, cache, search)
    return Context(references=tuple(references), missing=missing)


def _load_named(uid: str, store: Store, cache: Cache | None, search: Search) -> Reference | None:
    """Load the index of a series, and make it where that is allowed and the series is found.

    Raises:
        TooDearError: Its headers have more bytes than may be read.
    """
    found: SeriesRef | None = None
    for ref in _find_places(uid, store, search):
        known = _read_known(cache, ref)
        if known:
            return _refer(known, store, ref)
        is_sure = ref.folder != "" or any(place.series_uuid == ref.series_uuid for place in search.places)
        found = found or (ref if is_sure else None)
        if found and cache is None:
            break
    known = find_index_anywhere(cache, build_series_uuid(uid)) if cache else None
    if known and uid in known.texts("SeriesInstanceUID"):
        return _refer(known, store, None)
    if search.mode != "fetch" or found is None:
        return None
    return _fetch(found, store, cache, search)


def _read_known(cache: Cache | None, ref: SeriesRef) -> SeriesIndex | None:
    """Read the index of a series. It says itself which folder the names of its objects are counted from."""
    known = find_index_anywhere(cache, ref.series_uuid) if cache else None
    return known if known and known.root == ref.root else None


def _find_places(uid: str, store: Store, search: Search) -> Iterator[SeriesRef]:
    """Find the places of a series: in rows, in a folder of the same root, and where the IDC index says."""
    for place in search.places:
        if place.series_instance_uid == uid:
            yield SeriesRef(place.root, place.series_uuid, place.endpoint_url, folder=place.folder)
    if not is_idc_root(store.root):
        yield SeriesRef(store.root, build_series_uuid(uid), folder="")
    if found := _find_series(uid, store, asks_idc=search.asks_idc):
        yield found


def _find_series(uid: str, store: Store, *, asks_idc: bool) -> SeriesRef | None:
    """Find a series: in a folder of the same root, or where the IDC index says."""
    name = SeriesName(root=store.root, name=uid, kind="uid")
    try:
        return resolve_series(name, lambda root: replace(store, root=root), asks_idc=asks_idc)
    except (OptionsError, StorageError) as error:
        _log.debug("%s", error.message)
        return None


def _fetch(ref: SeriesRef, store: Store, cache: Cache | None, search: Search) -> Reference | None:
    """Read the headers of a series and keep its index; None where it cannot be read."""
    place = _open_store(store, ref.root, ref.endpoint_url)
    if ref.folder == "" and not place.is_local:
        return None  # that would be a search of the whole bucket
    try:
        ref = ref if ref.folder is None else find_again(ref, place)
        headers = fetch_headers(
            ref, place, IndexOptions(), Allowance(seconds=search.seconds, most_read=MOST_HEADER_BYTES)
        )
        index = add_statements(build_index(headers))
    except TooDearError:
        raise
    except (SeriesError, StorageError) as error:
        _log.debug("%s", error.message)
        return None
    if cache:
        write_index(index, cache)
    return Reference(index=index, store=place)


def _load_neighbours(
    index: SeriesIndex, known: set[str], store: Store, cache: Cache | None, search: Search
) -> list[Reference]:
    """Load the indices of image series of the same study, as far as the cache has them."""
    study = index.texts("StudyInstanceUID")[0]
    if not study:
        return []
    places = [
        place
        for place in search.places
        if place.study_instance_uid == study and place.series_instance_uid not in known and is_image(place.sop_class)
    ]
    found: list[Reference] = []
    for place in places:
        ref = SeriesRef(place.root, place.series_uuid, place.endpoint_url, folder=place.folder)
        near = _read_known(cache, ref)
        found += [_refer(near, store, ref)] if near else []
        if len(found) == _MOST_NEIGHBOURS:
            break
    return found


def _refer(index: SeriesIndex, store: Store, ref: SeriesRef | None) -> Reference:
    return Reference(index=index, store=_open_store(store, index.root, ref.endpoint_url if ref else None))


def _open_store(store: Store, root: str, endpoint_url: str | None) -> Store:
    """Open the store of another root, with the settings that this one has."""
    return replace(store, root=root, endpoint_url=store.endpoint_url or endpoint_url)
