"""Whole bodies over HTTP through the standard library: listings, and servers that do not know ranges."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from dsp_batch.errors import StorageError
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.certificates import open_ssl_context
from dsp_batch.storage.backends.connections import SILENCE_SECONDS, BodyReceiver, explain_connection
from dsp_batch.storage.backends.content_coding import MOST_BODY, decode_body
from dsp_batch.storage.failures import explain_ssl_failure, translate_status
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import once_in_process, run_blocking
from dsp_batch.storage.usage import count_usage

_MOST_REFUSAL = 64 << 10
"""Bytes of an error page that are looked at."""


class Page(NamedTuple):
    """A body and where it came from."""

    url: str
    """The page's own URL, after redirects."""

    status: int
    """HTTP status: 200, or 403 or 404, whose body may say that this is S3."""

    data: bytes

    coding: str | None = None
    """Its Content-Encoding, where there is one."""


def fetch_page(url: str, what: str, abandoned: threading.Event | None = None, most: int = MOST_BODY) -> Page:
    """Make one attempt at a whole body.

    Unlike obstore, this takes chunked answers, which listings are as a rule.

    Args:
        url: Percent-encoded.
        what: For messages: `read …`.
        abandoned: Set when nobody waits for it any more: the connection is closed at the next bytes.
        most: Bytes of the body, at most.

    Raises:
        TemporaryError: Another attempt may help, or it was abandoned.
        StorageError: The server refuses, with a status other than 403 and 404; its certificate is not trusted; or the
            body is too large or takes too long.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "dsp-batch"})  # noqa: S310  # http and https only
    count_usage(requests=1)
    try:
        page = _open(request, BodyReceiver(what, most, abandoned or threading.Event()))
    except urllib.error.URLError as error:
        if distrust := explain_ssl_failure(error.reason):
            raise StorageError(f"cannot {what}: {distrust}", reason="network") from error
        if str(error.reason).startswith("unknown url type"):
            message = f"cannot {what}: the server redirects to something that is neither http:// nor https://"
            raise StorageError(message, reason="network") from error
        raise TemporaryError(explain_connection(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TemporaryError(explain_connection(error)) from error
    count_usage(bytes_read=len(page.data))
    if page.status not in (200, 403, 404):
        raise translate_status(page.status, "", what, "anonymous")
    return page


def require_body(page: Page, what: str) -> bytes:
    """Return the body of a page that must exist, decoded.

    Raises:
        StorageError: The server denied it or has no such thing, or its coding is unknown or damaged.
    """
    if page.status != 200:
        raise translate_status(page.status, "", what, "anonymous")
    return decode_body(page.data, page.coding, urlsplit(page.url).path, what)


def read_page(url: str) -> bytes | None:
    """Read a whole object over HTTP; None where the server has none.

    Raises:
        StorageError: It cannot be read.
    """
    what = f"read {url}"

    async def attempt() -> Page:
        return fetch_page(encode_url(url), what)

    page = run_blocking(retry_temporary(attempt, what))
    return None if page.status == 404 else require_body(page, what)


def encode_url(url: str) -> str:
    """Percent-encode what a URL must not hold, blanks and letters beyond ASCII, and nothing that is encoded already."""
    return quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def _open(request: urllib.request.Request, receiver: BodyReceiver) -> Page:
    try:
        with _build_opener().open(request, timeout=SILENCE_SECONDS) as answer:
            coding = answer.headers.get("Content-Encoding")
            return Page(answer.url, answer.status, receiver.read_body(answer), coding)
    except urllib.error.HTTPError as error:
        with error:
            return Page(request.full_url, error.code, error.read(_MOST_REFUSAL))


@once_in_process
def _build_opener() -> urllib.request.OpenerDirector:
    """Build a client that knows HTTP and HTTPS alone, wherever a redirect may lead."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=open_ssl_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
