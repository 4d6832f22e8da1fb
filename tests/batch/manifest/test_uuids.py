"""UUIDs taken out of many texts together, against a regular expression on each."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from dsp_batch.batch.manifest.uuids import MARK, part_texts

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
    assert [*parts.uuids] == [uuid for pieces in expected for uuid in pieces[1::2]]
    assert parts.firsts.tolist() == [sum(len(each) // 2 for each in expected[:place]) for place in range(len(texts))]


@given(st.lists(st.tuples(_texts, st.sampled_from(_PIECES)), min_size=1, max_size=6), st.sampled_from(_PIECES[:3]))
@settings(max_examples=300, deadline=None)
def test_texts_with_heads_are_parted_as_if_put_together(rows: list[tuple[str, str]], usual: str) -> None:
    for ends in ([usual] * len(rows), [end for _, end in rows]):
        heads = [f"{head}/" for head, _ in rows]
        whole = part_texts([f"{head}{end}" for head, end in zip(heads, ends, strict=True)])
        parts = part_texts(ends, heads)

        assert whole is not None
        assert parts is not None
        assert (parts.shapes, [*parts.uuids], [*parts.firsts]) == (whole.shapes, [*whole.uuids], [*whole.firsts])


def test_texts_that_cannot_be_put_together_are_not_parted() -> None:
    assert part_texts(["a", "b\nc"]) is None
    assert part_texts(["a", f"b{MARK}"]) is None
    assert part_texts([_PIECES[0]], [f"b{MARK}/"]) is None
