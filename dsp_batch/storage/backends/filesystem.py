"""Any other storage that fsspec knows: gs, az, memory and more."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.failures import translate_status
from dsp_batch.storage.urls import split_scheme
from dsp_batch.storage.usage import count_usage

_EXTRAS: dict[str, tuple[str, str]] = {
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
}
"""Scheme → the package that reads it, and the extra of dsp-batch that brings it."""

_ANONYMOUS: dict[str, dict[str, Any]] = {
    "gs": {"token": "anon"},
    "gcs": {"token": "anon"},
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

    options = _ANONYMOUS.get(scheme, {}) if anonymous else {}
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
    except ImportError as error:
        package, extra = _EXTRAS.get(scheme, (None, None))
        advice = f"pip install 'dsp-batch[{extra}]' (package {package})" if extra else str(error).splitlines()[0]
        raise StorageError(f"{scheme}:// needs a package that is not installed: {advice}") from error
    except ValueError as error:
        raise StorageError(f"{scheme}:// is no storage that fsspec knows", reason="not-found") from error


class FilesystemBackend:
    """A root in an fsspec file system.

    Args:
        root: Normalised URL.
        anonymous: True for requests without credentials, where the file system can do that.
        max_workers: Threads, at most, for file systems without an event loop of their own.
    """

    def __init__(self, root: str, *, anonymous: bool | None, max_workers: int) -> None:
        scheme, self._path = split_scheme(root)
        self._root = root
        self._filesystem = open_filesystem(scheme, anonymous)
        self._threads = ThreadPoolExecutor(min(max_workers, _THREADS), thread_name_prefix="dsp-batch-storage")

    async def list_objects(self, folder: str) -> list[ObjectInfo]:
        """List the objects directly below a folder."""
        entries = await self._list(f"{self._path}/{folder}")
        return [
            ObjectInfo(name=_last_part(each), size=each.get("size")) for each in entries if each["type"] != "directory"
        ]

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        names = [_last_part(each) for each in await self._list(self._path) if each["type"] == "directory"]
        return [name for name in names if name.startswith(prefix)]

    def open_object(self, folder: str, info: ObjectInfo) -> FilesystemSource:
        """Prepare to read an object."""
        return FilesystemSource(self, f"{self._path}/{folder}/{info.name}", info.size)

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
        self.size = size
        self._backend = backend
        self._path = path

    async def read_range(self, start: int, stop: int) -> bytes:
        """Read `[start, stop)` in one call."""
        if self.size is None:
            self.size = int((await self._backend.call("info", self._path))["size"])
        if start >= self.size:
            return b""
        data: bytes = await self._backend.call("cat_file", self._path, start=start, end=min(stop, self.size))
        count_usage(bytes_read=len(data))
        return data

    def close(self) -> None:
        """Hold nothing."""


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


def first_line(error: BaseException) -> str:
    """The beginning of an exception's message, fit for one line."""
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__


def _last_part(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]
