"""Servers that never end, fill memory, or list what is not there; and pages that are no listings."""

import http.server
import re
import threading
import time
from collections.abc import Iterator

import pytest
from readers import take_all

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage import retry
from dsp_batch.storage.backends import content_coding, http_pages
from dsp_batch.storage.objects import read_whole
from dsp_batch.storage.store import Store

_LINK = b'<a href="1.dcm">x</a>\n'
_KEYS = ("s/a.dcm", "s/../../../etc/passwd", "s/..", "other/1", "", "s/", "s/in/deep")


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

    def trickle(self, piece: bytes, status: int = 200, pause: float = 0.0) -> None:
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
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


def _fail_to_list(url: str, folder: str = "s") -> StorageError:
    with pytest.raises(StorageError) as caught:
        Store(url).list_objects(folder)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    return caught.value


def test_a_listing_without_end_is_too_large(server: str) -> None:
    assert _fail_to_list(f"{server}/endless").reason == "too-large"


def test_an_error_page_without_end_is_not_read_to_its_end(server: str) -> None:
    assert Store(f"{server}/refusal").list_objects("s") == ()


def test_a_body_without_end_is_too_large(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pages, "_LARGE_BODY", 1 << 20)
    monkeypatch.setattr(content_coding, "MOST_BODY", 4 << 20)
    with pytest.raises(StorageError) as caught:
        read_whole(f"{server}/endless/x")
    assert caught.value.reason == "too-large"


def test_a_body_that_trickles_in_ends(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_pages, "_SECONDS", 0.5)

    assert _fail_to_list(f"{server}/slow").reason == "timeout"


def test_redirects_without_end_and_to_other_protocols_are_refused(server: str) -> None:
    assert "HTTP 302" in _fail_to_list(f"{server}/loop").message
    assert "redirects to something that is neither http" in _fail_to_list(f"{server}/elsewhere").message


def test_names_that_are_too_long_and_links_that_are_no_urls_are_left_out(server: str) -> None:
    assert Store(f"{server}/names").list_objects("s") == (ObjectInfo(name="1.dcm", size=None),)


def test_keys_that_lead_out_of_their_folder_are_left_out(server: str) -> None:
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
