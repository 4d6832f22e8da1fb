"""Servers that never end, fill memory, or list what is not there; and pages that are no listings."""

import http.server
import re
import threading
import time
from collections.abc import Iterator

import pytest
from readers import take, take_all

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage import retry
from dsp_batch.storage.backends import connections, content_coding, s3_listing
from dsp_batch.storage.objects import list_keys, read_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_LINK = b'<a href="1.dcm">x</a>\n'
_KEYS = ("s/a.dcm", "s/a.dcm", "s/../../../etc/passwd", "s/..", "other/1", "", "s/", "s/in/deep")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind = re.split("[/?]", self.path)[1]
        try:
            getattr(self, f"send_{kind}", lambda: self.send(b"", 404))()
        except OSError:
            self.close_connection = True

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def trickle(self, piece: bytes, status: int = 200, pause: float = 0.0, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for _ in range(100_000):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(pause)

    def send_endless(self) -> None:
        self.trickle(_LINK * 3000)

    def send_refusal(self) -> None:
        self.trickle(b"x" * 65_536, 404)

    def send_slow(self) -> None:
        self.trickle(b"x", pause=0.05)

    def send_loop(self) -> None:
        self.send(b"", 302, Location=self.path)

    def send_elsewhere(self) -> None:
        self.send(b"", 302, Location="ftp://127.0.0.1/x")

    def send_names(self) -> None:
        self.send(_LINK + b'<a href="http://[::1">x</a><a href="%s">x</a>' % (b"a" * 70_000))

    def send_k(self) -> None:
        found = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in _KEYS)
        self.send(f"<ListBucketResult>{found}</ListBucketResult>".encode())

    def send_text(self) -> None:
        self.send(b"<ListBucketResult><Contents><Key>s/x</Key><Size>abc</Size></Contents></ListBucketResult>")

    def send_page(self) -> None:
        self.send(b"<html><title>Log in</title><form action=/login></form></html>", **{"Content-Type": "text/html"})

    def send_flood(self) -> None:
        """Send far more than the range that was asked for, or than the listing says."""
        self.send_response(206 if "Range" in self.headers else 200)
        if "Range" in self.headers:
            start, stop = re.findall(r"\d+", self.headers["Range"])
            self.send_header("Content-Range", f"bytes {start}-{stop}/1000")
        self.send_header("Content-Length", str(10**12))
        self.end_headers()
        for _ in range(10_000):
            self.wfile.write(bytes(65_536))

    def send_keys(self) -> None:
        """Send one page after another, each with a token that was not there before."""
        found = f"<Contents><Key>s/{time.monotonic_ns()}</Key><Size>1</Size></Contents>"
        more = f"<NextContinuationToken>{time.monotonic_ns()}</NextContinuationToken>"
        self.send(f"<ListBucketResult>{found}{more}</ListBucketResult>".encode())

    def send_token(self) -> None:
        found = f"<Contents><Key>s/{time.time()}</Key><Size>1</Size></Contents>"
        again = "<NextContinuationToken>again</NextContinuationToken>"
        self.send(f"<ListBucketResult>{found}{again}</ListBucketResult>".encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as hostile:
        hostile.daemon_threads = True
        threading.Thread(target=hostile.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{hostile.server_address[1]}"
        hostile.shutdown()


def _fail_to_list(url: str, folder: str = "s", endpoint_url: str | None = None) -> StorageError:
    with pytest.raises(StorageError) as caught:
        Store(url, endpoint_url=endpoint_url, anonymous=True).list_objects(folder)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    return caught.value


def test_a_listing_without_end_is_too_large(server: str) -> None:
    assert _fail_to_list(f"{server}/endless").reason == "too-large"


def test_an_error_page_without_end_is_not_read_to_its_end(server: str) -> None:
    assert Store(f"{server}/refusal").list_objects("s") == ()


def test_a_body_without_end_is_too_large(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LARGE_BODY", 1 << 20)
    monkeypatch.setattr(content_coding, "MOST_BODY", 4 << 20)
    with pytest.raises(StorageError) as caught:
        read_whole(f"{server}/endless/x")
    assert caught.value.reason == "too-large"


def test_a_body_that_trickles_in_ends(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_SECONDS", 0.5)

    assert _fail_to_list(f"{server}/slow").reason == "timeout"


def test_redirects_without_end_and_to_other_protocols_are_refused(server: str) -> None:
    assert "HTTP 302" in _fail_to_list(f"{server}/loop").message
    assert "redirects to something that is neither http" in _fail_to_list(f"{server}/elsewhere").message


def test_names_that_are_too_long_and_links_that_are_no_urls_are_left_out(server: str) -> None:
    assert Store(f"{server}/names").list_objects("s") == (ObjectInfo(name="1.dcm", size=None),)


def test_keys_that_lead_out_of_their_folder_or_come_again_are_left_out(server: str) -> None:
    assert Store(f"{server}/k").list_objects("s") == (ObjectInfo(name="a.dcm", size=1),)


def test_a_size_that_is_text_is_no_listing(server: str) -> None:
    assert "is no directory listing" in _fail_to_list(f"{server}/text").message


def test_a_continuation_token_that_comes_again_ends_the_listing(server: str) -> None:
    assert "the same page of the listing again and again" in _fail_to_list(f"{server}/token").message


@pytest.mark.parametrize("kind", ["login", "app"])
def test_a_page_that_is_no_listing_is_told_as_such(odd_server: str, kind: str) -> None:
    message = _fail_to_list(f"{odd_server}/{kind}", "ds-decimal-comma").message

    assert message.endswith("the server's answer is no directory listing")


def test_a_listing_of_the_same_server_is_one(odd_server: str) -> None:
    store = Store(f"{odd_server}/plain")
    objects = store.list_objects("ds-decimal-comma")

    assert len(objects) == 6
    assert isinstance(store.read("ds-decimal-comma", {objects[0]: take_all()})[objects[0].name], bytes)


def test_a_listing_of_s3_without_end_is_too_large(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fail_to_list("s3://endless", endpoint_url=server).reason == "too-large"
    assert "again and again" in _fail_to_list("s3://token", endpoint_url=server).message

    monkeypatch.setattr(s3_listing, "MOST_NAMES", 20)
    assert _fail_to_list("s3://keys", endpoint_url=server).reason == "too-large"
    assert _fail_to_list(f"{server}/keys").reason == "too-large"
    with pytest.raises(StorageError, match="it holds more than 20 names"):
        list(list_keys("s3://keys/s", endpoint_url=server))


def test_an_error_page_of_s3_without_end_is_too_large(server: str) -> None:
    assert _fail_to_list("s3://refusal", endpoint_url=server).reason == "too-large"


def test_what_answers_instead_of_s3_is_told(server: str) -> None:
    message = _fail_to_list("s3://page", endpoint_url=server).message

    assert message == (
        f"cannot list s3://page/s/: {server} speaks no S3: text/html came instead of a listing; check the endpoint"
    )
    assert "of no known type came instead of a listing" in _fail_to_list("s3://text", endpoint_url=server).message
    assert "speaks no S3: a redirect came" in _fail_to_list("s3://loop", endpoint_url=server).message
    with pytest.raises(StorageError, match="text/html came instead of a listing"):
        list(list_keys("s3://page/s", endpoint_url=server))


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_what_a_server_sends_behind_a_range_is_not_taken(server: str, kind: str) -> None:
    store = Store("s3://flood", endpoint_url=server, anonymous=True) if kind == "s3" else Store(f"{server}/flood")

    with measure_usage() as usage:
        failure = store.read("s", {ObjectInfo(name="x", size=1000): take([(10, 400)])})["x"]

    assert isinstance(failure, StorageError)
    assert "bytes came instead of 390 after 6 attempts" in failure.message
    assert usage.bytes_read < 10_000_000


def test_a_whole_object_of_s3_without_end_is_too_large(server: str) -> None:
    with pytest.raises(StorageError) as caught:
        read_whole("s3://flood/x", endpoint_url=server)
    assert caught.value.reason == "too-large"


def test_keys_that_lead_out_of_a_bucket_s_folder_or_come_again_are_left_out(server: str) -> None:
    store = Store("s3://k", endpoint_url=server, anonymous=True)

    assert store.list_objects("s") == (ObjectInfo(name="a.dcm", size=1),)
    # Keys are handed on page by page, so one that comes again does so here too.
    assert {each.key for each in list_keys("s3://k/s", endpoint_url=server)} == {"a.dcm", "in/deep"}
