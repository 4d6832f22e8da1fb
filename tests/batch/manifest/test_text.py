"""Manifests as text: encodings, line ends, what is no manifest; how they are written."""

from __future__ import annotations

import gzip
import io
import logging
import random
import sys
import tracemalloc
import uuid
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifest_reading import (
    GOOGLE,
    MINE,
    NO_INDEX,
    OPEN,
    A,
    B,
    C,
    entries,
    reasons,
    stream,
    urls,
    write_manifest,
)

from dsp_batch.batch.manifest.read import read_manifest, read_manifest_table
from dsp_batch.batch.manifest.rejected import RejectedLine, format_rejected
from dsp_batch.batch.manifest.table import parse_manifest, serialize_manifest
from dsp_batch.batch.manifest.write import list_lines
from dsp_batch.errors import ManifestError
from dsp_batch.model.identifiers import digest_series
from dsp_batch.model.series import SeriesRef

# Text as it comes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_do_not_matter(tmp_path: Path, encoding: str, end: str) -> None:
    lines = ["crdc_series_uuid,note", f"{A},größer", f"{B},x"]

    found = entries(tmp_path, end.join([*lines, ""]).encode(encoding))

    assert urls(found) == [f"{OPEN}/{A}", f"{OPEN}/{B}"]
    assert isinstance(found[0], SeriesRef)
    assert found[0].columns == {"note": "größer"}


@pytest.mark.parametrize(
    "content",
    [f"{A}\n{B}\x00\n".encode(), f"{A}\n".encode("utf-16-le"), f"{A}\n".encode("utf-32"), bytes(1000)],
)
def test_nul_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt:\d+: NUL bytes"):
        entries(tmp_path, content)


def test_nul_bytes_may_end_all_names(tmp_path: Path) -> None:
    names = ["/d/some folder", "/d/Doe, Jane", f"/d/{A}", "/d/two\nlines", f"./{'x' * 200}"]

    found = entries(tmp_path, "".join(f"{name}\0" for name in names))

    assert urls([*found[:3], found[4]]) == [*names[:3], str(Path.cwd() / names[4])]
    assert [entry.line for entry in found] == [1, 2, 3, 4, 5]
    assert reasons(found) == ["manifest.txt:4: '/d/two\\nlines' holds control characters, or bytes that are no text"]


@pytest.mark.parametrize("content", [f"{A}\0{B}", f"{A}\0\0{B}\0", f"{A}\0{B}\n"])
def test_nul_bytes_that_end_not_all_names_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt:1: NUL bytes"):
        entries(tmp_path, content)


def test_packed_manifests_are_told_to_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"packed \(gzip\): unpack"):
        entries(tmp_path, gzip.compress(A.encode()))


@pytest.mark.parametrize("content", ["<html><body>403</body></html>\n", '\n<?xml version="1.0"?>\n<Error/>\n'])
def test_pages_are_told_from_manifests(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt is a page of HTML or XML"):
        entries(tmp_path, content)


@pytest.mark.parametrize("text", [f"crdc_series_uuid,note\n{A},größer\n", f'[{{"crdc_series_uuid": "{A}", "ü": 1}}]'])
def test_text_of_another_encoding_spoils_no_series_and_is_told_of_once(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert urls(entries(tmp_path, text.encode("latin-1"))) == [f"{OPEN}/{A}"]
    assert caplog.messages == ["manifest.txt: not all of it is UTF-8: what is not is carried as \ufffd"]
    caplog.clear()
    assert urls(entries(tmp_path, text)) == [f"{OPEN}/{A}"]
    assert not caplog.messages


def test_a_line_without_end_is_rejected_and_the_next_is_read(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{'x' * 3_000_000}\n{A}\n")

    assert [entry.line for entry in found if isinstance(entry, SeriesRef)] == [2]
    assert reasons(found) == ["manifest.txt:1: longer than 1048576 characters"]
    assert isinstance(found[0], RejectedLine)
    assert len(found[0].text) == 500


def test_rejected_lines_show_neither_passwords_nor_control_characters(tmp_path: Path) -> None:
    lines = [
        f"https://me:secret@host/{A}/",
        f"ls 's3://key:sec/r@t@bucket/{A}/*' .",
        "https://me:" + "secret" * 200 + "@host/",
        "what\tis \x1b[31mthis\u202e?",
    ]
    path = write_manifest(tmp_path, "\n".join([A, *lines]))

    manifest = read_manifest_table(path, root=OPEN, lookup=NO_INDEX, label="m.txt")

    rejected = [*parse_manifest(serialize_manifest(manifest)).rejected]
    assert [line.text for line in rejected] == [
        f"https://…@host/{A}/",
        f"ls 's3://…@bucket/{A}/*' .",
        "https://…@host/",
        r"what\tis \x1b[31mthis\u202e?",
    ]
    text = format_rejected(rejected).decode()
    assert "sec" not in text
    assert all(line.isprintable() for row in text.splitlines() for line in row.split("\t"))
    assert text.splitlines()[3].split("\t")[1] == rejected[3].text


@pytest.mark.parametrize("end", ["", ",CT", '",CT'])
def test_rejected_lines_show_no_signatures(tmp_path: Path, end: str) -> None:
    url = f"https://b.s3.amazonaws.com/{A}/1.dcm?X-Amz-Credential=AKIA1&X-Amz-Signature=5f1c9"
    start = '"' if '"' in end else ""

    (rejected,) = entries(tmp_path, f"{A}\n{start}{url}{end}\n")[1:]

    assert isinstance(rejected, RejectedLine)
    shown = rejected.text + str(rejected) + format_rejected([rejected]).decode()
    assert "?…" in rejected.text
    assert ("AKIA1" in shown, "5f1c9" in shown) == (False, False)


def test_a_password_with_a_slash_is_no_bucket(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\ncp s3://key:sec/ret@bucket/{B}/* .\ns3://key:secret/{B}\n")

    assert all("holds a user name or password" in reason for reason in reasons(found))
    assert not [line for line in reasons(found) if "sec" in line]
    assert not [line.text for line in found if isinstance(line, RejectedLine) and "sec" in line.text]
    assert len(reasons(found)) == 2


def test_lines_that_are_not_understood_do_not_stop_the_others(tmp_path: Path) -> None:
    found = entries(tmp_path, f"{A}\nwhat is this\n{B}\n")

    assert Counter(type(entry) for entry in found) == {SeriesRef: 2, RejectedLine: 1}
    assert reasons(found)[0].startswith("manifest.txt:2: 'what is this' names no series: give a series UUID")


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "crdc_series_uuid,age\n", "[]"])
def test_a_manifest_of_nothing_is_an_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.txt names no series"):
        entries(tmp_path, content)


def test_a_manifest_of_garbage_is_an_error_that_shows_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no line names a series; manifest\.txt:1: 'total garbage'"):
        entries(tmp_path, "total garbage\nmore of it\n")


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.txt: no such manifest"):
        list(stream(str(tmp_path / "nowhere.txt")))


# Reading and writing


def test_the_public_reader_yields_series_and_logs_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "m.txt").write_text("".join(f"bad line {number}\n" for number in range(30)) + f"{A}\n{A}\n")

    with caplog.at_level(logging.WARNING):
        found = list(read_manifest(str(tmp_path / "m.txt"), root="s3://mine"))

    assert found == [SeriesRef(root="s3://mine", series_uuid=A, line=31)]
    assert len(caplog.records) == 21
    assert "10 more lines name no series" in caplog.text


def test_stdin_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{A}\nwhat?\n".encode())))

    series, rejected = stream("-")

    assert isinstance(series, SeriesRef)
    assert series.url == f"{OPEN}/{A}"
    assert str(rejected).startswith("stdin:2: 'what?' names no series")


def test_errors_of_what_is_done_with_a_manifest_are_not_its_own(tmp_path: Path) -> None:
    found = read_manifest(write_manifest(tmp_path, f"{A}\n{B}\n"))
    next(found)

    with pytest.raises(FileNotFoundError, match="of the run"):
        found.throw(FileNotFoundError("of the run"))


def test_parquet_comes_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    pq.write_table(pa.table({"crdc_series_uuid": [A]}), data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.getvalue())))

    assert urls(list(stream("-"))) == [f"{OPEN}/{A}"]


def test_written_manifests_read_back(tmp_path: Path) -> None:
    refs = [
        SeriesRef(root=OPEN, series_uuid=A),
        SeriesRef(root="s3://idc-open-cr", series_uuid=B, endpoint_url=GOOGLE),
        SeriesRef(root="s3://idc-open-idc1", series_uuid=C, endpoint_url=GOOGLE),
        SeriesRef(root="s3://mine/a b", series_uuid="1.2.3"),
        SeriesRef(root="/d/a, b", series_uuid="some; folder"),
        SeriesRef(root="https://host/x", series_uuid="1.2.3.4"),
    ]

    found = entries(tmp_path, "".join(f"{line}\n" for line in list_lines(refs)))

    assert urls(found) == [ref.url for ref in refs]
    assert [entry.endpoint_url for entry in found if isinstance(entry, SeriesRef)] == [ref.endpoint_url for ref in refs]


def test_the_digest_is_of_the_series_alone(tmp_path: Path) -> None:
    plain = digest_series(read_manifest(write_manifest(tmp_path, f"{A}\n{B}\n{C}\n"), root=MINE))
    shuffled = f"# comment\ncrdc_series_uuid,age\n{C},1\n{A},2\n{A},2\n{B},3\n"

    assert digest_series(read_manifest(write_manifest(tmp_path, shuffled), root=MINE)) == plain
    assert len(plain) == 32


def test_the_digest_stays_from_version_to_version() -> None:
    names = [(MINE, A), (MINE, B.upper()), ("/d", C)]

    assert digest_series(SeriesRef(*name) for name in names) == "862a9d86010b00bcd2271d990044bd15"


@pytest.mark.parametrize("other", [f"{A}\n{B}\n", f"{A}\n{B}\n{C[:-1]}2\n", f"{A}\n{B}\n/d/{C[:-1]}/\n"])
def test_other_series_have_another_digest(tmp_path: Path, other: str) -> None:
    digest = digest_series(read_manifest(write_manifest(tmp_path, f"{A}\n{B}\n{C}\n"), root=MINE))

    assert digest_series(read_manifest(write_manifest(tmp_path, other), root=MINE)) != digest


def test_long_manifests_stream(tmp_path: Path) -> None:
    source = random.Random(5)
    with (tmp_path / "long.txt").open("w") as manifest:
        manifest.writelines(f"cp {OPEN}/{uuid.UUID(int=source.getrandbits(128))}/* .\n" for _ in range(60_000))

    tracemalloc.start()
    try:
        count = sum(1 for _ in stream(str(tmp_path / "long.txt")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 60_000
    assert peak < 16e6


def test_binary_files_are_one_error(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(100_000)

    with pytest.raises(ManifestError) as caught:
        entries(tmp_path, b"\x89PNG\r\n\x1a\n" + content)

    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 1_000


def test_lines_longer_than_any_name_are_rejected_one_by_one(tmp_path: Path) -> None:
    found = entries(tmp_path, "".join(f"{'long ' * 40}{number}\n" for number in range(50)) + f"{A}\n")

    assert [entry.line for entry in found if isinstance(entry, RejectedLine)] == list(range(1, 51))
    assert [entry.line for entry in found if isinstance(entry, SeriesRef)] == [51]
