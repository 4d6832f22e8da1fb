"""Whole objects of the cache: written through s3fs and read through obstore; other schemes through fsspec."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from dsp_batch.errors import Reason, SinkError, StorageError, UnavailableError
from dsp_batch.storage.aws import Access, resolve_access, resolve_endpoint
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.bucket import list_bucket, read_key
from dsp_batch.storage.backends.filesystem import first_line, open_filesystem
from dsp_batch.storage.failures import explain_cause, translate_status
from dsp_batch.storage.flow import find_flow
from dsp_batch.storage.keys import StoredKey
from dsp_batch.storage.once import once_in_process
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import run_blocking
from dsp_batch.storage.urls import split_scheme
from dsp_batch.storage.usage import count_usage

_CONNECTIONS = 32
"""Connections of one client; botocore's default of 10 halves the speed of many small writes."""


def write_object(url: str, data: bytes, endpoint_url: str | None) -> None:
    """Write an object in a single put, tried again as reads are."""
    filesystem, access = _open(url, endpoint_url)
    # s3fs cuts what is larger than two chunks into parts.
    options = {"chunksize": max(1, len(data))} if access else {}
    _change(lambda: filesystem.pipe_file(url, data, **options), ("write", url), access)


def delete_object(url: str, endpoint_url: str | None) -> None:
    """Delete an object; nothing happens where there is none."""
    filesystem, access = _open(url, endpoint_url)

    def delete() -> None:
        try:
            filesystem.rm_file(url)
        except FileNotFoundError:
            return

    _change(delete, ("delete", url), access)


def _change(action: Callable[[], object], what: tuple[str, str], access: Access | None) -> None:
    """Write or delete an object, in as many attempts as it takes; each leaves everything or nothing."""
    verb, url = what

    async def attempt() -> None:
        count_usage(requests=1)
        try:
            action()
        except Exception as error:
            passing = _find_passing_failure(error)
            if passing is not None:
                raise passing from error
            raise SinkError(f"cannot {verb} {url}: {_explain(error, access)}") from error

    try:
        run_blocking(retry_temporary(attempt, f"{verb} {url}", find_flow(url, access.endpoint_url) if access else None))
    except StorageError as error:
        raise UnavailableError(error.message) from error


def read_object(url: str, endpoint_url: str | None) -> bytes | None:
    """Read a whole object; None where there is none."""
    scheme, place = split_scheme(url)
    if scheme == "s3":
        bucket, _, key = place.partition("/")
        return read_key(bucket, key, endpoint_url)
    filesystem = open_filesystem(scheme)
    count_usage(requests=1)
    try:
        data: bytes = filesystem.cat_file(url)
    except FileNotFoundError:
        return None
    except Exception as error:
        raise _reading_error(error, f"read {url}") from error
    count_usage(bytes_read=len(data))
    return data


def list_objects(url: str, endpoint_url: str | None) -> Iterator[StoredKey]:
    """List all objects below a prefix."""
    scheme, place = split_scheme(url)
    if scheme == "s3":
        bucket, _, prefix = place.partition("/")
        return list_bucket(bucket, f"{prefix}/" if prefix else "", endpoint_url)
    return _list_filesystem(url, place)


def _list_filesystem(url: str, place: str) -> Iterator[StoredKey]:
    filesystem = open_filesystem(split_scheme(url)[0])
    count_usage(requests=1)
    try:
        found = filesystem.find(url, detail=True)
    except FileNotFoundError:
        return
    except Exception as error:
        raise _reading_error(error, f"list {url}") from error
    for name, entry in found.items():
        yield StoredKey(name.strip("/").removeprefix(place.strip("/")).lstrip("/"), entry["size"], _modified(entry))


def _modified(entry: dict[str, Any]) -> float | None:
    moment = entry.get("mtime") or entry.get("last_modified") or entry.get("LastModified") or entry.get("created")
    return moment.timestamp() if isinstance(moment, datetime) else None


def _open(url: str, endpoint_url: str | None) -> tuple[Any, Access | None]:
    scheme, place = split_scheme(url)
    if scheme != "s3":
        return open_filesystem(scheme), None
    return _open_s3(place.partition("/")[0], resolve_endpoint(endpoint_url))


@once_in_process
def _open_s3(bucket: str, endpoint_url: str | None) -> tuple[Any, Access]:
    from s3fs import S3FileSystem  # noqa: PLC0415  # 0.7 s that most commands do not need

    access = resolve_access(bucket, endpoint_url)
    filesystem = S3FileSystem(
        anon=access.credentials is None,
        endpoint_url=access.endpoint_url,
        client_kwargs={"region_name": access.region},
        config_kwargs={
            "max_pool_connections": _CONNECTIONS,
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"total_max_attempts": 1},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # Left alone, botocore makes 5 attempts and s3fs as many of those; attempts are counted in one place, `retry.py`.
    # (aiohttp still repeats a put once whose connection broke.)
    filesystem.retries = 1
    return filesystem, access


def _find_passing_failure(error: Exception) -> TemporaryError | None:
    """What has failed, in few words, where another attempt may help; None where it will not."""
    response = _response_of(error)
    if response:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        failure = translate_status(status, _error_code(error), "write", "signed")
        return failure if isinstance(failure, TemporaryError) else None
    if isinstance(error, TimeoutError):
        return TemporaryError("timed out")
    from botocore import exceptions  # noqa: PLC0415  # only after a failure

    is_connection = isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError | ConnectionError)
    return TemporaryError(explain_cause(str(error))) if is_connection else None


def _reading_error(error: Exception, what: str) -> StorageError:
    reason: Reason = "network"
    if isinstance(error, FileNotFoundError):
        reason = "not-found"
    elif isinstance(error, PermissionError):
        reason = "access-denied"
    return StorageError(f"cannot {what}: {_explain(error, None)}", reason)


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
    """S3's word for an error."""
    return str(_response_of(error).get("Error", {}).get("Code", ""))


def _response_of(error: Exception) -> dict[str, Any]:
    """S3's answer, which s3fs keeps in the cause of its error."""
    response = getattr(error.__cause__, "response", None)
    return response if isinstance(response, dict) else {}
