"""Exact byte ranges through obstore."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dsp_batch.errors import StorageError
from dsp_batch.model.ranges import Buffer
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.certificates import read_authorities
from dsp_batch.storage.backends.content_coding import check_size, decode_body, is_coding, is_named_gzip
from dsp_batch.storage.failures import is_beyond_end
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

B = TypeVar("B", bound=Buffer)

CONNECT_TIMEOUT = "10s"
READ_TIMEOUT = "30s"
"""Time without a byte that ends an attempt; a long body that keeps coming may take longer."""
REQUEST_TIMEOUT = "300s"
"""Time for one whole request: a frame of a whole slide may be large and the network slow."""

NO_RETRY: RetryConfig = {"max_retries": 0}
"""obstore makes one attempt; `retry.py` alone counts and limits them."""


_PIECE = 1 << 20
"""Bytes of the pieces in which whole bodies are received, at least."""

_client_processes: set[int] = set()
"""Numbers of the processes that opened a client: this one, and those that it was forked from."""


def client_options() -> ClientConfig:
    """Settings of every client: time limits, plain HTTP where the URL says so, and the user's own authorities.

    Raises:
        OptionsError: As in `read_authorities`.
        StorageError: This process was forked from one with open clients. Their threads are not in it, and requests
            would wait for ever.
    """
    _client_processes.add(os.getpid())
    if len(_client_processes) > 1:
        message = "this process was forked from one that had storage open; start processes with `spawn`"
        raise StorageError(message, reason="internal")
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
    }
    authorities = read_authorities()
    if authorities is not None:
        options["root_certificate"] = authorities
    return options


async def receive_body(answer: GetResult, what: str) -> bytes:
    """Receive the whole body of an answer, piece by piece, so that one without an end is noticed.

    Args:
        answer: obstore's.
        what: Continues "cannot …" in messages.

    Raises:
        StorageError: It is too large to be read whole.
    """
    check_size(answer.meta["size"], what)
    body = bytearray()
    async for piece in answer.stream(min_chunk_size=_PIECE):
        body += piece
        check_size(len(body), what)
    return bytes(body)


class RangesIgnoredError(TemporaryError):
    """The server answers a range with the whole object. S3 never does; a proxy before it may, once."""


class Connection(Protocol):
    """A client of obstore, and what its failures mean."""

    @property
    def store(self) -> ObjectStore:
        """The client."""

    def translate(self, error: Exception, what: str) -> Exception:
        """Say what an exception of the client means; `what` continues "cannot …"."""


class RangedSource:
    """One object of an obstore store.

    Args:
        connect: Returns the connection; after a failure it is asked for another one.
        path: Key of the object in it.
        size: Bytes of the object, None where unknown.
        root: URL that `path` is below, for messages.
    """

    __slots__ = ("_body", "_connect", "_connection", "_path", "_root", "size")

    def __init__(self, connect: Callable[[], Connection], path: str, size: int | None, *, root: str) -> None:
        self.size = None if is_named_gzip(path) else size
        self._connect = connect
        self._connection = connect()
        self._path = path
        self._root = root
        self._body: bytes | None = None

    async def read_range(self, start: int, stop: int) -> Buffer:
        """Read `[start, stop)` in one request; an object that is stored in gzip's coding once and whole."""
        if self._body is None and not is_named_gzip(self._path):
            data = await self._request(self._fetch(start, stop), start)
            if data is not None:
                return data
        if self._body is None:
            self._body = await self._request(self._fetch_body(), None)
            self.size = len(self._body or b"")
        return (self._body or b"")[start:stop]

    async def _request(self, fetch: Coroutine[Any, Any, B | None], start: int | None) -> B | bytes | None:
        """Make one request; None where the body of the whole object is needed."""
        count_usage(requests=1)
        try:
            return await fetch
        except StorageError:
            raise
        except Exception as error:
            if start is not None and is_beyond_end(error):
                return await self._beyond_end(start)
            failure = self._translate(error)
            self._connection = self._connect()
            raise failure from error

    def close(self) -> None:
        """Free the body; connections belong to the client."""
        self._body = None

    async def _fetch(self, start: int, stop: int) -> memoryview | None:
        import obstore  # noqa: PLC0415  # local roots do without

        answer = await obstore.get_async(self._connection.store, self._path, options={"range": (start, stop)})
        if is_coding(answer.attributes.get("Content-Encoding")):
            return None
        self.size = answer.meta["size"] if self.size is None else self.size
        # One piece that ends with the body, or with the first byte too many: a server may send more than was asked for,
        # of which `bytes_async` and `get_range_async` would take all.
        data = memoryview(await anext(aiter(answer.stream(min_chunk_size=stop - start + 1)), b""))
        count_usage(bytes_read=len(data))
        return data

    async def _fetch_body(self) -> bytes:
        import obstore  # noqa: PLC0415  # local roots do without

        what = f"read {self._root}/{self._path}"
        answer = await obstore.get_async(self._connection.store, self._path)
        data = await receive_body(answer, what)
        count_usage(bytes_read=len(data))
        return decode_body(data, answer.attributes.get("Content-Encoding"), self._path, what)

    def _translate(self, error: Exception) -> Exception:
        from obstore.exceptions import NotSupportedError  # noqa: PLC0415  # local roots do without

        if isinstance(error, NotSupportedError):
            return RangesIgnoredError("the whole object came instead of a range")
        return self._connection.translate(error, f"read {self._root}/{self._path}")

    async def _beyond_end(self, start: int) -> bytes | None:
        if self.size is None and start == 0:
            self.size = 0
        elif self.size is None:
            await self.read_range(0, 1)  # learns the size
        elif start < self.size:  # an index knows the size of what an object in gzip's coding holds
            return None
        return b""
