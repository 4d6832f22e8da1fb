"""Series of IDC in memory: packed UIDs, and rows sorted by two keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsp_batch.idc.table import Column, build_table, format_uids, hold, pack_uids
from dsp_batch.model.identifiers import find_keys, parse_uuids

UIDS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,9}){0,5}", fullmatch=True)
SERIES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-3, 0))
"""Which UUID, which SeriesInstanceUID, and the age of a version: few of each, so that they meet often."""


@given(st.lists(UIDS))
def test_uids_come_back_from_their_keys(uids: list[str]) -> None:
    assert format_uids(pack_uids(uids)) == uids


def test_the_longest_uid_has_a_key_and_a_longer_text_has_none() -> None:
    longest = "1." + "2" * 62

    assert format_uids(pack_uids([longest, f"{longest}0"])) == [longest, ""]


@given(st.lists(SERIES))
def test_a_key_leads_to_the_latest_version_that_has_it(series: list[tuple[int, int, int]]) -> None:
    uuids = parse_uuids([_uuid(uuid) for uuid, _, _ in series])
    uids = pack_uids([f"1.{uid}" for _, uid, _ in series])
    ages = np.array([age for _, _, age in series], np.int64)
    numbers = Column(values=hold([*range(len(series))]), codes=np.arange(len(series)))

    table = build_table(uuids, uids, ages, np.zeros(len(series)), {"number": numbers})

    for wanted in range(4):
        by_uuid = [(age, number) for number, (uuid, _, age) in enumerate(series) if uuid == wanted]
        by_uid = [(age, number) for number, (_, uid, age) in enumerate(series) if uid == wanted]
        found, rows = find_keys(table.uuids, parse_uuids([_uuid(wanted)]))
        assert table.take("number", rows[found]).tolist() == [number for _, number in sorted(by_uuid)[:1]]
        found, ranks = find_keys(table.uids, pack_uids([f"1.{wanted}"]))
        rows = table.uid_rows[ranks[found]]
        assert table.take("number", rows).tolist() == [number for _, number in sorted(by_uid)[:1]]
    rows = np.arange(len(series))
    own = [f"1.{series[number][1]}" for number in table.take("number", rows).tolist()]
    assert format_uids(table.uids[table.uid_ranks[rows]]) == own


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"
