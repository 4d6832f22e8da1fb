"""A server whose certificate an authority of one's own has signed, read by each of the clients."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_server import FaultyServer, run_faulty_server
from readers import take_all
from servers import require_programs, run_nginx

from dsp_batch.errors import OptionsError, SinkError, StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.objects import read_whole, write_whole
from dsp_batch.storage.store import Store

_OBJECT = ObjectInfo(name="x.dcm", size=4)
_EXTENSIONS = "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (authority.pem) and the certificate that it signed (server.pem, server.key)."""
    require_programs("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "extensions").write_text(_EXTENSIONS)
    new = ["-newkey", "rsa:2048", "-nodes", "-days", "30"]
    for command in (
        ["req", "-x509", *new, "-keyout", "authority.key", "-out", "authority.pem", "-subj", "/CN=authority"],
        ["req", "-x509", *new, "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=other"],
        ["req", *new[:-2], "-keyout", "server.key", "-out", "server.request", "-subj", "/CN=localhost"],
        [
            *("x509", "-req", "-in", "server.request", "-CA", "authority.pem", "-CAkey", "authority.key"),
            *("-CAcreateserial", "-days", "30", "-extfile", "extensions", "-out", "server.pem"),
        ],
    ):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def plain() -> Iterator[FaultyServer]:
    with run_faulty_server({"/bucket/s/x.dcm": b"1234"}) as server:
        yield server


@pytest.fixture
def secure(plain: FaultyServer, certificates: Path, tmp_path: Path) -> Iterator[str]:
    """The plain server behind nginx with that certificate."""
    location = f"location / {{ proxy_pass {plain.url}; }}"
    with run_nginx(tmp_path / "nginx", location, certificates) as server:
        yield server.url.replace("127.0.0.1", "localhost")


def _read_everywhere(url: str) -> None:
    for store in (Store("s3://bucket", endpoint_url=url), Store(f"{url}/bucket")):
        assert store.list_objects("s") == (_OBJECT,)
        assert store.read("s", {_OBJECT: take_all()}) == {"x.dcm": b"1234"}
    assert Store("s3://bucket", endpoint_url=url).list_series("s") == []
    assert read_whole(f"{url}/bucket/s/x.dcm") == b"1234"
    write_whole("s3://bucket/new", b"1", endpoint_url=url)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_an_authority_of_ones_own_holds_for_every_request(
    secure: str, certificates: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other one names an authority that has nothing to do with this server.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "other.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "other.pem"))
    monkeypatch.setenv(name, str(certificates / "authority.pem"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    _read_everywhere(secure)


def test_a_certificate_that_is_not_trusted_is_told_after_one_attempt(secure: str) -> None:
    store = Store("s3://bucket", endpoint_url=secure, anonymous=True)
    told = "the server's certificate is not trusted; name its authority's PEM file in SSL_CERT_FILE"

    assert str(store.read("s", {_OBJECT: take_all()})["x.dcm"]).endswith(told)
    for action in (
        lambda: store.list_objects("s"),
        lambda: store.list_series("s"),
        lambda: Store(f"{secure}/bucket").list_objects("s"),
        lambda: read_whole(f"{secure}/bucket/s/x.dcm"),
        lambda: write_whole("s3://bucket/new", b"1", endpoint_url=secure),
    ):
        with pytest.raises((StorageError, SinkError)) as caught:
            action()
        assert caught.value.message.endswith(told)
        assert "attempts" not in caught.value.message


def test_a_server_without_https_is_told_as_such(plain: FaultyServer) -> None:
    url = plain.url.replace("http:", "https:")
    for store in (Store("s3://bucket", endpoint_url=url, anonymous=True), Store(f"{url}/bucket")):
        with pytest.raises(StorageError, match=r"does not speak HTTPS; begin its URL with http://$"):
            store.list_objects("s")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("no certificate", "holds no certificates"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "holds damaged certificates"),
    ],
)
def test_a_file_of_authorities_that_is_none_is_named(
    content: str | None, problem: str, plain: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(path))

    with pytest.raises(OptionsError, match=f"AWS_CA_BUNDLE names {path}, which {problem}"):
        Store("s3://bucket", endpoint_url=plain.url, anonymous=True).list_objects("s")
    with pytest.raises(OptionsError, match=f"AWS_CA_BUNDLE names {path}, which {problem}"):
        Store(f"{plain.url}/bucket").list_objects("s")
    with pytest.raises(OptionsError, match=f"AWS_CA_BUNDLE names {path}, which {problem}"):
        Store("s3://bucket", endpoint_url=plain.url, anonymous=True).list_series("s")
