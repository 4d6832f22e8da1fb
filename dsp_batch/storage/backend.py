"""The small protocols that each way of storing fulfils, and what passes through them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dsp_batch.model.object_names import is_object_name
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import ObjectInfo


class TemporaryError(Exception):
    """A failure that may pass: the same request is worth another attempt.

    Args:
        cause: A few words that go into the message when no attempt succeeds.
    """


class SlowDownError(TemporaryError):
    """The server asks for fewer requests (S3: SlowDown; HTTP: 429, 503)."""


class StoredKey(NamedTuple):
    """An object below a folder or prefix."""

    key: str
    """Name below the folder that was listed, with `/` between its parts."""

    size: int
    """Bytes of the object."""

    modified: float | None
    """Seconds since 1970 at which it was written; None where the storage does not tell."""


class ObjectHeaders(NamedTuple):
    """What a bucket tells web browsers and caches about an object; files have nothing of the kind."""

    content_type: str
    """Media type, for example `image/webp`."""

    cache_control: str | None = None
    """Value of the Cache-Control header, for example `public, max-age=86400`; None for no header."""


class Subfolder(NamedTuple):
    """A folder directly below one that was listed."""

    name: str

    link: str | None = None
    """The path that it leads to, free of links, where it is a symbolic link."""


class FolderListing(NamedTuple):
    """What lies directly in a folder."""

    objects: list[ObjectInfo]
    """Its objects, with names below the folder."""

    folders: list[Subfolder]


def is_plain_name(name: str) -> bool:
    """Tell whether a listed name is that of something directly in the folder, and leads nowhere else."""
    return "/" not in name and is_object_name(name)


def cut_name(key: str, above: str) -> str:
    """Return the part of a key behind a prefix; empty where it does not begin with that."""
    return key[len(above) :] if key.startswith(above) else ""


def join_key(folder: str, name: str) -> str:
    """Return the name of an object or folder below the root; `folder` is empty for the root itself."""
    return f"{folder}/{name}" if folder else name


class ObjectSource(Protocol):
    """One object while its reader runs."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole object; None until a listing or an answer has told."""

    async def read_range(self, start: int, stop: int) -> Buffer:
        """Read `[start, stop)`, with start < stop, in one request; shorter where the object ends.

        Sets `size`. Raises TemporaryError when another attempt may help, else StorageError.
        """

    def close(self) -> None:
        """Close files and free the memory that the source holds."""


class Backend(Protocol):
    """One root that series are read from.

    The methods that the reading loop calls make one attempt each, and run inside an event loop; `open_object` sends
    nothing. `read_whole` and `list_keys` are called from synchronous code and try again themselves.
    """

    async def list_level(self, folder: str) -> FolderListing | None:
        """List what lies directly in a folder of the root, in any order; None where there is no such folder.

        Storage without folders has nothing in a folder that is not there.
        """

    async def list_folders(self, prefix: str) -> list[str]:
        """List the names of the folders directly below the root that start with a raw prefix, in any order."""

    def open_object(self, folder: str, info: ObjectInfo) -> ObjectSource:
        """Prepare to read an object."""

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole object; None where there is none. Raises StorageError where it cannot be read."""

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List all objects below a folder of the root, or below the root where it is empty. Raises StorageError."""


class WritableBackend(Backend, Protocol):
    """A root that a cache or an output may lie in too. Its own methods are synchronous and try again themselves."""

    def write_whole(self, key: str, data: bytes, headers: ObjectHeaders, *, make_parents: bool) -> None:
        """Write an object whole or not at all; an existing one is replaced. Raises SinkError.

        With `make_parents`, missing folders are made, and they and the file are for their owner alone.
        """

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none. Raises SinkError."""
