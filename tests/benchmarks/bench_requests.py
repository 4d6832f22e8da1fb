"""What a request costs beyond its client: the storage loop against the bare calls that it makes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from dsp_batch.model.ranges import ByteRange, Reader
from dsp_batch.model.series import ObjectInfo

_BYTES = 8192
_IN_FLIGHT = 64


def read_stored(store: Any, series_uuid: str, names: Sequence[str]) -> None:
    """Read the first 8 KB of each object through the store."""
    results = store.read(series_uuid, {ObjectInfo(name=name, size=_BYTES): _read_start() for name in names})
    if any(length != _BYTES for length in results.values()):
        raise SystemExit(f"not read: {results}")


def _read_start() -> Reader[int]:
    reply = yield (ByteRange(0, _BYTES),)
    return len(reply.parts[0])


def read_bare(store: Any, series_uuid: str, names: Sequence[str]) -> None:
    """Read the same through obstore, and do nothing else."""
    import obstore

    client, folder = _open_client(store.root)

    async def read() -> None:
        pending = iter(names)

        async def work() -> None:
            for name in pending:
                options = {"range": (0, _BYTES)}
                answer = await obstore.get_async(client, f"{folder}{series_uuid}/{name}", options=options)
                await anext(aiter(answer.stream(min_chunk_size=_BYTES + 1)))

        await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))

    asyncio.run(read())


@lru_cache
def _open_client(root: str) -> tuple[Any, str]:
    """A client of obstore, and what its keys begin with."""
    from obstore.store import HTTPStore

    from dsp_batch.storage.backends.s3 import open_bucket

    if not root.startswith("s3://"):
        return HTTPStore(root, client_options={"allow_http": True}), ""
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    return open_bucket(bucket, None).store, f"{prefix}/"
