"""What is known of a series, asked for by name: the same whether an index file or headers in memory answer."""

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
from dsp_batch.dicom.headers.values import element_value
from dsp_batch.index.columns import ELEMENT_COLUMNS, Column
from dsp_batch.index.frames import list_frames
from dsp_batch.model.ranges import Piece
from dsp_batch.model.series import FrameOrder, FrameTable, InstanceHeader

T = TypeVar("T")

GRID_COLUMNS = (
    ("GridSlices", "slices", pa.int32()),
    ("GridRows", "rows", pa.int32()),
    ("GridColumns", "columns", pa.int32()),
    ("GridOrigin", "origin", pa.list_(pa.float64())),
    ("GridStep", "step", pa.list_(pa.float64())),
)
"""What is known of grid images: column, field of `Grid`, type."""

_KEPT_CHARACTERS = 1 << 20
"""Of JSON of sequences that are kept parsed, in ten to twenty times as many bytes; the last one is kept in any case."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesView:
    """The headers of a series, one row an instance, in display order."""

    series_uuid: str
    root: str
    objects: Mapping[str, Any]
    """Counts: `listed`, `instances`, `rejected` (reason → number)."""

    partial: bool = False
    """Only some of the objects were read (`--limit`)."""

    bodies: Mapping[str, Piece] = field(default_factory=dict)
    """Object name → what came with its header; never part of a file."""

    listed: FrameTable | None = None
    """Every frame, where they have been listed before."""

    ordered: FrameOrder | None = None
    """Their order, where it is known."""

    def __len__(self) -> int:
        raise NotImplementedError

    def find_column(self, name: str) -> Column | None:
        """What varies, or is kept of every instance: field and array; None for anything else."""
        raise NotImplementedError

    def find_constant(self, name: str) -> Any:
        """The value of an element that is the same in all instances; None where it is not, or none has it."""
        raise NotImplementedError

    @cached_property
    def whole(self) -> Mapping[int, InstanceHeader]:
        """Row → the whole header, undecoded, of instances of which that is in memory."""
        return {}

    @cached_property
    def unread(self) -> frozenset[int]:
        """Rows whose headers were read no further than their places need."""
        return frozenset()

    def __getstate__(self) -> dict[str, Any]:
        """What travels between processes: the fields, and nothing that can be worked out from them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    @cached_property
    def _sequences(self) -> dict[tuple[str, int], tuple[int, Any]]:
        return {}

    @cached_property
    def _derived(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def has(self, name: str) -> bool:
        """Whether any instance has the element."""
        return self.find_column(name) is not None or self.find_constant(name) is not None

    def values(self, name: str) -> list[Any]:
        """The values of one element, row by row: scalars, lists where it has several values, None where absent.

        Sequences and binary values are not given here: ask `attributes`.
        """
        known = self._columns
        if name not in known:
            column, constant = self.find_column(name), self.find_constant(name) or None
            value = constant[0] if constant is not None and len(constant) == 1 else constant
            known[name] = column[1].to_pylist() if column else [value] * len(self)
        return known[name]

    def grid(self, row: int) -> Grid | None:
        """How the slices of a grid image lie; None for any other instance."""
        if self.find_column("GridSlices") is None:
            return None
        slices, rows, columns, origin, step = (self.values(name)[row] for name, _, _ in GRID_COLUMNS)
        if not slices:
            return None
        return Grid(slices=slices, rows=rows, columns=columns, origin=tuple(origin), step=tuple(step))

    def attributes(self, row: int) -> Attributes:
        """The header of one instance."""
        return Attributes(_RowValues(self, row))

    def sequence(self, column: Column, row: int) -> Any:
        """The items of a sequence that varies: a preview asks for those of a multi-frame object once a frame."""
        place, known = (column[0].name, row), self._sequences
        kept = known.get(place)
        if kept is None:
            text = column[1][row].as_py() or ""
            kept = len(text), _parse_sequence(text)
            if sum(length for length, _ in known.copy().values()) + len(text) > _KEPT_CHARACTERS:
                known.clear()
            known[place] = kept
        return kept[1]

    def derive(self, describe: Callable[..., T], row: int, *details: Hashable) -> T:
        """What a function makes of the header of one instance.

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
    def frames(self) -> FrameTable:
        """Every frame, in row order."""
        return self.listed or list_frames(self)

    @cached_property
    def order(self) -> FrameOrder:
        """The display order of all frames."""
        return self.ordered or order_frames(self.frames)


class _RowValues:
    """One row and the constants, by keyword."""

    def __init__(self, view: SeriesView, row: int) -> None:
        self._view, self._row = view, row
        self._known: dict[str, Any] = {}
        self.varies = False
        """Whether a value was asked for that is not the same in all rows."""

    def get(self, name: str, /) -> Any:
        """The value of an element; None where it is absent."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Any:
        view = self._view
        place = ELEMENT_COLUMNS.get(name, name)
        column = view.find_column(place)
        if column is None:
            return view.find_constant(name)
        if (column[0].metadata or {}).get(b"vr") == b"SQ":
            self.varies = True
            return view.sequence(column, self._row)
        values = view.values(place)
        self.varies = self.varies or any(value != values[0] for value in values)
        return values[self._row]


def _parse_sequence(text: str) -> Any:
    if not text:
        return None
    model = json.loads(text)
    return element_value(model if isinstance(model, dict) else {"vr": "SQ", "Value": model})
