"""Find how the objects of a series are drawn over the images that they speak of."""

from __future__ import annotations

from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.overlays.scene import Overlay
from dsp_batch.kinds.registry import is_image


def find_overlay(index: SeriesIndex) -> tuple[Overlay, Instances] | None:
    """Find the overlay of the first instances of a series that have one, and all instances of that class."""
    classes = index.texts("SOPClassUID")
    if all(map(is_image, dict.fromkeys(classes))):
        return None
    from dsp_batch.kinds.overlays.by_class import OVERLAYS  # noqa: PLC0415  # rooms that images do without

    first = next((uid for uid in dict.fromkeys(classes) if uid in OVERLAYS), None)
    if first is None:
        return None
    return OVERLAYS[first], {row: index.attributes(row) for row, uid in enumerate(classes) if uid == first}


def name_images(index: SeriesIndex) -> tuple[str, ...] | None:
    """Name the SeriesInstanceUIDs of the images that a series speaks of; None where it needs no image."""
    found = find_overlay(index)
    return None if found is None else found[0].name_images(found[1])
