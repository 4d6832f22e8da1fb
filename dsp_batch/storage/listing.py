"""Streaming through all keys of a bucket: what is in the cache already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from dsp_batch.storage.aws import Access
from dsp_batch.storage.events import run_blocking
from dsp_batch.storage.failures import translate_failure
from dsp_batch.storage.keys import StoredKey
from dsp_batch.storage.retry import retry_temporary
from dsp_batch.storage.s3 import PAGE, open_bucket
from dsp_batch.storage.usage import count_usage

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta
    from obstore.store import S3Store


def list_bucket(bucket: str, prefix: str, access: Access) -> Iterator[StoredKey]:
    """List the keys below a prefix page by page, through obstore: 16 µs a key, s3fs takes 250.

    Args:
        bucket: Name of the bucket.
        prefix: Empty, or ending in `/`; keys are given without it.
        access: How to reach the bucket.

    Raises:
        StorageError: The bucket cannot be listed.
    """
    pages = _Pages(open_bucket(bucket, access), prefix, access.word)
    what = f"list s3://{bucket}/{prefix}"
    while page := run_blocking(retry_temporary(partial(pages.fetch_next, what), what)):
        for entry in page:
            yield StoredKey(entry["path"][len(prefix) :], entry["size"], entry["last_modified"].timestamp())


class _Pages:
    """A listing that can go on behind the last key seen after a failure."""

    def __init__(self, store: S3Store, prefix: str, word: str) -> None:
        self._store = store
        self._prefix = prefix
        self._word = word
        self._last: str | None = None
        self._stream: ListStream[Sequence[ObjectMeta]] | None = None

    async def fetch_next(self, what: str) -> list[ObjectMeta]:
        """Fetch the next page; empty at the end."""
        import obstore  # noqa: PLC0415  # local caches do without

        if self._stream is None:
            self._stream = obstore.list(self._store, self._prefix or None, offset=self._last, chunk_size=PAGE)
        try:
            page = list(next(self._stream, ()))
        except Exception as error:
            count_usage(requests=1)
            self._stream = None
            raise translate_failure(error, what, self._word) from error
        if page or self._last is None:  # the end is told with the last page
            count_usage(requests=1)
        if page:
            self._last = page[-1]["path"]
        return page
