"""Draw the quantities of dose grids and parametric maps in colors of their own (PS3.3 A.18, A.75)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.kinds.kind import Kind, Picture, StoredFrames, list_plain_pictures
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import ByteArray

_DOSE = ((0, 0, 0), (0, 0, 160), (0, 150, 255), (0, 220, 120), (255, 230, 0), (255, 120, 0), (220, 0, 0))
"""Colors of dose from low to high: black to red over blue, green and yellow, as isodoses are colored."""

_PARAMETRIC = ((0, 0, 0), (60, 15, 110), (150, 40, 120), (225, 90, 60), (250, 180, 60), (255, 255, 220))
"""Colors of a parametric map from low to high: black to white over violet and orange, evenly lighter."""


@cache
def _spread_colors(stops: tuple[tuple[int, int, int], ...]) -> ByteArray:
    """Compute the colors of the display values 0 … 255, shape (256, 3)."""
    values = np.linspace(0, 255, len(stops))
    channels = [np.interp(np.arange(256), values, [stop[channel] for stop in stops]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def color_doses() -> ByteArray:
    """Return the colors of doses from none, 0, to the largest, 255: shape (256, 3)."""
    return _spread_colors(_DOSE)


def color_parameters() -> ByteArray:
    """Return the colors of a parametric map from the first value that it shows, 0, to the last, 255: shape (256, 3)."""
    return _spread_colors(_PARAMETRIC)


def compose_dose(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:  # noqa: ARG001  # what a Kind asks for
    """Color one plane of a dose grid. Dose Grid Scaling is its modality transform."""
    return replace(frames[picture.frames[0]], color_map=color_doses())


def compose_parametric_map(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:  # noqa: ARG001  # what a Kind asks for
    """Color one frame of a parametric map."""
    return replace(frames[picture.frames[0]], color_map=color_parameters())


def describe_unit(attributes: Attributes, frame: int = 0) -> str | None:
    """Name the unit of the modality values.

    Args:
        attributes: The header of the instance.
        frame: Frame number from 0.

    Returns:
        `HU`, `GY`, `BQML`, or a UCUM code such as `um2/s`; None where none is told.

    References:
        DICOM PS3.3 C.8.8.3 (Dose Units), C.11.1 (Rescale Type), C.8.9.1 (PET Units), C.7.6.16.2.11 (real world values).
    """
    for keyword in ("DoseUnits", "RescaleType", "Units"):
        if unit := attributes.text(keyword):
            return unit
    transformation = frame_macro(attributes, frame, "PixelValueTransformationSequence").text("RescaleType")
    mapping = frame_macro(attributes, frame, "RealWorldValueMappingSequence")
    if not len(mapping.items("MeasurementUnitsCodeSequence")):
        mapping = attributes.item("RealWorldValueMappingSequence")
    measured = mapping.item("MeasurementUnitsCodeSequence").text("CodeValue")
    return measured if transformation in (None, "US") else transformation


DOSE = Kind(list_pictures=list_plain_pictures, compose=compose_dose)
PARAMETRIC_MAP = Kind(list_pictures=list_plain_pictures, compose=compose_parametric_map)
