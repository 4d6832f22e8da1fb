"""S3 and its like: listed page by page, read through obstore, written through s3fs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dsp_batch.errors import StorageError
from dsp_batch.model.object_names import is_object_name
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
from dsp_batch.storage.backends.certificates import explain_authorities
from dsp_batch.storage.backends.content_coding import decode_body
from dsp_batch.storage.backends.ranged import NO_RETRY, RangedSource, client_options, receive_body
from dsp_batch.storage.backends.regions import find_region, learn_region
from dsp_batch.storage.backends.s3_listing import (
    BucketPage,
    ListingPages,
    fetch_bucket_page,
    listing_url,
    locate_bucket,
)
from dsp_batch.storage.backends.s3_writing import BucketObject, delete_object, put_object
from dsp_batch.storage.failures import is_missing_bucket, translate_failure
from dsp_batch.storage.flow import Flow, find_flow
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import once_in_process, run_blocking
from dsp_batch.storage.urls import Location
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store


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
        """List the objects and common prefixes directly below a folder, with sizes and times; each name once."""
        above = f"{self._prefix}{folder}/" if folder else self._prefix
        pages, objects, folders = self._list(above), dict[str, ObjectInfo](), list[Subfolder]()
        while page := await pages.fetch_next():
            for key, size, modified in page.objects:
                name = cut_name(key, above)  # empty for a marker object, which has the name of the folder itself
                if is_plain_name(name):
                    objects.setdefault(name, ObjectInfo(name=name, size=size, modified=modified))
            folders += map(Subfolder, _cut_folders(page, above))
        return FolderListing([*objects.values()], folders)

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        pages, names = self._list(self._prefix + prefix), list[str]()
        while page := await pages.fetch_next():
            names += _cut_folders(page, self._prefix)
        return names

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
        """List the keys below a folder page by page; what leads out of it is left out."""
        above = f"{self._prefix}{folder}/" if folder else self._prefix
        pages, flow = self._list(above, delimiter=""), self._connect().flow
        what = f"list s3://{self._bucket}/{above}"
        while page := run_blocking(retry_temporary(pages.fetch_next, what, flow)):
            for each in page.objects:
                name = cut_name(each.key, above)
                if is_object_name(name):
                    yield each._replace(key=name)

    def _list(self, prefix: str, delimiter: str = "/") -> ListingPages:
        """List what begins with a raw prefix."""
        what = f"list s3://{self._bucket}/{prefix}"

        async def fetch(token: str | None) -> BucketPage:
            access = self._connect().access
            url = listing_url(locate_bucket(self._bucket, access), prefix, token, delimiter)
            return await fetch_bucket_page(self._bucket, access, url, what)

        return ListingPages(fetch, what)


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
        data = await receive_body(answer, what)
    except StorageError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not is_missing_bucket(error):
            return None
        raise client.translate(error, what) from error
    count_usage(bytes_read=len(data))
    coding = answer.attributes.get("Content-Encoding")
    return data if coding is None else decode_body(data, coding, key, what)


def _cut_folders(page: BucketPage, above: str) -> list[str]:
    """Return the names of the folders of a page that lie directly below a prefix."""
    names = [cut_name(each, above).removesuffix("/") for each in page.prefixes]
    return [name for name in names if is_plain_name(name)]
