"""Private elements are one column for each creator and element, whatever blocks the creators reserve."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st
from index_files import open_index_file
from pydicom.dataset import Dataset
from written_objects import index_objects, make_dataset, write_dataset

from dsp_batch.index.private import align_private_blocks
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.series import RawElement

GROUP = 0x0011
blocks = st.dictionaries(st.sampled_from([0x10, 0x11, 0x12, 0xFF]), st.sampled_from(["A", "B", "C"]), max_size=4)


def make_instance(number: int, creators: dict[int, str]) -> Dataset:
    """An instance with a text for each creator, which names it and the instance."""
    dataset = make_dataset(SOPInstanceUID=f"1.2.{number}", InstanceNumber=number)
    for block, creator in creators.items():
        dataset.add_new((GROUP, block), "LO", creator)
        dataset.add_new((GROUP, block << 8 | 1), "LO", f"{creator} {number}")
    return dataset


def private_values(index: SeriesIndex) -> dict[str, list[str | None]]:
    """The values of all private elements but creators, row by row; those of constants too."""
    table, _ = open_index_file(index)
    varying = {
        field.name: table.column(field.name).to_pylist()
        for field in table.schema
        if (field.metadata or {}).get(b"creator")
    }
    constant = {
        tag: value["Value"] * len(index)
        for tag, value in index.constants.items()
        if tag.startswith("0011") and tag[4:] > "0FFF"
    }
    return varying | constant


def test_two_creators_that_change_places_keep_their_columns() -> None:
    index = index_objects(
        *(
            write_dataset(make_instance(number, creators))
            for number, creators in enumerate([{0x10: "A", 0x11: "B"}, {0x10: "A", 0x11: "B"}, {0x10: "B", 0x11: "A"}])
        )
    )

    assert private_values(index) == {"0011_1001": ["A 0", "A 1", "A 2"], "0011_1101": ["B 0", "B 1", "B 2"]}
    table, _ = open_index_file(index)
    assert table.schema.field("0011_1001").metadata[b"creator"] == b"A"
    assert index.constants["00110010"] == {"vr": "LO", "Value": ["A"]}
    assert index.constants["00110011"] == {"vr": "LO", "Value": ["B"]}


def test_a_creator_in_the_block_of_another_is_given_a_free_one() -> None:
    index = index_objects(*(write_dataset(make_instance(n, {0x10: creator})) for n, creator in enumerate("AB")))

    assert private_values(index) == {"0011_1001": ["A 0", None], "0011_1101": [None, "B 1"]}


def test_elements_without_creator_are_not_mixed_with_those_of_one() -> None:
    orphan = make_dataset(SOPInstanceUID="1.2.9", InstanceNumber=9)
    orphan.add_new((GROUP, 0x1001), "LO", "of nobody")
    index = index_objects(write_dataset(make_instance(0, {0x10: "A"})), write_dataset(orphan))

    assert index.values("0011_1001") == ["A 0", None]
    assert index.values("0011_1101") == [None, "of nobody"]


@given(st.lists(blocks, min_size=1, max_size=4))
@settings(deadline=None)
def test_no_column_mixes_creators_and_no_value_is_lost(creators: list[dict[int, str]]) -> None:
    index = index_objects(*(write_dataset(make_instance(n, each)) for n, each in enumerate(creators)))

    rows = {row: int(number) for row, number in enumerate(index.values("InstanceNumber"))}
    found: dict[int, list[str]] = defaultdict(list)
    for values in private_values(index).values():
        assert len({value[0] for value in values if value}) <= 1
        for row, value in enumerate(values):
            if value:
                found[rows[row]].append(value)
    for number, each in enumerate(creators):
        assert sorted(found[number]) == sorted(f"{creator} {number}" for creator in each.values())
    columns = private_values(index)
    once = [each for each in creators if len(set(each.values())) == len(each)]
    if len(once) == len(creators):
        assert len(columns) == len({creator for each in creators for creator in each.values()})


def test_headers_whose_creators_keep_their_blocks_stay_the_same_objects() -> None:
    element = RawElement("LO", b"A ", 2)
    headers = [{0x00110010: element, 0x00111001: element}, {0x00100010: element}]

    aligned = align_private_blocks(headers, sorted({tag for header in headers for tag in header}))

    assert all(first is second for first, second in zip(headers, aligned, strict=True))
