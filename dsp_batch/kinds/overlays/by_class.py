"""How objects of each SOP class that speak of images are drawn over them, and those of one series."""

from __future__ import annotations

from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.overlays.annotations import lay_out_annotations, name_annotated_slides
from dsp_batch.kinds.overlays.blending import lay_out_blending, name_blended_images
from dsp_batch.kinds.overlays.dose import lay_out_dose, name_planned_images
from dsp_batch.kinds.overlays.regions import lay_out_regions, name_region_images
from dsp_batch.kinds.overlays.scene import Overlay
from dsp_batch.kinds.overlays.segments import lay_out_segments, name_source_images
from dsp_batch.kinds.overlays.selections import lay_out_selection, name_selected_images
from dsp_batch.kinds.overlays.states import STATE_CLASSES, STATE_READS, lay_out_states, name_state_images
from dsp_batch.kinds.overlays.structures import lay_out_structures, name_structure_images
from dsp_batch.kinds.without_pixels import REPORTS

_STORAGE = "1.2.840.10008.5.1.4.1.1"

_SEGMENTS = Overlay(name_images=name_source_images, lay_out=lay_out_segments)

OVERLAYS: dict[str, Overlay] = {
    f"{_STORAGE}.66.4": _SEGMENTS,
    f"{_STORAGE}.66.7": _SEGMENTS,  # label map
    **dict.fromkeys(STATE_CLASSES, Overlay(name_images=name_state_images, lay_out=lay_out_states, reads=STATE_READS)),
    f"{_STORAGE}.11.8": Overlay(name_images=name_blended_images, lay_out=lay_out_blending),
    **dict.fromkeys(
        (f"{_STORAGE}.88.{number}" for number in REPORTS),
        Overlay(name_images=name_region_images, lay_out=lay_out_regions),
    ),
    f"{_STORAGE}.91.1": Overlay(name_images=name_annotated_slides, lay_out=lay_out_annotations),
    f"{_STORAGE}.88.59": Overlay(name_images=name_selected_images, lay_out=lay_out_selection),
    f"{_STORAGE}.481.2": Overlay(name_images=name_planned_images, lay_out=lay_out_dose),
    f"{_STORAGE}.481.3": Overlay(name_images=name_structure_images, lay_out=lay_out_structures),
}
"""The overlay of each SOP class whose objects speak of images."""


def find_overlay(index: SeriesIndex) -> tuple[Overlay, Instances] | None:
    """Find the overlay of the first instances of a series that have one, and all instances of that class."""
    classes = index.texts("SOPClassUID")
    first = next((uid for uid in dict.fromkeys(classes) if uid in OVERLAYS), None)
    if first is None:
        return None
    return OVERLAYS[first], {row: index.attributes(row) for row, uid in enumerate(classes) if uid == first}
