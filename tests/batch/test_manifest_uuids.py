"""UUIDs taken out of many texts together, against a regular expression on each."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.manifest_uuids import MARK, part_texts

_UUID = re.compile("([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_PIECES = (
    *("28621ba9-1aca-4aab-a2a1-f6d2c3e2ab19", "A8902E14-B11F-4548-910E-771EE757DC82", "-1aca-4aab-a2a1-f6d2c3e2ab19"),
    *("28621ba9-1aca-4aab", "-", "0", "/", ":", "`", "g", "ü", "\ud800", " "),
)
_texts = st.lists(st.sampled_from(_PIECES), max_size=6).map("".join)


@given(st.lists(_texts, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_texts_are_parted_as_by_a_regular_expression(texts: list[str]) -> None:
    parts = part_texts(texts)

    assert parts is not None
    expected = [_UUID.split(text) for text in texts]
    assert parts.shapes == [MARK.join(pieces[::2]) for pieces in expected]
    assert parts.uuids == [uuid for pieces in expected for uuid in pieces[1::2]]
    assert parts.firsts.tolist() == [sum(len(each) // 2 for each in expected[:place]) for place in range(len(texts))]


def test_texts_that_cannot_be_put_together_are_not_parted() -> None:
    assert part_texts(["a", "b\nc"]) is None
    assert part_texts(["a", f"b{MARK}"]) is None
