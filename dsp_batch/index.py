"""The header index of a series: one row an instance, in display order, as a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dsp_batch.arrays import read_parquet
from dsp_batch.attributes import Attributes
from dsp_batch.columns import ELEMENT_COLUMNS
from dsp_batch.core.geometry import order_frames
from dsp_batch.dicom.grids import Grid
from dsp_batch.dicom.values import DicomJson, JsonAttributes, element_value
from dsp_batch.errors import SeriesError
from dsp_batch.frame_table import list_frames
from dsp_batch.model import FrameOrder, FrameTable
from dsp_batch.reading import Buffer

T = TypeVar("T")

FORMAT = 1
"""Version of the file's layout; an index of another one is built anew."""

_KEPT_CHARACTERS = 1 << 20
"""Of JSON of sequences that are kept parsed, in ten to twenty times as many bytes; the last one is kept in any case."""

METADATA_KEY = b"dsp_batch"

GRID_COLUMNS = (
    ("GridSlices", "slices", pa.int32()),
    ("GridRows", "rows", pa.int32()),
    ("GridColumns", "columns", pa.int32()),
    ("GridOrigin", "origin", pa.list_(pa.float64())),
    ("GridStep", "step", pa.list_(pa.float64())),
)
"""What is known of grid images: column, field of `Grid`, type."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeriesIndex:
    """All headers of a series as one table: what varies in columns, what does not once."""

    series_uuid: str
    root: str
    table: pa.Table
    """One row an instance, in display order; columns as docs/reference/index-schema.md says."""

    constants: DicomJson
    """Elements with one value in all instances, in the DICOM JSON model."""

    objects: Mapping[str, Any]
    """Counts: `listed`, `instances`, `rejected` (reason → number)."""

    partial: bool = False
    """Built from some of the objects only (`--limit`)."""

    bodies: Mapping[str, Buffer] = field(default_factory=dict)
    """Object name → the whole object, where it came with its header; never part of the file."""

    listed: FrameTable | None = None
    """Every frame, where building the index has listed them."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getstate__(self) -> dict[str, Any]:
        """What travels between processes: the fields, and nothing that can be worked out from them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def _constants(self) -> JsonAttributes:
        return JsonAttributes(self.constants)

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.table.column_names)}

    @cached_property
    def _sequences(self) -> dict[tuple[int, int], tuple[int, Any]]:
        return {}

    @cached_property
    def _derived(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def has(self, name: str) -> bool:
        """Whether any instance has the element."""
        return name in self._places or name in self._constants

    def values(self, name: str) -> list[Any]:
        """The values of one element, row by row: scalars, lists where it has several values, None where absent.

        Sequences and binary values are not given here: ask `attributes`.
        """
        if name not in self._columns:
            if name in self._places:
                self._columns[name] = self.table.column(name).to_pylist()
            else:
                constant = self._constants.get(name)
                value = None if not constant else constant[0] if len(constant) == 1 else constant
                self._columns[name] = [value] * len(self)
        return self._columns[name]

    def grid(self, row: int) -> Grid | None:
        """How the slices of a grid image lie; None for any other instance."""
        if "GridSlices" not in self._places:
            return None
        slices, rows, columns, origin, step = (self.values(name)[row] for name, _, _ in GRID_COLUMNS)
        if not slices:
            return None
        return Grid(slices=slices, rows=rows, columns=columns, origin=tuple(origin), step=tuple(step))

    def attributes(self, row: int) -> Attributes:
        """The header of one instance."""
        return Attributes(_RowAttributes(self, row))

    def _sequence(self, place: int, row: int) -> Any:
        """The items of a sequence that varies: a preview asks for those of a multi-frame object once a frame."""
        kept = self._sequences.get((place, row))
        if kept is None:
            text = self.table.column(place)[row].as_py() or ""
            kept = len(text), _parse_sequence(text)
            if sum(length for length, _ in self._sequences.copy().values()) + len(text) > _KEPT_CHARACTERS:
                self._sequences.clear()
            self._sequences[place, row] = kept
        return kept[1]

    def derive(self, describe: Callable[..., T], row: int, *details: Hashable) -> T:
        """What a function makes of the header of one instance.

        The instances of a series are described alike: what comes of elements that all of them share is worked out once.

        Args:
            describe: Called with the attributes of the instance and the details.
            row: The instance.
            details: Further arguments: the frame, say.
        """
        key = (describe, *details)
        if key not in self._derived:
            values = _RowAttributes(self, row)
            found = describe(Attributes(values), *details)
            if values.varies:
                return found
            self._derived[key] = found
        derived: T = self._derived[key]
        return derived

    @cached_property
    def frames(self) -> FrameTable:
        """Every frame, in row order."""
        return self.listed or list_frames(self)

    @cached_property
    def order(self) -> FrameOrder:
        """The display order of all frames."""
        return order_frames(self.frames)


class _RowAttributes(Mapping[str, Any]):
    """One row and the constants, by keyword."""

    def __init__(self, index: SeriesIndex, row: int) -> None:
        self._index, self._row = index, row
        self._known: dict[str, Any] = {}
        self.varies = False
        """Whether a value was asked for that is not the same in all rows."""

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def _find(self, name: str) -> Any:
        index = self._index
        column = ELEMENT_COLUMNS.get(name, name)
        place = index._places.get(column)  # noqa: SLF001  # the index seen by row
        if place is None:
            return index._constants[name]  # noqa: SLF001  # likewise
        if (index.table.schema.field(place).metadata or {}).get(b"vr") == b"SQ":
            self.varies = True
            return index._sequence(place, self._row)  # noqa: SLF001  # likewise
        values = index.values(column)
        self.varies = self.varies or any(value != values[0] for value in values)
        return values[self._row]

    def __iter__(self) -> Iterator[str]:
        yield from self._index.table.column_names
        yield from self._index._constants  # noqa: SLF001  # likewise

    def __len__(self) -> int:
        return int(self._index.table.num_columns) + len(self._index.constants)


def _parse_sequence(text: str) -> Any:
    if not text:
        return None
    model = json.loads(text)
    return element_value(model if isinstance(model, dict) else {"vr": "SQ", "Value": model})


def serialize_index(index: SeriesIndex, program: str) -> bytes:
    """The index as a Parquet file."""
    description = {
        "format": FORMAT,
        "program": program,
        "series_uuid": index.series_uuid,
        "root": index.root,
        "partial": index.partial,
        "constants": index.constants,
        "objects": dict(index.objects),
    }
    metadata = {METADATA_KEY: json.dumps(description, separators=(",", ":"), ensure_ascii=False).encode()}
    sink = pa.BufferOutputStream()
    pq.write_table(index.table.replace_schema_metadata(metadata), sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def parse_index(data: bytes) -> SeriesIndex:
    """Read an index from its Parquet file.

    Raises:
        SeriesError: The file is no Parquet, or no index of this format.
    """
    try:
        table = read_parquet(data)
        description = json.loads((table.schema.metadata or {})[METADATA_KEY])
        if description["format"] != FORMAT:
            raise SeriesError(f"it has format {description['format']}, not {FORMAT}")
        return SeriesIndex(
            series_uuid=description["series_uuid"],
            root=description["root"],
            table=table,
            constants=description["constants"],
            objects=description["objects"],
            partial=description["partial"],
        )
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise SeriesError(f"it is not readable as an index ({reason})") from error
