"""S3 and its like: listing and ranges through obstore, raw key prefixes through botocore."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.aws import Access, build_credential_provider, resolve_access, resolve_endpoint
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.ranged import NO_RETRY, RangedSource, client_options
from dsp_batch.storage.failures import explain_cause, translate_failure, translate_status
from dsp_batch.storage.flow import Flow, find_flow
from dsp_batch.storage.once import once_in_process
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

PAGE = 1000
"""Names in one page of an S3 listing, at most."""


class S3Backend:
    """A bucket, or a prefix in one.

    Args:
        place: `bucket` or `bucket/prefix`.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: None to decide by bucket and credentials.
    """

    def __init__(self, place: str, endpoint_url: str | None, *, anonymous: bool | None) -> None:
        self._bucket, _, prefix = place.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        client = open_bucket(self._bucket, endpoint_url, anonymous=anonymous)
        self._access, self._store = client.access, client.store

    async def list_objects(self, folder: str) -> list[ObjectInfo]:
        """List the objects directly below a folder, with their sizes."""
        key = f"{self._prefix}{folder}/"
        objects, _ = await self._list(key)
        return [ObjectInfo(name=name, size=size) for name, size in objects]

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        if not prefix:
            _, folders = await self._list(self._prefix)
            return folders
        _, folders = await self._list_slowly(self._prefix, prefix)
        return folders

    def open_object(self, folder: str, info: ObjectInfo) -> RangedSource:
        """Prepare to read an object."""
        path = f"{self._prefix}{folder}/{info.name}"
        return RangedSource(self._store, path, info.size, place=f"s3://{self._bucket}", access=self._access.word)

    async def _list(self, key: str) -> tuple[list[tuple[str, int]], list[str]]:
        import obstore  # noqa: PLC0415  # local roots do without
        from obstore.exceptions import InvalidPathError  # noqa: PLC0415  # likewise

        try:
            answer = await obstore.list_with_delimiter_async(self._store, key or None)
        except InvalidPathError:
            # A key with an empty part (`a//b`) somewhere below: obstore gives up on the whole listing.
            return await self._list_slowly(key)
        except Exception as error:
            count_usage(requests=1)
            raise translate_failure(error, f"list s3://{self._bucket}/{key}", self._access.word) from error
        objects, prefixes = answer["objects"], answer["common_prefixes"]
        count_usage(requests=max(1, -(-(len(objects) + len(prefixes)) // PAGE)))
        start = len(key)
        return (
            # A marker object has the name of the folder itself; obstore drops its trailing slash.
            [(each["path"][start:], each["size"]) for each in objects if len(each["path"]) > start],
            [each[start:] for each in prefixes],
        )

    async def _list_slowly(self, key: str, name_prefix: str = "") -> tuple[list[tuple[str, int]], list[str]]:
        """List through botocore, which takes raw prefixes and any key, at 40 times the CPU per name."""
        what = f"list s3://{self._bucket}/{key}{name_prefix}"
        return await asyncio.to_thread(_list_pages, self._bucket, (key, name_prefix), self._access, what)


class Bucket(NamedTuple):
    """obstore's client for a bucket, and how it reaches it."""

    store: S3Store
    access: Access
    flow: Flow


def open_bucket(bucket: str, endpoint_url: str | None, *, anonymous: bool | None = None) -> Bucket:
    """The client for a bucket: one in a process, so that series and cache, prefixes and threads share connections.

    Args:
        bucket: Name of the bucket.
        endpoint_url: S3-compatible server; None for the environment's, else AWS.
        anonymous: As in `resolve_access`.

    Raises:
        StorageError: As in `resolve_access`.
    """
    return _open_client(bucket, resolve_endpoint(endpoint_url), anonymous)


@once_in_process
def _open_client(bucket: str, endpoint_url: str | None, anonymous: bool | None) -> Bucket:  # noqa: FBT001  # a cache key
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
    return Bucket(store, access, find_flow(f"s3://{bucket}", access.endpoint_url))


def _list_pages(
    bucket: str, key: tuple[str, str], access: Access, what: str
) -> tuple[list[tuple[str, int]], list[str]]:
    from botocore import exceptions  # noqa: PLC0415  # seldom needed

    folder, name_prefix = key
    objects: list[tuple[str, int]] = []
    folders: list[str] = []
    pages = _open_botocore(access).get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=folder + name_prefix, Delimiter="/"):
            count_usage(requests=1)
            objects += [(each["Key"][len(folder) :], each["Size"]) for each in page.get("Contents", ())]
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
    return [(name, size) for name, size in objects if name], [name for name in folders if name]


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
