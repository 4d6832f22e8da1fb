"""The seam between the reading loop and the ways of storing: two small protocols."""

from __future__ import annotations

from typing import Protocol

from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import ObjectInfo


class TemporaryError(Exception):
    """A failure that may pass: the same request is worth another attempt.

    Args:
        cause: A few words that go into the message when no attempt succeeds.
    """


class SlowDownError(TemporaryError):
    """The server asks for fewer requests (S3: SlowDown; HTTP: 429, 503)."""


class ObjectSource(Protocol):
    """One object while its reader runs."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole object; None until a listing or an answer has told."""

    async def read_range(self, start: int, stop: int) -> Buffer:
        """Read `[start, stop)`, with start < stop, in one request; shorter where the object ends.

        Sets `size`. Raises TemporaryError when another attempt may help, else StorageError.
        """

    def close(self) -> None:
        """Let go of what the source holds."""


class Backend(Protocol):
    """One root. Its methods make one attempt each, and run inside an event loop."""

    async def list_objects(self, folder: str) -> list[ObjectInfo]:
        """List the objects directly below a folder of the root, in any order; none where there is no such folder."""

    async def list_folders(self, prefix: str) -> list[str]:
        """List the names of the folders directly below the root that start with a raw prefix, in any order."""

    def open_object(self, folder: str, info: ObjectInfo) -> ObjectSource:
        """Prepare to read an object; sends nothing."""
