"""Scan a folder for series: walk it to any depth, and tell by their headers which objects make up a series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from dsp_batch.dicom.headers.read import read_identity
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.errors import DspBatchError, OptionsError, SeriesError, StorageError
from dsp_batch.model.identifiers import build_series_uuid, normalise_uuid
from dsp_batch.model.series import InstanceHeader, ObjectInfo, SeriesRef
from dsp_batch.names import SeriesName, resolve_series
from dsp_batch.storage.public_buckets import is_idc_root
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import locate_below, parse_location

_log = logging.getLogger(__name__)

OBJECTS_AT_ONCE = 1000
"""Objects whose headers are read together."""

ALL_FOLDERS = ("",)
"""The root itself, in the place of names of folders below it."""

_GOES_ON_WITHOUT = frozenset({"not-dicom", "bad-header", "too-large", "not-found", "access-denied"})
"""Reasons of objects that are left out of a scan; any other ends it."""


class SeriesGroup(NamedTuple):
    """What the instances of one series have in common."""

    series_instance_uid: str
    """Series Instance UID (0020,000E); empty where they have none."""

    folder: str
    """Folder that they lie in, where they have no UID; else empty."""

    patient_id: str
    """Patient ID (0010,0020), which goes into no message; empty where they have none."""

    @property
    def digest(self) -> str:
        """16 hex digits that tell it from all others."""
        return blake2b("\0".join(self).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Identity(NamedTuple):
    """What the header of an object says about its series."""

    object: ObjectInfo
    series_instance_uid: str
    """Series Instance UID (0020,000E); empty where it has none."""

    patient_id: str
    """Patient ID (0010,0020), which goes into no message; empty where it has none."""

    modality: str | None = None
    number: int | None = None
    """Series Number (0020,0011)."""

    description: str | None = None
    """Series Description (0008,103E)."""

    @property
    def group(self) -> SeriesGroup:
        """What it has in common with the other instances of its series."""
        uid = self.series_instance_uid
        return SeriesGroup(uid, "" if uid else self.folder, self.patient_id)

    @property
    def folder(self) -> str:
        """Folder that the object lies in, below the root; empty for the root itself."""
        return self.object.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSeries:
    """A series that a scan has found."""

    ref: SeriesRef
    series_instance_uid: str | None
    modality: str | None
    number: int | None
    description: str | None
    count: int
    """Number of its objects."""

    def describe(self) -> str:
        """Tell of the series in one line."""
        told = (
            self.series_instance_uid or "without SeriesInstanceUID",
            self.modality or "no modality",
            f"number {'unknown' if self.number is None else self.number}",
            repr(self.description) if self.description else "no description",
            f"{self.count} instance{'' if self.count == 1 else 's'}",
            self.ref.url,
        )
        return ", ".join(told)


def walk_objects(
    store: Store, folders: Iterable[str], unlisted: dict[str, StorageError]
) -> Iterator[SeriesRef | ObjectInfo]:
    """Walk folders below the root of a store, to any depth.

    Args:
        store: The store.
        folders: Names of the folders; empty for the root itself.
        unlisted: Takes the errors of those that cannot be listed.

    Yields:
        Series whose folders are named by UUIDs, without a look into these; and the objects of all other folders, with
        names below the root.
    """
    for top in folders:
        try:
            for folder in store.walk(top):
                for name in folder.uuids:
                    yield SeriesRef(locate_below(store.root, folder.name), name)
                above = f"{folder.name}/" if folder.name else ""
                for each in sorted(folder.objects, key=lambda each: each.name):
                    yield replace(each, name=above + each.name)
        except StorageError as error:
            unlisted[top] = error


def scan_folders(store: Store, folders: Iterable[str], unlisted: dict[str, StorageError]) -> Iterator[SeriesRef]:
    """Find the series in folders below the root of a store, at any depth.

    Folders named by a UUID are series without a look into them. The objects elsewhere are grouped by the
    SeriesInstanceUID of their headers.

    Args:
        store: The store.
        folders: Names of the folders; empty for the root itself.
        unlisted: Takes the errors of those that cannot be listed.

    Raises:
        StorageError: An object cannot be read.
    """
    objects: list[ObjectInfo] = []
    for each in walk_objects(store, folders, unlisted):
        if isinstance(each, SeriesRef):
            yield each
        else:
            objects.append(each)
    yield from (found.ref for found in scan_objects(store, objects))


def find_all_series(store: Store) -> list[FoundSeries]:
    """Describe the series below the root of a store, at any depth.

    Raises:
        StorageError: The root cannot be listed, or an object cannot be read.
    """
    objects: list[ObjectInfo] = []
    found: list[FoundSeries] = []
    unlisted: dict[str, StorageError] = {}
    for each in walk_objects(store, ALL_FOLDERS, unlisted):
        if isinstance(each, SeriesRef):
            found += _look_into(each, replace(store, root=each.root))
        else:
            objects.append(each)
    for error in unlisted.values():
        raise error
    return [*found, *scan_objects(store, objects)]


def scan_objects(store: Store, objects: Sequence[ObjectInfo]) -> list[FoundSeries]:
    """Find the series that some objects below the root of a store make up.

    Raises:
        StorageError: An object cannot be read.
    """
    rejected: dict[str, DspBatchError] = {}
    identities: list[Identity] = []
    for start in range(0, len(objects), OBJECTS_AT_ONCE):
        identities += identify_objects(store, objects[start : start + OBJECTS_AT_ONCE], rejected)
    if rejected:
        name, error = next(iter(rejected.items()))
        message = "%s: %d of %d objects are no instances and left out; the first, %s: %s"
        _log.warning(message, store.root, len(rejected), len(objects), name, error.message)
    return [*group_series(store.root, identities)]


def identify_objects(
    store: Store, objects: Iterable[ObjectInfo], rejected: dict[str, DspBatchError], folder: str = ""
) -> Iterator[Identity]:
    """Read which series each of some objects belongs to.

    Args:
        store: The store of the root.
        objects: The objects, with names below the folder.
        rejected: Takes the errors of objects that are no instances or cannot be read, by name.
        folder: Folder below the root that names are counted from.

    Raises:
        StorageError: The storage fails.
    """
    infos = {each.name: each for each in objects}
    readers = {each: read_identity(each.name, each.size) for each in infos.values()}
    for name, answer in store.read(folder, readers).items():
        if isinstance(answer, InstanceHeader):
            yield _identify(infos[name], answer)
        elif answer.reason in _GOES_ON_WITHOUT:
            rejected[name] = answer
        else:
            raise answer


def group_series(root: str, identities: Iterable[Identity]) -> Iterator[FoundSeries]:
    """Group objects into series: by SeriesInstanceUID and Patient ID, without a UID by folder and Patient ID.

    Args:
        root: URL or path that the names of the objects are counted from.
        identities: The objects.
    """
    groups: dict[SeriesGroup, list[Identity]] = {}
    for each in identities:
        groups.setdefault(each.group, []).append(each)
    for group, series_uuid in name_groups(root, groups).items():
        yield _describe(root, series_uuid, groups[group])


def name_groups(root: str, groups: Iterable[SeriesGroup]) -> dict[SeriesGroup, str]:
    """Name the series of a root: the UUID of each, sorted by group.

    Of several patients with one SeriesInstanceUID the first has the UUID of the UID; one line warns of them.
    """
    names: dict[SeriesGroup, str] = {}
    for (uid, folder), patients in groupby(sorted(groups), key=lambda group: group[:2]):
        members = [*patients]
        if len(members) > 1:
            where = uid or f"{folder or '.'}, without SeriesInstanceUID,"
            _log.warning("%s: %s has instances of %d patients, which are as many series", root, where, len(members))
        for rank, group in enumerate(members):
            names[group] = _build_key(root, folder, uid, group.patient_id if rank else None)
    return names


def find_named_series(name: SeriesName, store_of: Callable[[str], Store], series_uid: str | None = None) -> SeriesRef:
    """Find the series that a name means. Folders that are not named by a UUID are scanned.

    Args:
        name: What `find_local` or `parse_series` gave.
        store_of: Root → its store.
        series_uid: SeriesInstanceUID of the series that is meant where a folder holds several.

    Raises:
        StorageError: There is no such series, or it cannot be read.
        OptionsError: The folder holds several series; or as in `resolve_series`.
        SeriesError: The name is that of a file which is no DICOM instance.
    """
    if name.kind == "object":
        return choose_series(scan_file(store_of(name.root), name.name), series_uid, f"{name.root}/{name.name}")
    if name.kind == "tree":
        return choose_series(find_all_series(store_of(name.root)), series_uid, name.root)
    if name.kind == "uid" and not is_idc_root(name.root) and not store_of(name.root).list_series(name.name):
        found = [each for each in find_all_series(store_of(name.root)) if each.series_instance_uid == name.name]
        if found:
            return choose_series(found, name.name, name.root)
    ref = resolve_series(name, store_of)
    if normalise_uuid(ref.series_uuid) is None:
        return choose_series(find_all_series(store_of(locate_below(ref.root, ref.series_uuid))), series_uid, ref.url)
    if series_uid is not None:
        return choose_series([*_look_into(ref, store_of(ref.root))], series_uid, ref.url)
    return ref


def find_again(ref: SeriesRef, store: Store) -> SeriesRef:
    """Find the objects of a series that an earlier scan has found, by a scan of its folder.

    Args:
        ref: The series.
        store: The store of its root.

    Raises:
        StorageError: There is no such series any more.
    """
    above = f"{ref.folder}/" if ref.folder else ""
    found = find_all_series(replace(store, root=locate_below(store.root, ref.folder or "")))
    chosen = choose_series([each for each in found if each.ref.series_uuid == ref.series_uuid], None, ref.url)
    named = tuple(replace(each, name=above + each.name) for each in chosen.objects or ())
    return ref._replace(folder=f"{above}{chosen.folder}".rstrip("/"), objects=named)


def scan_file(store: Store, name: str) -> list[FoundSeries]:
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
    identities = [*identify_objects(store, (info,), rejected)]
    for error in rejected.values():
        raise SeriesError(f"{store.root}/{name} is no DICOM instance: {error.message}", error.reason)
    return [*group_series(store.root, identities)]


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


def _look_into(ref: SeriesRef, store: Store) -> Iterator[FoundSeries]:
    """Describe a series whose folder is named by a UUID, by the first of its objects that is an instance."""
    objects, rejected = store.list_objects(ref.series_uuid), dict[str, DspBatchError]()
    for info in objects:
        for first in identify_objects(store, (info,), rejected, ref.series_uuid):
            yield _found(ref, first, len(objects))
            return


def _identify(info: ObjectInfo, header: InstanceHeader) -> Identity:
    attributes = HeaderDecoder(header).attributes()
    uid = (attributes.text("SeriesInstanceUID") or "").strip()
    return Identity(
        object=info,
        series_instance_uid=uid,
        patient_id=(attributes.text("PatientID") or "").strip(),
        modality=attributes.text("Modality"),
        number=attributes.integer("SeriesNumber"),
        description=attributes.text("SeriesDescription"),
    )


def _describe(root: str, series_uuid: str, objects: Sequence[Identity]) -> FoundSeries:
    ref = SeriesRef(
        root,
        series_uuid,
        folder=find_common_folder(each.folder for each in objects),
        objects=tuple(sorted((each.object for each in objects), key=lambda each: each.name)),
    )
    return _found(ref, min(objects, key=lambda each: each.object.name), len(objects))


def _found(ref: SeriesRef, first: Identity, count: int) -> FoundSeries:
    return FoundSeries(
        ref=ref,
        series_instance_uid=first.series_instance_uid or None,
        modality=first.modality,
        number=first.number,
        description=first.description,
        count=count,
    )


def _build_key(root: str, folder: str, uid: str, patient_id: str | None) -> str:
    if uid:
        return build_series_uuid(uid, patient_id)
    path = parse_location(root).path
    url = f"{root}/{folder}".rstrip("/") if path is None else (path / folder).as_uri()
    return str(uuid5(NAMESPACE_URL, url if patient_id is None else f"{url}/{patient_id}"))


def find_common_folder(folders: Iterable[str]) -> str:
    """Find the deepest folder that all of some folders lie in, or are; empty for the root."""
    names = [each.split("/") for each in {*folders}]
    first, last = min(names), max(names)
    common = next((rank for rank, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return "/".join(first[: min(len(first), len(last)) if common is None else common])
