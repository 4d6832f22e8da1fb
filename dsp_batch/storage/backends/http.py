"""HTTP servers: directory listings, ranges through obstore, whole bodies where ranges are ignored."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakValueDictionary

from dsp_batch.errors import StorageError
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.backend import (
    FolderListing,
    StoredKey,
    Subfolder,
    TemporaryError,
    cut_name,
    is_plain_name,
    join_key,
)
from dsp_batch.storage.backends.certificates import explain_authorities
from dsp_batch.storage.backends.content_coding import MOST_BODY
from dsp_batch.storage.backends.http_listing import (
    Entry,
    is_bucket_answer,
    make_no_listing,
    parse_listing,
    split_bucket_urls,
)
from dsp_batch.storage.backends.http_pages import Page, encode_url, fetch_page, read_page, require_body
from dsp_batch.storage.backends.ranged import NO_RETRY, RangedSource, RangesIgnoredError, client_options
from dsp_batch.storage.backends.s3_listing import (
    MOST_PAGE,
    BucketPage,
    ListingPages,
    listing_url,
    parse_bucket_page,
)
from dsp_batch.storage.failures import translate_failure, translate_status
from dsp_batch.storage.urls import Location

if TYPE_CHECKING:
    from obstore.store import HTTPStore

_BODIES_AT_ONCE = 32
"""Whole bodies in flight for one series, at most: each takes a thread."""

_CALLS_AT_ONCE = 4
"""Series that have threads for as many bodies at a time: a slow one must not keep its neighbours waiting."""


class HttpBackend:
    """A folder of an HTTP server, or an S3 bucket that is given by its HTTP address.

    Args:
        location: The root.
        max_workers: Whole bodies in flight for one series, but never more than 32.
    """

    def __init__(self, location: Location, max_workers: int) -> None:
        self._location = location
        self.root = encode_url(str(location))
        self.ranges_ignored: bool | None = None
        self._bucket: tuple[str, str] | None = None
        self._at_once = min(max_workers, _BODIES_AT_ONCE)
        self._semaphores: WeakValueDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakValueDictionary()
        """Event loop of a call → the limit of its bodies in flight. An entry goes with the last body of its call."""

        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE * self._at_once, thread_name_prefix="dsp-batch-storage")

    async def list_level(self, folder: str) -> FolderListing | None:
        """List the objects and folders directly below a folder; sizes only where the listing gives them exactly."""
        entries = await self._list(f"{quote(folder)}/" if folder else "", "")
        return FolderListing(
            [ObjectInfo(name=each.name, size=each.size) for each in entries if not each.is_folder],
            [Subfolder(each.name) for each in entries if each.is_folder],
        )

    async def list_folders(self, prefix: str) -> list[str]:
        """List the folders below the root whose names start with a raw prefix."""
        return [each.name for each in await self._list("", prefix) if each.is_folder and each.name.startswith(prefix)]

    def open_object(self, folder: str, info: ObjectInfo) -> HttpSource:
        """Prepare to read an object."""
        path = join_key(folder, info.name)
        return HttpSource(self, RangedSource(self._connect, path, info.size, root=self.root), path)

    def read_whole(self, key: str) -> bytes | None:
        """Read a whole object; None where the server has none."""
        return read_page(f"{self.root}/{key}")

    def list_keys(self, folder: str) -> Iterator[StoredKey]:
        """List the objects that the pages below a folder link to."""
        from dsp_batch.storage.backends.filesystem import FilesystemBackend  # noqa: PLC0415  # fsspec walks the pages

        return FilesystemBackend(self._location, anonymous=None, max_workers=1).list_keys(folder)

    def _connect(self) -> HttpConnection:
        return self._connection

    @cached_property
    def _connection(self) -> HttpConnection:
        from obstore.store import HTTPStore  # noqa: PLC0415  # whole bodies do without

        options = client_options()
        with explain_authorities():
            return HttpConnection(HTTPStore(self.root, client_options=options, retry_config=NO_RETRY))

    async def fetch(self, url: str, what: str, most: int = MOST_BODY) -> Page:
        """Fetch a whole body in a thread, which ends with the task that waits for it."""
        loop = asyncio.get_running_loop()  # each call has its own
        context, abandoned = contextvars.copy_context(), threading.Event()
        room = self._semaphores.setdefault(loop, asyncio.Semaphore(self._at_once))
        async with room:
            try:
                attempt = partial(context.run, fetch_page, url, what, abandoned, most)
                return await loop.run_in_executor(self._threads, attempt)
            except asyncio.CancelledError:
                abandoned.set()
                raise

    async def _list(self, folder: str, prefix: str) -> list[Entry]:
        if self._bucket is not None:
            return await self._list_bucket(*self._bucket, folder, prefix)
        url = f"{self.root}/{folder}"
        what = f"list {url}"
        page = await self.fetch(url, what, MOST_PAGE)
        if is_bucket_answer(page.data):
            return await self._find_bucket(folder, prefix)
        if page.status == 404:
            return await self._list_missing(folder, what)
        return parse_listing(page._replace(data=require_body(page, what)))

    async def _list_missing(self, folder: str, what: str) -> list[Entry]:
        if not folder:
            raise StorageError(f"cannot {what}: no such folder", reason="not-found")
        return []

    async def _find_bucket(self, folder: str, prefix: str) -> list[Entry]:
        """Find out which part of the root is the bucket, and list it."""
        parts = urlsplit(self.root)
        failure: StorageError | None = None
        for bucket_url, key in split_bucket_urls(parts.scheme, parts.netloc, parts.path.strip("/")):
            try:
                entries = await self._list_bucket(bucket_url, key, folder, prefix)
            except StorageError as error:
                failure = failure or error
                continue
            self._bucket = bucket_url, key
            return entries
        raise failure or StorageError(f"cannot list {self.root}: no such bucket", reason="not-found")

    async def _list_bucket(self, bucket_url: str, key: str, folder: str, prefix: str) -> list[Entry]:
        above = "/".join(part for part in (unquote(key), unquote(folder).rstrip("/")) if part)
        above = f"{above}/" if above else ""
        what = f"list {bucket_url.rstrip('/')}/{above}{prefix}"

        async def fetch(token: str | None) -> BucketPage:
            page = await self.fetch(listing_url(bucket_url, above + prefix, token), what, MOST_PAGE)
            if page.status != 200:
                raise translate_status(page.status, "", what, "anonymous")
            found = parse_bucket_page(page.data)
            if found is None:
                raise make_no_listing(bucket_url)
            return found

        entries, pages = dict[tuple[str, bool], Entry](), ListingPages(fetch, what)
        while found := await pages.fetch_next():
            listed = [Entry(cut_name(each.key, above), each.size, False) for each in found.objects]
            listed += [Entry(cut_name(key.removesuffix("/"), above), None, True) for key in found.prefixes]
            for each in listed:
                if is_plain_name(each.name):
                    entries.setdefault((each.name, each.is_folder), each)
        return [*entries.values()]


class HttpConnection(NamedTuple):
    """obstore's client for a server."""

    store: HTTPStore

    def translate(self, error: Exception, what: str) -> StorageError | TemporaryError:
        """Say what an exception of the client means."""
        return translate_failure(error, what, "anonymous")


class HttpSource:
    """One object over HTTP; its whole body is kept while its reader runs where the server ignores ranges."""

    def __init__(self, backend: HttpBackend, ranged: RangedSource, path: str) -> None:
        self._backend = backend
        self._ranged = ranged
        self._path = path
        self._body: bytes | None = None
        self._lock = asyncio.Lock()

    @property
    def size(self) -> int | None:
        """Bytes of the whole object."""
        return self._ranged.size if self._body is None else len(self._body)

    async def read_range(self, start: int, stop: int) -> Buffer:
        """Read `[start, stop)`."""
        if self._body is None and not self._backend.ranges_ignored:
            try:
                data = await self._ranged.read_range(start, stop)
            except RangesIgnoredError:
                # Once a range was answered, a whole body is a cache on the way that had to fetch the object first.
                if self._backend.ranges_ignored is None:
                    self._backend.ranges_ignored = True
            else:
                self._backend.ranges_ignored = False
                return data
        async with self._lock:
            if self._body is None:
                what = f"read {self._backend.root}/{self._path}"
                page = await self._backend.fetch(f"{self._backend.root}/{quote(self._path)}", what)
                self._body = require_body(page, what)
        return self._body[start:stop]

    def close(self) -> None:
        """Free the body."""
        self._body = None
        self._ranged.close()
