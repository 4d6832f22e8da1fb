import subprocess
import sys
from pathlib import Path

import pytest

from dsp_batch.errors import OptionsError
from dsp_batch.storage.aws import check_endpoint
from dsp_batch.storage.store import Store, build_store

_SERIES = "s3://bucket/38902e14-b11f-4548-910e-771ee757dc82"


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("localhost:9000", "needs http:// or https://"),
        ("ftp://x", "needs http:// or https://"),
        (" http://localhost:9000", "needs http:// or https://"),
        ("http://localhost:9000 ", "has a blank"),
        ("http://local host", "has a blank"),
        ("http://localhost\n", "has a blank"),
        ("http://", "is not the URL of a server"),
        ("http://:9000", "is not the URL of a server"),
        ("http://host?x=1", "is not the URL of a server"),
        ("http://[::1", "is no URL"),
        ("http://host:port", "is no URL"),
    ],
)
def test_an_endpoint_that_is_no_url_of_a_server_is_told_as_what_it_is(endpoint: str, problem: str) -> None:
    with pytest.raises(OptionsError) as caught:
        Store("s3://bucket", endpoint_url=endpoint)

    assert problem in caught.value.message
    # What may be a secret is not repeated: a query, or what stands where a port should.
    assert repr(endpoint) in caught.value.message or "…" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "endpoint", ["http://localhost:9000", "HTTPS://minio.local/", "http://[::1]:9000", "https://h/p"]
)
def test_endpoints_of_servers_stay_as_they_are(endpoint: str) -> None:
    assert check_endpoint(endpoint) == endpoint


@pytest.mark.parametrize("endpoint", ["http://bob:hunter2@host", "bob:hunter2@host", "http://host?X-Sig=hunter2"])
def test_a_password_in_an_endpoint_is_refused_and_not_repeated(endpoint: str) -> None:
    with pytest.raises(OptionsError) as caught:
        check_endpoint(endpoint)

    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_message_names_where_the_endpoint_comes_from(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "localhost:9000")
    with pytest.raises(OptionsError, match=f"the endpoint 'localhost:9000' of {name} needs http:// or https://"):
        Store("s3://bucket")

    monkeypatch.delenv(name)
    with pytest.raises(OptionsError, match="the endpoint 'localhost:9000' of the manifest needs"):
        build_store("s3://bucket", manifest_endpoint_url="localhost:9000")


@pytest.mark.parametrize(
    "command",
    [
        ["dicom-series-preview", "mosaic", _SERIES, "out.webp", "--no-cache"],
        ["dsp-batch", "mosaic", "manifest.txt", "--cache-dir", "cache"],
    ],
)
def test_both_programs_say_it_in_one_line_before_any_request(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "manifest.txt").write_text(f"{_SERIES}\n")
    program = Path(sys.executable).parent / command[0]
    arguments = [program, *command[1:], "--endpoint-url", "localhost:9000"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    expected = "the endpoint 'localhost:9000' needs http:// or https:// at its beginning"
    assert done.stderr.splitlines() == [f"error: {expected}"]
