"""S3 and its like: read through obstore, written through s3fs; raw key prefixes are listed through botocore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.aws import Access, build_credential_provider, resolve_access, resolve_endpoint
from dsp_batch.storage.backend import (
    FolderListing,
    ObjectHeaders,
    StoredKey,
    Subfolder,
    TemporaryError,
    cut_name,
    is_plain_name,
    join_key,
)
from dsp_batch.storage.backends.certificates import explain_authorities, find_authorities_file
from dsp_batch.storage.backends.content_coding import decode_body
from dsp_batch.storage.backends.ranged import NO_RETRY, RangedSource, client_options
from dsp_batch.storage.backends.regions import describe_answer, find_region, learn_region
from dsp_batch.storage.backends.s3_writing import BucketObject, delete_object, put_object
from dsp_batch.storage.failures import (
    explain_cause,
    explain_ssl_failure,
    is_missing_bucket,
    translate_failure,
    translate_status,
)
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

    def _name(self, key: str) -> BucketObject:
        return BucketObject(self._bucket, self._prefix + key, self._endpoint_url)

    def _connect(self) -> BucketClient:
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
        path = self._prefix + join_key(folder, info.name)
        return RangedSource(self._connect, path, info.size, root=f"s3://{self._bucket}")

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole object; None where there is none."""
        what = f"read s3://{self._bucket}/{self._prefix}{key}"
        attempt = partial(_fetch_key, self._connect, self._prefix + key, what)
        return run_blocking(retry_temporary(attempt, what, self._connect().flow))

    def write_whole(self, key: str, data: bytes, headers: ObjectHeaders, *, make_parents: bool) -> None:  # noqa: ARG002  # buckets have no folders
        """Write an object in a single put, tried again as reads are."""
        put_object(self._name(key), data, headers)

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens where there is none."""
        delete_object(self._name(key))

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List the keys below a folder page by page: 16 µs a key, s3fs takes 250."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        pages, flow = _Pages(self._connect, prefix), self._connect().flow
        what = f"list s3://{self._bucket}/{prefix}"
        while page := run_blocking(retry_temporary(partial(pages.fetch_next, what), what, flow)):
            for entry in page:
                yield StoredKey(entry["path"][len(prefix) :], entry["size"], entry["last_modified"].timestamp())

    async def _list(self, key: str) -> tuple[list[ObjectInfo], list[str]]:
        import obstore  # noqa: PLC0415  # local roots do without
        from obstore.exceptions import InvalidPathError  # noqa: PLC0415  # obstore is imported with the first request

        client = self._connect()
        try:
            answer = await obstore.list_with_delimiter_async(client.store, key or None)
        except InvalidPathError:
            # A key with an empty part (`a//b`) somewhere below: obstore gives up on the whole listing.
            return await self._list_slowly(key)
        except Exception as error:
            count_usage(requests=1)
            raise client.translate(error, f"list s3://{self._bucket}/{key}") from error
        objects, prefixes = answer["objects"], answer["common_prefixes"]
        count_usage(requests=max(1, -(-(len(objects) + len(prefixes)) // PAGE)))
        start = len(key)
        return (
            # A marker object has the name of the folder itself; obstore drops its trailing slash.
            [_describe(each, start) for each in objects if is_plain_name(cut_name(each["path"], key))],
            [each[start:] for each in prefixes if is_plain_name(cut_name(each, key))],
        )

    async def _list_slowly(self, key: str, name_prefix: str = "") -> tuple[list[ObjectInfo], list[str]]:
        """List through botocore, which takes raw prefixes and any key, at 40 times the CPU per name."""
        what = f"list s3://{self._bucket}/{key}{name_prefix}"
        return await asyncio.to_thread(_list_pages, self._connect(), (key, name_prefix), what)


class BucketClient(NamedTuple):
    """obstore's client for a bucket, and how it reaches it."""

    bucket: str
    store: S3Store
    access: Access
    flow: Flow

    def translate(self, error: Exception, what: str) -> StorageError | TemporaryError:
        """Say what an exception of the client means."""
        if learn_region(self.access, self.bucket, str(error)):
            return TemporaryError("the bucket is in another region")
        return translate_failure(error, what, self.access.word)


def open_bucket(bucket: str, endpoint_url: str | None, *, anonymous: bool | None = None) -> BucketClient:
    """Open the client of a bucket: one in a process, so that series and cache, prefixes and threads share connections.

    Args:
        bucket: Name of the bucket.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: As in `resolve_access`.

    Raises:
        StorageError: As in `resolve_access`.
    """
    endpoint_url = resolve_endpoint(endpoint_url)
    return _open_client(bucket, endpoint_url, anonymous, find_region(bucket, endpoint_url))


@once_in_process
def _open_client(
    bucket: str,
    endpoint_url: str | None,
    anonymous: bool | None,  # noqa: FBT001  # a cache key
    region: str | None,
) -> BucketClient:
    from obstore.store import S3Store  # noqa: PLC0415  # local roots do without

    access = resolve_access(bucket, endpoint_url, anonymous=anonymous, region=region)
    config: S3Config = {"region": access.region, "skip_signature": access.credentials is None}
    if access.endpoint_url is not None:
        # Both names, because obstore prefers the second and takes it from the environment.
        config |= {"endpoint": access.endpoint_url, "aws_endpoint_url_s3": access.endpoint_url}
    elif "." not in bucket:  # AWS's certificates cover one label before s3.amazonaws.com
        config |= {"virtual_hosted_style_request": True}
    provider = None if access.credentials is None else build_credential_provider(access.credentials)
    options = client_options()
    with explain_authorities():
        store = S3Store(
            bucket, config=config, client_options=options, retry_config=NO_RETRY, credential_provider=provider
        )
    return BucketClient(bucket, store, access, find_flow(_locate(bucket), access.endpoint_url))


def _locate(bucket: str) -> Location:
    return Location(scheme="s3", container=bucket, parts=())


async def _fetch_key(connect: Callable[[], BucketClient], key: str, what: str) -> bytes | None:
    import obstore  # noqa: PLC0415  # local caches do without

    client = connect()
    count_usage(requests=1)
    try:
        answer = await obstore.get_async(client.store, key)
        data = (await answer.bytes_async()).to_bytes()
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise client.translate(error, what) from error
    count_usage(bytes_read=len(data))
    coding = answer.attributes.get("Content-Encoding")
    return data if coding is None else decode_body(data, coding, key, what)


class _Pages:
    """A listing that can go on behind the last key seen after a failure."""

    def __init__(self, connect: Callable[[], BucketClient], prefix: str) -> None:
        self._connect = connect
        self._prefix = prefix
        self._last: str | None = None
        self._stream: ListStream[Sequence[ObjectMeta]] | None = None

    async def fetch_next(self, what: str) -> list[ObjectMeta]:
        """Fetch the next page; empty at the end."""
        import obstore  # noqa: PLC0415  # local caches do without

        client = self._connect()
        if self._stream is None:
            self._stream = obstore.list(client.store, self._prefix or None, offset=self._last, chunk_size=PAGE)
        try:
            page = list(next(self._stream, ()))
        except Exception as error:
            count_usage(requests=1)
            self._stream = None
            raise client.translate(error, what) from error
        if page or self._last is None:  # the end is told with the last page
            count_usage(requests=1)
        if page:
            self._last = page[-1]["path"]
        return page


def _describe(each: ObjectMeta, start: int) -> ObjectInfo:
    """Describe an object whose name begins at a character of its key."""
    return ObjectInfo(name=each["path"][start:], size=each["size"], modified=each["last_modified"].timestamp())


def _list_pages(client: BucketClient, key: tuple[str, str], what: str) -> tuple[list[ObjectInfo], list[str]]:
    from botocore import exceptions  # noqa: PLC0415  # seldom needed

    folder, name_prefix = key
    objects: list[ObjectInfo] = []
    folders: list[str] = []
    pages = _open_botocore(client.access).get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=client.bucket, Prefix=folder + name_prefix, Delimiter="/"):
            count_usage(requests=1)
            objects += [
                ObjectInfo(
                    name=cut_name(each["Key"], folder), size=each["Size"], modified=each["LastModified"].timestamp()
                )
                for each in page.get("Contents", ())
            ]
            folders += [cut_name(each["Prefix"], folder).rstrip("/") for each in page.get("CommonPrefixes", ())]
    except exceptions.ClientError as error:
        count_usage(requests=1)
        if learn_region(client.access, client.bucket, describe_answer(error.response)):
            raise TemporaryError("the bucket is in another region") from error
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise translate_status(status, error.response["Error"]["Code"], what, client.access.word) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        count_usage(requests=1)
        if distrust := explain_ssl_failure(error):
            raise StorageError(f"cannot {what}: {distrust}", reason="network") from error
        raise TemporaryError(explain_cause(str(error))) from error
    except exceptions.BotoCoreError as error:
        raise StorageError(f"cannot {what}: {str(error).splitlines()[0]}", reason="access-denied") from error
    return [each for each in objects if is_plain_name(each.name)], [name for name in folders if is_plain_name(name)]


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
    return session.create_client(
        "s3", region_name=access.region, endpoint_url=access.endpoint_url, config=config, verify=find_authorities_file()
    )
