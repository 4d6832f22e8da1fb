"""Random datasets of every VR. The elements are those of hanging protocols, which have one for each VR."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from written_objects import make_dataset

_PRINTABLE = string.ascii_letters + string.digits + " .,:;-+_()/"


def _text(longest: int, alphabet: str = _PRINTABLE) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=longest).map(str.strip)


def _many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """No value, one, or a few."""
    return st.one_of(values, st.lists(values, min_size=2, max_size=4), st.just([]))


def _integer(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


def _words(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=40).map(lambda data: data[: len(data) - len(data) % max(size, 2)])


_name = st.lists(st.text(string.ascii_letters, min_size=1, max_size=10), min_size=1, max_size=3).map("^".join)
_finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
_decimal = st.floats(-1e9, 1e9).map(lambda number: float(f"{number:.8g}"))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AE": _many(_text(16, string.ascii_uppercase)),
    "AS": _many(st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True)),
    "AT": _many(st.integers(0x00080000, 0x0072FFFF).map(Tag)),
    "CS": _many(_text(16, string.ascii_uppercase + string.digits + "_")),
    "DA": _many(st.dates().map(lambda date: f"{date.year:04}{date.month:02}{date.day:02}")),
    "DS": _many(_decimal),
    "DT": _many(st.datetimes().map(lambda moment: f"2024{moment:%m%d%H%M%S.%f}")),
    "FD": _many(st.floats(allow_nan=False, allow_infinity=False)),
    "FL": _many(_finite32),
    "IS": _many(_integer(32, signed=True)),
    "LO": _many(_text(64)),
    "LT": _text(200),
    "OB": _words(1),
    "OD": _words(8),
    "OF": _words(4),
    "OL": _words(4),
    "OV": _words(8),
    "OW": _words(2),
    "PN": _many(_name),
    "SH": _many(_text(16)),
    "SL": _many(_integer(32, signed=True)),
    "SS": _many(_integer(16, signed=True)),
    "ST": _text(100),
    "SV": _many(_integer(64, signed=True)),
    "TM": _many(st.times().map(lambda time: f"{time.hour:02}{time.minute:02}{time.second:02}.{time.microsecond:06}")),
    "UC": _many(_text(40)),
    "UI": _many(st.from_regex(r"[12](\.[1-9][0-9]{0,6}){1,6}", fullmatch=True)),
    "UL": _many(_integer(32, signed=False)),
    "UN": _words(1),
    "UR": st.from_regex(r"[a-z]{3,5}://[a-z]{1,10}", fullmatch=True),
    "US": _many(_integer(16, signed=False)),
    "UT": _text(300),
    "UV": _many(_integer(64, signed=False)),
}
"""VR → values as pydicom takes them: none, one, or several."""

_fields = st.fixed_dictionaries({}, optional=VALUES)


def _make_item(values: dict[str, Any], items: list[Dataset] | None, *, undefined: bool = False) -> Dataset:
    dataset = Dataset()
    for vr, value in values.items():
        setattr(dataset, f"Selector{vr}Value", value)
    if items is not None:
        dataset.SelectorCodeSequenceValue = items
        dataset["SelectorCodeSequenceValue"].is_undefined_length = undefined
        for item in items:
            item.is_undefined_length_sequence_item = undefined
    return dataset


def _nest(items: st.SearchStrategy[Dataset]) -> st.SearchStrategy[Dataset]:
    few = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=4).flatmap(
        lambda chosen: st.fixed_dictionaries({vr: VALUES[vr] for vr in chosen})
    )
    return st.builds(_make_item, few, st.none() | st.lists(items, max_size=2), undefined=st.booleans())


_items = st.recursive(st.builds(_make_item, st.fixed_dictionaries({}, optional={"LO": VALUES["LO"]}), st.none()), _nest)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Instances with any of the VRs, nested sequences of defined and undefined length, and a private block."""
    dataset = make_dataset()
    dataset.update(
        _make_item(draw(_fields), draw(st.none() | st.lists(_items, max_size=3)), undefined=draw(st.booleans()))
    )
    if draw(st.booleans()):
        block = dataset.private_block(0x0029, "SIEMENS MEDCOM HEADER", create=True)  # in pydicom's private dictionary
        block.add_new(0x08, "CS", draw(_text(16, string.ascii_uppercase)))
        block.add_new(0x31, "LO", draw(_text(20)))
        block.add_new(0xFF, "UN", draw(_words(1)))  # not in the dictionary
    return dataset
