import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import fsspec
import pytest
from fsspec.asyn import AsyncFileSystem
from readers import take, take_all

from dsp_batch.errors import StorageError
from dsp_batch.model.series import ObjectInfo
from dsp_batch.storage import retry
from dsp_batch.storage.backends import filesystem
from dsp_batch.storage.objects import write_whole
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage


@pytest.fixture
def root() -> str:
    memory = fsspec.filesystem("memory")
    name = f"root-{uuid.uuid4().hex[:8]}"
    for key in ("389a/b.dcm", "389a/in/deep", "389b/x", "40/x"):
        memory.pipe_file(f"/{name}/{key}", b"0123456789")
    return f"memory://{name}"


def test_listing_and_reading_through_fsspec(root: str) -> None:
    store = Store(root)
    with measure_usage() as usage:
        objects = store.list_objects("389a")
        results = store.read("389a", {each: take([(0, 3)], [(8, 20), (50, 60)]) for each in objects})

    assert objects == (ObjectInfo(name="b.dcm", size=10),)
    assert results == {"b.dcm": [([b"012"], 10), ([b"89", b""], 10)]}
    assert (usage.requests, usage.bytes_read) == (3, 5)
    assert store.list_series("389") == ["389a", "389b"]
    assert store.list_objects("none") == ()


def test_an_unknown_size_and_a_missing_object(root: str) -> None:
    readers = {ObjectInfo(name="b.dcm", size=None): take_all(), ObjectInfo(name="gone", size=None): take_all()}
    results = Store(root).read("389a", readers)

    assert results["b.dcm"] == b"0123456789"
    assert isinstance(results["gone"], StorageError)
    assert results["gone"].reason == "not-found"
    assert f"{root}/389a/gone" in results["gone"].message


class _Unsteady(AsyncFileSystem):
    """An asynchronous file system whose every second answer fails."""

    protocol = "unsteady"
    cachable = False

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.calls = 0

    async def _cat_file(self, _path: str, start: int = 0, end: int | None = None, **_: object) -> bytes:
        self.calls += 1
        if self.calls % 2:
            raise OSError("the line is noisy\nsecond line")
        return b"0123456789"[start:end]


@pytest.fixture
def unsteady(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.001)
    fsspec.register_implementation("unsteady", _Unsteady, clobber=True)
    filesystem.open_filesystem.cache_clear()
    yield "unsteady://root"
    filesystem.open_filesystem.cache_clear()


def test_failures_of_an_asynchronous_file_system_are_tried_again(unsteady: str) -> None:
    with measure_usage() as usage:
        assert Store(unsteady).read("s", {ObjectInfo(name="x", size=10): take_all()}) == {"x": b"0123456789"}

    assert usage.requests == 4


@pytest.mark.parametrize(("scheme", "package"), [("az", "adlfs"), ("abfs", "adlfs"), ("gs", "gcsfs")])
def test_a_missing_package_is_named(scheme: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as Python itself marks what cannot be imported
    filesystem.open_filesystem.cache_clear()

    with pytest.raises(
        StorageError, match=rf"{scheme}:// needs .*pip install 'dsp-batch\[\w+\]' \(package {package}\)"
    ):
        Store(f"{scheme}://container").list_series()


class _Bucket:
    """Takes what is written to it, as gcsfs and adlfs do."""

    def __init__(self, *protocol: str) -> None:
        self.protocol = protocol
        self.written: dict[str, dict[str, object]] = {}

    def pipe_file(self, url: str, _data: bytes, **arguments: object) -> None:
        self.written[url] = arguments


@dataclass
class _ContentSettings:
    """Headers of a blob, as Azure's package takes them."""

    content_type: str
    cache_control: str | None


@pytest.mark.parametrize("control", [None, "max-age=60"])
def test_objects_in_buckets_of_google_and_microsoft_have_the_headers_of_their_name(
    control: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.blob", SimpleNamespace(ContentSettings=_ContentSettings))
    buckets = {"gs": _Bucket("gs", "gcs"), "az": _Bucket("abfs", "az", "abfss"), "memory": _Bucket("memory")}
    monkeypatch.setattr(filesystem, "open_filesystem", lambda scheme, _: buckets[scheme])
    for scheme in buckets:
        write_whole(f"{scheme}://b/x.webp", b"1", cache_control=control)

    meta = {} if control is None else {"fixed_key_metadata": {"cache_control": control}}
    assert buckets["gs"].written == {"gs://b/x.webp": {"content_type": "image/webp", **meta}}
    assert buckets["az"].written == {"az://b/x.webp": {"content_settings": _ContentSettings("image/webp", control)}}
    assert list(buckets["memory"].written.values()) == [{}]


def test_an_unknown_scheme_is_an_error() -> None:
    with pytest.raises(StorageError, match=r"unheardof:// is no storage that is known here: use s3://, http://"):
        Store("unheardof://x").list_series()
