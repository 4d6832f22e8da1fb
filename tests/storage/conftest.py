from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _fresh_clients() -> Iterator[None]:
    """Each test opens its own clients: the environment and time limits differ."""
    from dsp_batch.storage import store

    store._open_backend.cache_clear()
    yield
    store._open_backend.cache_clear()
