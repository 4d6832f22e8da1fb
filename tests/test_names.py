"""Names of series, as users write them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idc_tables import CT_UID

from dsp_batch.errors import DspBatchError, OptionsError, StorageError
from dsp_batch.model.series import SeriesRef
from dsp_batch.names import SeriesName, parse_series, resolve_series
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.storage.store import Store
from dsp_batch.storage.urls import normalise_root

UUID = "38902e14-b11f-4548-910e-771ee757dc82"
INSTANCE = "6b2b0f0c-2a3e-4d5c-9a93-0c4b7e7f6a51"
GOOGLE = "https://storage.googleapis.com"


def parsed(text: str, root: str = "s3://mine") -> tuple[str, str, str]:
    name = parse_series(text, root)
    return name.root, name.name, name.kind


@pytest.mark.parametrize("text", [UUID, UUID.upper(), UUID.replace("-", ""), f" {UUID} "])
def test_a_uuid_in_any_spelling_is_one_folder(text: str) -> None:
    assert parsed(text) == ("s3://mine", UUID, "folder")


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("38902e14*", "38902e14"),
        ("389*", "389"),
        ("38902E14-B1*", "38902e14-b1"),
        ("38902e14-*", "38902e14-"),
        ("38902e14b1*", "38902e14-b1"),
        (f"{UUID}*", UUID),
    ],
)
def test_prefixes_become_raw_key_prefixes(text: str, prefix: str) -> None:
    assert parsed(text) == ("s3://mine", prefix, "prefix")
    assert UUID.startswith(prefix)


@pytest.mark.parametrize(
    ("text", "root"),
    [
        (f"s3://bucket/{UUID}", "s3://bucket"),
        (f"s3://bucket/some/path/{UUID}/", "s3://bucket/some/path"),
        (f"S3://bucket/{UUID}/*", "s3://bucket"),
        (f"https://host:8080/a/{UUID}/*", "https://host:8080/a"),
        (f"file:///d%20e/{UUID}", "/d e"),
        (f"file://localhost/d/{UUID}/", "/d"),
        (f"/d/{UUID}", "/d"),
        (f"/{UUID}", "/"),
        (f"az://container/{UUID}/", "az://container"),
        (f"C:\\data\\{UUID}", "C:/data"),
        (f"C:\\data\\{UUID}\\", "C:/data"),
        (f"C:/{UUID}", "C:/"),
        (f"file:///C:/data/{UUID}", "C:/data"),
        (f"s3://bucket/{UUID}/{INSTANCE}.dcm", "s3://bucket"),
        (f"s3://bucket/{UUID}/IM0001", "s3://bucket"),
        (f"/d/{UUID}/{INSTANCE}.DCM", "/d"),
    ],
)
def test_urls_and_paths_override_the_root(text: str, root: str) -> None:
    assert parsed(text) == (root, UUID, "folder")
    assert parse_series(text, "s3://mine").own_root


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert parsed(f"./d/{UUID}") == (f"{tmp_path}/d", UUID, "folder")
    assert parsed("d/some_folder/") == (f"{tmp_path}/d", "some_folder", "folder")
    assert parsed("./some_folder") == (str(tmp_path), "some_folder", "folder")
    assert parsed(f"~/d/{UUID}") == (f"{tmp_path}/home/d", UUID, "folder")


def test_local_paths_are_followed_as_the_file_system_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "inner")
    monkeypatch.chdir(tmp_path / "real")

    assert parsed(f"../d/{UUID}") == (f"{tmp_path}/d", UUID, "folder")
    assert parsed(f"{tmp_path}//d/./{UUID}") == (f"{tmp_path}/d", UUID, "folder")
    assert parsed(f"{tmp_path}/link/../{UUID}") == (f"{tmp_path}/real", UUID, "folder")


def test_a_slash_at_the_end_tells_a_folder_from_an_object() -> None:
    study = "1.2.840.99"

    assert parsed(f"/d/{study}/first/") == (f"/d/{study}", "first", "folder")
    assert parsed(f"/d/{study}/first") == ("/d", study, "folder")


def test_folders_of_servers_are_named_as_their_listings_name_them() -> None:
    assert parsed("https://host/a%20b/My%20Folder/") == ("https://host/a%20b", "My Folder", "folder")
    with pytest.raises(OptionsError, match="escaped slash"):
        parse_series("https://host/a/My%2FFolder/", "s3://mine")


def test_a_prefix_may_stand_at_the_end_of_a_url() -> None:
    assert parsed("s3://bucket/389*") == ("s3://bucket", "389", "prefix")


def test_a_series_instance_uid_is_a_name_of_its_own() -> None:
    assert parsed(CT_UID) == ("s3://mine", CT_UID, "uid")
    assert len(CT_UID) <= 64


def test_uuids_of_idc_are_lower_case_and_those_of_others_stay() -> None:
    assert parsed(f"s3://idc-open-data/{UUID.upper()}/*")[1] == UUID
    assert parsed(f"s3://mine/{UUID.upper()}/*")[1] == UUID.upper()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "hello",
        "38902e14-b11f-4548-910e-771ee757dc8",
        "3890-2e14*",
        "38902e14--*",
        f"{UUID}a*",
        "389**",
        f"{CT_UID}.1",
        "1..2",
        "CON",
        "s3://bucket",
        "s3://bucket/",
        "s3:///bucket/x",
        f"s3://bucket//{UUID}",
        f"s3://bucket/../{UUID}",
        f"s3://bucket/./{UUID}",
        f"https://host/%2e%2e/{UUID}",
        f"https://host/{UUID}?token=1",
        f"https://user:secret@host/{UUID}",
        f"s3://bucket/a*b/{INSTANCE}.dcm/*",
        f"s3://idc-open-data/{INSTANCE}.dcm",
        "s3://idc-open-data/not-a-uuid/*",
        f"/d/{UUID}/..",
        "../",
        "/",
        "./",
        "..",
        f"{UUID}\n",
        f"s3://bucket/\x00{UUID}",
        f"file:///d/%0a/{UUID}",
        f"file://elsewhere/d/{UUID}",
        f"/d/\u202e{UUID}",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(OptionsError) as refused:
        parse_series(text, "s3://mine")

    assert "\n" not in refused.value.message
    assert "secret" not in refused.value.message


def test_the_refusal_names_the_accepted_forms() -> None:
    with pytest.raises(OptionsError, match=r"'hello'.*UUID.*32 hex digits.*prefix.*URL.*SeriesInstanceUID"):
        parse_series("hello", "s3://mine")


def test_instances_directly_below_a_bucket_name_no_series() -> None:
    with pytest.raises(OptionsError, match="directly below a bucket"):
        parse_series(f"s3://idc-open-data/{INSTANCE}.dcm", DEFAULT_ROOT)


@given(st.text(max_size=80))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        name = parse_series(text, "s3://mine")
    except OptionsError:
        return
    assert ".." not in name.name.split("/")
    assert name.name


@pytest.mark.parametrize(
    ("root", "endpoint", "expected"),
    [
        ("gs://public-datasets-idc", None, "s3://idc-open-data"),
        ("gs://idc-open-data", None, "s3://idc-open-data"),
        ("gs://idc-open-idc1/x", None, "s3://idc-open-data-two/x"),
        ("s3://idc-open-cr", None, "s3://idc-open-data-cr"),
        ("gs://mine", None, "gs://mine"),
        ("s3://idc-open-cr", GOOGLE, "s3://idc-open-cr"),
        ("gs://idc-open-cr", GOOGLE, "s3://idc-open-cr"),
        ("s3://public-datasets-idc", "http://localhost:9000", "s3://public-datasets-idc"),
        ("/public-datasets-idc", None, "/public-datasets-idc"),
    ],
)
def test_google_buckets_are_read_from_their_twins(root: str, endpoint: str | None, expected: str) -> None:
    assert normalise_root(root, endpoint) == expected


@pytest.fixture
def archive(tmp_path: Path) -> str:
    for folder in ("38902e14-aaaa", UUID, "77777777", CT_UID):
        (tmp_path / folder).mkdir()
    return str(tmp_path)


def test_the_first_series_with_a_prefix_is_taken_with_a_warning(archive: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ref = resolve_series(parse_series("38902e14*", archive), Store)

    assert ref == SeriesRef(root=archive, series_uuid="38902e14-aaaa")
    assert "2 series begin with 38902e14" in caplog.text


def test_a_prefix_of_one_series_needs_no_warning(archive: str, caplog: pytest.LogCaptureFixture) -> None:
    assert resolve_series(parse_series("7777*", archive), Store).series_uuid == "77777777"
    assert not caplog.records


def test_a_prefix_of_no_series_names_the_root_that_was_searched(archive: str) -> None:
    with pytest.raises(StorageError, match=f"no series below {archive} begins with fff") as missing:
        resolve_series(parse_series("fff*", archive), Store)

    assert missing.value.reason == "not-found"


def test_a_private_root_may_have_series_instance_uids_as_folders(archive: str) -> None:
    assert resolve_series(parse_series(CT_UID, archive), Store) == SeriesRef(root=archive, series_uuid=CT_UID)


def test_other_series_instance_uids_are_refused_with_the_reason(archive: str) -> None:
    with pytest.raises(DspBatchError, match=r"1\.2\.3\.4\.5.*IDC index"):
        resolve_series(SeriesName(root=archive, name="1.2.3.4.5", kind="uid"), Store)
