"""What a series offers to draw: its pictures in display order, told from its headers alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsp_batch.core.geometry import order_frames
from dsp_batch.dicom.headers.read import DEFLATED
from dsp_batch.errors import SeriesError
from dsp_batch.index.frames import take_frames
from dsp_batch.index.series_index import SeriesView
from dsp_batch.kinds.kind import PLAIN, Drawer, Picture
from dsp_batch.kinds.registry import find_drawer, without_pixels
from dsp_batch.model.series import FrameOrder, FrameRef, FrameTable

Entry = tuple[int, Picture]
"""Entry of the frame table that tells a picture's place, and the picture."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawables:
    """The pictures of a series. Entry i of the order is about the i-th picture."""

    order: FrameOrder
    pictures: tuple[Picture, ...]


def list_drawables(view: SeriesView) -> Drawables:
    """List and order what can be drawn; instances without pixels neither count nor stretch the range.

    Raises:
        SeriesError: There is nothing to draw.
    """
    rows = drawable_rows(view)
    if not rows:
        raise without_pixels(f"{view.root}/{view.series_uuid}", (uid or "" for uid in view.values("SOPClassUID")))
    entries = sorted(_list_entries(view, rows), key=lambda entry: entry[0])
    if not entries:
        where = f"{view.root}/{view.series_uuid}"
        raise SeriesError(f"{where} has no level small enough to preview, and no thumbnail or overview", "too-large")
    table, places = view.frames, np.array([place for place, _ in entries])
    order = view.order if len(places) == len(table.instance) else order_frames(take_frames(table, places))
    return Drawables(order=order, pictures=tuple(entries[place][1] for place in order.permutation))


def drawer_of(view: SeriesView, picture: Picture) -> Drawer:
    """How a picture is made from its frames."""
    return find_drawer(view.values("SOPClassUID")[picture.frames[0].instance] or "")


def drawable_rows(view: SeriesView) -> list[int]:
    """Rows of the instances that have pixels to draw."""
    columns = (view.values(name) for name in ("PixelDataOffset", "FragmentsOffset", "TransferSyntaxUID", "Rows"))
    return [
        row
        for row, (native, encapsulated, syntax, rows) in enumerate(zip(*columns, strict=True))
        if rows and (native is not None or encapsulated is not None or syntax == DEFLATED or row in view.unread)
    ]


def _list_entries(view: SeriesView, rows: list[int]) -> list[Entry]:
    """The pictures of each kind of object, and where they stand in the frame table."""
    by_drawer: dict[Drawer, list[int]] = {}
    sop_classes = view.values("SOPClassUID")
    for row in rows:
        by_drawer.setdefault(find_drawer(sop_classes[row] or ""), []).append(row)
    table = view.frames
    starts = {row: place for place, row in reversed(list(enumerate(table.instance.tolist())))}
    entries: list[Entry] = []
    for drawer, its_rows in by_drawer.items():
        if drawer is PLAIN:
            entries.extend(_list_plain(table, its_rows))
            continue
        pictures = drawer.list_pictures({row: view.attributes(row) for row in its_rows})
        entries.extend((starts[picture.frames[0].instance] + picture.frames[0].frame, picture) for picture in pictures)
    return entries


def _list_plain(table: FrameTable, rows: list[int]) -> list[Entry]:
    """Every frame of plain images, the slices of grid images among them, without looking at a header again."""
    places = np.flatnonzero(np.isin(table.instance, rows))
    refs = map(FrameRef, table.instance[places].tolist(), table.frame[places].tolist())
    return [(place, Picture(frames=(ref,))) for place, ref in zip(places.tolist(), refs, strict=True)]
