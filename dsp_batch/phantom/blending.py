"""Generate an advanced blending presentation state over the CT of a torso."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import uid

from dsp_batch.phantom.modules import common, frame_of_reference
from dsp_batch.phantom.objects import PhantomSeries, build_single, phantom_uid

_CT, _SLICE = "ct-axial", 27


def build_blending(name: str = "pr-bones") -> PhantomSeries:
    """Build a state that shows a slice of the CT in gray, and over it the bones from yellow to red."""
    image = {
        "ReferencedSOPClassUID": uid.CTImageStorage,
        "ReferencedSOPInstanceUID": phantom_uid(f"instance/{_CT}/{_SLICE}"),
    }
    bones = {"ThresholdType": "GREATER_OR_EQUAL", "ThresholdValueSequence": [{"ThresholdValue": 220.0}]}
    attributes = {
        **common(_CT, "PR bones", "CT", uid.AdvancedBlendingPresentationStateStorage),
        **frame_of_reference("torso"),
        "Modality": "PR",
        "SeriesInstanceUID": phantom_uid(f"series/{name}"),
        "InstanceNumber": 1,
        "ContentLabel": "BONES",
        "ContentDescription": "Bones over soft tissue",
        "PresentationCreationDate": "20240229",
        "PresentationCreationTime": "103300",
        "ContentCreatorName": "",
        "PixelPresentation": "TRUE_COLOR",
        "AdvancedBlendingSequence": [
            _input(1, image, (40, 400)),
            _input(2, image, (700, 1100))
            | {"PaletteColorLookupTableSequence": [_palette()], "ThresholdSequence": [bones]},
        ],
        "BlendingDisplaySequence": [
            {
                "BlendingDisplayInputSequence": [{"BlendingInputNumber": 2}, {"BlendingInputNumber": 1}],
                "BlendingMode": "FOREGROUND",
                "RelativeOpacity": 0.7,
            }
        ],
        "ReferencedSeriesSequence": [
            {"SeriesInstanceUID": phantom_uid(f"series/{_CT}"), "ReferencedInstanceSequence": [image]}
        ],
    }
    return build_single(name, attributes, None)


def _input(number: int, image: dict[str, str], window: tuple[int, int]) -> dict[str, Any]:
    return {
        "BlendingInputNumber": number,
        "StudyInstanceUID": phantom_uid("study/CT"),
        "SeriesInstanceUID": phantom_uid(f"series/{_CT}"),
        "ReferencedImageSequence": [image],
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "SoftcopyVOILUTSequence": [{"WindowCenter": str(window[0]), "WindowWidth": str(window[1])}],
        "GeometryForDisplay": "TRUE" if number == 1 else "FALSE",
    }


def _palette() -> dict[str, Any]:
    """Make a palette of 256 entries from yellow to red."""
    channels = {
        "Red": np.full(256, 255),
        "Green": 220 - 0.7 * np.arange(256),
        "Blue": np.full(256, 40),
    }
    found: dict[str, Any] = {}
    for channel, values in channels.items():
        found[f"{channel}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        words = (values.astype(np.uint16) * 257).astype("<u2")
        found[f"{channel}PaletteColorLookupTableData"] = words.tobytes()
    return found
