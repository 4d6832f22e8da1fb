"""Which series may be laid over the images of others, and what their colors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.maps import DOSE, PARAMETRIC_MAP, color_doses, color_parameters
from dsp_batch.kinds.overlays.registry import name_images
from dsp_batch.kinds.overlays.states import STATE_CLASSES
from dsp_batch.kinds.overlays.structures import list_regions
from dsp_batch.kinds.registry import find_kind
from dsp_batch.kinds.segmentation import SEGMENTATION, list_segments
from dsp_batch.model.scene import Color
from dsp_batch.model.series import ByteArray
from dsp_batch.render.overlays.dose import LOWEST_SHOWN

OverlayKind = Literal["SEG", "RTSTRUCT", "RTDOSE", "PM", "PR"]

_WHITE: Color = (255, 255, 255)
_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of the largest value whose colors the legend of a dose or a map tells, besides the lowest one."""


def name_overlay_kind(sop_class_uid: str) -> OverlayKind | None:
    """Tell what objects of a SOP class lay over images; None for those that do not."""
    kind = find_kind(sop_class_uid)
    if kind is SEGMENTATION:
        return "SEG"
    if kind is DOSE:
        return "RTDOSE"
    if kind is PARAMETRIC_MAP:
        return "PM"
    if sop_class_uid in STATE_CLASSES:
        return "PR"
    return "RTSTRUCT" if sop_class_uid == _STRUCTURE_SET else None


def find_reference_frames(attributes: Attributes) -> list[str]:
    """List the Frame of Reference UIDs (0020,0052) that an object lies in."""
    named = [item.text("FrameOfReferenceUID") for item in attributes.items("ReferencedFrameOfReferenceSequence")]
    return [uid for uid in dict.fromkeys([attributes.text("FrameOfReferenceUID"), *named]) if uid]


def name_subjects(index: SeriesIndex, kind: OverlayKind | None) -> list[str]:
    """Name the SeriesInstanceUIDs of the images that a series was made of, as far as it may be laid over any."""
    return [] if kind is None else list(name_images(index) or ())


def may_lie_over(image: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    """Tell whether a series may be laid over another.

    It must be of the same patient. It must lie in the same frame of reference; a series that names the other one needs
    none, as long as neither contradicts. A presentation state must name the other one.

    Args:
        image: Facts of the series beneath, as the catalog has them.
        over: Facts of the other series.
    """
    patients = image["patient_id"], over["patient_id"]
    if over["overlay_kind"] is None or image["overlay_kind"] is not None or not image["has_pixels"]:
        return False
    if all(patients) and patients[0] != patients[1]:
        return False
    is_named = image["series_instance_uid"] in over["subjects"]
    if over["overlay_kind"] == "PR":
        return is_named
    beneath, above = set(image["frames_of_reference"]), set(over["frames_of_reference"])
    if beneath and above:
        return bool(beneath & above)
    return is_named


def describe_legend(index: SeriesIndex, kind: OverlayKind) -> list[dict[str, Any]]:
    """List what the colors of an overlay mean: number, label and color of each segment, region, or level of a dose.

    That of presentation states is the name of the first one.
    """
    header = index.attributes(0)
    if kind == "PR":
        name = header.text("ContentDescription") or header.text("ContentLabel") or "presentation state"
        return [_write_key(1, name, _WHITE)]
    if kind == "SEG":
        return [_write_key(each.number, each.name, each.color) for each in list_segments(header)]
    if kind == "RTSTRUCT":
        return [_write_key(number, each.name, each.color) for number, each in enumerate(list_regions(header), 1)]
    colors = color_doses() if kind == "RTDOSE" else color_parameters()
    shares = (*_SHARES, LOWEST_SHOWN if kind == "RTDOSE" else 0.0)
    return [
        _write_key(number, f"{share:.0%}" + (" of the maximum" if number == 1 else ""), _color_at(colors, share))
        for number, share in enumerate(shares, 1)
    ]


def _color_at(colors: ByteArray, share: float) -> Color:
    red, green, blue = colors[round(share * 255)].tolist()
    return red, green, blue


def _write_key(number: int, label: str, color: Color) -> dict[str, Any]:
    return {"number": number, "label": label, "color": list(color)}
