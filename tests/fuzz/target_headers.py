"""Headers: elements, VRs, lengths, sequences, character sets and deflated data sets → elements → index → file."""

from __future__ import annotations

from pathlib import Path

from case import Case, Target
from chance import Chance
from element_changes import change_object
from elements import write_object
from objects import load_neighbours, load_seeds
from written_objects import gather_headers

from dsp_batch.index.build import build_index
from dsp_batch.index.parquet import parse_index, serialize_index


def make(chance: Chance) -> Case:
    """Change an object as a tree, and now and then its bytes."""
    data = write_object(change_object(chance.choice(load_seeds()), chance), chance)
    return Case(data=chance.spoil(data) if chance.one_in(4) else data, settings={"beside": chance.one_in(2)})


def attempt(case: Case, _: Path) -> None:
    """Read the header, alone or beside good ones, and bring it through an index and its file."""
    objects = [*load_neighbours(), case.data] if case.settings["beside"] else [case.data]
    index = build_index(gather_headers(objects))
    read = parse_index(serialize_index(index, "fuzz"))
    for row in range(len(read)):
        attributes = read.attributes(row)
        attributes.text("SOPClassUID")
        attributes.integer("Rows")
        attributes.numbers("WindowCenter")


TARGET = Target("headers", make, attempt)
