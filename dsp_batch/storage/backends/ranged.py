"""Exact byte ranges through obstore."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dsp_batch.errors import StorageError
from dsp_batch.model.ranges import Buffer
from dsp_batch.storage.backend import TemporaryError
from dsp_batch.storage.backends.certificates import read_authorities
from dsp_batch.storage.failures import is_beyond_end
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CONNECT_TIMEOUT = "10s"
READ_TIMEOUT = "30s"
"""Time without a byte that ends an attempt; a long body that keeps coming may take longer."""
REQUEST_TIMEOUT = "300s"
"""Time for one whole request: a frame of a whole slide may be large and the network slow."""

NO_RETRY: RetryConfig = {"max_retries": 0}
"""obstore makes one attempt; `retry.py` alone counts and limits them."""


_client_processes: set[int] = set()
"""Numbers of the processes that opened a client: this one, and those that it was forked from."""


def client_options() -> ClientConfig:
    """Settings of every client: time limits, plain HTTP where the URL says so, and the user's own authorities.

    Raises:
        OptionsError: As in `find_authorities`.
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

    __slots__ = ("_connect", "_connection", "_path", "_root", "size")

    def __init__(self, connect: Callable[[], Connection], path: str, size: int | None, *, root: str) -> None:
        self.size = size
        self._connect = connect
        self._connection = connect()
        self._path = path
        self._root = root

    async def read_range(self, start: int, stop: int) -> Buffer:
        """Read `[start, stop)` in one request."""
        count_usage(requests=1)
        try:
            data = await self._fetch(start, stop)
        except Exception as error:
            if is_beyond_end(error):
                return await self._beyond_end(start)
            failure = self._translate(error)
            self._connection = self._connect()
            raise failure from error
        count_usage(bytes_read=len(data))
        return data

    def close(self) -> None:
        """Hold nothing: connections belong to the client."""

    async def _fetch(self, start: int, stop: int) -> memoryview:
        import obstore  # noqa: PLC0415  # local roots do without

        if self.size is not None:
            # One await instead of two: 190 against 370 µs of CPU for 8 KB.
            return memoryview(await obstore.get_range_async(self._connection.store, self._path, start=start, end=stop))
        answer = await obstore.get_async(self._connection.store, self._path, options={"range": (start, stop)})
        data = memoryview(await answer.bytes_async())
        self.size = answer.meta["size"]
        return data

    def _translate(self, error: Exception) -> Exception:
        from obstore.exceptions import NotSupportedError  # noqa: PLC0415  # local roots do without

        if isinstance(error, NotSupportedError):
            return RangesIgnoredError("the whole object came instead of a range")
        return self._connection.translate(error, f"read {self._root}/{self._path}")

    async def _beyond_end(self, start: int) -> Buffer:
        if self.size is None and start == 0:
            self.size = 0
        elif self.size is None:
            await self.read_range(0, 1)  # learns the size
        return b""
