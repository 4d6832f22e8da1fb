"""The scheme of a location decides here, and nowhere else, how it is read and written."""

from __future__ import annotations

from dsp_batch.errors import SinkError
from dsp_batch.storage.backend import Backend, WritableBackend
from dsp_batch.storage.flow import MOST_IN_FLIGHT
from dsp_batch.storage.runtime import once_in_process
from dsp_batch.storage.urls import Location


def open_backend(
    location: Location, endpoint_url: str | None, *, anonymous: bool | None = None, max_workers: int = MOST_IN_FLIGHT
) -> Backend:
    """Open the backend that reads a root: once in a process, so that all its threads share connections.

    Args:
        location: The root.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: Whether requests go unsigned; None to decide by bucket and credentials.
        max_workers: Threads, at most, where each request takes one.

    Raises:
        StorageError: The scheme is unknown, or needs a package that is not installed.
    """
    if location.is_http:
        return _open_http(location, max_workers)
    return _open_writable(location, endpoint_url, anonymous, max_workers)


def open_writable(location: Location, endpoint_url: str | None) -> WritableBackend:
    """Open the backend of the bucket or file system that an object is written to.

    Args:
        location: The object; its `key` is the key in the backend.
        endpoint_url: As in `open_backend`.

    Raises:
        SinkError: The location is only read.
        StorageError: As in `open_backend`.
    """
    if location.is_http:
        raise SinkError(f"cannot write {location}: HTTP servers are only read; give a folder or a bucket")
    return _open_writable(location.top, endpoint_url, None, MOST_IN_FLIGHT)


@once_in_process
def _open_http(location: Location, max_workers: int) -> Backend:
    from dsp_batch.storage.backends.http import HttpBackend  # noqa: PLC0415  # each way of storing has its own imports

    return HttpBackend(location, max_workers)


@once_in_process
def _open_writable(
    location: Location,
    endpoint_url: str | None,
    anonymous: bool | None,  # noqa: FBT001  # a cache key
    max_workers: int,
) -> WritableBackend:
    if location.path is not None:
        from dsp_batch.storage.backends.local import LocalBackend  # noqa: PLC0415  # each backend has slow imports of its own

        return LocalBackend(location.path)
    if location.scheme == "s3":
        from dsp_batch.storage.backends.s3 import S3Backend  # noqa: PLC0415  # each backend has slow imports of its own

        return S3Backend(location, endpoint_url, anonymous=anonymous)
    from dsp_batch.storage.backends.filesystem import FilesystemBackend  # noqa: PLC0415  # each backend has slow imports of its own

    return FilesystemBackend(location, anonymous=anonymous, max_workers=max_workers)
