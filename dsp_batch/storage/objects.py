"""Writing and reading whole objects: OUTPUT files and the cache directory, local or in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dsp_batch.model.series import Receipt
from dsp_batch.storage.aws import resolve_endpoint
from dsp_batch.storage.backend import ObjectHeaders, StoredKey
from dsp_batch.storage.schemes import open_backend, open_writable
from dsp_batch.storage.urls import Location, local_path, parse_location

_MEDIA_TYPES = {
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Ending of a name, in lower case → media type of the object. Names with other endings hold bytes of no known type."""


def write_whole(
    url: str,
    data: bytes,
    *,
    make_parents: bool = False,
    endpoint_url: str | None = None,
    cache_control: str | None = None,
) -> Receipt:
    """Write an object under its final key, whole or not at all; an existing one is replaced.

    Args:
        url: Local path or storage URL.
        data: The whole object.
        make_parents: Create missing local folders, for their owner alone, as the file then is (modes 700 and 600):
            a cache holds patient attributes. Otherwise they are an error. Buckets have no folders.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        cache_control: The Cache-Control header of an object in a bucket; None for no header.

    Returns:
        What was written, and where.

    Raises:
        SinkError: It cannot be written: the folder is missing, forbidden or full, or the storage is only read.
    """
    location = _locate(url, endpoint_url)
    headers = ObjectHeaders(find_media_type(location.key), cache_control)
    open_writable(location, endpoint_url).write_whole(location.key, data, headers, make_parents=make_parents)
    return Receipt(url=str(location), size=len(data))


def find_media_type(key: str) -> str:
    """Return the media type of an object by the ending of its name."""
    return _MEDIA_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def read_whole(url: str, *, endpoint_url: str | None = None) -> bytes | None:
    """Read a whole object.

    Args:
        url: Local path, storage URL or HTTP URL.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.

    Returns:
        Its bytes; None where there is no such object.

    Raises:
        StorageError: It, or its bucket, cannot be read.
    """
    location = _locate(url, endpoint_url)
    return open_backend(location.top, endpoint_url).read_whole(location.key)


def list_keys(url: str, *, endpoint_url: str | None = None) -> Iterator[StoredKey]:
    """List all objects below a folder or prefix, in an order that depends on the storage.

    Args:
        url: Local folder or storage URL.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.

    Returns:
        An iterator, so that a million keys need no memory; empty where nothing is there. Temporary files are left out.

    Raises:
        StorageError: The folder or bucket cannot be listed.
    """
    location = _locate(url, endpoint_url)
    return open_backend(location.top, endpoint_url).list_keys(location.key)


def delete(url: str, *, endpoint_url: str | None = None) -> None:
    """Delete an object; nothing happens where there is none.

    Raises:
        SinkError: It cannot be deleted.
    """
    location = _locate(url, endpoint_url)
    open_writable(location, endpoint_url).delete(location.key)


def remove_stale_temporary(url: str) -> int:
    """Remove temporary files older than a day that killed processes left below a folder.

    Returns:
        How many; 0 for buckets, which never hold any.
    """
    path = local_path(url)
    if path is None:
        return 0
    from dsp_batch.storage.backends.local import remove_stale_files  # noqa: PLC0415  # buckets do without

    return remove_stale_files(path)


def _locate(url: str, endpoint_url: str | None) -> Location:
    return parse_location(url, resolve_endpoint(endpoint_url))
