"""Walk all folders below one, a few at a time, in any storage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import NamedTuple

from dsp_batch.errors import DspBatchError, StorageError
from dsp_batch.model.identifiers import normalise_uuid
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import Backend, FolderListing, Subfolder, join_key
from dsp_batch.storage.flow import Flow
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import run_blocking

_log = logging.getLogger(__name__)

FOLDERS_AT_ONCE = 32
"""Folders that are listed at the same time."""

DEEPEST = 64
"""Levels of folders that are walked, at most: a server may show a link to a folder above as an endless path."""


class _Pending(NamedTuple):
    """A folder that is to be listed."""

    name: str
    """Its name below the root of the store."""

    above: tuple[int, ...] = ()
    """Digests of what lies in each of the folders above it."""


class ListedFolder(NamedTuple):
    """A folder of a tree."""

    name: str
    """Its name below the root of the store; empty for the root itself."""

    objects: list[ObjectInfo]
    """What lies directly in it, with names below the folder. Hidden objects and DICOMDIR are left out."""

    folders: list[str]
    """Names of the folders directly in it that are going to be walked."""

    uuids: list[str]
    """Names of the folders directly in it that are UUIDs: each is a series, and is not walked."""


@dataclass(slots=True, kw_only=True)
class Tree:
    """A walk over a folder and all folders below it. Each is listed once, however many links lead to it."""

    backend: Backend
    url: str
    """URL or path of the root of the backend."""

    flow: Flow

    top: str
    """Real path of the folder that is walked, free of links; empty for remote storage."""

    _followed: list[PurePath] = field(default_factory=list)
    """Real paths of the folders outside of `top` that links have led to."""

    def walk(self, folder: str) -> Iterator[ListedFolder]:
        """Walk a folder; parents come before the folders in them.

        Folders below it that cannot be listed, or are gone, are logged as a warning each and left out.

        Args:
            folder: Name below the root; empty for the root itself.

        Raises:
            StorageError: The folder itself cannot be listed.
        """
        pending = [_Pending(folder)]
        while pending:
            some = pending[-FOLDERS_AT_ONCE:]
            del pending[-FOLDERS_AT_ONCE:]
            for each, level in zip(some, run_blocking(self._list(some)), strict=True):
                if isinstance(level, DspBatchError):
                    if each.name == folder:
                        raise level
                    _log.warning("a folder is left out: %s", level.message)
                    continue
                digest = hash(frozenset(level.objects) | {entry.name for entry in level.folders})
                if self.top == "" and level.folders and digest in each.above:
                    _log.warning("%s is left out: it shows a folder above it", join_key(self.url, each.name))
                    continue
                found = self._sort_out(each, level)
                pending += [_Pending(join_key(each.name, name), (*each.above, digest)) for name in found.folders]
                yield found

    async def _list(self, some: Sequence[_Pending]) -> list[FolderListing | DspBatchError]:
        return list(await asyncio.gather(*map(self._list_one, some)))

    async def _list_one(self, folder: _Pending) -> FolderListing | DspBatchError:
        what = f"list {join_key(self.url, folder.name)}"
        try:
            level = await retry_temporary(partial(self.backend.list_level, folder.name), what, self.flow)
        except DspBatchError as error:
            return error
        return StorageError(f"cannot {what}: no such folder", "not-found") if level is None else level

    def _sort_out(self, folder: _Pending, level: FolderListing) -> ListedFolder:
        """Leave out what is hidden, what is no object of a series, and folders that have been or will be walked."""
        uuids = sorted(each.name for each in level.folders if normalise_uuid(each.name))
        others = [each for each in level.folders if normalise_uuid(each.name) is None]
        folders = sorted(each.name for each in others if self._is_to_walk(folder, each))
        return ListedFolder(folder.name, [each for each in level.objects if is_wanted(each.name)], folders, uuids)

    def _is_to_walk(self, above: _Pending, folder: Subfolder) -> bool:
        if folder.name.startswith("."):
            return False
        if len(above.above) == DEEPEST:
            where = join_key(join_key(self.url, above.name), folder.name)
            _log.warning("%s is left out: it lies more than %d folders deep", where, DEEPEST)
            return False
        return folder.link is None or self._is_new(PurePath(folder.link))

    def _is_new(self, target: PurePath) -> bool:
        """Tell whether a link leads to a folder that the walk does not come to in another way, and note it."""
        top = PurePath(self.top)
        is_walked = target.is_relative_to(top) and not _is_hidden(target.relative_to(top))
        if is_walked or any(target.is_relative_to(each) for each in self._followed):
            return False
        if any(each.is_relative_to(target) for each in (top, *self._followed)):
            _log.warning("a link to %s is not followed: it leads back to a folder that is walked", target)
            return False
        self._followed.append(target)
        return True


def is_wanted(name: str) -> bool:
    """Tell whether an object may be an instance, by its name: hidden ones and the directory of a CD are none."""
    return not name.startswith(".") and name.upper() != "DICOMDIR"


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)
