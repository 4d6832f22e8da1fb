"""The index of a series: all its headers as one noun, in display order."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa

from dsp_batch.core.order import order_frames
from dsp_batch.dicom.grids import Grid
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.dictionary import name_of
from dsp_batch.dicom.headers.values import DicomJson, JsonAttributes, element_value
from dsp_batch.errors import HeaderError, OptionsError
from dsp_batch.index.arrays import ColumnFile
from dsp_batch.index.columns import ELEMENT_COLUMNS, Column, is_column_name, suggest_name
from dsp_batch.index.frames import list_frames
from dsp_batch.model.object_names import decode_name
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import FrameOrder, FrameTable, locate_series

T = TypeVar("T")

_SHOWN_COLUMNS = ("Index", "FileName", "InstanceNumber", "PrimaryPosition", "NumberOfFrames", "ObjectSize")
_SHOWN_ROWS = 5
"""What a notebook shows of an index."""

GRID_COLUMNS = (
    ("GridSlices", "slices", pa.int32()),
    ("GridRows", "rows", pa.int32()),
    ("GridColumns", "columns", pa.int32()),
    ("GridOrigin", "origin", pa.list_(pa.float64())),
    ("GridStep", "step", pa.list_(pa.float64())),
)
"""Columns about grid images: name, field of `Grid`, type."""

_KEPT_CHARACTERS = 1 << 20
"""Characters of JSON whose parsed sequences are kept in memory, which takes ten to twenty times as many bytes. The last
sequence is always kept."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SeriesIndex:
    """All headers of a series in display order, with one row for each instance."""

    series_uuid: str
    root: str
    columns: pa.Table | ColumnFile
    """Elements that vary across the series, and values that are kept of every instance: the columns that
    docs/reference/index-schema.md lists."""

    constants: DicomJson
    """Elements with one value in all instances, in the DICOM JSON model (PS3.18 F)."""

    objects: Mapping[str, Any]
    """Numbers of objects: `listed`, `instances`, and `rejected` by reason; and the `digest` of those listed."""

    folder: str | None = None
    """Folder below the root that holds all objects of a series which a scan found; None where `series_uuid` names it.
    The names of such objects are counted from the root."""

    partial: bool = False
    """True where only some of the objects were read (`--limit`)."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the series was left out, or read otherwise than it is declared."""

    bodies: Mapping[str, Buffer] = field(default_factory=dict)
    """Whole objects by name, as far as they were read together with their headers; never part of a file."""

    known_frames: FrameTable | None = None
    """All frames, where they have been listed before."""

    known_order: FrameOrder | None = None
    """The display order of the frames, where it has been computed before."""

    def __len__(self) -> int:
        """Return the number of instances."""
        return int(self.columns.num_rows)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields for pickling, without values that can be computed from them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def url(self) -> str:
        """Return where the objects of the series are."""
        return locate_series(self.root, self.series_uuid, self.folder)

    @property
    def objects_folder(self) -> str:
        """Return the folder below the root that the names of the objects are counted from."""
        return self.series_uuid if self.folder is None else ""

    @cached_property
    def table(self) -> pa.Table:
        """Return the columns that docs/reference/index-schema.md lists, one row for each instance, in display order."""
        return self.columns if isinstance(self.columns, pa.Table) else self.columns.read()

    @cached_property
    def frames(self) -> FrameTable:
        """Return all frames, in row order."""
        return self.known_frames or list_frames(self)

    @cached_property
    def order(self) -> FrameOrder:
        """Return the display order of all frames."""
        return self.known_order or order_frames(self.frames)

    @cached_property
    def shared_elements(self) -> dict[str, DicomJson]:
        """Return the elements that all instances share, by the names that they would have as columns."""
        names = {name_of(int(tag, 16)): element for tag, element in self.constants.items()}
        return {ELEMENT_COLUMNS.get(name, name): element for name, element in names.items()}

    def to_pandas(self, columns: Sequence[str] | None = None) -> Any:
        """Make a data frame of pandas with a row for each instance, in display order.

        Args:
            columns: Keywords and columns of the index; None for all that the series has.

        Returns:
            The frame. What is the same in all instances stands in each row; sequences are DICOM JSON text.

        Raises:
            OptionsError: The series has no such column, or pandas is not installed.
        """
        shared = self.shared_elements
        wanted = list(dict.fromkeys([*self._fields, *shared] if columns is None else columns))
        for name in wanted:
            if name not in self._fields and name not in shared:
                raise OptionsError(f"the series has no {name!r}{suggest_name(name, [*self._fields, *shared])}")
        try:
            frame = self.table.select([name for name in wanted if name in self._fields]).to_pandas()
        except ModuleNotFoundError as error:
            raise OptionsError("pandas is not installed: pip install pandas") from error
        filled = {name: [_cell(shared[name])] * len(self) for name in wanted if name not in self._fields}
        return frame.join(type(frame)(filled, index=frame.index))[wanted]

    def __repr__(self) -> str:
        """Return one line."""
        modality = self.find_constant("Modality") or ("series",)
        size = f"{len(self)} instances, {len(self._fields)} columns, {len(self.constants)} constant elements"
        return f"SeriesIndex({self.series_uuid}: {'/'.join(map(str, modality))}, {size})"

    def _repr_html_(self) -> str:
        """Show the first rows in a notebook."""
        from html import escape  # noqa: PLC0415  # a table of 2,000 entities, for notebooks alone

        names = [name for name in _SHOWN_COLUMNS if name in self._fields]
        rows = self.table.select(names).slice(0, _SHOWN_ROWS).to_pylist()
        head = "".join(f"<th>{name}</th>" for name in names)
        cells = ["".join(f"<td>{escape(str(value))}</td>" for value in row.values()) for row in rows]
        more = f"<p>and {len(self) - len(rows)} more</p>" if len(self) > len(rows) else ""
        body = "".join(f"<tr>{each}</tr>" for each in cells)
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{body}</table>{more}"

    def has(self, name: str) -> bool:
        """Tell whether any instance has an element."""
        return name in self._fields or self.find_constant(name) is not None

    def find_column(self, name: str) -> Column | None:
        """Find the column of an element that varies, or of a value that is kept of every instance.

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
        """Find the value of an element that all instances share; None where they do not."""
        return self._constants.get(name)

    def values(self, name: str) -> list[Any]:
        """List the values of one element, row by row: scalars, lists where it has several values, None where absent.

        Sequences and binary values are not among them: `attributes` has these.

        Args:
            name: A keyword, `gggg_eeee` for a private element, or a column of docs/reference/index-schema.md.

        Raises:
            OptionsError: There is no such keyword; the message names the most similar one.
        """
        known = self._values
        if name not in known:
            if not is_column_name(name):
                raise OptionsError(f"{name!r} is no keyword of DICOM and no column of an index{suggest_name(name)}")
            column, constant = self.find_column(name), self.find_constant(name) or None
            value = constant[0] if constant is not None and len(constant) == 1 else constant
            known[name] = column[1].to_pylist() if column else [value] * len(self)
        return known[name]

    @cached_property
    def object_names(self) -> list[str]:
        """Return the name of the object of each row, as storage has it, below `objects_folder`."""
        return [*map(decode_name, self.values("FileName"))]

    def texts(self, name: str) -> list[str]:
        """List the first value of one element as text, row by row; empty where it is absent."""
        known = self._texts
        if name not in known:
            known[name] = [_first_text(value) for value in self.values(name)]
        return known[name]

    def attributes(self, row: int) -> Attributes:
        """Read the header of one instance."""
        return Attributes(_RowValues(self, row))

    def grid(self, row: int) -> Grid | None:
        """Describe the slices of a grid image; None for any other instance."""
        if self.find_column("GridSlices") is None:
            return None
        slices, rows, columns, origin, step = (self.values(name)[row] for name, _, _ in GRID_COLUMNS)
        if not slices:
            return None
        return Grid(slices=slices, rows=rows, columns=columns, origin=tuple(origin), step=tuple(step))

    def sequence(self, column: Column, row: int) -> Any:
        """Parse the items of a sequence that varies. A preview needs those of a multi-frame object for each frame."""
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
        """Apply a function to the header of one instance.

        A result that depends only on elements that all instances share is computed once.

        Args:
            describe: Function of the attributes of an instance and the details.
            row: Row of the instance.
            details: Further arguments, such as the frame.
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
    def _texts(self) -> dict[str, list[str]]:
        return {}

    @cached_property
    def _sequences(self) -> dict[tuple[str, int], tuple[int, Any]]:
        return {}

    @cached_property
    def _derived(self) -> dict[tuple[Any, ...], Any]:
        return {}


def _cell(element: Mapping[str, Any]) -> Any:
    """Write an element into a cell: sequences as text, the only value of an element by itself."""
    value = json.dumps(element) if element.get("vr") == "SQ" else element_value(element)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class _RowValues:
    """The elements of one instance by keyword: its row of the columns, and the constants."""

    def __init__(self, index: SeriesIndex, row: int) -> None:
        self._index, self._row = index, row
        self._known: dict[str, Any] = {}
        self.varies = False
        """A value was asked for that is not the same in all rows."""

    def get(self, name: str, /) -> Any:
        """Return the value of an element; None where it is absent."""
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


def _first_text(value: Any) -> str:
    first = next(iter(value), None) if isinstance(value, list) else value
    return "" if first is None else str(first)


def _parse_sequence(text: str) -> Any:
    if not text:
        return None
    try:
        model = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HeaderError("a sequence in the index of the series is no JSON: build the index again") from error
    return element_value(model if isinstance(model, dict) else {"vr": "SQ", "Value": model})
