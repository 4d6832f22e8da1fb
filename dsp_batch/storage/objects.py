"""Writing and reading whole objects: OUTPUT files and the cache directory, local or in a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from dsp_batch.errors import SinkError
from dsp_batch.model.series import Receipt
from dsp_batch.storage.backends import files
from dsp_batch.storage.keys import StoredKey
from dsp_batch.storage.urls import local_path, normalise_root, split_scheme

__all__ = ["StoredKey", "delete", "list_keys", "read_whole", "remove_stale_temporary", "write_once"]


def write_once(url: str, data: bytes, *, make_parents: bool = False, endpoint_url: str | None = None) -> Receipt:
    """Write an object under its final key, whole or not at all; an existing one is replaced.

    Args:
        url: Local path or storage URL.
        data: The whole object.
        make_parents: Create missing local folders; otherwise they are an error. Buckets have no folders.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.

    Returns:
        What was written, and where.

    Raises:
        SinkError: The place cannot be written: missing, forbidden, full, or of a kind that is only read.
    """
    path = local_path(url)
    if path is not None:
        files.write_file(path, data, make_parents=make_parents)
        return Receipt(url=str(path), size=len(data))
    url = normalise_root(url)
    if _is_web(url):
        raise SinkError(f"cannot write {url}: HTTP servers are only read; give a folder or a bucket")
    from dsp_batch.storage.backends import remote  # noqa: PLC0415  # s3fs takes 0.7 s

    remote.write_object(url, data, endpoint_url)
    return Receipt(url=url, size=len(data))


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
    path = local_path(url)
    if path is not None:
        return files.read_file(path)
    url = normalise_root(url)
    if _is_web(url):
        from dsp_batch.storage.backends.http_listing import read_page  # noqa: PLC0415  # only for HTTP

        return read_page(url)
    from dsp_batch.storage.backends import remote  # noqa: PLC0415  # s3fs takes 0.7 s

    return remote.read_object(url, endpoint_url)


def list_keys(url: str, *, endpoint_url: str | None = None) -> Iterator[StoredKey]:
    """List all objects below a folder or prefix, in an order that depends on the storage.

    Args:
        url: Local folder or storage URL.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.

    Returns:
        An iterator, so that a million keys need no memory; empty where nothing is there. Temporary files are left out.

    Raises:
        StorageError: The place cannot be listed.
    """
    path = local_path(url)
    if path is not None:
        return files.list_files(path)
    from dsp_batch.storage.backends import remote  # noqa: PLC0415  # s3fs takes 0.7 s

    return remote.list_objects(normalise_root(url), endpoint_url)


def delete(url: str, *, endpoint_url: str | None = None) -> None:
    """Delete an object; nothing happens where there is none.

    Raises:
        SinkError: It cannot be deleted.
    """
    path = local_path(url)
    if path is not None:
        files.delete_file(path)
        return
    from dsp_batch.storage.backends import remote  # noqa: PLC0415  # s3fs takes 0.7 s

    remote.delete_object(normalise_root(url), endpoint_url)


def remove_stale_temporary(url: str) -> int:
    """Remove temporary files older than a day that killed processes left below a folder.

    Returns:
        How many; 0 for buckets, which never hold any.
    """
    path = local_path(url)
    return 0 if path is None else files.remove_stale_files(path)


def _is_web(url: str) -> bool:
    return split_scheme(url)[0] in ("http", "https")
