"""Generated series for the demo, the tests and the benchmarks: no patient, no download, the same bytes every time.

Example:
    >>> from dsp_batch.dicom.phantom import build_ct
    >>> series = build_ct(count=3, size=32)
    >>> series.series_uuid, len(series.objects)
    ('f3a2b2c5-0f80-5a5b-8f0e-000000000000', 3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom import uid

from dsp_batch.dicom.phantom_bodies import head_signal, head_uptake, torso_hounsfield, torso_uptake
from dsp_batch.dicom.phantom_modules import (
    clock,
    ct_attributes,
    mr_attributes,
    pet_attributes,
    radiograph_attributes,
    report_attributes,
    ultrasound_attributes,
)
from dsp_batch.dicom.phantom_objects import (
    Attributes,
    Frames,
    PhantomObject,
    PhantomSeries,
    Stack,
    build_series,
    decimals,
    phantom_uuid,
    write_object,
)
from dsp_batch.dicom.phantom_pictures import hand_radiograph, heart_ultrasound
from dsp_batch.dicom.phantom_shapes import Image, noise

__all__ = [
    "PhantomObject",
    "PhantomSeries",
    "build_bolus",
    "build_corrupt",
    "build_ct",
    "build_localizer",
    "build_mr",
    "build_palette_ultrasound",
    "build_pet",
    "build_radiograph",
    "build_report",
    "build_ultrasound",
    "demo_collection",
    "write_collection",
]

Plane = Literal["axial", "coronal", "sagittal", "oblique"]

_DIRECTIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    # Turned about two axes by angles whose cosines are short decimals, so that the direction is exactly of unit length.
    "oblique": ((0.96, 0.28, 0.0), (-0.224, 0.768, -0.6)),
}
_TORSO_MM = 371.2
_TORSO_DEPTH_MM = {"axial": 400.0, "coronal": 200.0, "sagittal": 320.0, "oblique": 240.0}
_HEAD_CENTER = (0.0, 0.0, -3.0)
_HEAD_MM = 244.0
_WASH = (0.0, 0.08, 0.55, 1.0, 0.72, 0.5, 0.4, 0.34, 0.3, 0.28)
"""Contrast agent at each time point, as a fraction of the peak."""


def build_ct(
    name: str = "ct-axial",
    *,
    plane: Plane = "axial",
    count: int = 40,
    size: int = 256,
    transfer_syntax: str = uid.ExplicitVRLittleEndian,
) -> PhantomSeries:
    """CT of a torso: signed 16 bit, HU = stored value − 1024, padding −2000 outside the round field of view.

    Args:
        name: Decides UUIDs and UIDs.
        plane: How it is cut. InstanceNumber runs against the display order in each.
        count: Slices.
        size: Rows and columns.
        transfer_syntax: UID; padding is left out where the codec would need more than 16 bits.
    """
    row, column = _DIRECTIONS[plane]
    spacing, step = _TORSO_MM / size, _TORSO_DEPTH_MM[plane] / count
    stack = Stack(
        row_direction=row, column_direction=column, rows=size, columns=size,
        row_spacing=spacing, column_spacing=spacing, count=count, slice_spacing=step,
    )  # fmt: skip
    title = f"CT torso {plane}"
    shared = ct_attributes(name, title, plane) | {"PixelPaddingValue": -2000}
    grain = np.float32(8) * noise(11, (size, size), 1)
    across = np.arange(size) - (size - 1) / 2
    outside = across[None, :] ** 2 + across[:, None] ** 2 > (size / 2) ** 2

    def write(number: int, sop_instance_uid: str) -> bytes:
        hounsfield = torso_hounsfield(stack.points(number)) + np.roll(grain, number * 37, (0, 1))
        stored = np.where(outside, -2000, np.rint(hounsfield).astype(np.int16) + 1024).astype(np.int16)
        attributes = shared | stack.plane_attributes(number) | _numbered(sop_instance_uid, number)
        return write_object(attributes, stored[None], transfer_syntax)

    return build_series(name, title, [partial(write, number) for number in range(count)])
