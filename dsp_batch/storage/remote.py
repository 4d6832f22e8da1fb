"""Whole objects of the cache through s3fs, or through fsspec where another scheme is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

from dsp_batch.errors import Reason, SinkError, StorageError
from dsp_batch.storage.aws import Access, resolve_access
from dsp_batch.storage.filesystem import first_line, open_filesystem
from dsp_batch.storage.keys import StoredKey
from dsp_batch.storage.listing import list_bucket
from dsp_batch.storage.roots import split_scheme
from dsp_batch.storage.usage import count_usage

_CONNECTIONS = 32
"""Connections of one client; botocore's default of 10 halves the speed of many small writes."""


def write_object(url: str, data: bytes, endpoint_url: str | None) -> None:
    """Write an object in a single put."""
    filesystem, access = _open(url, endpoint_url)
    count_usage(requests=1)
    try:
        filesystem.pipe_file(url, data)
    except Exception as error:
        raise SinkError(f"cannot write {url}: {_explain(error, access)}") from error


def read_object(url: str, endpoint_url: str | None) -> bytes | None:
    """Read a whole object; None where there is none."""
    filesystem, access = _open(url, endpoint_url)
    count_usage(requests=1)
    try:
        data: bytes = filesystem.cat_file(url)
    except FileNotFoundError as error:
        if _error_code(error) == "NoSuchBucket":
            raise _reading_error(error, f"read {url}", access) from error
        return None
    except Exception as error:
        raise _reading_error(error, f"read {url}", access) from error
    count_usage(bytes_read=len(data))
    return data


def delete_object(url: str, endpoint_url: str | None) -> None:
    """Delete an object; nothing happens where there is none."""
    filesystem, access = _open(url, endpoint_url)
    count_usage(requests=1)
    try:
        filesystem.rm_file(url)
    except FileNotFoundError:
        return
    except Exception as error:
        raise SinkError(f"cannot delete {url}: {_explain(error, access)}") from error


def list_objects(url: str, endpoint_url: str | None) -> Iterator[StoredKey]:
    """List all objects below a prefix."""
    scheme, place = split_scheme(url)
    if scheme == "s3":
        bucket, _, prefix = place.partition("/")
        return list_bucket(bucket, f"{prefix}/" if prefix else "", resolve_access(bucket, endpoint_url))
    return _list_filesystem(url, place)


def _list_filesystem(url: str, place: str) -> Iterator[StoredKey]:
    filesystem, access = _open(url, None)
    count_usage(requests=1)
    try:
        found = filesystem.find(url, detail=True)
    except FileNotFoundError:
        return
    except Exception as error:
        raise _reading_error(error, f"list {url}", access) from error
    for name, entry in found.items():
        yield StoredKey(name.strip("/").removeprefix(place.strip("/")).lstrip("/"), entry["size"], _modified(entry))


def _modified(entry: dict[str, Any]) -> float | None:
    moment = entry.get("mtime") or entry.get("last_modified") or entry.get("LastModified") or entry.get("created")
    return moment.timestamp() if isinstance(moment, datetime) else None


def _open(url: str, endpoint_url: str | None) -> tuple[Any, Access | None]:
    scheme, place = split_scheme(url)
    if scheme != "s3":
        return open_filesystem(scheme), None
    return _open_s3(place.partition("/")[0], endpoint_url)


@lru_cache(maxsize=16)
def _open_s3(bucket: str, endpoint_url: str | None) -> tuple[Any, Access]:
    from s3fs import S3FileSystem  # noqa: PLC0415  # 0.7 s that most commands do not need

    access = resolve_access(bucket, endpoint_url)
    filesystem = S3FileSystem(
        anon=access.credentials is None,
        endpoint_url=access.endpoint_url,
        client_kwargs={"region_name": access.region},
        config_kwargs={"max_pool_connections": _CONNECTIONS, "connect_timeout": 10, "read_timeout": 60},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    return filesystem, access


def _reading_error(error: Exception, what: str, access: Access | None) -> StorageError:
    reason: Reason = "network"
    if isinstance(error, FileNotFoundError):
        reason = "not-found"
    elif isinstance(error, PermissionError):
        reason = "access-denied"
    return StorageError(f"cannot {what}: {_explain(error, access)}", reason)


def _explain(error: Exception, access: Access | None) -> str:
    code = _error_code(error)
    if isinstance(error, PermissionError):
        made = f"; the request was {access.word}" if access else ""
        return f"access denied ({code or 'forbidden'}{made})"
    if code == "NoSuchBucket":
        return "no such bucket; create it first"
    if isinstance(error, FileNotFoundError):
        return "no such object"
    return code or first_line(error)


def _error_code(error: Exception) -> str:
    """S3's word for an error, which s3fs keeps in its cause."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_s3.cache_clear)
