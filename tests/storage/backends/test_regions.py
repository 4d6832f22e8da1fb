"""Buckets that lie in another region than the one that the environment names."""

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from readers import take

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage.objects import list_keys, read_whole, write_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

_SERIES = "ds-decimal-comma"
_OBJECT = ObjectInfo(name="1.dcm", size=None)


@pytest.mark.usefixtures("odd_keys")
@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_buckets_in_two_regions_are_read_by_one_process(
    odd_server: str, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    for bucket in ("bucket-eu", "bucket-us"):
        store = Store(f"s3://{bucket}", endpoint_url=odd_server)
        objects = store.list_objects(_SERIES)
        assert len(objects) == 6
        with measure_usage() as usage:
            results = store.read(_SERIES, {each: take([(128, 132)]) for each in objects})
        assert all(replies[0].parts == [b"DICM"] for replies in results.values())
        assert usage.requests == 6


@pytest.mark.usefixtures("odd_keys")
def test_a_region_is_learnt_by_whatever_asks_first(odd_server: str) -> None:
    url, begin = "s3://bucket-eu", b"DICM"

    read = Store(url, endpoint_url=odd_server).read(_SERIES, {_OBJECT: take([(128, 132)])})["1.dcm"]
    assert read[0].parts == [begin]


@pytest.mark.usefixtures("odd_keys")
def test_whole_objects_and_keys_too(odd_server: str) -> None:
    whole = read_whole(f"s3://bucket-us/{_SERIES}/1.dcm", endpoint_url=odd_server)
    assert whole is not None
    assert whole[128:132] == b"DICM"
    assert len(list(list_keys(f"s3://bucket-eu/{_SERIES}", endpoint_url=odd_server))) == 6


class _Moved(http.server.BaseHTTPRequestHandler):
    """S3's way to refuse without a word in the body: 301, and the region in a header."""

    protocol_version = "HTTP/1.1"
    region: ClassVar[str | None] = "eu-west-1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.command)
        is_signed_well = "/eu-west-1/s3/" in self.headers.get("Authorization", "")
        self.send_response(200 if is_signed_well else 301)
        body = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>" if is_signed_well else b""
        if self.region is not None:
            self.send_header("x-amz-bucket-region", self.region)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moved() -> Iterator[str]:
    _Moved.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Moved) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.usefixtures("odd_keys")
def test_the_header_tells_the_region_where_the_answer_does_not(moved: str) -> None:
    with measure_usage() as usage:
        assert read_whole("s3://bucket/x", endpoint_url=moved)
        assert read_whole("s3://bucket/x", endpoint_url=moved)

    assert _Moved.asked == ["GET", "HEAD", "GET", "GET"]
    assert usage.requests == len(_Moved.asked)


@pytest.mark.usefixtures("odd_keys")
def test_a_listing_takes_the_region_from_the_header_of_the_answer(moved: str) -> None:
    store = Store("s3://bucket", endpoint_url=moved)

    with measure_usage() as usage:
        store.list_objects("s")
        store.list_objects("s")

    assert _Moved.asked == ["GET", "GET", "GET"]
    assert usage.requests == len(_Moved.asked)


@pytest.mark.usefixtures("odd_keys")
def test_what_is_written_goes_to_the_region_too(moved: str) -> None:
    write_whole("s3://bucket/x", b"1", endpoint_url=moved)
    write_whole("s3://bucket/y", b"1", endpoint_url=moved)

    assert _Moved.asked[-2:] == ["PUT", "PUT"]
    assert len(_Moved.asked) <= 5


@pytest.mark.usefixtures("odd_keys")
def test_where_nobody_names_the_region_the_message_says_what_to_set(
    moved: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Moved, "region", None)

    with pytest.raises(StorageError, match="the bucket is in another region; set AWS_REGION to it"):
        Store("s3://bucket", endpoint_url=moved).list_objects("s")
