"""All headers of a series as one noun: what varies in columns, what does not once, in display order."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa

from dsp_batch.core.geometry import order_frames
from dsp_batch.dicom.grids import Grid
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.values import DicomJson, JsonAttributes, element_value
from dsp_batch.index.arrays import ColumnFile
from dsp_batch.index.columns import ELEMENT_COLUMNS, Column
from dsp_batch.index.frames import list_frames
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import FrameOrder, FrameTable

T = TypeVar("T")

GRID_COLUMNS = (
    ("GridSlices", "slices", pa.int32()),
    ("GridRows", "rows", pa.int32()),
    ("GridColumns", "columns", pa.int32()),
    ("GridOrigin", "origin", pa.list_(pa.float64())),
    ("GridStep", "step", pa.list_(pa.float64())),
)
"""What the index keeps of grid images: column, field of `Grid`, type."""

_KEPT_CHARACTERS = 1 << 20
"""Characters of JSON whose parsed sequences are kept, which takes ten to twenty times as many bytes. The last sequence
is kept in any case."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesIndex:
    """All headers of a series, one row an instance, in display order."""

    series_uuid: str
    root: str
    columns: pa.Table | ColumnFile
    """What varies across the series, and what is kept of every instance: columns as docs/reference/index-schema.md
    says."""

    constants: DicomJson
    """Elements with one value in all instances, in the DICOM JSON model (PS3.18 F)."""

    objects: Mapping[str, Any]
    """Counts: `listed`, `instances`, `rejected` (reason → number)."""

    partial: bool = False
    """Only some of the objects were read (`--limit`)."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the series was left out, or read otherwise than it is declared."""

    bodies: Mapping[str, Buffer] = field(default_factory=dict)
    """Object name → the whole object, where it was read together with its header; never part of a file."""

    known_frames: FrameTable | None = None
    """Every frame, where they have been listed before."""

    known_order: FrameOrder | None = None
    """The display order of the frames, where it has been computed before."""

    def __len__(self) -> int:
        """Instances."""
        return int(self.columns.num_rows)

    def __getstate__(self) -> dict[str, Any]:
        """What travels between processes: the fields, and nothing that can be worked out from them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def table(self) -> pa.Table:
        """One row an instance, in display order; columns as docs/reference/index-schema.md says."""
        return self.columns if isinstance(self.columns, pa.Table) else self.columns.read()

    @cached_property
    def frames(self) -> FrameTable:
        """Every frame, in row order."""
        return self.known_frames or list_frames(self)

    @cached_property
    def order(self) -> FrameOrder:
        """The display order of all frames."""
        return self.known_order or order_frames(self.frames)

    def has(self, name: str) -> bool:
        """Tell whether any instance has an element."""
        return name in self._fields or self.find_constant(name) is not None

    def find_column(self, name: str) -> Column | None:
        """Find what varies, or is kept of every instance.

        Returns:
            Field and array; None for anything else.
        """
        known = self._columns
        if name not in known:
            if name not in self._fields:
                return None
            known[name] = self._fields[name], self.columns.column(name)
        return known[name]

    def find_constant(self, name: str) -> Any:
        """Find the value of an element that is the same in all instances; None where it is not, or none has it."""
        return self._constants.get(name)

    def values(self, name: str) -> list[Any]:
        """List the values of one element, row by row: scalars, lists where it has several values, None where absent.

        Sequences and binary values are not given here: ask `attributes`.
        """
        known = self._values
        if name not in known:
            column, constant = self.find_column(name), self.find_constant(name) or None
            value = constant[0] if constant is not None and len(constant) == 1 else constant
            known[name] = column[1].to_pylist() if column else [value] * len(self)
        return known[name]

    def attributes(self, row: int) -> Attributes:
        """Read the header of one instance."""
        return Attributes(_RowValues(self, row))

    def grid(self, row: int) -> Grid | None:
        """Tell how the slices of a grid image lie; None for any other instance."""
        if self.find_column("GridSlices") is None:
            return None
        slices, rows, columns, origin, step = (self.values(name)[row] for name, _, _ in GRID_COLUMNS)
        if not slices:
            return None
        return Grid(slices=slices, rows=rows, columns=columns, origin=tuple(origin), step=tuple(step))

    def sequence(self, column: Column, row: int) -> Any:
        """Parse the items of a sequence that varies: a preview asks for those of a multi-frame object once a frame."""
        key, known = (column[0].name, row), self._sequences
        kept = known.get(key)
        if kept is None:
            text = column[1][row].as_py() or ""
            kept = len(text), _parse_sequence(text)
            if sum(length for length, _ in known.copy().values()) + len(text) > _KEPT_CHARACTERS:
                known.clear()
            known[key] = kept
        return kept[1]

    def derive(self, describe: Callable[..., T], row: int, *details: Hashable) -> T:
        """Work out what a function makes of the header of one instance.

        The instances of a series are described alike: what comes of elements that all of them share is worked out once.

        Args:
            describe: Called with the attributes of the instance and the details.
            row: The instance.
            details: Further arguments: the frame, say.
        """
        key, known = (describe, *details), self._derived
        if key not in known:
            values = _RowValues(self, row)
            found = describe(Attributes(values), *details)
            if values.varies:
                return found
            known[key] = found
        derived: T = known[key]
        return derived

    @cached_property
    def _fields(self) -> dict[str, pa.Field]:
        return {each.name: each for each in self.columns.schema}

    @cached_property
    def _constants(self) -> JsonAttributes:
        return JsonAttributes(self.constants)

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {}

    @cached_property
    def _values(self) -> dict[str, list[Any]]:
        return {}

    @cached_property
    def _sequences(self) -> dict[tuple[str, int], tuple[int, Any]]:
        return {}

    @cached_property
    def _derived(self) -> dict[tuple[Any, ...], Any]:
        return {}


class _RowValues:
    """The elements of one instance by keyword: its row of the columns, and the constants."""

    def __init__(self, index: SeriesIndex, row: int) -> None:
        self._index, self._row = index, row
        self._known: dict[str, Any] = {}
        self.varies = False
        """A value was asked for that is not the same in all rows."""

    def get(self, name: str, /) -> Any:
        """The value of an element; None where it is absent."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Any:
        index = self._index
        column_name = ELEMENT_COLUMNS.get(name, name)
        column = index.find_column(column_name)
        if column is None:
            return index.find_constant(name)
        if (column[0].metadata or {}).get(b"vr") == b"SQ":
            self.varies = True
            return index.sequence(column, self._row)
        values = index.values(column_name)
        self.varies = self.varies or any(value != values[0] for value in values)
        return values[self._row]


def _parse_sequence(text: str) -> Any:
    if not text:
        return None
    model = json.loads(text)
    return element_value(model if isinstance(model, dict) else {"vr": "SQ", "Value": model})
