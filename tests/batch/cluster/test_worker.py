"""What a worker does about its memory, seen from outside of the allocator."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_FREE_BETWEEN = """
import psutil
from dsp_batch.batch.cluster.worker import return_memory

blocks = [bytes(4_000) for _ in range(50_000)]
kept = blocks[::500]
full = psutil.Process().memory_info().rss
del blocks
freed = psutil.Process().memory_info().rss
return_memory()
print(full, freed, psutil.Process().memory_info().rss, len(kept))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_memory_between_blocks_that_stay_is_given_back() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _FREE_BETWEEN], capture_output=True, text=True, check=True, timeout=60
    )
    full, freed, returned, _ = map(int, answer.stdout.split())
    size = 50_000 * 4_000
    assert full - freed < size / 10, "there is nothing to give back: the allocator does so by itself"
    assert freed - returned > 0.8 * size
