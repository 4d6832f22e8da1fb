"""Listings of buckets (ListObjectsV2), page by page: obstore would take pages of any size, and any number of them."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from dsp_batch.errors import StorageError
from dsp_batch.storage.aws import Access
from dsp_batch.storage.backend import StoredKey, TemporaryError
from dsp_batch.storage.backends.connections import (
    BodyReceiver,
    ServerAnswer,
    explain_connection,
    open_connections,
    run_in_thread,
)
from dsp_batch.storage.backends.regions import REGION_HEADER, learn_region
from dsp_batch.storage.backends.signing import sign_get
from dsp_batch.storage.failures import explain_ssl_failure, translate_status
from dsp_batch.storage.usage import count_usage

MOST_PAGE = 64 << 20
"""Bytes of a page of a listing, at most: one with 500,000 names."""

MOST_NAMES = 10_000_000
"""Names in one listing, at most. Its pages may be a thousandth of that, which is what S3 gives at once."""

_CODE = re.compile(rb"<Code>(\w+)</Code>")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


class BucketPage(NamedTuple):
    """One page of a listing."""

    objects: list[StoredKey]
    """Whole keys."""

    prefixes: list[str]
    """Common prefixes, ending in `/`."""

    token: str | None
    """Continuation token of the next page; None on the last."""


def listing_url(bucket_url: str, prefix: str, token: str | None, delimiter: str = "/") -> str:
    """Build the URL of a page of a listing; its parameters are sorted, as signatures need them.

    Args:
        bucket_url: URL of the bucket.
        prefix: What the keys begin with.
        token: From the page before; None for the first one.
        delimiter: Ends the names of folders; empty for the keys in all folders.
    """
    parameters = {"continuation-token": token, "delimiter": delimiter, "list-type": "2", "prefix": prefix}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value)
    return f"{bucket_url}?{query}"


def parse_bucket_page(data: bytes) -> BucketPage | None:
    """Read a page of a ListBucketResult; None where it is none."""
    try:
        tree = ET.fromstring(data)  # noqa: S314  # expat limits the expansion of entities itself
        if not tree.tag.endswith("ListBucketResult"):
            return None
        space = tree.tag.removesuffix("ListBucketResult")  # written out: a search in any namespace takes twice as long
        key, size, modified = f"{space}Key", f"{space}Size", f"{space}LastModified"
        objects = [
            StoredKey(each.findtext(key, ""), int(each.findtext(size, "0")), _parse_time(each.findtext(modified)))
            for each in tree.findall(f"{space}Contents")
        ]
    except (ET.ParseError, LookupError, ValueError):  # an unknown encoding, a size that is text
        return None
    if any(each.size < 0 for each in objects):
        return None
    prefixes = [each.findtext(f"{space}Prefix", "") for each in tree.findall(f"{space}CommonPrefixes")]
    return BucketPage(objects, prefixes, tree.findtext(f"{space}NextContinuationToken") or None)


class ListingPages:
    """The pages of a listing, one after the other. After a failure it goes on with the page that failed.

    Args:
        fetch: Token of a page, None for the first one → the page.
        what: Continues "cannot …" in messages.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[BucketPage]], what: str) -> None:
        self._fetch = fetch
        self._what = what
        self._token: str | None = None
        self._tokens: set[str] = set()
        self._names = 0
        self._has_ended = False

    async def fetch_next(self) -> BucketPage | None:
        """Fetch the next page; None behind the last one.

        Raises:
            StorageError: The listing does not end: a token comes again, or there are too many names.
        """
        if self._has_ended:
            return None
        page = await self._fetch(self._token)
        self._names += len(page.objects) + len(page.prefixes)
        if page.token in self._tokens:
            raise StorageError(f"cannot {self._what}: the server gives the same page of the listing again and again")
        if self._names > MOST_NAMES or len(self._tokens) > MOST_NAMES // 1000:
            raise StorageError(f"cannot {self._what}: it holds more than {MOST_NAMES:,} names", "too-large")
        if page.token is None:
            self._has_ended = True
        else:
            self._token = page.token
            self._tokens.add(page.token)
        return page


async def fetch_bucket_page(bucket: str, access: Access, url: str, what: str) -> BucketPage:
    """Make one attempt at a page of a bucket's listing.

    Args:
        bucket: Name of the bucket.
        access: How it is asked.
        url: From `listing_url`.
        what: Continues "cannot …" in messages.

    Raises:
        TemporaryError: Another attempt may help.
        StorageError: The bucket is not there or denied; what answers is no S3; or the page has no end.
    """
    answer = await run_in_thread(partial(_ask, access, url, what))
    if 300 <= answer.status < 400 and answer.headers.get("Location") and _CODE.search(answer.data) is None:
        raise _speaks_no_s3(answer, url, what)  # S3 says in words where a bucket is
    if answer.status != 200:
        raise _translate_refusal(answer, bucket, access, what)
    page = parse_bucket_page(answer.data)
    if page is None:
        raise _speaks_no_s3(answer, url, what)
    return page


def locate_bucket(bucket: str, access: Access) -> str:
    """Return the URL of a bucket. AWS's certificates cover one label before s3.amazonaws.com."""
    if access.endpoint_url is not None:
        return f"{access.endpoint_url.rstrip('/')}/{bucket}"
    if "." in bucket:
        return f"https://s3.{access.region}.amazonaws.com/{bucket}"
    return f"https://{bucket}.s3.{access.region}.amazonaws.com/"


def _ask(access: Access, url: str, what: str, abandoned: threading.Event) -> ServerAnswer:
    parts, headers = urlsplit(url), {"user-agent": "dsp-batch"}
    if access.credentials is not None:
        headers |= sign_get(url, access.credentials.get_frozen_credentials(), access.region, datetime.now(UTC))
    connections = open_connections(f"{parts.scheme}://{parts.netloc}")
    count_usage(requests=1)
    try:
        answer = connections.get(f"{parts.path}?{parts.query}", headers, BodyReceiver(what, MOST_PAGE, abandoned))
    except (OSError, http.client.HTTPException) as error:
        if distrust := explain_ssl_failure(error):
            raise StorageError(f"cannot {what}: {distrust}", reason="network") from error
        raise TemporaryError(explain_connection(error)) from error
    count_usage(bytes_read=len(answer.data))
    return answer


def _speaks_no_s3(answer: ServerAnswer, url: str, what: str) -> StorageError:
    kind = _MEDIA_TYPE.match(answer.headers.get("Content-Type") or "")
    told = kind[0] if kind else f"{len(answer.data)} bytes of no known type"
    came = "a redirect" if answer.status != 200 else told
    server = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    message = f"cannot {what}: {server} speaks no S3: {came} came instead of a listing; check the endpoint"
    return StorageError(message, "not-found")


def _translate_refusal(answer: ServerAnswer, bucket: str, access: Access, what: str) -> StorageError | TemporaryError:
    found = _CODE.search(answer.data[:65_536])
    code = found[1].decode("ascii", "replace") if found else ""
    told = answer.data[:65_536].decode("utf-8", "replace")
    moved = "PermanentRedirect" if answer.status == 301 else ""
    named = f"{told} {moved} <Region>{answer.headers.get(REGION_HEADER, '')}</Region>"
    if learn_region(access, bucket, named):
        return TemporaryError("the bucket is in another region")
    return translate_status(answer.status, code, what, access.word)


def _parse_time(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
