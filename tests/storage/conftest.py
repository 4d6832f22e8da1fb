from collections.abc import Iterator

import pytest

from dsp_batch.storage import remote, store


@pytest.fixture(autouse=True)
def _fresh_clients() -> Iterator[None]:
    """Each test opens its own clients: the environment and time limits differ."""
    store._open_backend.cache_clear()
    remote._open_s3.cache_clear()
    yield
    store._open_backend.cache_clear()
    remote._open_s3.cache_clear()
