import sys
import uuid
from collections.abc import Iterator

import pytest
from data_folder import DATA, IS_EXPECTED
from servers import S3Server, accepts, find_free_port, run_process, wait_for

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


@pytest.fixture(scope="session")
def odd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of the collected reports: regions, archived and gzip-coded objects, and pages that are no listings."""
    program = DATA / "reports" / "odd_server.py"
    if not program.is_file() and not IS_EXPECTED:
        pytest.skip("the folder of real DICOM data is not here (DSP_DATA)")
    port, log = find_free_port(), tmp_path_factory.mktemp("odd") / "server.log"
    with run_process([sys.executable, str(program), str(port), str(program.parent)], log):
        wait_for(lambda: accepts(port), 10, "odd_server.py", log)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def odd_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that the odd server takes: any."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
