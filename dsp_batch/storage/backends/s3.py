"""S3 and its like: read through obstore, written through s3fs; raw key prefixes are listed through botocore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from dsp_batch.errors import SinkError, StorageError, UnavailableError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.aws import Access, build_credential_provider, resolve_access, resolve_endpoint
from dsp_batch.storage.backend import FolderListing, StoredKey, Subfolder, TemporaryError, join_key
from dsp_batch.storage.backends.ranged import NO_RETRY, RangedSource, client_options
from dsp_batch.storage.failures import explain_cause, first_line, is_missing_bucket, translate_failure, translate_status
from dsp_batch.storage.flow import Flow, find_flow
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import once_in_process, run_blocking
from dsp_batch.storage.urls import Location
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta
    from obstore.store import S3Config, S3Store

PAGE = 1000
"""Names in one page of an S3 listing, at most."""

_CONNECTIONS = 32
"""Connections of the client that writes; botocore's default of 10 halves the speed of many small writes."""

_CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
}
"""What an object is, by the suffix of its key: a browser saves a page of another type instead of showing it."""


class S3Backend:
    """A bucket, or a prefix in one.

    Args:
        location: The root.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: None to decide by bucket and credentials.
    """

    def __init__(self, location: Location, endpoint_url: str | None, *, anonymous: bool | None = None) -> None:
        self._bucket = location.container
        self._prefix = f"{location.key}/" if location.parts else ""
        self._endpoint_url = endpoint_url
        self._anonymous = anonymous

    @cached_property
    def _client(self) -> BucketClient:
        return open_bucket(self._bucket, self._endpoint_url, anonymous=self._anonymous)

    async def list_level(self, folder: str) -> FolderListing:
        """List the objects and common prefixes directly below a folder, with sizes and times."""
        objects, folders = await self._list(f"{self._prefix}{folder}/" if folder else self._prefix)
        return FolderListing(objects, [Subfolder(name) for name in folders])

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        if not prefix:
            _, folders = await self._list(self._prefix)
            return folders
        _, folders = await self._list_slowly(self._prefix, prefix)
        return folders

    def open_object(self, folder: str, info: ObjectInfo) -> RangedSource:
        """Prepare to read an object."""
        client, path = self._client, self._prefix + join_key(folder, info.name)
        return RangedSource(client.store, path, info.size, root=f"s3://{self._bucket}", access=client.access.word)

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole object; None where there is none."""
        client, what = self._client, f"read s3://{self._bucket}/{self._prefix}{key}"
        return run_blocking(retry_temporary(partial(_fetch_key, client, self._prefix + key, what), what, client.flow))

    def write_once(self, key: str, data: bytes, *, make_parents: bool) -> None:  # noqa: ARG002  # buckets have no folders
        """Write an object in a single put, tried again as reads are."""
        # s3fs cuts what is larger than two chunks into parts.
        chunk = max(1, len(data))
        settings = {"chunksize": chunk, "ContentType": _find_content_type(key)}
        self._change("write", key, lambda writer, url: writer.pipe_file(url, data, **settings))

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none."""
        self._change("delete", key, _remove)

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List the keys below a folder page by page: 16 µs a key, s3fs takes 250."""
        client = self._client
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        pages = _Pages(client, prefix)
        what = f"list s3://{self._bucket}/{prefix}"
        while page := run_blocking(retry_temporary(partial(pages.fetch_next, what), what, client.flow)):
            for entry in page:
                yield StoredKey(entry["path"][len(prefix) :], entry["size"], entry["last_modified"].timestamp())

    def _change(self, verb: str, key: str, action: Callable[[Any, str], object]) -> None:
        """Write or delete an object, in as many attempts as it takes; each leaves everything or nothing."""
        url = f"s3://{self._bucket}/{self._prefix}{key}"
        writer, access = _open_writer(self._bucket, resolve_endpoint(self._endpoint_url))
        flow = find_flow(_locate(self._bucket), access.endpoint_url)

        async def attempt() -> None:
            count_usage(requests=1)
            try:
                action(writer, url)
            except Exception as error:
                passing = _find_passing_failure(error)
                if passing is not None:
                    raise passing from error
                raise SinkError(f"cannot {verb} {url}: {_explain(error, access)}") from error

        try:
            run_blocking(retry_temporary(attempt, f"{verb} {url}", flow))
        except StorageError as error:
            raise UnavailableError(error.message) from error

    async def _list(self, key: str) -> tuple[list[ObjectInfo], list[str]]:
        import obstore  # noqa: PLC0415  # local roots do without
        from obstore.exceptions import InvalidPathError  # noqa: PLC0415  # likewise

        client = self._client
        try:
            answer = await obstore.list_with_delimiter_async(client.store, key or None)
        except InvalidPathError:
            # A key with an empty part (`a//b`) somewhere below: obstore gives up on the whole listing.
            return await self._list_slowly(key)
        except Exception as error:
            count_usage(requests=1)
            raise translate_failure(error, f"list s3://{self._bucket}/{key}", client.access.word) from error
        objects, prefixes = answer["objects"], answer["common_prefixes"]
        count_usage(requests=max(1, -(-(len(objects) + len(prefixes)) // PAGE)))
        start = len(key)
        return (
            # A marker object has the name of the folder itself; obstore drops its trailing slash.
            [_describe(each, start) for each in objects if len(each["path"]) > start],
            [each[start:] for each in prefixes],
        )

    async def _list_slowly(self, key: str, name_prefix: str = "") -> tuple[list[ObjectInfo], list[str]]:
        """List through botocore, which takes raw prefixes and any key, at 40 times the CPU per name."""
        what = f"list s3://{self._bucket}/{key}{name_prefix}"
        return await asyncio.to_thread(_list_pages, self._bucket, (key, name_prefix), self._client.access, what)


class BucketClient(NamedTuple):
    """obstore's client for a bucket, and how it reaches it."""

    store: S3Store
    access: Access
    flow: Flow


def open_bucket(bucket: str, endpoint_url: str | None, *, anonymous: bool | None = None) -> BucketClient:
    """Open the client of a bucket: one in a process, so that series and cache, prefixes and threads share connections.

    Args:
        bucket: Name of the bucket.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: As in `resolve_access`.

    Raises:
        StorageError: As in `resolve_access`.
    """
    return _open_client(bucket, resolve_endpoint(endpoint_url), anonymous)


@once_in_process
def _open_client(bucket: str, endpoint_url: str | None, anonymous: bool | None) -> BucketClient:  # noqa: FBT001  # a cache key
    from obstore.store import S3Store  # noqa: PLC0415  # local roots do without

    access = resolve_access(bucket, endpoint_url, anonymous=anonymous)
    config: S3Config = {"region": access.region, "skip_signature": access.credentials is None}
    if access.endpoint_url is not None:
        # Both names, because obstore prefers the second and takes it from the environment.
        config |= {"endpoint": access.endpoint_url, "aws_endpoint_url_s3": access.endpoint_url}
    elif "." not in bucket:  # AWS's certificates cover one label before s3.amazonaws.com
        config |= {"virtual_hosted_style_request": True}
    provider = None if access.credentials is None else build_credential_provider(access.credentials)
    store = S3Store(
        bucket, config=config, client_options=client_options(), retry_config=NO_RETRY, credential_provider=provider
    )
    return BucketClient(store, access, find_flow(_locate(bucket), access.endpoint_url))


def _locate(bucket: str) -> Location:
    return Location(scheme="s3", container=bucket, parts=())


async def _fetch_key(client: BucketClient, key: str, what: str) -> bytes | None:
    import obstore  # noqa: PLC0415  # local caches do without

    count_usage(requests=1)
    try:
        data = (await (await obstore.get_async(client.store, key)).bytes_async()).to_bytes()
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise translate_failure(error, what, client.access.word) from error
    count_usage(bytes_read=len(data))
    return data


def _find_content_type(key: str) -> str:
    return _CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


class _Pages:
    """A listing that can go on behind the last key seen after a failure."""

    def __init__(self, client: BucketClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._last: str | None = None
        self._stream: ListStream[Sequence[ObjectMeta]] | None = None

    async def fetch_next(self, what: str) -> list[ObjectMeta]:
        """Fetch the next page; empty at the end."""
        import obstore  # noqa: PLC0415  # local caches do without

        if self._stream is None:
            self._stream = obstore.list(self._client.store, self._prefix or None, offset=self._last, chunk_size=PAGE)
        try:
            page = list(next(self._stream, ()))
        except Exception as error:
            count_usage(requests=1)
            self._stream = None
            raise translate_failure(error, what, self._client.access.word) from error
        if page or self._last is None:  # the end is told with the last page
            count_usage(requests=1)
        if page:
            self._last = page[-1]["path"]
        return page


def _describe(each: ObjectMeta, start: int) -> ObjectInfo:
    """Describe an object whose name begins at a character of its key."""
    return ObjectInfo(name=each["path"][start:], size=each["size"], modified=each["last_modified"].timestamp())


def _list_pages(bucket: str, key: tuple[str, str], access: Access, what: str) -> tuple[list[ObjectInfo], list[str]]:
    from botocore import exceptions  # noqa: PLC0415  # seldom needed

    folder, name_prefix = key
    objects: list[ObjectInfo] = []
    folders: list[str] = []
    pages = _open_botocore(access).get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=folder + name_prefix, Delimiter="/"):
            count_usage(requests=1)
            objects += [
                ObjectInfo(
                    name=each["Key"][len(folder) :], size=each["Size"], modified=each["LastModified"].timestamp()
                )
                for each in page.get("Contents", ())
            ]
            folders += [each["Prefix"][len(folder) :].rstrip("/") for each in page.get("CommonPrefixes", ())]
    except exceptions.ClientError as error:
        count_usage(requests=1)
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise translate_status(status, error.response["Error"]["Code"], what, access.word) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        count_usage(requests=1)
        raise TemporaryError(explain_cause(str(error))) from error
    except exceptions.BotoCoreError as error:
        raise StorageError(f"cannot {what}: {str(error).splitlines()[0]}", reason="access-denied") from error
    return [each for each in objects if each.name], [name for name in folders if name]


def _open_botocore(access: Access) -> Any:
    import botocore.session  # noqa: PLC0415  # seldom needed
    from botocore import UNSIGNED  # noqa: PLC0415  # seldom needed
    from botocore.config import Config  # noqa: PLC0415  # seldom needed

    session = access.session or botocore.session.Session()
    config = Config(
        signature_version=UNSIGNED if access.credentials is None else None,
        retries={"total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=30,
    )
    return session.create_client("s3", region_name=access.region, endpoint_url=access.endpoint_url, config=config)


@once_in_process
def _open_writer(bucket: str, endpoint_url: str | None) -> tuple[Any, Access]:
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
    return TemporaryError(explain_cause(str(error))) if is_connection else None


def _remove(writer: Any, url: str) -> None:
    try:
        writer.rm_file(url)
    except FileNotFoundError:
        return


def _explain(error: Exception, access: Access) -> str:
    code = _error_code(error)
    if isinstance(error, PermissionError):
        return f"access denied ({code or 'forbidden'}; the request was {access.word})"
    if code == "NoSuchBucket":
        return "no such bucket; create it first"
    if isinstance(error, FileNotFoundError):
        return "no such object"
    return code or first_line(error)


def _error_code(error: Exception) -> str:
    """Return S3's code for an error, for example `NoSuchBucket`; empty where S3 gave none."""
    return str(_response_of(error).get("Error", {}).get("Code", ""))


def _response_of(error: Exception) -> dict[str, Any]:
    """Return S3's answer, which s3fs keeps in the cause of its error."""
    response = getattr(error.__cause__, "response", None)
    return response if isinstance(response, dict) else {}
