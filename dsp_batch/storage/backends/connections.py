"""Connections to a server that stay open between requests, and bodies that are received within limits."""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import selectors
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from dsp_batch.errors import StorageError
from dsp_batch.storage.backends.certificates import open_ssl_context
from dsp_batch.storage.backends.content_coding import check_size
from dsp_batch.storage.runtime import once_in_process

T = TypeVar("T")

SILENCE_SECONDS = 30.0
"""Seconds without a byte that end an attempt."""

_SECONDS = 300.0
"""Seconds for one whole body, however steadily it trickles in; obstore's requests have the same."""

_BYTES_AT_ONCE = 1 << 20

_LARGE_BODY = 32 << 20
"""Bytes beyond which bodies are received one at a time, so that what a process holds stays bounded."""

_IDLE = 32
"""Connections to a server that are kept open while they are not used, at most."""

_THREADS = 64
"""Requests of this kind that are in flight in a process, at most: each takes a thread."""

_large_bodies = threading.Lock()


class ServerAnswer(NamedTuple):
    """What a server answered."""

    status: int
    headers: Message
    data: bytes


class BodyReceiver:
    """Receives one body within its limits.

    Args:
        what: Continues "cannot …" in messages.
        most: Bytes of the body, at most.
        abandoned: Set when nobody waits for the body any more.
    """

    def __init__(self, what: str, most: int, abandoned: threading.Event) -> None:
        self._what = what
        self._most = most
        self._abandoned = abandoned
        self._end = time.monotonic() + _SECONDS

    def read_body(self, answer: http.client.HTTPResponse) -> bytes:
        """Read the body as it comes; `read` alone would wait for all of it.

        Raises:
            StorageError: It is too large, or takes too long.
            TimeoutError: It was abandoned.
            HTTPException: It ends too early.
        """
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


class Connections:
    """The connections of a process to one server, through the proxy that the environment names.

    Args:
        server: Its URL, without a path.
    """

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self._proxy = _find_proxy(self._server)
        self._idle = deque[http.client.HTTPConnection](maxlen=_IDLE)

    def get(self, path: str, headers: Mapping[str, str], receiver: BodyReceiver) -> ServerAnswer:
        """Make one GET, which follows no redirect.

        Args:
            path: Path and query.
            headers: Of the request.
            receiver: Receives the body.

        Raises:
            OSError: The server cannot be reached, or is silent.
            HTTPException: It speaks no HTTP, or its answer ends too early.
            StorageError: As in `BodyReceiver`.
        """
        connection = self._take_idle() or self._open()
        try:
            target, own = self._address(path)
            connection.request("GET", target, headers={**headers, **own})
            answer = connection.getresponse()
            data = receiver.read_body(answer)
            answer.close()  # its body is read, but `read1` does not say so
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return ServerAnswer(answer.status, answer.headers, data)

    def _take_idle(self) -> http.client.HTTPConnection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if not _is_closed(connection):
                return connection
            connection.close()
        return None

    def _open(self) -> http.client.HTTPConnection:
        at = self._proxy or self._server
        if self._server.scheme == "http":
            return http.client.HTTPConnection(at.netloc.rpartition("@")[2], timeout=SILENCE_SECONDS)
        host = at.netloc.rpartition("@")[2]
        connection = http.client.HTTPSConnection(host, timeout=SILENCE_SECONDS, context=open_ssl_context())
        if self._proxy is not None:
            connection.set_tunnel(self._server.netloc, headers=_proxy_headers(self._proxy))
        return connection

    def _address(self, path: str) -> tuple[str, dict[str, str]]:
        """Return what is asked for, and the headers for a proxy that passes requests on as they are."""
        if self._proxy is None or self._server.scheme == "https":
            return path, {}
        return f"{self._server.scheme}://{self._server.netloc}{path}", _proxy_headers(self._proxy)


@once_in_process
def open_connections(server: str) -> Connections:
    """Open the connections to a server: one set of them in a process."""
    return Connections(server)


async def run_in_thread(action: Callable[[threading.Event], T]) -> T:
    """Run an action in a thread of storage's own. It is told through the event that nobody waits for it any more."""
    loop, context, abandoned = asyncio.get_running_loop(), contextvars.copy_context(), threading.Event()
    try:
        return await loop.run_in_executor(_open_threads(), context.run, action, abandoned)
    except asyncio.CancelledError:
        abandoned.set()
        raise


@once_in_process
def _open_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="dsp-batch-storage")


def explain_connection(error: object) -> str:
    """Say in a few words why a request of Python's own client failed."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return "connection closed before the answer was complete"
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0][:120].lower() if text else type(error).__name__


def _is_closed(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the server has closed a connection that waits: there is something to read, which is its end."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _find_proxy(server: SplitResult) -> SplitResult | None:
    named = getproxies().get(server.scheme)
    if not named or proxy_bypass(server.hostname or ""):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    known = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(known.encode()).decode()}"}
