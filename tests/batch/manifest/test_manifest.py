"""Manifests of lines and of folders: which series they name, where these are, and which come twice."""

from __future__ import annotations

import logging
import os
import random
import uuid
from collections import Counter
from pathlib import Path

import pytest
from idc_tables import CT, CT_UID, MR, MR_UID, OLD_CT, REMOVED_UID
from manifest_reading import (
    AWS_COMMENT,
    GOOGLE,
    GOOGLE_COMMENT,
    INSTANCE,
    OPEN,
    A,
    B,
    C,
    entries,
    reasons,
    stream,
    urls,
)

from dsp_batch.batch.manifest.entries import DuplicateLine
from dsp_batch.batch.manifest.lookup import Lookup
from dsp_batch.batch.manifest.rejected import RejectedLine
from dsp_batch.errors import ManifestError
from dsp_batch.model.series import SeriesRef
from dsp_batch.storage.urls import parse_location

# Form 1: one series a line


def test_plain_lines_name_series_below_the_root(tmp_path: Path) -> None:
    content = f"# my series\n\n{A}\n  {B.upper()}  \n{C.replace('-', '')}\n"

    found = entries(tmp_path, content, root="s3://mine/dicom/")

    assert urls(found) == [f"s3://mine/dicom/{name}" for name in (A, B, C)]
    assert [entry.line for entry in found] == [3, 4, 5]


def test_a_comment_may_stand_behind_a_name(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}   # of the first visit\n{B}\t#\nno series # at all\n", root="s3://mine")

    assert urls(found[:2]) == [f"s3://mine/{A}", f"s3://mine/{B}"]
    (line,) = [entry for entry in found if isinstance(entry, RejectedLine)]
    assert (line.text, line.reason.startswith("'no series' names no series")) == ("no series # at all", True)


def test_the_default_root_is_idc(tmp_path: Path) -> None:
    assert urls(entries(tmp_path, A)) == [f"{OPEN}/{A}"]


def test_paths_and_urls_may_be_mixed(tmp_path: Path) -> None:
    content = f"/d/{A}\nhttps://host/x/{B}/\n./here/some_folder\n"

    assert urls(entries(tmp_path, content)) == [f"/d/{A}", f"https://host/x/{B}", str(Path.cwd() / "here/some_folder")]


def test_a_prefix_must_fit_one_series(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in (A, B, f"{B[:8]}-other"):
        (root / name).mkdir(parents=True)

    found = entries(tmp_path, f"{A[:8]}*\n{B[:8]}*\nffff*\n", root=str(root))

    assert isinstance(found[0], SeriesRef)
    assert found[0].series_uuid == A
    assert reasons(found) == [
        f"manifest.txt:2: 2 series below {root} begin with 38902e14: write more digits",
        f"manifest.txt:3: no series below {root} begins with ffff",
    ]


# Forms 2 to 6: what the portal writes


@pytest.mark.parametrize(
    "destination",
    [" .", " ./", "  ./data/", ' "/data/a b/x"', " '/data/a, b'", "", "\t."],
)
@pytest.mark.parametrize("verb", ["cp", "sync", "cp  --show-progress", "s5cmd --no-sign-request cp"])
def test_copy_commands_name_their_source(tmp_path: Path, verb: str, destination: str) -> None:
    found = entries(tmp_path, f"{AWS_COMMENT}{verb} s3://idc-open-data-two/{A}/*{destination}\n")

    assert urls(found) == [f"s3://idc-open-data-two/{A}"]
    assert isinstance(found[0], SeriesRef)
    assert found[0].endpoint_url is None


@pytest.mark.parametrize("title", ["study_manifest_cp_command", "f0_", '"f0_"'])
def test_a_column_name_on_the_first_line_is_no_series(tmp_path: Path, title: str) -> None:
    assert urls(entries(tmp_path, f"{title}\ncp {OPEN}/{A}/* .\n")) == [f"{OPEN}/{A}"]


def test_a_mistake_on_the_first_line_is_not_taken_for_a_column_name(tmp_path: Path) -> None:
    found = entries(tmp_path, f"my_series\n{A}\n")

    assert reasons(found)[0].startswith("manifest.txt:1: 'my_series' names no series")
    assert len(found) == 2


GOOGLE_LINES = "".join(
    f"cp s3://{bucket}/{name}/* .\n"
    for bucket, name in (("public-datasets-idc", A), ("idc-open-idc1", B), ("idc-open-cr", C))
)


def test_google_buckets_stay_when_their_endpoint_is_named(tmp_path: Path) -> None:
    found = entries(tmp_path, GOOGLE_COMMENT + GOOGLE_LINES)

    assert urls(found) == [f"s3://public-datasets-idc/{A}", f"s3://idc-open-idc1/{B}", f"s3://idc-open-cr/{C}"]
    assert {entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)} == {GOOGLE}


@pytest.mark.parametrize("comment", ["", AWS_COMMENT])
def test_google_buckets_become_their_twins_on_aws(tmp_path: Path, comment: str) -> None:
    found = entries(tmp_path, comment + GOOGLE_LINES)

    assert urls(found) == [f"{OPEN}/{A}", f"{OPEN}-two/{B}", f"{OPEN}-cr/{C}"]
    assert {entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)} == {None}


def test_the_endpoint_of_a_command_counts_for_its_line(tmp_path: Path) -> None:
    content = f"s5cmd --endpoint-url {GOOGLE} cp s3://idc-open-cr/{A}/* .\ncp s3://idc-open-cr/{B}/* .\n"

    found = entries(tmp_path, content)

    assert urls(found) == [f"s3://idc-open-cr/{A}", f"{OPEN}-cr/{B}"]
    assert [entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)] == [GOOGLE, None]


@pytest.mark.parametrize("endpoint", ["localhost:9000", "http://[::1"])
def test_an_endpoint_that_is_no_url_is_passed_over_in_a_comment_and_refused_in_a_command(
    tmp_path: Path, endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = f"# s5cmd --endpoint-url {endpoint} run\n{OPEN}/{A}\ns5cmd --endpoint-url {endpoint} cp {OPEN}/{B}/* .\n"

    found = entries(tmp_path, content)

    assert urls(found[:1]) == [f"{OPEN}/{A}"]
    assert f"the endpoint '{endpoint}' of the manifest" in reasons(found)[0]
    warnings = [each.getMessage() for each in caplog.records if "passed over" in each.getMessage()]
    assert len(warnings) == 1
    assert f"the endpoint '{endpoint}' of the manifest" in warnings[0]


@pytest.mark.parametrize("origin", ["argument", "environment"])
def test_an_endpoint_given_otherwise_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    if origin == "environment":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    options = {"endpoint_url": "http://localhost:9000"} if origin == "argument" else {}

    found = entries(tmp_path, f"{GOOGLE_COMMENT}cp s3://idc-open-cr/{A}/* .\n", **options)

    assert found == [SeriesRef(root="s3://idc-open-cr", series_uuid=A, line=2)]


@pytest.mark.parametrize("endpoint", ["http://[::1", "https://host:port", "http://me:secret@host"])
def test_a_comment_with_a_broken_endpoint_is_passed_over(
    tmp_path: Path, endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = f"# s5cmd --endpoint-url {endpoint} run x\ncp s3://mine/{A}/* .\n"
    command = f"s5cmd --endpoint-url {endpoint} cp s3://mine/{B}/* .\n"

    found = entries(tmp_path, content + command)

    assert found[0] == SeriesRef("s3://mine", A, line=2)
    assert "is no URL of a server: write https://host" in reasons(found)[0]
    (warning,) = caplog.messages
    assert warning.startswith("manifest.txt: the endpoint 'http")
    assert warning.endswith("is no URL of a server: write https://host; the comment is passed over")
    assert "secret" not in warning + reasons(found)[0]


@pytest.mark.parametrize("url", [f"{OPEN}/{A}/*", f"{OPEN}/{A}", f"{OPEN}/{A}/", f"gs://public-datasets-idc/{A}/*"])
def test_bare_urls_are_enough(tmp_path: Path, url: str) -> None:
    assert urls(entries(tmp_path, url)) == [f"{OPEN}/{A}"]


def test_instances_give_their_series_once(tmp_path: Path) -> None:
    lines = "".join(f"cp {OPEN}/{A}/{uuid.uuid4()}.dcm ./d/\n" for _ in range(3))

    found = entries(tmp_path, lines)

    assert urls(found[:1]) == [f"{OPEN}/{A}"]
    assert found[1:] == [DuplicateLine(line=2, series_uuid=A), DuplicateLine(line=3, series_uuid=A)]


def test_flat_urls_of_the_first_version_name_no_series(tmp_path: Path) -> None:
    found = entries(tmp_path, f"cp {OPEN}/{INSTANCE}.dcm .\n{A}\n")

    assert "manifest.txt:1:" in reasons(found)[0]
    assert "directly below a bucket" in reasons(found)[0]


# Form 12: what TCIA writes

TCIA = """downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/servlet/DownloadServlet
includeAnnotation=true
noOfrRetry=4
databasketId=manifest-1600709154662.tcia
manifestVersion=3.0
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_settings_of_a_tcia_manifest_are_no_series(tmp_path: Path, indexed: Lookup, end: str) -> None:
    content = f"{TCIA}ListOfSeriesToDownload=\n{MR_UID}\n{CT_UID}\n".replace("\n", end)

    found = entries(tmp_path, content, indexed)

    assert urls(found) == [f"{OPEN}-cr/{MR}", f"{OPEN}/{CT}"]
    assert [entry.line for entry in found] == [7, 8]


def test_a_tcia_manifest_without_the_index_says_what_its_series_need(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"manifest\.txt:7: SeriesInstanceUID 1\.3\..* pip install 'dsp-batch\[idc\]'"
    ):
        entries(tmp_path, f"{TCIA}ListOfSeriesToDownload=\n{MR_UID}\n")


def test_settings_elsewhere_are_rejected_as_what_they_are(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\n{TCIA}/d/collection=nlst/{B}\n")

    assert urls([found[0], found[-1]]) == [f"{OPEN}/{A}", f"/d/collection=nlst/{B}"]
    assert len(reasons(found)) == 5
    assert all(" is a setting, as TCIA manifests have" in reason for reason in reasons(found))


# Form 13: lines pasted from a shell


@pytest.mark.parametrize(
    "before",
    [
        "$ s5cmd ",
        "sudo s5cmd ",
        "sudo -E s5cmd ",
        "AWS_PROFILE=x s5cmd ",
        "$ X='a b' sudo s5cmd ",
        "% s5cmd ",
        "./s5cmd ",
        "/opt/s5cmd ",
    ],
)
def test_words_before_a_command_are_passed_over(tmp_path: Path, before: str) -> None:
    found = entries(tmp_path, f"  {before}cp {OPEN}-two/{A}/* .\n{before}--stat sync 's3://mine/{B}/*' 'a b/'\n")

    assert urls(found) == [f"{OPEN}-two/{A}", f"s3://mine/{B}"]


@pytest.mark.parametrize(
    "command", ["aws s3 cp --recursive", "gsutil -m cp -r", "$ gcloud storage cp -r", "aws s3 sync"]
)
def test_other_programs_copy_too(tmp_path: Path, command: str) -> None:
    assert urls(entries(tmp_path, f"{command} gs://public-datasets-idc/{A}/ .\n")) == [f"{OPEN}/{A}"]


def test_the_endpoint_in_a_variable_before_a_command_counts(tmp_path: Path) -> None:
    found = entries(tmp_path, f"S3_ENDPOINT_URL={GOOGLE} s5cmd cp s3://idc-open-cr/{A}/* .\n")

    assert urls(found) == [f"s3://idc-open-cr/{A}"]


@pytest.mark.parametrize("command", ["ls", "rm", "s5cmd du", "aws s3 ls", "$ s5cmd head"])
def test_commands_that_copy_nothing_are_rejected_as_such(tmp_path: Path, command: str) -> None:
    found = entries(tmp_path, f"{A}\n{command} {OPEN}/{B}/\n")

    verb = command.rsplit(maxsplit=1)[-1]
    assert reasons(found) == [f"manifest.txt:2: a command that copies nothing ({verb}): write cp s3://bucket/UUID/* ."]


def test_folders_may_begin_like_commands(tmp_path: Path) -> None:
    assert urls(entries(tmp_path, f"head 1/{A}\n./cat 2/x\n")) == [f"{Path.cwd()}/head 1/{A}", f"{Path.cwd()}/cat 2/x"]


# Paths with commas


@pytest.mark.parametrize(
    "path",
    [
        *("/data/Doe, Jane/CT 1", "s3://mine/Doe, Jane/CT 1", "https://host/a;b/c,d/", "/d/a, b/" + A),
        *("./Doe, Jane/CT 1", "../Doe, Jane/CT 1", "./a,b;c", "~/Doe, Jane", f"./{A[:8]}, {B}/CT"),
    ],
)
def test_a_line_that_begins_as_paths_do_is_one_whatever_commas_it_has(tmp_path: Path, path: str) -> None:
    assert urls(entries(tmp_path, f"{path}\n")) == [str(parse_location(path))]


def test_what_is_there_is_a_path_before_it_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Doe, Jane", "Roe, Jane/CT 1"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    found = entries(tmp_path, "Doe, Jane\nRoe, Jane/CT 1\nDoe, John/CT 1\n")

    assert urls(found[:2]) == [f"{tmp_path}/Doe, Jane", f"{tmp_path}/Roe, Jane/CT 1"]
    assert reasons(found) == ["manifest.txt:3: no cell of this row is the URL or UUID of a series"]


@pytest.mark.parametrize("row", ["s3://mine/{},CT", "S3://mine/{}/*,CT", "s3://mine/{}/1.dcm\tCT"])
def test_a_row_may_begin_with_the_url_of_its_series(tmp_path: Path, row: str) -> None:
    (found,) = entries(tmp_path, row.format(A))

    assert isinstance(found, SeriesRef)
    assert (found.root.removeprefix("s3:/"), found.series_uuid) == ("/mine", A)


# Form 11: folders


def test_a_folder_gives_every_series_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (B, A, f"some folder/{C}", f".hidden/{A}", "empty"):
        (tmp_path / "series" / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    found = list(stream("../series/"))

    assert urls(found) == [f"{tmp_path}/series/{name}" for name in (A, B, f"some folder/{C}")]


def test_series_of_idc_in_folders_whose_names_are_no_utf8_are_rejected(tmp_path: Path) -> None:
    for name in (b"caf\xe9/" + B.encode(), A.encode(), "café/".encode() + C.encode()):
        (tmp_path / os.fsdecode(name)).mkdir(parents=True)

    found = list(stream(f"{tmp_path}/", label="series/"))

    assert [reason.partition(":3: ")[2] for reason in reasons(found)] == ["its name is no UTF-8: rename the folder"]
    refs = [entry.url for entry in found if isinstance(entry, SeriesRef)]
    assert refs == [f"{tmp_path}/{A}", f"{tmp_path}/café/{C}"]


def test_no_series_is_known_by_the_name_of_a_folder_that_is_no_uuid(tmp_path: Path) -> None:
    found = entries(tmp_path, f"/data/..foo\n/data/..bar/\n/data/{A}\n/data/1.2.3\n")

    assert urls(found) == [f"/data/{name}" for name in ("..foo", "..bar", A, "1.2.3")]
    assert all(uuid.UUID(entry.series_uuid) for entry in found if isinstance(entry, SeriesRef))


def test_a_folder_needs_no_slash(tmp_path: Path) -> None:
    (tmp_path / A).mkdir()

    assert urls(list(stream(str(tmp_path)))) == [f"{tmp_path}/{A}"]


def test_an_empty_folder_names_no_series(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="names no series"):
        list(stream(f"{tmp_path}/"))


# Where series are


def test_the_index_gives_the_bucket_of_a_uuid(tmp_path: Path, indexed: Lookup) -> None:
    found = entries(tmp_path, f"{MR}\n{A}\n{MR_UID}\n{CT_UID}\n", indexed)

    assert urls([found[0], found[1], found[3]]) == [f"{OPEN}-cr/{MR}", f"{OPEN}/{A}", f"{OPEN}/{CT}"]
    assert found[2] == DuplicateLine(line=3, series_uuid=MR)


def test_superseded_series_are_read_with_a_note(
    tmp_path: Path, indexed: Lookup, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = entries(tmp_path, f"{OLD_CT}\n{REMOVED_UID}\n", indexed)

    assert urls(found)[0] == f"{OPEN}/{OLD_CT}"
    assert "2 series are superseded" in caplog.text


def test_a_root_of_ones_own_is_not_second_guessed(tmp_path: Path, indexed: Lookup) -> None:
    assert urls(entries(tmp_path, MR, indexed, root="s3://mirror")) == [f"s3://mirror/{MR}"]


def test_a_url_is_not_second_guessed(tmp_path: Path, indexed: Lookup) -> None:
    assert urls(entries(tmp_path, f"{OPEN}/{MR}/*", indexed)) == [f"{OPEN}/{MR}"]


def test_a_series_instance_uid_needs_the_index(tmp_path: Path) -> None:
    found = entries(tmp_path, f"SeriesInstanceUID\n{CT_UID}\n{A}\n")

    assert reasons(found) == [
        f"manifest.txt:2: SeriesInstanceUID {CT_UID} can only be found in the IDC index: pip install 'dsp-batch[idc]'"
    ]


def test_an_unknown_series_instance_uid_is_rejected(tmp_path: Path, indexed: Lookup) -> None:
    found = entries(tmp_path, f"1.2.3.999\n{A}\n", indexed)

    assert reasons(found) == [
        f"manifest.txt:1: SeriesInstanceUID 1.2.3.999 is neither below {OPEN} nor in the IDC index"
    ]


def test_a_private_root_may_have_series_instance_uids_as_folders(tmp_path: Path, indexed: Lookup) -> None:
    root = tmp_path / "root"
    (root / CT_UID).mkdir(parents=True)

    assert urls(entries(tmp_path, f"{CT_UID}\n{MR_UID}\n", indexed, root=str(root))) == [
        f"{root}/{CT_UID}",
        f"{OPEN}-cr/{MR}",
    ]


# Duplicates


def test_duplicates_are_dropped_in_every_spelling_and_order_is_kept(tmp_path: Path) -> None:
    content = f"{B}\n{A}\n{B.upper()}\ncp s3://idc-open-data-cr/{B}/* .\n/mirror/{A}/\n{C}\n"

    found = entries(tmp_path, content)

    assert [entry.series_uuid for entry in found if isinstance(entry, SeriesRef)] == [B, A, C]
    assert [entry.line for entry in found if isinstance(entry, DuplicateLine)] == [3, 4, 5]


def test_folders_of_one_name_in_two_places_are_two_series(tmp_path: Path) -> None:
    found = entries(tmp_path, "/one/head/\n/two/head/\n/one/head/\n")

    assert urls(found[:2]) == ["/one/head", "/two/head"]
    assert [type(entry) for entry in found] == [SeriesRef, SeriesRef, DuplicateLine]


def test_duplicates_are_found_however_far_they_are_apart(tmp_path: Path) -> None:
    source = random.Random(7)
    names = [str(uuid.UUID(int=source.getrandbits(128))) for _ in range(20_000)]
    shown = [source.choice(names) for _ in range(60_000)]

    found = entries(tmp_path, "\n".join(shown))

    assert [each.series_uuid for each in found if isinstance(each, SeriesRef)] == list(dict.fromkeys(shown))
    assert Counter(type(each) for each in found)[DuplicateLine] == 60_000 - len({*shown})


def test_duplicates_alone_are_counted(tmp_path: Path) -> None:
    found = entries(tmp_path, f"cp {OPEN}/{A}/* .\n" * 10_000)

    assert Counter(type(entry) for entry in found) == {SeriesRef: 1, DuplicateLine: 9_999}
