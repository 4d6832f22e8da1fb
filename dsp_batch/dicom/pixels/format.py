"""Read from a header how the pixels of its frames are encoded and what shape they have."""

from __future__ import annotations

import math

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PixelFormat

MAX_FRAME_BYTES = 2**31
"""Bytes of the largest decoded frame that is accepted unless asked otherwise. It is checked before memory is taken."""

MAX_ASPECT = 100.0
"""Largest ratio of a pixel's sides; more is a mistake in the header. Real ones (M-mode, rebinned NM) are below 20."""

_COLORS = ("RGB", "YBR", "ARGB", "CMYK", "HSV")
_CENTIMETERS = 3
_TWO_DIMENSIONAL = 1


def describe_pixels(attributes: Attributes, transfer_syntax_uid: str) -> PixelFormat:
    """Read how the stored values of an instance lie in its bytes.

    Absent values are completed where the standard implies them: Bits Stored by Bits Allocated, High Bit by Bits Stored,
    Samples per Pixel by the photometric interpretation, and that one by Samples per Pixel.

    Args:
        attributes: The header of the instance.
        transfer_syntax_uid: Its transfer syntax.

    Raises:
        PixelError: An attribute is absent or impossible.

    References:
        DICOM PS3.3 C.7.6.3 (Image Pixel), C.7.6.24 (Floating Point Image Pixel).
    """
    rows, columns = (_require(attributes, keyword, range(1, 65536)) for keyword in ("Rows", "Columns"))
    allocated = _require(attributes, "BitsAllocated", range(1, 65))
    photometric, samples = _describe_samples(attributes)
    stored = allocated if attributes.number("BitsStored") is None else _require(attributes, "BitsStored", range(1, 65))
    if stored > allocated:
        raise PixelError(f"BitsStored is {stored} where BitsAllocated is {allocated}: its pixels cannot be read")
    high_bit = attributes.integer("HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    return PixelFormat(
        transfer_syntax_uid=transfer_syntax_uid,
        rows=rows,
        columns=columns,
        number_of_frames=max(attributes.integer("NumberOfFrames") or 1, 1),
        samples_per_pixel=samples,
        photometric=photometric,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high_bit,
        signed=attributes.integer("PixelRepresentation") == 1,
        planar_configuration=1 if attributes.integer("PlanarConfiguration") == 1 else 0,
        value_type="float" if _is_float(attributes, allocated) else "integer",
    )


def check_frame_size(pixels: PixelFormat, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
    """Refuse a frame that would take too much memory, before any is taken.

    Raises:
        PixelError: The decoded frame has more bytes (reason `too-large`).
    """
    if pixels.decoded_frame_bytes > max_frame_bytes:
        raise PixelError(
            f"a frame of {pixels.rows} rows, {pixels.columns} columns and {pixels.samples_per_pixel} samples takes "
            f"{-(-pixels.decoded_frame_bytes >> 20)} MB, more than the {max_frame_bytes >> 20} MB that are accepted: "
            "raise --max-frame-mb if it is right",
            "too-large",
        )


def _require(attributes: Attributes, keyword: str, allowed: range) -> int:
    value = attributes.integer(keyword)
    if value is None:
        # What stands there instead is not quoted: it may be a name.
        what = "absent" if attributes.text(keyword) is None else "no whole number"
        raise PixelError(f"{keyword} is {what}: its pixels cannot be read")
    if value not in allowed:
        raise PixelError(f"{keyword} is {value}, which no image can have: its pixels cannot be read")
    return value


def _describe_samples(attributes: Attributes) -> tuple[str, int]:
    """Read the photometric interpretation and samples per pixel, and complete or correct each by the other."""
    photometric = (attributes.text("PhotometricInterpretation") or "").strip().upper().replace(" ", "_")
    is_color = photometric.startswith(_COLORS)
    samples = attributes.integer("SamplesPerPixel")
    if samples is None:
        samples = 1 if not is_color else 4 if photometric in ("ARGB", "CMYK") else 3
    if samples not in (1, 3, 4) or (is_color and samples == 1):
        raise PixelError(f"SamplesPerPixel is {samples} with PhotometricInterpretation {photometric or 'absent'}")
    if samples > 1 and not is_color:
        photometric = "RGB"
    return photometric.replace("PALETTE_", "PALETTE ") or "MONOCHROME2", samples


def _is_float(attributes: Attributes, allocated: int) -> bool:
    """Tell whether the pixels are Float or Double Float Pixel Data.

    That element is no part of the header. But the Floating Point Image Pixel modules are the only ones without Bits
    Stored, High Bit and Pixel Representation (PS3.3 C.7.6.24, C.7.6.25).
    """
    if "FloatPixelData" in attributes or "DoubleFloatPixelData" in attributes:
        return True
    integer_attributes = ("BitsStored", "HighBit", "PixelRepresentation")
    return allocated in (32, 64) and not any(keyword in attributes for keyword in integer_attributes)


def describe_aspect(attributes: Attributes, frame: int = 0) -> float:
    """Read the physical shape of a frame's pixels.

    Args:
        attributes: The header of the instance.
        frame: Frame number from 0.

    Returns:
        Row spacing over column spacing, that is the height of a pixel over its width; 1.0 where unknown or absurd.

    References:
        DICOM PS3.3 10.7.1.3 (Pixel Spacing), C.7.6.3.1.7 (Pixel Aspect Ratio), C.8.5.5 (Ultrasound regions).
    """
    measures = frame_macro(attributes, frame, "PixelMeasuresSequence")
    candidates = (
        measures.numbers("PixelSpacing"),
        attributes.numbers("PixelSpacing"),
        attributes.numbers("ImagerPixelSpacing"),
        attributes.numbers("NominalScannedPixelSpacing"),
        attributes.numbers("PixelAspectRatio"),
        _region_spacing(attributes),
    )
    for spacing in candidates:
        if len(spacing) >= 2 and spacing[0] > 0 and spacing[1] > 0:
            aspect = spacing[0] / spacing[1]
            return aspect if math.isfinite(aspect) and 1 / MAX_ASPECT <= aspect <= MAX_ASPECT else 1.0
    return 1.0


def _region_spacing(attributes: Attributes) -> tuple[float, ...]:
    """Find the vertical and horizontal spacing that the 2D regions of an ultrasound image share, if they share one.

    M-mode and Doppler regions run in seconds along x and say nothing about the shape of a pixel.
    """
    shapes = set()
    for region in attributes.items("SequenceOfUltrasoundRegions"):
        delta_x, delta_y = region.number("PhysicalDeltaX"), region.number("PhysicalDeltaY")
        units = {region.integer("PhysicalUnitsXDirection"), region.integer("PhysicalUnitsYDirection")}
        if (
            region.integer("RegionSpatialFormat") == _TWO_DIMENSIONAL
            and units == {_CENTIMETERS}
            and delta_x
            and delta_y
        ):
            shapes.add((abs(delta_y), abs(delta_x)))
    ratios = [y / x for y, x in shapes]
    alike = bool(ratios) and max(ratios) - min(ratios) <= 0.01 * max(ratios)
    return min(shapes) if alike else ()
