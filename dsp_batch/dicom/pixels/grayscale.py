"""Read the grayscale transform from a header: modality transform, VOI, padding, polarity (PS3.3 C.11)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.dicom.pixels.codecs import DecodedFrame
from dsp_batch.dicom.pixels.luts import parse_lookup_table
from dsp_batch.model.frame import GrayscaleTransform, LookupTable
from dsp_batch.model.window import Window

_FUNCTIONS: dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]] = {
    "LINEAR_EXACT": "LINEAR_EXACT",
    "SIGMOID": "SIGMOID",
}


def describe_transform(attributes: Attributes, frame: int = 0) -> GrayscaleTransform:
    """Read the transform from the stored values of one frame to display values.

    Args:
        attributes: The header of the instance.
        frame: Frame number from 0: functional groups may give each frame a transform of its own.

    Returns:
        The transform; attributes that are absent, damaged or meaningless are left at their defaults.

    References:
        DICOM PS3.3 C.11.1 (modality), C.11.2 (VOI), C.7.6.16.2.9, C.7.6.16.2.10 (per frame), C.7.5.1.1.2 (padding).
    """
    is_signed = attributes.integer("PixelRepresentation") == 1
    slope, intercept = _rescale(attributes, frame) or (1.0, 0.0)
    modality_lut = parse_lookup_table(attributes.item("ModalityLUTSequence"), signed=is_signed)
    if modality_lut is not None:
        slope, intercept = 1.0, 0.0
    goes_negative = modality_lut is None and (is_signed or intercept < 0 or slope < 0)
    is_integral = modality_lut is not None or (slope.is_integer() and intercept.is_integer())
    voi = _describe_voi(attributes, frame, is_integral=is_integral, signed=goes_negative)
    if voi is None and modality_lut is None and _rescale(attributes, frame) is None:
        slope, intercept, modality_lut = _real_world_value(attributes, frame, signed=is_signed)
    return GrayscaleTransform(
        slope=slope,
        intercept=intercept,
        modality_lut=modality_lut,
        voi=voi,
        padding=_padding(attributes, signed=is_signed),
        inverted=_is_inverted(attributes),
        notes=_describe_departures(attributes, voi),
    )


def _describe_departures(attributes: Attributes, voi: Window | LookupTable | None) -> tuple[str, ...]:
    """Say what of the object's own window or table was read otherwise than it is written, or was of no use."""
    if isinstance(voi, LookupTable):
        return voi.notes
    if voi is None and ("WindowCenter" in attributes or "WindowWidth" in attributes):
        return ("Window Center and Window Width make no window: left out",)
    return ()


def hide_missing(transform: GrayscaleTransform, frame: DecodedFrame) -> GrayscaleTransform:
    """Make the blank value of the pixels that are missing padding, so that they are black and count for no window.

    The lowest value is black under nearly any window; where the object has padding of its own, that stays.
    """
    if not frame.missing or transform.padding is not None or frame.values.dtype.kind == "f" or frame.values.ndim == 3:
        return transform
    blank = float(frame.values[-1, -1])
    return replace(transform, padding=(blank, blank))


def _rescale(attributes: Attributes, frame: int) -> tuple[float, float] | None:
    """Read slope and intercept of the frame, else of the instance. A slope of 0 would erase the image: ignored."""
    scaling = attributes.number("DoseGridScaling")  # PS3.3 C.8.8.3: the modality transform of dose grids
    if scaling is not None and math.isfinite(scaling) and scaling != 0:
        return scaling, 0.0
    for source in (frame_macro(attributes, frame, "PixelValueTransformationSequence"), attributes):
        slope, intercept = source.number("RescaleSlope"), source.number("RescaleIntercept")
        if slope is not None or intercept is not None:
            slope = 1.0 if slope is None else slope
            intercept = 0.0 if intercept is None else intercept
            if math.isfinite(slope) and math.isfinite(intercept) and slope != 0:
                return slope, intercept
    return None


def _describe_voi(
    attributes: Attributes, frame: int, *, is_integral: bool, signed: bool
) -> Window | LookupTable | None:
    """Read the VOI LUT, else the window: of the frame, else of the instance."""
    for source in (frame_macro(attributes, frame, "FrameVOILUTSequence"), attributes):
        table = parse_lookup_table(source.item("VOILUTSequence"), signed=signed)
        voi = table or _describe_window(source, is_integral=is_integral and not _is_float(attributes))
        if voi is not None:
            return voi
    return None


def _describe_window(source: Attributes, *, is_integral: bool) -> Window | None:
    """Read the first window that has both center and width; None where these make no window.

    Numbers of one index belong together (PS3.3 C.11.2.1.2.1): a width whose center is empty is no part of a window.

    LINEAR takes values to be integers and requires a width of 1 or more (PS3.3 C.11.2.1.2.1). Writers of fractional
    values leave the function at its default all the same. So a width below 1, or of 1 where values are fractions, is
    read as LINEAR_EXACT.
    """
    widths, centers = source.optional_numbers("WindowWidth"), source.optional_numbers("WindowCenter")
    pairs = ((width, center) for width, center in zip(widths, centers, strict=False))
    width, center = next(((w, c) for w, c in pairs if w is not None and c is not None), (math.nan, math.nan))
    if not (math.isfinite(width) and math.isfinite(center) and width > 0):
        return None
    function = _FUNCTIONS.get((source.text("VOILUTFunction") or "").strip().upper(), "LINEAR")
    if function == "LINEAR" and (width < 1 or (width == 1 and not is_integral)):
        function = "LINEAR_EXACT"
    return Window(center=center, width=width, function=function)


def _is_float(attributes: Attributes) -> bool:
    return "BitsStored" not in attributes and attributes.integer("BitsAllocated") in (32, 64)


def _real_world_value(attributes: Attributes, frame: int, *, signed: bool) -> tuple[float, float, LookupTable | None]:
    """Read the Real World Value Mapping of an object without any other unit, such as a parametric map.

    A modality transform or a window is in other units than this map and goes before it (PS3.3 C.7.6.16.2.11).
    """
    item = frame_macro(attributes, frame, "RealWorldValueMappingSequence")
    if item.number("RealWorldValueSlope") is None and "RealWorldValueLUTData" not in item:
        item = attributes.item("RealWorldValueMappingSequence")
    slope, intercept = item.number("RealWorldValueSlope"), item.number("RealWorldValueIntercept")
    if slope and math.isfinite(slope):
        return slope, intercept if intercept is not None and math.isfinite(intercept) else 0.0, None
    values, first = item.numbers("RealWorldValueLUTData"), item.number("RealWorldValueFirstValueMapped")
    if values and first is not None:
        first_value = _sign_word(first, signed=signed)
        return 1.0, 0.0, LookupTable(first_value=int(first_value), values=np.array(values, np.float64), bits=16)
    return 1.0, 0.0, None


def _padding(attributes: Attributes, *, signed: bool) -> tuple[float, float] | None:
    """Read the closed range of stored values that are padding (PS3.3 C.7.5.1.1.2)."""
    for prefix in ("Float", "DoubleFloat"):
        value = attributes.number(f"{prefix}PixelPaddingValue")
        if value is not None:
            limit = attributes.number(f"{prefix}PixelPaddingRangeLimit")
            return _sort(value, value if limit is None else limit)
    value = attributes.number("PixelPaddingValue")
    if value is None:
        return None
    limit = attributes.number("PixelPaddingRangeLimit")
    return _sort(_sign_word(value, signed=signed), _sign_word(value if limit is None else limit, signed=signed))


def _sort(value: float, limit: float) -> tuple[float, float]:
    return min(value, limit), max(value, limit)


def _sign_word(value: float, *, signed: bool) -> float:
    """Give a US or SS value the sign that the pixels have, whichever way it was encoded."""
    if signed and 0x8000 <= value <= 0xFFFF:
        return value - 0x10000
    return value + 0x10000 if not signed and -0x8000 <= value < 0 else value


def _is_inverted(attributes: Attributes) -> bool:
    """Tell whether low values are white.

    Presentation LUT Shape decides where it is given, the photometric interpretation elsewhere. INVERSE is how
    MONOCHROME1 images restate their polarity (PS3.3 C.8.11.1.1.2), so both together invert once. IDENTITY contradicts
    MONOCHROME1; the shape is the later step and decides, as in DCMTK, dcm4che and highdicom.
    """
    shape = (attributes.text("PresentationLUTShape") or "").strip().upper()
    if shape in ("IDENTITY", "INVERSE"):
        return shape == "INVERSE"
    return (attributes.text("PhotometricInterpretation") or "").strip().upper() == "MONOCHROME1"
