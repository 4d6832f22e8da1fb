"""Identifiers of series as text and as keys."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp_batch.model.identifiers import find_keys, format_uuids, normalise_uuid, parse_uuids

UUID = "38902e14-b11f-4548-910e-771ee757dc82"
KEYS = st.lists(st.sampled_from([bytes([*range(14), high, low]) for high in (0, 1, 255) for low in (0, 1, 255)]))
"""Few keys that are often equal, some of them with zero bytes at their ends."""


@given(st.lists(st.uuids()))
def test_uuids_come_back_from_their_keys(uuids: list[uuid.UUID]) -> None:
    texts = [str(each) for each in uuids]
    keys = parse_uuids(texts)

    assert keys.tobytes() == b"".join(each.bytes for each in uuids)
    assert format_uuids(keys) == texts


@given(st.lists(st.uuids()))
def test_keys_of_uuids_have_their_order(uuids: list[uuid.UUID]) -> None:
    assert format_uuids(np.sort(parse_uuids([*map(str, uuids)]))) == sorted(map(str, uuids))


def test_the_case_of_digits_does_not_matter() -> None:
    assert parse_uuids([UUID.upper()]) == parse_uuids([UUID])


STRANGE = [
    "",
    UUID.replace("-", ""),
    UUID[:-1],
    f"{UUID}0",
    f"{UUID[:-1]}g",
    f"{UUID[:-1]}²",
    f"{UUID[:-2]}  ",
    UUID.replace("-", "0"),
    f"-{UUID[:8]}{UUID[9:]}",
]


@pytest.mark.parametrize("text", STRANGE)
def test_what_is_no_hyphenated_uuid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|ascii|fromhex"):
        parse_uuids([UUID, text])


@given(st.text("0123456789abcdefABCDEF-", min_size=36, max_size=36) | st.uuids().map(str))
def test_a_text_has_a_key_exactly_if_it_is_a_uuid(text: str) -> None:
    try:
        keys = parse_uuids([text])
    except ValueError:
        assert normalise_uuid(text) is None
    else:
        assert format_uuids(keys) == [normalise_uuid(text)]


@given(KEYS, KEYS)
def test_keys_are_found_as_in_a_dictionary(known: list[bytes], wanted: list[bytes]) -> None:
    ranks: dict[bytes, int] = {}
    for rank, key in enumerate(sorted(known)):
        ranks.setdefault(key, rank)

    matches = find_keys(np.array(sorted(known), "S16"), np.array(wanted, "S16"))

    assert matches.found.tolist() == [key in ranks for key in wanted]
    assert matches.ranks[matches.found].tolist() == [ranks[key] for key in wanted if key in ranks]
