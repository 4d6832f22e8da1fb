"""The headers of a series that were just read, seen as a series: nothing is decoded before it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from dsp_batch.dicom.grids import Grid, describe_grid, is_called_grid
from dsp_batch.dicom.headers.dictionary import tag_of
from dsp_batch.dicom.headers.values import HeaderDecoder, element_value
from dsp_batch.errors import SeriesError
from dsp_batch.index.arrays import build_array
from dsp_batch.index.columns import Column
from dsp_batch.index.frames import take_frames
from dsp_batch.index.header_table import HeaderTable
from dsp_batch.index.series_index import GRID_COLUMNS, SeriesView
from dsp_batch.model.ranges import Piece
from dsp_batch.model.series import InstanceHeader, SeriesHeaders

_IMAGE_TYPE = 0x00080008

_PLACES = {
    "FileName": ("name", pa.string()),
    "ObjectSize": ("size", pa.int64()),
    "PixelDataOffset": ("pixel_data_offset", pa.int64()),
    "PixelDataLength": ("pixel_data_length", pa.int64()),
    "FragmentsOffset": ("fragments_offset", pa.int64()),
}
"""What is known of each object besides its elements: column → field of `InstanceHeader`, type."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeaderView(SeriesView):
    """A series as its headers tell of it."""

    headers: HeaderTable
    series: SeriesHeaders
    """Where they come from."""

    def __len__(self) -> int:
        return len(self.headers.headers)

    @cached_property
    def whole(self) -> Mapping[int, InstanceHeader]:
        """Row → the whole header, undecoded, of instances of which that is in memory."""
        return {row: each for row, each in enumerate(self.headers.headers) if each.unread_from is None}

    @cached_property
    def unread(self) -> frozenset[int]:
        """Rows whose headers were read no further than their places need."""
        return frozenset(row for row, each in enumerate(self.headers.headers) if each.unread_from is not None)

    def complete(self, whole: Mapping[int, InstanceHeader], pieces: Mapping[str, Piece]) -> HeaderView:
        """The same series with whole headers for some of its rows, and what else was read of these objects."""
        return replace(self, headers=self.headers.complete(whole), bodies={**self.bodies, **pieces})

    @cached_property
    def _constants(self) -> dict[str, Any]:
        return {}

    @cached_property
    def places(self) -> Mapping[str, Column]:
        """Columns of what is known of each object besides its elements."""
        headers = self.headers.headers
        kept = {name: (kind, [getattr(each, key) for each in headers]) for name, (key, kind) in _PLACES.items()}
        grids = [_find_grid(header) for header in headers]
        if any(grids):
            kept |= {
                name: (kind, [getattr(grid, key) if grid else None for grid in grids])
                for name, key, kind in GRID_COLUMNS
            }
        return {name: (pa.field(name, kind), build_array(values, kind)) for name, (kind, values) in kept.items()}

    def find_column(self, name: str) -> Column | None:
        """What varies, or is kept of every instance: field and array; None for anything else."""
        if name in self.places:
            return self.places[name]
        tag = tag_of(name.removesuffix("_Size").removesuffix("_Hash"))
        split = () if tag is None else self.headers.split(tag)
        return None if isinstance(split, dict) else next((each for each in split if each[0].name == name), None)

    def find_constant(self, name: str) -> Any:
        """The value of an element that is the same in all instances; None where it is not, or none has it."""
        known = self._constants
        if name not in known:
            tag = tag_of(name)
            split = () if tag is None else self.headers.split(tag)
            known[name] = element_value(split) if isinstance(split, dict) else None
        return known[name]


def view_headers(series: SeriesHeaders) -> HeaderView:
    """See the headers of a series in display order: instances as their first frames are displayed.

    Raises:
        SeriesError: No object of the series is an instance.
    """
    if not series.headers:
        raise _no_instances(series)
    unordered = HeaderView(
        series_uuid=series.ref.series_uuid,
        root=series.ref.root,
        objects={
            "listed": series.listed,
            "instances": len(series.headers),
            "rejected": dict(Counter(error.reason for error in series.rejected.values())),
        },
        partial=series.partial,
        bodies=series.bodies,
        headers=HeaderTable(series.headers),
        series=series,
    )
    return _in_display_order(unordered)


def _in_display_order(view: HeaderView) -> HeaderView:
    """The same with other rows; to list and order the frames of thousands of instances again would take seconds."""
    frames, order = view.frames, view.order
    rows, first = np.unique(frames.instance[order.permutation], return_index=True)
    rows = rows[np.argsort(first, kind="stable")]
    instances = np.argsort(rows)[frames.instance]
    places = np.argsort(instances, kind="stable")
    return replace(
        view,
        headers=view.headers.take(rows.tolist()),
        listed=replace(take_frames(frames, places), instance=instances[places]),
        ordered=replace(order, permutation=np.argsort(places)[order.permutation]),
    )


def _no_instances(series: SeriesHeaders) -> SeriesError:
    name, error = next(iter(series.rejected.items()), ("", None))
    first = f"; the first, {name}: {error.message}" if error else ""
    return SeriesError(
        f"{series.ref.url} holds no DICOM instance among its {series.listed} objects{first}",
        error.reason if error and error.reason in ("bad-header", "too-large") else "not-dicom",
    )


def _find_grid(header: InstanceHeader) -> Grid | None:
    if not is_called_grid(header.elements.get(_IMAGE_TYPE)):
        return None
    return describe_grid(HeaderDecoder(header).attributes())
