"""Lines that are read by one pattern: they come to what they come to when they are read word by word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.manifest import line as reader
from dsp_batch.batch.manifest.line import parse_line
from dsp_batch.batch.manifest.rows import Reading, Surroundings

UUIDS = (
    "28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19",
    "a8902e14-b11f-4548-910e-771ee757dc82",
    "00000000-0000-4000-8000-000000000000",
    "38902E14-B11F-4548-910E-771EE757DC82",
    "38902e14b11f4548910e771ee757dc82",
    "38902e14-b11f-4548-910e",
)
PIECES = (
    *("cp ", "sync  ", "s5cmd --endpoint-url https://storage.googleapis.com cp ", "# ", "mv"),
    *("s3://idc-open-data/", "s3://mine/a/", "gs://public-datasets-idc/", "https://host/x/", "/data/", "file:///d/"),
    *(
        "/*",
        "/",
        "*",
        ".dcm",
        "/1.dcm",
        " .",
        ' "/a b/',
        '"',
        ",",
        ";",
        "\t",
        " ",
        "CT",
        "1.2.3",
        "://",
        "x",
        "..",
        "ü",
    ),
    *("--endpoint-url https://host", "\x00", "\n", "\x85", "\u00a0"),
)
lines = st.lists(st.sampled_from(UUIDS) | st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
usual_lines = st.tuples(
    st.sampled_from(["", "cp ", "mv  ", "sync\t"]),
    st.sampled_from(["s3://idc-open-data/", "gs://idc-open-cr/", "https://h:1/a/", "/d/", "file:///d/", "/", "s3:///"]),
    st.sampled_from(UUIDS),
    st.sampled_from(["", "/", "/*", "/1.dcm", "/a.DCM", "//", "*"]),
    st.sampled_from(["", " .", ' "/a b"', " --endpoint-url https://host", "\n", " # note"]),
).map("".join)


def read(line: str, server: str | None) -> Reading:
    surroundings = Surroundings(source="m", root="s3://idc-open-data", server=server)
    return parse_line(1, line.strip(), surroundings)


@given(lines | usual_lines, st.sampled_from([None, "https://storage.googleapis.com", "http://localhost:9000"]))
@settings(max_examples=1_000, deadline=None)
def test_the_pattern_of_usual_lines_changes_no_line(line: str, server: str | None) -> None:
    usual = read(line, server)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_find_root", lambda *_, **__: None)
        assert read(line, server) == usual
