"""Who belongs together: the series of an object is told by its header, and each series has a UUID."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import groupby
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from dsp_batch.dicom.headers.read import read_identity
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.errors import DspBatchError
from dsp_batch.model.identifiers import build_series_uuid
from dsp_batch.model.series import InstanceHeader, ObjectInfo
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import parse_location

_log = logging.getLogger(__name__)

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


def find_common_folder(folders: Iterable[str]) -> str:
    """Find the deepest folder that all of some folders lie in, or are; empty for the root."""
    names = [each.split("/") for each in {*folders}]
    first, last = min(names), max(names)
    common = next((rank for rank, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return "/".join(first[: min(len(first), len(last)) if common is None else common])


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


def _build_key(root: str, folder: str, uid: str, patient_id: str | None) -> str:
    if uid:
        return build_series_uuid(uid, patient_id)
    path = parse_location(root).path
    url = f"{root}/{folder}".rstrip("/") if path is None else (path / folder).as_uri()
    return str(uuid5(NAMESPACE_URL, url if patient_id is None else f"{url}/{patient_id}"))
