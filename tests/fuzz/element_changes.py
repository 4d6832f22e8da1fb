"""Odd elements, and objects of which some elements are changed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from chance import Chance
from elements import LONG_VRS, VRS, Element, Items, Object, find_vr, flatten
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

_PACKINGS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_NATIVE = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian
)  # fmt: skip
_SYNTAXES = (
    *_NATIVE, JPEGBaseline8Bit, JPEG2000Lossless, RLELossless, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.8.1",
    "1.2.3",
)  # fmt: skip

_READ = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "InstanceNumber", "Rows", "Columns",
    "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "WindowCenter",
    "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "PixelSpacing", "PixelAspectRatio",
    "SpacingBetweenSlices", "TemporalPositionIndex", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime",
    "ContentTime", "FrameTime", "FrameTimeVector", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "PlanePositionSequence", "PlaneOrientationSequence",
    "DetectorInformationSequence", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "SegmentSequence",
    "ICCProfile", "RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData", "PresentationLUTShape", "ImageType",
    "Modality", "RealWorldValueMappingSequence", "ReferencedSeriesSequence", "ContentSequence",
    "TotalPixelMatrixColumns", "TotalPixelMatrixRows", "StudyDate", "SeriesNumber", "SeriesDescription", "Laterality",
    "BodyPartExamined", "FloatPixelData", "PixelPresentation",
)  # fmt: skip
"""Keywords that the package reads: odd values of these matter most."""

_OVERLAYS = (
    0x60000010, 0x60000011, 0x60000040, 0x60000050, 0x60000100, 0x60000102, 0x60003000, 0x60020010, 0x60023000,
)  # fmt: skip
_PRIVATE = (0x00290010, 0x00291010, 0x00291020, 0x0019100A, 0x00511016, 0x00110010, 0x00111001)


def make_value(vr: str, chance: Chance, depth: int = 0) -> bytes | Items:
    """Make an odd value of a VR, or of another."""
    if vr == "SQ" and depth < 3:
        return [make_elements(chance, depth + 1) for _ in range(chance.choice((0, 1, 1, 2)))]
    count = chance.choice((0, 1, 1, 1, 2, 3, 6, 100))
    if packing := _PACKINGS.get(vr):
        size = struct.calcsize(packing)
        if vr in ("FL", "FD"):
            reals = [chance.real() for _ in range(count)]
            return b"".join(
                struct.pack(f"<{packing}", real if vr == "FD" or abs(real) < 1e38 else 0.0) for real in reals
            )
        return b"".join((chance.number() % (1 << 8 * size)).to_bytes(size, "little") for _ in range(count))
    if vr in LONG_VRS - {"UC", "UR", "UT"} or vr == "AT":
        return chance.bytes(64)
    text = "\\".join(chance.text() for _ in range(count)).encode(chance.choice(("utf-8", "latin-1")), "replace")
    return text + b" " * (len(text) % 2)


def make_elements(chance: Chance, depth: int = 0) -> list[Element]:
    """Make a few elements that the package reads, with odd values."""
    return [_make_element(chance, depth) for _ in range(chance.randint(0, 4))]


def _make_element(chance: Chance, depth: int = 0) -> Element:
    known = tag_for_keyword(chance.choice(_READ))
    tag = chance.choice(
        (known, known, known, chance.choice(_OVERLAYS), chance.choice(_PRIVATE), chance.getrandbits(32))
    )
    vr = find_vr(tag) if not chance.one_in(6) else chance.choice(VRS)
    vr = vr if vr in VRS else "UN"
    return Element(tag=tag, vr=vr, value=make_value(vr, chance, depth), is_undefined=vr == "SQ" and chance.one_in(2))


def change_object(made: Object, chance: Chance) -> Object:
    """Change a few things of an object."""
    elements = list(made.elements)
    for _ in range(chance.randint(1, 4)):
        elements = change_elements(elements, chance)
    if not chance.one_in(6):
        elements.sort(key=lambda element: element.tag)
    syntax = chance.choice(_SYNTAXES) if chance.one_in(6) else made.syntax
    agrees = syntax in _NATIVE or made.syntax not in _NATIVE
    written = chance.choice(_NATIVE) if chance.one_in(10) else syntax if agrees else None
    return Object(elements=elements, syntax=syntax, written_as=written)


def change_elements(elements: list[Element], chance: Chance) -> list[Element]:
    """Change one thing of some elements: a value, a VR, a length, a tag; or one comes, goes, or changes its place."""
    if not elements or chance.one_in(3):
        return [*elements, _make_element(chance)]
    at = chance.randrange(len(elements))
    chosen = elements[at]
    if isinstance(chosen.value, list) and chosen.value and not chance.one_in(4):
        items = list(chosen.value)
        place = chance.randrange(len(items))
        items[place] = change_elements(items[place], chance)
        changed = [replace(chosen, value=items)]
    else:
        changed = chance.choice(_CHANGES)(chosen, elements, chance)
    return [*elements[:at], *changed, *elements[at + 1 :]]


def _swap_value(chosen: Element, elements: list[Element], chance: Chance) -> list[Element]:
    other = chance.choice(elements)
    return [replace(chosen, value=other.value if (other.vr == "SQ") == (chosen.vr == "SQ") else flatten(other.value))]


def _spoil_value(chosen: Element, _: list[Element], chance: Chance) -> list[Element]:
    return [replace(chosen, value=chance.spoil(flatten(chosen.value), 2))]


def _nest(chosen: Element, _: list[Element], chance: Chance) -> list[Element]:
    return [Element(tag=chosen.tag, vr="SQ", value=[[chosen]] * chance.randint(1, 2), is_undefined=chance.one_in(2))]


_CHANGES: tuple[Callable[[Element, list[Element], Chance], list[Element]], ...] = (
    lambda _chosen, _elements, _chance: [],
    lambda chosen, _elements, _chance: [chosen, chosen],
    lambda chosen, _elements, chance: [replace(chosen, vr=chance.choice(VRS), value=flatten(chosen.value))],
    lambda chosen, _elements, chance: [replace(chosen, length=chance.number() % (1 << 32))],
    lambda chosen, _elements, chance: [replace(chosen, tag=_make_element(chance).tag)],
    lambda chosen, _elements, chance: [replace(chosen, value=make_value(chosen.vr, chance))],
    lambda chosen, _elements, chance: [replace(chosen, value=make_value(chosen.vr, chance))],
    _swap_value,
    _spoil_value,
    _nest,
)
