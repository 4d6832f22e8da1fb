"""Whole bodies over HTTP through the standard library: listings, and servers that do not know ranges."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from dsp_batch.errors import StorageError
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.certificates import open_ssl_context
from dsp_batch.storage.backends.content_coding import MOST_BODY, check_size, decode_body
from dsp_batch.storage.failures import explain_ssl_failure, translate_status
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.runtime import once_in_process, run_blocking
from dsp_batch.storage.usage import count_usage

_SILENCE_SECONDS = 30.0
"""Seconds without a byte that end an attempt."""

_BYTES_AT_ONCE = 1 << 20

_SECONDS = 300.0
"""Seconds for one whole body, however steadily it trickles in; obstore's requests have the same."""

MOST_PAGE = 64 << 20
"""Bytes of a listing, at most: a page with 500,000 names."""

_MOST_REFUSAL = 64 << 10
"""Bytes of an error page that are looked at."""

_LARGE_BODY = 32 << 20
"""Bytes beyond which bodies are received one at a time, so that what a process holds stays bounded."""

_large_bodies = threading.Lock()


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
        page = _open(request, _Receiver(what, most, abandoned or threading.Event()))
    except urllib.error.URLError as error:
        if distrust := explain_ssl_failure(error.reason):
            raise StorageError(f"cannot {what}: {distrust}", reason="network") from error
        if str(error.reason).startswith("unknown url type"):
            message = f"cannot {what}: the server redirects to something that is neither http:// nor https://"
            raise StorageError(message, reason="network") from error
        raise TemporaryError(_explain(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TemporaryError(_explain(error)) from error
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


def _open(request: urllib.request.Request, receiver: _Receiver) -> Page:
    try:
        with _build_opener().open(request, timeout=_SILENCE_SECONDS) as answer:
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


class _Receiver:
    """Receives one body within its limits."""

    def __init__(self, what: str, most: int, abandoned: threading.Event) -> None:
        self._what = what
        self._most = most
        self._abandoned = abandoned
        self._end = time.monotonic() + _SECONDS

    def read_body(self, answer: http.client.HTTPResponse) -> bytes:
        """Read the body as it comes; `read` alone would wait for all of it."""
        check_size(answer.length or 0, self._what, self._most)
        body, alone = bytearray(), False
        try:
            while piece := answer.read1(_BYTES_AT_ONCE):
                body += piece
                check_size(len(body), self._what, self._most)
                self._check_time()
                while len(body) > _LARGE_BODY and not alone:
                    alone = _large_bodies.acquire(timeout=0.5)
                    self._check_time()
        finally:
            if alone:
                _large_bodies.release()
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return bytes(body)

    def _check_time(self) -> None:
        if self._abandoned.is_set():
            raise TimeoutError
        if time.monotonic() > self._end:
            raise StorageError(f"cannot {self._what}: not finished within {_SECONDS:g} s", reason="timeout")


def _explain(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "connection closed before the answer was complete"
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0][:120].lower() if text else type(error).__name__
