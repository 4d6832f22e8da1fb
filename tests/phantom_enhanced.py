"""Generate an enhanced multi-frame MR, whose geometry and window are in functional groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import uid

from dsp_batch.phantom.bodies import head_signal
from dsp_batch.phantom.modules import clock, code, common, frame_of_reference
from dsp_batch.phantom.objects import ElementValues, FrameArray, PhantomSeries, build_single, phantom_uid
from dsp_batch.phantom.shapes import Image, Stack, cut_stack, decimals, noise

_DAY = "20240229"


def build_enhanced_mr(name: str = "mr-enhanced", *, count: int = 12, size: int = 128) -> PhantomSeries:
    """Build an enhanced multi-frame MR: geometry and window in functional groups, frames not in display order."""
    stack = cut_stack("axial", (size, size), count, (244.0, 150), (0.0, 3.0, 15.0))
    grain = noise(15, (size, size), 1)
    order = [*range(0, count, 2), *range(1, count, 2)]
    stored = np.stack([_draw(stack, number, grain) for number in order])
    attributes = _list_attributes(name, "MR head enhanced", stack, order)
    return build_single(name, attributes, stored)


def _draw(stack: Stack, number: int, grain: Image) -> FrameArray:
    """Draw a slice of the head with noise, as 12-bit stored values."""
    signal = np.float32(3.3) * head_signal(stack.points(number))
    values = signal + np.float32(45) * np.abs(np.roll(grain, number * 37, (0, 1)))
    stored: FrameArray = np.rint(values.clip(0, 4095)).astype(np.uint16)
    return stored


def _list_attributes(name: str, title: str, stack: Stack, order: Sequence[int]) -> dict[str, Any]:
    """Build an Enhanced MR Image (PS3.3 A.36) whose functional groups give the position and window of each frame.

    Args:
        name: Text that decides the UIDs.
        title: Series description.
        stack: The planes of the slices.
        order: Number of the slice of `stack` that each frame holds.
    """
    organization = phantom_uid(f"dimensions/{name}")
    return {
        **common(name, title, "MR", uid.EnhancedMRImageStorage),
        **frame_of_reference("head"),
        "DeviceSerialNumber": "1",
        "SoftwareVersions": "1",
        "ImageType": ["DERIVED", "PRIMARY", "OTHER", "NONE"],
        "InstanceNumber": 1,
        "AcquisitionDateTime": f"{_DAY}{clock(90)}",
        "AcquisitionDuration": 60.0,
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": "T1",
        "ContentQualification": "RESEARCH",
        "MagneticFieldStrength": 3.0,
        "ResonantNucleus": "1H",
        "KSpaceFiltering": "NONE",
        "ApplicableSafetyStandardAgency": "IEC",
        "PatientPosition": "HFS",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "BitsStored": 12,
        "AcquisitionContextSequence": [],
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": organization}],
        "DimensionIndexSequence": [
            {
                "DimensionOrganizationUID": organization,
                "DimensionIndexPointer": pointer,
                "FunctionalGroupPointer": 0x00209111,
            }
            for pointer in (0x00209056, 0x00209057)
        ],
        "SharedFunctionalGroupsSequence": [_shared_groups(stack)],
        "PerFrameFunctionalGroupsSequence": [_frame_groups(stack, number) for number in order],
    }


def _shared_groups(stack: Stack) -> ElementValues:
    plane = stack.plane_attributes(0)
    kind = {
        "FrameType": ["DERIVED", "PRIMARY", "OTHER", "NONE"],
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": "T1",
    }
    anatomy = {"AnatomicRegionSequence": code("69536005", "SCT", "Head"), "FrameLaterality": "U"}
    return {
        "PixelMeasuresSequence": [{keyword: plane[keyword] for keyword in ("PixelSpacing", "SliceThickness")}],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": plane["ImageOrientationPatient"]}],
        "FrameAnatomySequence": [anatomy],
        "MRImageFrameTypeSequence": [kind],
        "PixelValueTransformationSequence": [{"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"}],
    }


def _frame_groups(stack: Stack, number: int) -> ElementValues:
    moment = f"{_DAY}{clock(90 + number)}"
    content = {
        "FrameReferenceDateTime": moment,
        "FrameAcquisitionDateTime": moment,
        "FrameAcquisitionDuration": 1000.0,
        "DimensionIndexValues": [1, number + 1],
        "StackID": "1",
        "InStackPositionNumber": number + 1,
    }
    return {
        "FrameContentSequence": [content],
        "PlanePositionSequence": [{"ImagePositionPatient": decimals(*stack.origin(number))}],
        "FrameVOILUTSequence": [{"WindowCenter": "1700", "WindowWidth": "3400"}],
    }
