"""Generate objects that say something about the CT of a torso: a report, a structure set, and others.

They refer to the series that `build_ct` makes by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from pydicom import uid

from dsp_batch.phantom.bodies import (
    BLADDER,
    LEFT_KIDNEY,
    LEFT_LUNG,
    LIVER,
    RIGHT_KIDNEY,
    RIGHT_LUNG,
    SPHERE,
    SPLEEN,
)
from dsp_batch.phantom.modules import code, common, frame_of_reference
from dsp_batch.phantom.objects import PhantomSeries, build_single, phantom_uid
from dsp_batch.phantom.shapes import Organ, Point, Stack, cut_stack, decimals

_CT = "ct-axial"
_COUNT, _SIZE = 40, 256


class Region(NamedTuple):
    """An organ as people and programs name it."""

    name: str
    concept: str
    """Code of the Systematized Nomenclature of Medicine (SNOMED CT)."""

    side: str
    color: tuple[int, int, int]
    organ: Organ
    floor_mm: float = -1000.0
    """Height below which other organs take the place of this one."""


_DIAPHRAGM_MM = 12.0
"""Height of the top of the liver."""

REGIONS = (
    Region("Lung", "39607008", "Right", (90, 160, 235), RIGHT_LUNG, _DIAPHRAGM_MM),
    Region("Lung", "39607008", "Left", (60, 200, 220), LEFT_LUNG, _DIAPHRAGM_MM),
    Region("Liver", "10200004", "", (225, 140, 60), LIVER),
    Region("Spleen", "78961009", "", (200, 90, 160), SPLEEN),
    Region("Kidney", "64033007", "Right", (110, 200, 90), RIGHT_KIDNEY),
    Region("Kidney", "64033007", "Left", (190, 210, 70), LEFT_KIDNEY),
    Region("Urinary bladder", "89837001", "", (240, 210, 90), BLADDER),
)
_SIDES = {"Right": code("24028007", "SCT", "Right"), "Left": code("7771000", "SCT", "Left")}

_OUTLINE = tuple(((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)) for t in (k / 12 for k in range(-12, 12)))
"""Half a circle, its points by halves of angles whose tangents are short fractions: the same on every machine."""


def build_measurements(name: str = "sr-measurements") -> PhantomSeries:
    """Build a report of measurements (PS3.16 TID 1500): volume and mean value of each organ, by segment."""
    groups = [_measure(number, region) for number, region in enumerate(REGIONS, 1)]
    attributes = {
        **_about_ct(name, "SR measurements", "SR", uid.EnhancedSRStorage),
        "ReferencedPerformedProcedureStepSequence": [],
        "PerformedProcedureCodeSequence": [],
        "CurrentRequestedProcedureEvidenceSequence": [
            {"StudyInstanceUID": phantom_uid("study/CT"), "ReferencedSeriesSequence": _refer(range(_COUNT))}
        ],
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "ValueType": "CONTAINER",
        "ContinuityOfContent": "SEPARATE",
        "ConceptNameCodeSequence": code("126000", "DCM", "Imaging Measurement Report"),
        "ContentTemplateSequence": [{"MappingResource": "DCMR", "TemplateIdentifier": "1500"}],
        "ContentSequence": [
            _item("CONTAINER", code("126010", "DCM", "Imaging Measurements"), ContentSequence=groups)
            | {"ContinuityOfContent": "SEPARATE"}
        ],
    }
    return build_single(name, attributes, None)


def build_structure_set(name: str = "rtstruct") -> PhantomSeries:
    """Build a structure set: the outline of each organ on each slice of the CT that it reaches (PS3.3 A.19)."""
    frame = phantom_uid("frame-of-reference/torso")
    images = [{"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)} for number in range(_COUNT)]
    series = [{"SeriesInstanceUID": phantom_uid(f"series/{_CT}"), "ContourImageSequence": images}]
    study = {"ReferencedSOPClassUID": "1.2.840.10008.3.1.2.3.1", "ReferencedSOPInstanceUID": phantom_uid("study/CT")}
    names = [f"{region.side} {region.name.lower()}".strip().capitalize() for region in REGIONS]
    attributes = {
        **_about_ct(name, "RTSTRUCT organs", "RTSTRUCT", uid.RTStructureSetStorage),
        "StructureSetLabel": "ORGANS",
        "StructureSetDate": "20240229",
        "StructureSetTime": "103300",
        "ReferencedFrameOfReferenceSequence": [
            {
                "FrameOfReferenceUID": frame,
                "RTReferencedStudySequence": [{**study, "RTReferencedSeriesSequence": series}],
            }
        ],
        "StructureSetROISequence": [
            {
                "ROINumber": number,
                "ReferencedFrameOfReferenceUID": frame,
                "ROIName": each,
                "ROIGenerationAlgorithm": "AUTOMATIC",
            }
            for number, each in enumerate(names, 1)
        ],
        "ROIContourSequence": [
            {
                "ROIDisplayColor": list(region.color),
                "ReferencedROINumber": number,
                "ContourSequence": list(_outline(region)),
            }
            for number, region in enumerate(REGIONS, 1)
        ],
        "RTROIObservationsSequence": [
            {
                "ObservationNumber": number,
                "ReferencedROINumber": number,
                "RTROIInterpretedType": "ORGAN",
                "ROIInterpreter": "",
            }
            for number in range(1, len(REGIONS) + 1)
        ],
    }
    return build_single(name, attributes, None)


def build_presentation_state(name: str = "pr-sphere") -> PhantomSeries:
    """Build a presentation state: the slice through the bright sphere in a lung window, with a circle and a word."""
    stack, (center, _) = _stack(), _measure_shape(SPHERE)
    number = round(center[2] / stack.slice_spacing + (_COUNT - 1) / 2)
    column, row = _to_pixels(stack, center[0], center[1])
    radius = 26 / stack.column_spacing
    image = [{"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)}]
    circle = {
        "GraphicAnnotationUnits": "PIXEL",
        "GraphicDimensions": 2,
        "NumberOfGraphicPoints": 2,
        "GraphicData": [column, row, column + radius, row],
        "GraphicType": "CIRCLE",
        "GraphicFilled": "N",
    }
    text = {
        "AnchorPointAnnotationUnits": "PIXEL",
        "UnformattedTextValue": "sphere of 40 mm",
        "AnchorPoint": [column, row + radius + 4],
        "AnchorPointVisibility": "N",
    }
    attributes = {
        **_about_ct(name, "PR sphere", "PR", uid.GrayscaleSoftcopyPresentationStateStorage),
        "ContentLabel": "SPHERE",
        "ContentDescription": "Sphere in the left lung",
        "PresentationCreationDate": "20240229",
        "PresentationCreationTime": "103300",
        "ContentCreatorName": "",
        "ReferencedSeriesSequence": [
            {"SeriesInstanceUID": phantom_uid(f"series/{_CT}"), "ReferencedImageSequence": image}
        ],
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "SoftcopyVOILUTSequence": [{"WindowCenter": "-500", "WindowWidth": "1500"}],
        "PresentationLUTShape": "IDENTITY",
        "DisplayedAreaSelectionSequence": [
            {
                "DisplayedAreaTopLeftHandCorner": [1, 1],
                "DisplayedAreaBottomRightHandCorner": [_SIZE, _SIZE],
                "PresentationSizeMode": "SCALE TO FIT",
                "PresentationPixelSpacing": decimals(stack.row_spacing, stack.column_spacing),
            }
        ],
        "GraphicLayerSequence": [{"GraphicLayer": "FINDINGS", "GraphicLayerOrder": 1}],
        "GraphicAnnotationSequence": [
            {
                "ReferencedImageSequence": image,
                "GraphicLayer": "FINDINGS",
                "GraphicObjectSequence": [circle],
                "TextObjectSequence": [text],
            }
        ],
    }
    return build_single(name, attributes, None)


def build_segmentation(name: str = "seg-organs") -> PhantomSeries:
    """Build a segmentation: a bit for each pixel of each slice of the CT that an organ reaches (PS3.3 A.51)."""
    stack = _stack()
    masks, frames = [], []
    for number, region in enumerate(REGIONS, 1):
        for slice_number in range(_COUNT):
            mask = region.organ.shape.depth(stack.points(slice_number)) > 0
            if mask.any() and stack.origin(slice_number)[2] > region.floor_mm:
                masks.append(mask)
                frames.append(_describe_frame(stack, number, slice_number))
    attributes = {
        **_about_ct(name, "SEG organs", "SEG", uid.SegmentationStorage),
        **_SEGMENTATION,
        "NumberOfFrames": len(frames),
        "ReferencedSeriesSequence": [
            {
                "SeriesInstanceUID": phantom_uid(f"series/{_CT}"),
                "ReferencedInstanceSequence": [
                    {"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)} for number in range(_COUNT)
                ],
            }
        ],
        "SegmentSequence": [_describe_segment(number, region) for number, region in enumerate(REGIONS, 1)],
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": phantom_uid(f"dimensions/{name}")}],
        "DimensionIndexSequence": [
            {
                "DimensionOrganizationUID": phantom_uid(f"dimensions/{name}"),
                "DimensionIndexPointer": pointer,
                "FunctionalGroupPointer": group,
            }
            for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
        ],
        "SharedFunctionalGroupsSequence": [
            {
                "PixelMeasuresSequence": [
                    {
                        "SliceThickness": decimals(stack.slice_spacing)[0],
                        "PixelSpacing": decimals(stack.row_spacing, stack.column_spacing),
                    }
                ],
                "PlaneOrientationSequence": [{"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]}],
            }
        ],
        "PerFrameFunctionalGroupsSequence": frames,
        "PixelData": np.packbits(np.array(masks), bitorder="little").tobytes(),
    }
    return build_single(name, attributes, None)


_SEGMENTATION: dict[str, Any] = {
    "ImageType": ["DERIVED", "PRIMARY"],
    "ContentLabel": "ORGANS",
    "ContentDescription": "Organs of the torso",
    "ContentCreatorName": "",
    "SegmentationType": "BINARY",
    "LossyImageCompression": "00",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": _SIZE,
    "Columns": _SIZE,
    "BitsAllocated": 1,
    "BitsStored": 1,
    "HighBit": 0,
    "PixelRepresentation": 0,
}


def _about_ct(name: str, title: str, modality: str, sop_class_uid: str) -> dict[str, Any]:
    """Build the modules of an object of the study of the CT, and of its patient."""
    ct = common(_CT, title, "CT", sop_class_uid)
    own = {"Modality": modality, "SeriesInstanceUID": phantom_uid(f"series/{name}"), "InstanceNumber": 1}
    return ct | frame_of_reference("torso") | own


def _stack() -> Stack:
    return cut_stack("axial", (_SIZE, _SIZE), _COUNT, (371.2, 400.0))


def _uid_of(number: int) -> dict[str, str]:
    return {"ReferencedSOPInstanceUID": phantom_uid(f"instance/{_CT}/{number}")}


def _refer(numbers: range) -> list[dict[str, Any]]:
    objects = [{"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)} for number in numbers]
    return [{"SeriesInstanceUID": phantom_uid(f"series/{_CT}"), "ReferencedSOPSequence": objects}]


def _to_pixels(stack: Stack, x: float, y: float) -> tuple[float, float]:
    """Convert a point of an axial slice to column and row, counted from 1 at the center of the first pixel."""
    left, top, _ = stack.origin(0)
    return (x - left) / stack.column_spacing + 1, (y - top) / stack.row_spacing + 1


def _item(value_type: str, concept: list[dict[str, str]], **values: Any) -> dict[str, Any]:
    head = {"RelationshipType": "CONTAINS", "ValueType": value_type, "ConceptNameCodeSequence": concept}
    return head | values


def _measure(number: int, region: Region) -> dict[str, Any]:
    """Build the measurement group of an organ (PS3.16 TID 1411)."""
    center, radii = _measure_shape(region.organ)
    floor = max((region.floor_mm - center[2]) / radii[2], -1.0)
    volume = 3.14159265 * radii[0] * radii[1] * radii[2] * (2 / 3 - floor + floor**3 / 3)
    site = _item("CODE", code("363698007", "SCT", "Finding Site"))
    site |= {"RelationshipType": "HAS CONCEPT MOD"}
    site["ConceptCodeSequence"] = code(region.concept, "SCT", region.name)
    if region.side:
        side = _item("CODE", code("272741003", "SCT", "Laterality"), ConceptCodeSequence=_SIDES[region.side])
        site["ContentSequence"] = [side | {"RelationshipType": "HAS CONCEPT MOD"}]
    identifier, unique = (
        code("112039", "DCM", "Tracking Identifier"),
        code("112040", "DCM", "Tracking Unique Identifier"),
    )
    below = [
        _item("TEXT", identifier, TextValue=f"Organ {number}") | {"RelationshipType": "HAS OBS CONTEXT"},
        _item("UIDREF", unique, UID=phantom_uid(f"tracking/{number}")) | {"RelationshipType": "HAS OBS CONTEXT"},
        site,
        _number(code("118565006", "SCT", "Volume"), volume, ("mm3", "cubic millimeter")),
        _number(code("Q4LE", "IBSI", "Mean"), region.organ.value, ("[hnsf'U]", "Hounsfield unit")),
    ]
    return _item("CONTAINER", code("125007", "DCM", "Measurement Group"), ContentSequence=below) | {
        "ContinuityOfContent": "SEPARATE"
    }


def _number(concept: list[dict[str, str]], value: float, unit: tuple[str, str]) -> dict[str, Any]:
    measured = {"NumericValue": f"{value:.6g}", "MeasurementUnitsCodeSequence": code(unit[0], "UCUM", unit[1])}
    return _item("NUM", concept, MeasuredValueSequence=[measured])


def _measure_shape(organ: Organ) -> tuple[Point, Point]:
    """Measure the center and the radii of an organ that is an ellipsoid, in mm."""
    low, high = organ.shape.box()
    middle, half = np.add(high, low) / 2, np.subtract(high, low) / 2
    return (middle[0], middle[1], middle[2]), (half[0], half[1], half[2])


def _outline(region: Region) -> Iterator[dict[str, Any]]:
    """Cut an ellipsoid by the slices of the CT into ellipses (PS3.3 C.8.8.6)."""
    stack, (center, radii) = _stack(), _measure_shape(region.organ)
    for number in range(_COUNT):
        height = stack.origin(number)[2]
        rest = 1 - ((height - center[2]) / radii[2]) ** 2
        if rest <= 0 or height < region.floor_mm:
            continue
        width, depth = (radius * rest**0.5 for radius in radii[:2])
        halves = [*_OUTLINE, *((-x, -y) for x, y in _OUTLINE)]
        points = [(center[0] + width * x, center[1] + depth * y, height) for x, y in halves]
        yield {
            "ContourImageSequence": [{"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)}],
            "ContourGeometricType": "CLOSED_PLANAR",
            "NumberOfContourPoints": len(points),
            "ContourData": decimals(*(value for point in points for value in point)),
        }


def _describe_frame(stack: Stack, segment: int, number: int) -> dict[str, Any]:
    source = {"ReferencedSOPClassUID": uid.CTImageStorage, **_uid_of(number)}
    purpose = code("121322", "DCM", "Source image for image processing operation")
    return {
        "FrameContentSequence": [{"DimensionIndexValues": [segment, number + 1]}],
        "PlanePositionSequence": [{"ImagePositionPatient": decimals(*stack.origin(number))}],
        "SegmentIdentificationSequence": [{"ReferencedSegmentNumber": segment}],
        "DerivationImageSequence": [
            {
                "SourceImageSequence": [source | {"PurposeOfReferenceCodeSequence": purpose}],
                "DerivationCodeSequence": code("113076", "DCM", "Segmentation"),
            }
        ],
    }


def _describe_segment(number: int, region: Region) -> dict[str, Any]:
    kind: dict[str, Any] = code(region.concept, "SCT", region.name)[0]
    if region.side:
        kind = kind | {"SegmentedPropertyTypeModifierCodeSequence": _SIDES[region.side]}
    return {
        "SegmentNumber": number,
        "SegmentLabel": f"{region.name} {region.side.lower()}".strip(),
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "dsp_batch",
        "SegmentedPropertyCategoryCodeSequence": code("123037004", "SCT", "Anatomical Structure"),
        "SegmentedPropertyTypeCodeSequence": [kind],
        "RecommendedDisplayCIELabValue": list(_LAB[number - 1]),
    }


_LAB = (
    (42100, 31000, 20800),
    (47800, 26000, 25800),
    (43200, 36700, 47600),
    (35900, 45900, 27900),
    (47200, 23800, 45300),
    (53100, 28300, 48400),
    (55900, 31900, 47600),
)
"""Colors of the segments (PS3.3 C.10.7.1.1)."""
