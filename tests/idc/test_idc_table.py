"""Columns of IDC's series in memory: packed UIDs, and rows that are found by their keys."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsp_batch.idc.table import Column, Keys, format_uids, hold, pack_uids
from dsp_batch.model.identifiers import parse_uuids

UIDS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,9}){0,5}", fullmatch=True)
SERIES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-3, 0))
"""Which UUID, which SeriesInstanceUID, and the age of a version: few of each, so that they meet often."""


@given(st.lists(UIDS))
def test_uids_come_back_from_their_keys(uids: list[str]) -> None:
    assert format_uids(pack_uids(uids)) == uids


def test_the_longest_uid_has_a_key_and_a_longer_text_has_none() -> None:
    longest = "1." + "2" * 62

    assert format_uids(pack_uids([longest, f"{longest}0"])) == [longest, ""]


@given(st.lists(SERIES), st.sampled_from([1, 5]))
def test_a_key_leads_to_the_latest_version_that_has_it(series: list[tuple[int, int, int]], times: int) -> None:
    ages = np.array([age for _, _, age in series], np.int64)
    uuids = Keys(parse_uuids([_uuid(uuid) for uuid, _, _ in series]), ages)
    uids = Keys(pack_uids([f"1.{uid}" for _, uid, _ in series]), ages)
    wanted = [*range(4)] * times  # few, and many

    found_uuids, uuid_rows = uuids.find(parse_uuids([*map(_uuid, wanted)]))
    found_uids, uid_rows = uids.find(pack_uids([f"1.{uid}" for uid in wanted]))

    by_uuid = [_find_latest((age, row) for row, (uuid, _, age) in enumerate(series) if uuid == each) for each in wanted]
    by_uid = [_find_latest((age, row) for row, (_, uid, age) in enumerate(series) if uid == each) for each in wanted]
    assert found_uuids.tolist() == [row is not None for row in by_uuid]
    assert uuid_rows.tolist() == [row for row in by_uuid if row is not None]
    assert found_uids.tolist() == [row is not None for row in by_uid]
    assert uid_rows.tolist() == [row for row in by_uid if row is not None]


def test_a_column_tells_the_values_of_rows_in_their_order() -> None:
    column = Column(values=hold([("s3://a", True), ("s3://b", False)]), codes=np.array([1, 0, 1]))

    assert column.take(np.array([2, 1])).tolist() == [("s3://b", False), ("s3://a", True)]


def _find_latest(versions: Iterable[tuple[int, int]]) -> int | None:
    """Row of the version of the least age; of several the first."""
    return min(versions, default=(0, None))[1]


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"
