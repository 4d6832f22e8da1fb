"""What a process of its own does in the tests of the cache; it imports little, to start soon."""

from __future__ import annotations

from dsp_batch.cache import Cache


def write_often(cache: Cache, key: str, data: bytes, times: int) -> None:
    """Write the same bytes under one key again and again."""
    for _ in range(times):
        cache.write(key, data)
