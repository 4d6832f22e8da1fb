"""Where the frames of a nuclear medicine object lie: its detectors tell, not its top level (PS3.3 C.8.4.11)."""

from __future__ import annotations

import math

import numpy as np

from dsp_batch.dicom.headers.attributes import EMPTY, Attributes
from dsp_batch.model.series import FloatArray, IntArray

_TURNING = ("TOMO", "GATED TOMO")
"""Third value of Image Type of projections: a detector tells where the first of its views was taken, no other one."""


def place_by_detectors(attributes: Attributes, position: FloatArray, orientation: FloatArray) -> bool:
    """Place the frames of an object whose detectors tell where they lie.

    The frames of a reconstruction are slices, stacked from the position of the detector along the normal of the slice;
    a negative Spacing Between Slices turns the direction. The frames of any other image lie where their detector does.
    What a detector does not tell is taken from the top level.

    Args:
        attributes: The header.
        position: Positions of its frames in mm, shape (frames, 3), as the top level tells them; changed in place.
        orientation: Their orientations, shape (frames, 6); changed in place.

    Returns:
        True where the frames were placed; False where nothing was changed.

    References:
        DICOM PS3.3 C.8.4.8.1 (vectors), C.8.4.9.1.1 (Image Type), C.8.4.11 (detectors), C.8.4.15 (Spacing Between
        Slices).
    """
    detectors = attributes.items("DetectorInformationSequence")
    kind = (*attributes.texts("ImageType"), "", "", "")[2].strip().upper()
    if not detectors or kind in _TURNING:
        return False
    is_stack = kind.startswith("RECON") or "SliceVector" in attributes
    detector = _number_detectors(attributes, len(detectors), len(position), is_stack=is_stack)
    found = [detectors[number] if number >= 0 else EMPTY for number in detector.tolist()]
    origin, cosines = position.copy(), orientation.copy()
    for frame, item in enumerate(found):
        told, turned = item.numbers("ImagePositionPatient"), item.numbers("ImageOrientationPatient")
        origin[frame] = told if len(told) == 3 else origin[frame]
        cosines[frame] = turned if len(turned) == 6 else cosines[frame]
    if is_stack:
        slices = _number_slices(attributes, len(position))
        normals = np.cross(cosines[:, :3], cosines[:, 3:])
        origin += normals * (slices * _measure_step(attributes, slices))[:, np.newaxis]
    if not np.isfinite(origin).all():
        return False
    position[:], orientation[:] = origin, cosines
    return True


def _number_detectors(attributes: Attributes, detectors: int, frames: int, *, is_stack: bool) -> IntArray:
    """Number the detector of each frame from 0; −1 where it is unknown (Detector Vector)."""
    vector = attributes.numbers("DetectorVector")
    if len(vector) == frames:
        numbers = np.array([number - 1 if 1 <= number <= detectors else -1 for number in vector])
        return numbers.astype(np.int64)
    if detectors == 1 or is_stack:
        return np.zeros(frames, np.int64)
    return np.arange(frames) if detectors == frames else np.full(frames, -1)


def _number_slices(attributes: Attributes, frames: int) -> FloatArray:
    """Number the slice of each frame from 0 (Slice Vector). Without it slices follow one another, time by time."""
    vector = attributes.numbers("SliceVector")
    if len(vector) == frames:
        return np.array(vector) - 1
    slices = attributes.integer("NumberOfSlices") or 0
    numbers = np.arange(frames, dtype=np.float64)
    return numbers % slices if slices > 0 and frames % slices == 0 else numbers


def _measure_step(attributes: Attributes, slices: FloatArray) -> float:
    """Measure from slice to slice in mm, with its sign; NaN where it is unknown, and there are several slices."""
    if not slices.any():
        return 0.0
    lengths = (attributes.number("SpacingBetweenSlices"), attributes.number("SliceThickness"))
    return next((length for length in lengths if length and math.isfinite(length)), math.nan)
