import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import S3Server, WebServer, run_nginx

from dsp_batch.storage.runtime import forget_opened


@pytest.fixture(autouse=True)
def _fresh_clients() -> Iterator[None]:
    """Each test opens its own clients: the environment and time limits differ."""
    forget_opened()
    yield
    forget_opened()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    name = f"private-{uuid.uuid4().hex[:8]}"
    s3_server.create_bucket(name)
    return name


@pytest.fixture
def proxy(s3_server: S3Server, tmp_path: Path) -> Iterator[WebServer]:
    location = f"location / {{ proxy_pass {s3_server.endpoint}; proxy_set_header Host $http_host; }}"
    with run_nginx(tmp_path / "nginx", location) as server:
        yield server
