"""Lines of one form: what is found out of the first counts for the others, and for no other line."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.manifest.rows import NO_COLUMNS, Surroundings
from dsp_batch.batch.manifest.table import RejectedLine
from dsp_batch.batch.manifest.text import name_at_length, name_lines
from dsp_batch.errors import OptionsError

UUIDS = (
    "28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19",
    "a8902e14-b11f-4548-910e-771ee757dc82",
    "00000000-0000-4000-8000-000000000000",
    "aaaaaaaa-0000-4000-8000-000000000001",
    "38902E14-B11F-4548-910E-771EE757DC82",
    "38902e14b11f4548910e771ee757dc82",
    "38902e14-b11f-4548-910e",
)
PIECES = (
    *("cp ", "sync  ", "s5cmd --endpoint-url https://storage.googleapis.com cp ", "# ", "mv"),
    *("s3://idc-open-data/", "s3://mine/a/", "gs://public-datasets-idc/", "https://host/x/", "/data/", "file:///d/"),
    *("/*", "/", "*", ".dcm", " .", ' "/a b/', '"', ",", ";", "\t", " ", "CT", "1.2.3", "://", "://x/", "x", "..", "ü"),
)
texts = st.lists(st.sampled_from(UUIDS) | st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
# The same text a second time, with other UUIDs in it, is what forms are for.
line_lists = st.lists(texts, min_size=1, max_size=6).flatmap(
    lambda chosen: st.lists(
        st.tuples(st.sampled_from(chosen), st.sampled_from(UUIDS), st.sampled_from(UUIDS)).map(
            lambda each: each[0].replace(each[1], each[2])
        ),
        min_size=1,
        max_size=12,
    )
)


def surroundings(*, is_certain: bool = True) -> Surroundings:
    return Surroundings(source="m", root="s3://idc-open-data", root_is_certain=is_certain)


def read_alone(number: int, text: str, *, is_certain: bool) -> object:
    """What a line comes to by itself, with no room to remember forms."""
    alone = surroundings(is_certain=is_certain)
    alone.forms.known.update({(str(place),): None for place in range(1_000)})
    try:
        return name_at_length(number, text, alone, NO_COLUMNS)
    except OptionsError as error:
        return RejectedLine("m", number, text[:500], error.message)


@given(line_lists, st.booleans())
@settings(max_examples=100, deadline=None)
def test_lines_come_to_the_same_together_as_alone(lines: list[str], is_certain: bool) -> None:  # noqa: FBT001  # drawn
    lines = [line.strip() for line in lines]

    together = list(name_lines(lines, surroundings(is_certain=is_certain)))

    numbered = [(number, line) for number, line in enumerate(lines, 1) if line and line[0] != "#"]
    assert together == [read_alone(number, line, is_certain=is_certain) for number, line in numbered]
    assert [*map(type, together)] == [type(read_alone(*each, is_certain=is_certain)) for each in numbered]


def test_what_only_a_letter_may_begin_is_not_taken_over() -> None:
    digit, letter = UUIDS[0], UUIDS[1]
    lines = [f"{uuid}://bucket/{other}" for uuid, other in product((letter, digit), repeat=2)]

    together = list(name_lines(lines, surroundings()))

    assert together == [read_alone(number, line, is_certain=True) for number, line in enumerate(lines, 1)]
    assert len({type(each) for each in together}) == 2


def test_more_forms_than_are_remembered_are_read_all_the_same() -> None:
    lines = [f"s3://bucket-{number}/{UUIDS[0]}/*" for number in range(1_500)] * 2

    found = list(name_lines(lines, surroundings()))

    assert [each.root for each in found] == [f"s3://bucket-{number}" for number in range(1_500)] * 2
