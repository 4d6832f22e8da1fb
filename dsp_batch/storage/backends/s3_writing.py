"""Writes and deletes in buckets, through s3fs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dsp_batch.errors import SinkError, StorageError, UnavailableError, first_line
from dsp_batch.storage.aws import Access, resolve_access, resolve_endpoint
from dsp_batch.storage.backend import ObjectHeaders, TemporaryError
from dsp_batch.storage.backends.certificates import find_authorities_file
from dsp_batch.storage.backends.regions import describe_answer, find_region, learn_region
from dsp_batch.storage.failures import explain_cause, explain_ssl_failure, translate_status
from dsp_batch.storage.flow import find_flow
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import once_in_process, run_blocking
from dsp_batch.storage.urls import Location
from dsp_batch.storage.usage import count_usage

_CONNECTIONS = 32
"""Connections of the client that writes; botocore's default of 10 halves the speed of many small writes."""


class BucketObject(NamedTuple):
    """An object that is written or deleted."""

    bucket: str
    key: str
    endpoint_url: str | None
    """S3-compatible server; None for the environment's, else AWS."""

    def __str__(self) -> str:
        """The URL of the object."""
        return f"s3://{self.bucket}/{self.key}"


def put_object(target: BucketObject, data: bytes, headers: ObjectHeaders) -> None:
    """Write an object in a single put, tried again as reads are.

    Raises:
        SinkError: It cannot be written.
    """
    # s3fs cuts what is larger than two chunks into parts.
    chunk = max(1, len(data))
    known = {"ContentType": headers.content_type}
    if headers.cache_control is not None:
        known["CacheControl"] = headers.cache_control
    _change("write", target, lambda writer: writer.pipe_file(str(target), data, chunksize=chunk, **known))


def delete_object(target: BucketObject) -> None:
    """Delete an object; nothing happens where there is none.

    Raises:
        SinkError: It cannot be deleted.
    """

    def remove(writer: Any) -> None:
        try:
            writer.rm_file(str(target))
        except FileNotFoundError:
            return

    _change("delete", target, remove)


def _change(verb: str, target: BucketObject, action: Callable[[Any], object]) -> None:
    """Write or delete an object, in as many attempts as it takes; each leaves everything or nothing."""
    endpoint_url = resolve_endpoint(target.endpoint_url)
    flow = find_flow(Location(scheme="s3", container=target.bucket, parts=()), endpoint_url)

    def open_writer() -> tuple[Any, Access]:
        return _open_writer(target.bucket, endpoint_url, find_region(target.bucket, endpoint_url))

    open_writer()  # what is wrong with the settings is no failure of the storage

    async def attempt() -> None:
        writer, access = open_writer()
        count_usage(requests=1)
        try:
            action(writer)
        except Exception as error:
            if learn_region(access, target.bucket, describe_answer(_response_of(error))):
                raise TemporaryError("the bucket is in another region") from error
            passing = _find_passing_failure(error)
            if passing is not None:
                raise passing from error
            raise SinkError(f"cannot {verb} {target}: {_explain(error, access)}") from error

    try:
        run_blocking(retry_temporary(attempt, f"{verb} {target}", flow))
    except StorageError as error:
        raise UnavailableError(error.message) from error


@once_in_process
def _open_writer(bucket: str, endpoint_url: str | None, region: str | None) -> tuple[Any, Access]:
    from s3fs import S3FileSystem  # noqa: PLC0415  # 0.7 s that most commands do not need

    access = resolve_access(bucket, endpoint_url, region=region)
    filesystem = S3FileSystem(
        anon=access.credentials is None,
        endpoint_url=access.endpoint_url,
        client_kwargs={"region_name": access.region, "verify": find_authorities_file()},
        config_kwargs={
            "max_pool_connections": _CONNECTIONS,
            "connect_timeout": 10,
            "read_timeout": 60,
            "retries": {"total_max_attempts": 1},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # Left alone, botocore makes 5 attempts and s3fs as many of those; attempts are counted in `retry.py` alone.
    # (aiohttp still repeats a put once whose connection broke.)
    filesystem.retries = 1
    return filesystem, access


def _find_passing_failure(error: Exception) -> TemporaryError | None:
    """Translate a failure that may pass; None where another attempt will not help."""
    response = _response_of(error)
    if response:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        failure = translate_status(status, _error_code(error), "write", "signed")
        return failure if isinstance(failure, TemporaryError) else None
    if isinstance(error, TimeoutError):
        return TemporaryError("timed out")
    from botocore import exceptions  # noqa: PLC0415  # only after a failure

    is_connection = isinstance(error, exceptions.HTTPClientError | exceptions.ConnectionError | ConnectionError)
    return TemporaryError(explain_cause(str(error))) if is_connection and not explain_ssl_failure(error) else None


def _explain(error: Exception, access: Access) -> str:
    code = _error_code(error)
    if isinstance(error, PermissionError):
        return f"access denied ({code or 'forbidden'}; the request was {access.word})"
    if code == "NoSuchBucket":
        return "no such bucket; create it first"
    if isinstance(error, FileNotFoundError):
        return "no such object"
    return code or explain_ssl_failure(error) or first_line(error)


def _error_code(error: Exception) -> str:
    """Return S3's code for an error, for example `NoSuchBucket`; empty where S3 gave none."""
    return str(_response_of(error).get("Error", {}).get("Code", ""))


def _response_of(error: Exception) -> dict[str, Any]:
    """Return S3's answer, which s3fs keeps in the cause of its error."""
    response = getattr(error.__cause__, "response", None)
    return response if isinstance(response, dict) else {}
