"""Examples of the pages that name series of IDC say what IDC holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from idc_facts import look_up, read_facts, read_pages

from dsp_batch.idc.index import open_idc_index

NAMED = read_pages()


def _find_facts() -> Mapping[str, Mapping[str, Any]]:
    """The facts beside the tests, and those of the index itself where it is installed."""
    index = open_idc_index()
    return {"kept": read_facts()} | ({} if index is None else {"installed": look_up(index, NAMED)})


FACTS = _find_facts()


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS.keys())
def test_each_series_that_pages_name_is_one_of_idc_in_the_bucket_that_they_say(facts: Mapping[str, Any]) -> None:
    assert NAMED.series <= facts["series"].keys()
    assert {(facts["series"][uuid]["bucket"], uuid) for _, uuid in NAMED.placed} == NAMED.placed


@pytest.mark.parametrize("facts", FACTS.values(), ids=FACTS.keys())
def test_prefixes_and_collections_are_those_of_idc(facts: Mapping[str, Any]) -> None:
    assert facts["prefixes"] == dict.fromkeys(NAMED.prefixes, 1)
    for collection, modality in NAMED.collections:
        assert sum(facts["collections"][collection].values()) > 0
        assert modality is None or facts["collections"][collection][modality] > 0


def test_the_facts_beside_the_tests_are_those_of_the_examples_and_no_more() -> None:
    kept = read_facts()

    assert kept["series"].keys() == NAMED.series
    assert kept["collections"].keys() == {collection for collection, _ in NAMED.collections}
    assert all(facts["series"] == kept["series"] for facts in FACTS.values())
