"""Name the images that the objects of a series are drawn over; images themselves load no overlay for that."""

from __future__ import annotations

from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import holds_images_alone


def name_images(index: SeriesIndex) -> tuple[str, ...] | None:
    """Name the SeriesInstanceUIDs of the images that a series speaks of; None where it needs no image."""
    if holds_images_alone(index):
        return None
    from dsp_batch.kinds.overlays.by_class import find_overlay  # noqa: PLC0415  # rooms that images do without

    found = find_overlay(index)
    return None if found is None else found[0].name_images(found[1])
