"""Any other storage that fsspec knows: gs, az, memory and more."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from dsp_batch.errors import Reason, SinkError, StorageError, UnavailableError, first_line
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import FolderListing, ObjectHeaders, StoredKey, Subfolder, TemporaryError, join_key
from dsp_batch.storage.backends.content_coding import check_size, decode_body, is_named_gzip
from dsp_batch.storage.failures import explain_cause, translate_status
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import run_blocking
from dsp_batch.storage.urls import Location
from dsp_batch.storage.usage import count_usage

_EXTRAS: dict[str, tuple[str, str]] = {
    "gs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
}
"""Scheme → the package that reads it, and the extra of dsp-batch that brings it."""

_KNOWN = "s3://, http://, https://, file:// or a path, or gs:// and az:// with their packages (dsp-batch[gcs], [azure])"
"""What a root may be, in messages."""

_ANONYMOUS_OPTIONS: dict[str, dict[str, Any]] = {
    "gs": {"token": "anon"},
    "az": {"anon": True},
    "abfs": {"anon": True},
}

_THREADS = 32
"""Calls in flight, at most, where each takes a thread."""


@lru_cache(maxsize=16)
def open_filesystem(scheme: str, anonymous: bool | None = None) -> Any:  # noqa: FBT001  # a cache key, as in Store
    """Open fsspec's file system for a scheme.

    Raises:
        StorageError: There is none, or a package is missing; the message names it.
    """
    import fsspec  # noqa: PLC0415  # most roots do without

    options = _ANONYMOUS_OPTIONS.get(scheme, {}) if anonymous else {}
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        package, extra = _EXTRAS.get(scheme, (None, None))
        advice = f"pip install 'dsp-batch[{extra}]' (package {package})" if extra else first_line(error)
        raise StorageError(f"{scheme}:// needs a package that is not installed: {advice}") from error
    except ValueError as error:
        raise StorageError(f"{scheme}:// is no storage that is known here: use {_KNOWN}", reason="not-found") from error


class FilesystemBackend:
    """A root in an fsspec file system.

    Args:
        location: The root.
        anonymous: True for requests without credentials, where the file system can do that.
        max_workers: Threads, at most, for file systems without an event loop of their own.
    """

    def __init__(self, location: Location, *, anonymous: bool | None, max_workers: int) -> None:
        self._root = str(location)
        self._path = f"{location.container}/{location.key}".strip("/")
        self._filesystem = open_filesystem(location.scheme, anonymous)
        self._threads = ThreadPoolExecutor(min(max_workers, _THREADS), thread_name_prefix="dsp-batch-storage")

    async def list_level(self, folder: str) -> FolderListing:
        """List the objects and folders directly below a folder."""
        level = FolderListing([], [])
        for each in await self._list(join_key(self._path, folder)):
            if each["type"] == "directory":
                level.folders.append(Subfolder(_last_part(each)))
            else:
                level.objects.append(
                    ObjectInfo(name=_last_part(each), size=each.get("size"), modified=_find_time(each))
                )
        return level

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        names = [_last_part(each) for each in await self._list(self._path) if each["type"] == "directory"]
        return [name for name in names if name.startswith(prefix)]

    def open_object(self, folder: str, info: ObjectInfo) -> FilesystemSource:
        """Prepare to read an object."""
        return FilesystemSource(self, join_key(join_key(self._path, folder), info.name), info.size)

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole object; None where there is none."""
        url = f"{self._root}/{key}"
        count_usage(requests=1)
        try:
            data: bytes = self._filesystem.cat_file(url)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _reading_error(error, f"read {url}") from error
        count_usage(bytes_read=len(data))
        return data

    def write_whole(self, key: str, data: bytes, headers: ObjectHeaders, *, make_parents: bool) -> None:  # noqa: ARG002  # made as they are needed
        """Write an object whole, tried again as reads are."""
        url = f"{self._root}/{key}"
        known = _header_arguments(self._filesystem, headers)
        _change(lambda: self._filesystem.pipe_file(url, data, **known), f"write {url}")

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none."""
        url = f"{self._root}/{key}"

        def remove() -> None:
            with suppress(FileNotFoundError):
                self._filesystem.rm_file(url)

        _change(remove, f"delete {url}")

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List the objects below a folder, or below the root where it is empty."""
        url = f"{self._root}/{folder}".rstrip("/")
        count_usage(requests=1)
        try:
            found = self._filesystem.find(url, detail=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise _reading_error(error, f"list {url}") from error
        above = f"{self._path}/{folder}".strip("/")
        for name, entry in found.items():
            yield StoredKey(name.strip("/").removeprefix(above).lstrip("/"), entry["size"], _find_time(entry))

    async def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Make one call, in the file system's own event loop where it has one."""
        count_usage(requests=1)
        try:
            if getattr(self._filesystem, "async_impl", False):
                work = getattr(self._filesystem, f"_{method}")(path, **arguments)
                return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._filesystem.loop))
            context = contextvars.copy_context()
            action = partial(getattr(self._filesystem, method), path, **arguments)
            return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, action)
        except Exception as error:
            what = f"{'list' if method == 'ls' else 'read'} {self._root}{path[len(self._path) :]}"
            raise translate_filesystem_error(error, what) from error

    async def _list(self, path: str) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = await self.call("ls", path, detail=True)
        except StorageError as error:
            if error.reason == "not-found":
                return []
            raise
        # Some file systems list the folder itself, or its marker object, among its contents.
        return [each for each in entries if each["name"].strip("/") != path.strip("/")]


class FilesystemSource:
    """One object of an fsspec file system."""

    def __init__(self, backend: FilesystemBackend, path: str, size: int | None) -> None:
        self.size = None if is_named_gzip(path) else size
        self._backend = backend
        self._path = path
        self._body: bytes | None = None

    async def read_range(self, start: int, stop: int) -> bytes:
        """Read `[start, stop)` in one call; an object whose name says that it is in gzip's coding once and whole."""
        if is_named_gzip(self._path):
            return (await self._read_decoded())[start:stop]
        if self.size is None:
            self.size = await self._find_size()
        if start >= self.size:
            return b""
        data: bytes = await self._backend.call("cat_file", self._path, start=start, end=min(stop, self.size))
        count_usage(bytes_read=len(data))
        return data

    async def _find_size(self) -> int:
        return int((await self._backend.call("info", self._path))["size"])

    async def _read_decoded(self) -> bytes:
        if self._body is None:
            what = f"read {self._path}"
            check_size(await self._find_size(), what)
            data: bytes = await self._backend.call("cat_file", self._path)
            count_usage(bytes_read=len(data))
            self._body = decode_body(data, None, self._path, what)
            self.size = len(self._body)
        return self._body

    def close(self) -> None:
        """Free the body."""
        self._body = None


def translate_filesystem_error(error: Exception, what: str) -> Exception:
    """Say what an exception of an fsspec file system means; programming errors come back unchanged."""
    status = getattr(error, "code", None) or getattr(error, "status", None) or getattr(error, "status_code", None)
    if isinstance(status, int):
        return translate_status(status, "", what, "made with the credentials found")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StorageError(f"cannot {what}: no such object", reason="not-found")
    if isinstance(error, PermissionError):
        return StorageError(f"cannot {what}: access denied", reason="access-denied")
    if isinstance(error, TypeError | AttributeError | LookupError | ValueError | StorageError):
        return error
    return TemporaryError(first_line(error))


def _change(action: Callable[[], object], what: str) -> None:
    """Write or delete an object, in as many attempts as it takes; each leaves everything or nothing."""

    async def attempt() -> None:
        count_usage(requests=1)
        try:
            action()
        except (TimeoutError, ConnectionError) as error:
            cause = "timed out" if isinstance(error, TimeoutError) else explain_cause(str(error))
            raise TemporaryError(cause) from error
        except Exception as error:
            raise SinkError(f"cannot {what}: {_explain(error)}") from error

    try:
        run_blocking(retry_temporary(attempt, what))
    except StorageError as error:
        raise UnavailableError(error.message) from error


def _header_arguments(filesystem: Any, headers: ObjectHeaders) -> dict[str, Any]:
    """Return the headers as the file system takes them: gcsfs and adlfs do, those without headers do not."""
    if "abfs" in filesystem.protocol:
        from azure.storage.blob import ContentSettings  # noqa: PLC0415  # adlfs has brought it

        settings = ContentSettings(content_type=headers.content_type, cache_control=headers.cache_control)
        return {"content_settings": settings}
    if "gs" not in filesystem.protocol:
        return {}
    if headers.cache_control is None:
        return {"content_type": headers.content_type}
    return {"content_type": headers.content_type, "fixed_key_metadata": {"cache_control": headers.cache_control}}


def _reading_error(error: Exception, what: str) -> StorageError:
    reason: Reason = "access-denied" if isinstance(error, PermissionError) else "network"
    return StorageError(f"cannot {what}: {_explain(error)}", reason)


def _explain(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "access denied (forbidden)"
    return "no such object" if isinstance(error, FileNotFoundError) else first_line(error)


def _find_time(entry: dict[str, Any]) -> float | None:
    moment = entry.get("mtime") or entry.get("last_modified") or entry.get("LastModified") or entry.get("created")
    return moment.timestamp() if isinstance(moment, datetime) else None


def _last_part(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
