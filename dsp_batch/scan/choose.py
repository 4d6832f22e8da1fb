"""Choose the series that is meant of those that a scan finds: in a folder of any layout, in a file, or by its UID."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dsp_batch.errors import DspBatchError, OptionsError, SeriesError, StorageError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.places import SeriesPlace
from dsp_batch.model.series import ObjectInfo, SeriesRef
from dsp_batch.names import SeriesName, resolve_series
from dsp_batch.scan.folder_scan import FolderScan, FoundSeries, keep_parts, scan_here
from dsp_batch.scan.identity import Identity, identify_objects, name_groups
from dsp_batch.scan.parts import read_scanned_objects
from dsp_batch.scan.settings import ScanSettings
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import locate_below

_log = logging.getLogger(__name__)


def choose_named_series(name: SeriesName, settings: ScanSettings, series_uid: str | None) -> SeriesRef:
    """Choose the series that a name means, of those that a scan finds where it leads; see `find_named_series`."""
    open_store = settings.open_store
    if name.kind == "object":
        found = scan_file(open_store(name.root), name.name)
        return choose_series([found], series_uid, f"{name.root}/{name.name}")
    if name.kind == "tree":
        return _choose_in_folder(name.root, settings, series_uid)
    if name.kind == "uid" and not is_idc_root(name.root) and not open_store(name.root).list_series(name.name):
        ref = _find_in_folder(open_store(name.root), settings, lambda found: _choose_by_uid(found, name))
        if ref is not None:
            return ref
    ref = resolve_series(name, open_store)
    if normalise_uuid(ref.series_uuid) is None:
        return _choose_in_folder(locate_below(ref.root, ref.series_uuid), settings, series_uid)
    if series_uid is not None:
        return choose_series([*_look_into(ref, open_store(ref.root))], series_uid, ref.url)
    return ref


def choose_again(ref: SeriesRef, store: Store) -> SeriesRef:
    """Choose the series that an earlier scan has found, of those that a scan of its folder finds; see `find_again`."""
    above, top = f"{ref.folder}/" if ref.folder else "", locate_below(store.root, ref.folder or "")

    def choose(found: Sequence[FoundSeries]) -> SeriesRef:
        return choose_series([each for each in found if each.ref.series_uuid == ref.series_uuid], None, ref.url)

    settings = ScanSettings(open_store=lambda root: replace(store, root=root))
    chosen = _find_in_folder(replace(store, root=top), settings, choose) or ref
    named = tuple(replace(each, name=above + each.name) for each in chosen.objects or ())
    return ref._replace(folder=f"{above}{chosen.folder}".rstrip("/"), objects=named)


def scan_file(store: Store, name: str) -> FoundSeries:
    """Take a single file as a series.

    Args:
        store: The store of the folder that it lies in, on this machine.
        name: Its name.

    Raises:
        SeriesError: It is no DICOM instance.
    """
    status = Path(store.root, name).stat()
    info = ObjectInfo(name=name, size=status.st_size, modified=status.st_mtime)
    rejected = dict[str, DspBatchError]()
    for identity in identify_objects(store, (info,), rejected):
        group = identity.group
        series_uuid = name_groups(store.root, (group,))[group]
        ref = SeriesRef(store.root, series_uuid, folder=identity.folder, objects=(info,))
        return _describe(ref, identity, (info,))
    error = rejected[name]
    raise SeriesError(f"{store.root}/{name} is no DICOM instance: {error.message}", error.reason)


def choose_series(found: Sequence[FoundSeries], series_uid: str | None, url: str) -> SeriesRef:
    """Choose the series that is meant: the only one, or the one with a SeriesInstanceUID.

    Args:
        found: All series below a folder.
        series_uid: The SeriesInstanceUID; None where none was asked for.
        url: The folder, for messages.

    Raises:
        StorageError: There is none, or none with that UID.
        OptionsError: There are several, each of which is logged as a warning.
    """
    if not found:
        raise StorageError(f"no DICOM series below {url}: check the name", "not-found")
    chosen = [each for each in found if series_uid in (None, each.series_instance_uid)]
    if len(chosen) == 1:
        return chosen[0].ref
    for each in chosen or found:
        _log.warning("%s", each.describe())
    if series_uid is None:
        raise OptionsError(f"{url} holds {len(found)} series, which are listed above: choose one with --series-uid")
    if not chosen:
        raise StorageError(f"no series below {url} has the SeriesInstanceUID {series_uid}", "not-found")
    raise OptionsError(
        f"{len(chosen)} series below {url} have the SeriesInstanceUID {series_uid}: give the folder of one of them"
    )


def _choose_in_folder(root: str, settings: ScanSettings, series_uid: str | None) -> SeriesRef:
    """Choose the series that is meant of those below a root; see `choose_series`."""
    chosen = _find_in_folder(settings.open_store(root), settings, lambda found: choose_series(found, series_uid, root))
    if chosen is None:
        raise StorageError(f"no DICOM series below {root}: check the name", "not-found")
    return chosen


def _choose_by_uid(found: Sequence[FoundSeries], name: SeriesName) -> SeriesRef | None:
    known = [each for each in found if each.series_instance_uid == name.name]
    return choose_series(known, name.name, name.root) if known else None


def _find_in_folder(
    store: Store, settings: ScanSettings, choose: Callable[[Sequence[FoundSeries]], SeriesRef | None]
) -> SeriesRef | None:
    """Scan the root of a store, and return the series that is chosen of those below it, with its objects.

    Raises:
        StorageError: The root cannot be listed, or an object cannot be read.
    """
    with keep_parts(settings.cache) as cache:
        scan = FolderScan(store=store, cache=cache, refresh=settings.refresh)
        found = list[FoundSeries]()
        for each in scan_here(scan):
            found += _look_into(each, settings.open_store(each.root)) if isinstance(each, SeriesRef) else (each,)
        for error in scan.unlisted.values():
            raise error
        chosen = choose(found)
        if chosen is None:
            return None
        chosen = chosen._replace(neighbours=_list_places(found))
        if chosen.scan is None:
            return chosen
        return chosen._replace(objects=read_scanned_objects(chosen, cache), scan=None, digest=None)


def _list_places(found: Iterable[FoundSeries]) -> tuple[SeriesPlace, ...]:
    """Say where the series of a scan are: one of them may be the image that another speaks of."""
    return tuple(
        SeriesPlace(
            series_instance_uid=each.series_instance_uid,
            study_instance_uid="",
            sop_class="",
            root=each.ref.root,
            series_uuid=each.ref.series_uuid,
            folder=each.ref.folder,
        )
        for each in found
        if each.series_instance_uid
    )


def _look_into(ref: SeriesRef, store: Store) -> Iterator[FoundSeries]:
    """Describe a series whose folder is named by a UUID, by the first of its objects that is an instance."""
    objects, rejected = store.list_objects(ref.series_uuid), dict[str, DspBatchError]()
    for info in objects:
        for first in identify_objects(store, (info,), rejected, ref.series_uuid):
            yield _describe(ref, first, objects)
            return


def _describe(ref: SeriesRef, first: Identity, objects: Sequence[ObjectInfo]) -> FoundSeries:
    sizes = [each.size for each in objects if each.size is not None]
    return FoundSeries(
        ref=ref,
        series_instance_uid=first.series_instance_uid or None,
        modality=first.modality,
        number=first.number,
        description=first.description,
        count=len(objects),
        size=sum(sizes) if len(sizes) == len(objects) else None,
    )
