"""Build the attributes that the objects of a phantom series share, by kind of object (PS3.3 A)."""

from __future__ import annotations

from typing import Any

from pydicom import uid

from dsp_batch.phantom.objects import ElementValues, phantom_uid

_DAY = "20240229"


def code(value: str, scheme: str, meaning: str) -> list[dict[str, str]]:
    """Build a code sequence of one item (PS3.3 8.8)."""
    return [{"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}]


def clock(seconds: float) -> str:
    """Write a time of day (VR TM), so many seconds after half past ten."""
    total = 10 * 3600 + 30 * 60 + seconds
    return f"{int(total // 3600):02d}{int(total % 3600 // 60):02d}{total % 60:09.6f}"


def common(name: str, title: str, modality: str, sop_class_uid: str) -> dict[str, Any]:
    """Build the patient, study, series and equipment modules, which all objects share (PS3.3 C.7.1 to C.7.5)."""
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class_uid,
        "StudyDate": _DAY,
        "SeriesDate": _DAY,
        "ContentDate": _DAY,
        "StudyTime": clock(0),
        "SeriesTime": clock(60),
        "ContentTime": clock(120),
        "AccessionNumber": "",
        "Modality": modality,
        "Manufacturer": "dsp_batch",
        "ManufacturerModelName": "Phantom",
        "ReferringPhysicianName": "",
        "StudyDescription": "Phantom study",
        "SeriesDescription": title,
        "PatientName": f"Phantom^{modality}",
        "PatientID": f"PHANTOM-{modality}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "StudyInstanceUID": phantom_uid(f"study/{modality}"),
        "SeriesInstanceUID": phantom_uid(f"series/{name}"),
        "StudyID": "1",
        "SeriesNumber": 1,
    }


def frame_of_reference(body: str) -> dict[str, Any]:
    """Build the Frame of Reference module (PS3.3 C.7.4.1), which all series of one body share."""
    return {"FrameOfReferenceUID": phantom_uid(f"frame-of-reference/{body}"), "PositionReferenceIndicator": ""}


def ct_attributes(name: str, title: str, plane: str) -> dict[str, Any]:
    """Build the attributes of a CT Image (PS3.3 A.3)."""
    return {
        **common(name, title, "CT", uid.CTImageStorage),
        **frame_of_reference("torso"),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"] if plane == "axial" else ["DERIVED", "SECONDARY", "REFORMATTED"],
        "AcquisitionDate": _DAY,
        "AcquisitionTime": clock(90),
        "BodyPartExamined": "CHESTABDOMEN",
        "KVP": "120",
        "ConvolutionKernel": "STANDARD",
        "PatientPosition": "HFS",
        "AcquisitionNumber": 1,
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "PixelRepresentation": 1,
        "PixelPaddingValue": -2000,
        "WindowCenter": ["40", "-500"],
        "WindowWidth": ["400", "1500"],
        "WindowCenterWidthExplanation": ["SOFT TISSUE", "LUNG"],
    }


def mr_attributes(name: str, title: str) -> dict[str, Any]:
    """Build the attributes of an MR Image (PS3.3 A.4)."""
    return {
        **common(name, title, "MR", uid.MRImageStorage),
        **frame_of_reference("head"),
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "AcquisitionDate": _DAY,
        "BodyPartExamined": "HEAD",
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "ScanOptions": "",
        "MRAcquisitionType": "2D",
        "RepetitionTime": "12",
        "EchoTime": "3.5",
        "FlipAngle": "25",
        "EchoTrainLength": "1",
        "MagneticFieldStrength": "3",
        "PatientPosition": "HFS",
        "BitsStored": 12,
    }


def pet_attributes(name: str, title: str, count: int) -> dict[str, Any]:
    """Build the attributes of a PET Image (PS3.3 A.21)."""
    tracer = code("35321007", "SCT", "Fluorodeoxyglucose F^18^")
    return {
        **common(name, title, "PT", uid.PositronEmissionTomographyImageStorage),
        **frame_of_reference("torso"),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "AcquisitionDate": _DAY,
        "AcquisitionTime": clock(90),
        "BodyPartExamined": "CHESTABDOMEN",
        "FrameReferenceTime": "0",
        "ActualFrameDuration": "120000",
        "Units": "BQML",
        "CountsSource": "EMISSION",
        "SeriesType": ["WHOLE BODY", "IMAGE"],
        "NumberOfSlices": count,
        "DecayCorrection": "START",
        "CorrectedImage": ["DECY", "ATTN"],
        "CollimatorType": "NONE",
        "RadiopharmaceuticalInformationSequence": [
            {
                "RadionuclideTotalDose": "3.7e8",
                "RadionuclideCodeSequence": code("77004003", "SCT", "^18^Fluorine"),
                "RadiopharmaceuticalCodeSequence": tracer,
            }
        ],
        "PatientOrientationCodeSequence": [],
        "PatientGantryRelationshipCodeSequence": [],
        "DecayFactor": "1",
        "RescaleIntercept": "0",
        "WindowCenter": "5000",
        "WindowWidth": "10000",
    }


def ultrasound_attributes(name: str, title: str, sop_class_uid: str) -> dict[str, Any]:
    """Build the attributes of an Ultrasound Image or Ultrasound Multi-frame Image (PS3.3 A.6, A.7)."""
    return {
        **common(name, title, "US", sop_class_uid),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BodyPartExamined": "HEART",
        "InstanceNumber": 1,
        "PatientOrientation": "",
        "LossyImageCompression": "00",
        "SequenceOfUltrasoundRegions": [_REGION],
    }


_REGION: ElementValues = {
    "RegionSpatialFormat": 1,
    "RegionDataType": 1,
    "RegionFlags": 0,
    "RegionLocationMinX0": 0,
    "RegionLocationMinY0": 0,
    "RegionLocationMaxX1": 300,
    "RegionLocationMaxY1": 210,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.05,
    "PhysicalDeltaY": 0.05,
}


def radiograph_attributes(name: str, title: str, spacing: str) -> dict[str, Any]:
    """Build the attributes of a Computed Radiography Image (PS3.3 A.2) whose low values are white."""
    return {
        **common(name, title, "CR", uid.ComputedRadiographyImageStorage),
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BodyPartExamined": "HAND",
        "ViewPosition": "PA",
        "KVP": "50",
        "Laterality": "L",
        "InstanceNumber": 1,
        "PatientOrientation": "",
        "ImagerPixelSpacing": [spacing, spacing],
        "PhotometricInterpretation": "MONOCHROME1",
        "BitsStored": 12,
        "WindowCenter": "2200",
        "WindowWidth": "3500",
    }


def report_attributes(name: str, title: str) -> dict[str, Any]:
    """Build the attributes of a Basic Text SR (PS3.3 A.35.1): a heading and one sentence, no pixels."""
    return {
        **common(name, title, "SR", uid.BasicTextSRStorage),
        "InstanceNumber": 1,
        "ReferencedPerformedProcedureStepSequence": [],
        "PerformedProcedureCodeSequence": [],
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": code("18748-4", "LN", "Diagnostic imaging report"),
        "ContinuityOfContent": "SEPARATE",
        "ContentSequence": [
            {
                "RelationshipType": "CONTAINS",
                "ValueType": "TEXT",
                "ConceptNameCodeSequence": code("121071", "DCM", "Finding"),
                "TextValue": "A bright sphere in the left lung; a metal rod from the neck to the left hip.",
            }
        ],
    }
