"""URLs and paths: one text means one location, whether it names a series, a root, a cache or a line of a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from dsp_batch.batch.manifest.read import read_manifest
from dsp_batch.cache import open_cache
from dsp_batch.errors import DspBatchError, ManifestError, OptionsError, StorageError
from dsp_batch.names import parse_series
from dsp_batch.storage.store import build_store
from dsp_batch.storage.urls import Location, local_path, normalise_root, parse_location

U = "38902e14-b11f-4548-910e-771ee757dc82"
GOOGLE = "https://storage.googleapis.com"
MIRROR = "http://127.0.0.1:9000"

SPELLINGS = [
    # Buckets: aliases of schemes, letter case, ends.
    (f"s3://b/{U}", f"s3://b/{U}"),
    (f"S3://b/{U}", f"s3://b/{U}"),
    (f"s3a://b/{U}", f"s3://b/{U}"),
    (f"S3A://b/{U}", f"s3://b/{U}"),
    (f"s3://Bucket/Prefix/{U}", f"s3://Bucket/Prefix/{U}"),
    (f"s3://b/{U}/", f"s3://b/{U}"),
    (f"s3://b/{U}//", f"s3://b/{U}"),
    (f"s3://b/{U}/*", f"s3://b/{U}"),
    (f"s3://b/{U}/*/", f"s3://b/{U}"),
    (f" s3://b/{U}", f"s3://b/{U}"),
    (f"s3://b/{U} ", f"s3://b/{U}"),
    (f"s3://b/a b/{U}", f"s3://b/a b/{U}"),
    (f"s3://b/a%20b/{U}", f"s3://b/a%20b/{U}"),
    (f"s3://b/a?b#c/{U}", f"s3://b/a?b#c/{U}"),
    (f"s3://b/ä/{U}", f"s3://b/ä/{U}"),
    (f"s3://b/user@c/{U}", f"s3://b/user@c/{U}"),
    (f"gs://mine/x/{U}", f"gs://mine/x/{U}"),
    (f"gcs://mine/x/{U}", f"gs://mine/x/{U}"),
    (f"az://container/{U}/", f"az://container/{U}"),
    (f"abfs://container@account.dfs.core.windows.net/{U}", f"abfs://container@account.dfs.core.windows.net/{U}"),
    (f"memory://x/{U}", f"memory://x/{U}"),
    (f"memory:///x/{U}", f"memory://x/{U}"),
    # IDC's buckets at Google are read from their AWS twins.
    (f"gs://public-datasets-idc/{U}", f"s3://idc-open-data/{U}"),
    (f"gcs://public-datasets-idc/{U}", f"s3://idc-open-data/{U}"),
    (f"GS://idc-open-idc1/{U}/*", f"s3://idc-open-data-two/{U}"),
    (f"gs://idc-open-cr/{U}", f"s3://idc-open-data-cr/{U}"),
    (f"gs://idc-open-data/{U}", f"s3://idc-open-data/{U}"),
    (f"s3://idc-open-cr/{U}", f"s3://idc-open-data-cr/{U}"),
    (f"s3a://public-datasets-idc/{U}", f"s3://idc-open-data/{U}"),
    (f"s3://idc-open-data/{U}", f"s3://idc-open-data/{U}"),
    # Servers: hosts in lower case, paths as they are.
    (f"https://host/x/{U}", f"https://host/x/{U}"),
    (f"https://HOST/X/{U}", f"https://host/X/{U}"),
    (f"HTTP://Host.Example:8080/x/{U}/", f"http://host.example:8080/x/{U}"),
    (f"https://host/{U}/*", f"https://host/{U}"),
    (f"https://host/a%20b/{U}", f"https://host/a%20b/{U}"),
    (f"https://host/a@b/{U}", f"https://host/a@b/{U}"),
    (f"http://[::1]:80/{U}", f"http://[::1]:80/{U}"),
    # Paths.
    (f"/d/{U}", f"/d/{U}"),
    (f"/d/{U}/", f"/d/{U}"),
    (f"/d/{U}/*", f"/d/{U}"),
    (f"/d//{U}", f"/d/{U}"),
    (f"//d/{U}", f"/d/{U}"),
    (f"/d/./{U}", f"/d/{U}"),
    (f"/d/../x/{U}", f"/x/{U}"),
    (f"{{folder}}/link/../{U}", f"{{folder}}/real/{U}"),
    (f"{{folder}}/link/{U}", f"{{folder}}/link/{U}"),
    (f"./d/{U}", f"{{folder}}/d/{U}"),
    (f"d/{U}", f"{{folder}}/d/{U}"),
    (f"../d/{U}", f"{{folder}}/../d/{U}"),
    (f"~/d/{U}", f"{{folder}}/home/d/{U}"),
    (f"~nobody-of-that-name/{U}", f"{{folder}}/~nobody-of-that-name/{U}"),
    (f" /d/{U}", f"/d/{U}"),
    (f"/d e/{U}", f"/d e/{U}"),
    (f"/d%20e/{U}", f"/d%20e/{U}"),
    (f"/a?b#c/{U}", f"/a?b#c/{U}"),
    (f"/C:/d/{U}", f"/C:/d/{U}"),
    (f"C:\\data\\{U}", f"C:/data/{U}"),
    (f"c:/data/{U}/", f"C:/data/{U}"),
    (f"C:\\data\\{U}\\", f"C:/data/{U}"),
    # URLs of files.
    (f"file:///d/{U}", f"/d/{U}"),
    (f"FILE:///d/{U}/*", f"/d/{U}"),
    (f"file:///d%20e/{U}/", f"/d e/{U}"),
    (f"file:///d%23e/{U}/", f"/d#e/{U}"),
    (f"file://localhost/d/{U}", f"/d/{U}"),
    (f"file:///d/../x/{U}", f"/x/{U}"),
    (f"file:///C:/data/{U}", f"C:/data/{U}"),
]
"""What is written → what it means. `{folder}` is the working folder."""

REFUSED = [
    f"s3:///bucket/{U}",
    f"s3://b//a/{U}",
    f"s3://b/a//{U}",
    f"s3://b/a/../{U}",
    f"s3://b/./{U}",
    f"s3://../{U}",
    f"s3://user@b/{U}",
    f"s3://key:hunter2@b/{U}",
    f"s3://b?region=x/{U}",
    f"abfs://container:hunter2@account/{U}",
    f"s3://b/x\x00/{U}",
    f"s3://b/x\u202e/{U}",
    f"s3://b/{U} /",
    f"s3:/b/{U}",
    f"1s3://b/{U}",
    f"gs:///{U}",
    f"https:///{U}",
    f"https://host//x/{U}",
    f"https://host/../{U}",
    f"https://host/%2e%2e/{U}",
    f"https://host/a%2F..%2Fb/{U}",
    f"https://host/%0a/{U}",
    f"https://host/{U}?token=1",
    f"https://host/{U}#top",
    f"https://ann@host/{U}",
    f"https://ann:hunter2@host/{U}",
    f"https://ann:hunt/er2@host:x//{U}",
    f"file://elsewhere/d/{U}",
    f"file:///d/{U}?x=1",
    f"file:///d/%0a/{U}",
    f"file:///d%ff/{U}",
    f"file:/d/{U}",
    f"/d/\x1b[31m/{U}",
    f"/d/\u2028/{U}",
    f"C:/../{U}",
]
"""What means nothing, wherever it is written."""

Door = Callable[[str, str | None, Path], str]


def as_name(text: str, endpoint_url: str | None, _: Path) -> str:
    name = parse_series(text, root="s3://elsewhere", endpoint_url=endpoint_url)
    assert name.own_root
    return f"{name.root}/{name.name}"


def as_root(text: str, endpoint_url: str | None, _: Path) -> str:
    return build_store(text, endpoint_url=endpoint_url).root


def as_cache(text: str, endpoint_url: str | None, _: Path) -> str:
    return open_cache(text, endpoint_url).url


def as_line(text: str, endpoint_url: str | None, folder: Path) -> str:
    manifest = folder / "manifest.txt"
    manifest.write_bytes(text.encode("utf-8", "surrogatepass"))
    (ref,) = read_manifest(str(manifest), endpoint_url=endpoint_url)
    return ref.url


DOORS: dict[Door, type[DspBatchError]] = {
    as_name: OptionsError,
    as_root: StorageError,
    as_cache: StorageError,
    as_line: ManifestError,
}
"""Where a text may be written, and the error that refuses it there."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a symbolic link and a home folder in it."""
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("text", "meaning"), SPELLINGS)
def test_a_text_means_one_location_wherever_it_is_written(text: str, meaning: str, door: Door, folder: Path) -> None:
    expected = os.path.normpath(meaning.format(folder=folder)) if meaning.startswith("{") else meaning

    assert door(text.replace("{folder}", str(folder)), None, folder) == expected


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_means_nothing_is_refused_wherever_it_is_written(text: str, door: Door, folder: Path) -> None:
    with pytest.raises(DOORS[door]) as refused:
        door(text, None, folder)

    assert "hunt" not in refused.value.message
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("root", "endpoint_url", "expected"),
    [
        ("gs://idc-open-cr", GOOGLE, "s3://idc-open-cr"),
        ("s3://idc-open-cr", GOOGLE, "s3://idc-open-cr"),
        ("gs://public-datasets-idc", MIRROR, "s3://idc-open-data"),
        ("s3://public-datasets-idc", MIRROR, "s3://public-datasets-idc"),
        ("gs://mine", GOOGLE, "gs://mine"),
    ],
)
def test_the_server_decides_which_of_two_twins_is_read(
    root: str, endpoint_url: str, expected: str, door: Door, folder: Path
) -> None:
    assert door(f"{root}/{U}", endpoint_url, folder) == f"{expected}/{U}"


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("s3://idc-open-data/", "s3://idc-open-data"),
        ("S3://bucket/a/b//", "s3://bucket/a/b"),
        ("gs://public-datasets-idc", "s3://idc-open-data"),
        ("s3://bucket/*", "s3://bucket"),
        ("https://Host.Example/A%20b/", "https://host.example/A%20b"),
        ("https://Host", "https://host"),
        ("az://container/p/", "az://container/p"),
        ("memory://", "memory://"),
        ("file:///data/a%20b/", "/data/a b"),
        ("file:///", "/"),
        ("/data//x/", "/data/x"),
        ("/", "/"),
        ("C:\\", "C:/"),
    ],
)
def test_a_root_has_one_form(text: str, root: str) -> None:
    assert normalise_root(text) == root
    assert normalise_root(root) == root


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "*",
        "s3://",
        "https://",
        "file://",
        "https://host/../x",
        "s3://b/a/../c",
        "/d\n",
        "https://h/x?k=1",
        "/\udcff",
    ],
)
def test_what_is_no_root_is_refused(text: str) -> None:
    with pytest.raises(StorageError):
        normalise_root(text)


def test_paths_of_pathlib_are_local(tmp_path: Path) -> None:
    assert parse_location(tmp_path / "x") == parse_location(f"{tmp_path}/x")
    with pytest.raises(StorageError, match="no URL"):
        parse_location(Path("s3://bucket/x"))


def test_only_local_roots_have_a_path() -> None:
    assert local_path("file:///d/x") == Path("/d/x")
    assert local_path("s3://d/x") is None
    with pytest.raises(StorageError, match="no drives"):
        local_path("C:/d/x")


def test_a_location_tells_its_parts() -> None:
    location = parse_location("https://Host:80/a/b")

    assert location == Location(scheme="https", container="host:80", parts=("a", "b"))
    assert (str(location.parent), str(location.top), location.key) == ("https://host:80/a", "https://host:80", "a/b")
    assert location.is_http


PIECES = st.sampled_from(
    [
        *"/:\\*.@~ ?#CBxä",
        "s3",
        "S3A",
        "gs",
        "https",
        "file",
        "memory",
        "abfs",
        "://",
        "//",
        "/*",
        "..",
        "%20",
        "%2F",
        "%2e",
        U,
    ]
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join)))
@example("s3://b/x /")
@example("memory:////x")
@example("/d/*/*")
@example("/x /")
def test_the_text_of_a_location_means_the_same_location(text: str) -> None:
    try:
        location = parse_location(text)
    except StorageError:
        reject()
    assert parse_location(str(location)) == location
    assert ".." not in location.parts
    assert "" not in location.parts
