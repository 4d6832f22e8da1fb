"""Generate objects of radiotherapy and registration: a plan, and where one frame of reference lies in another."""

from __future__ import annotations

from pydicom import uid

from dsp_batch.phantom.modules import common, frame_of_reference
from dsp_batch.phantom.objects import PhantomSeries, build_single, phantom_uid

_GANTRY = (0, 72, 144, 216, 288)


def build_plan(name: str = "plan") -> PhantomSeries:
    """Build a plan of five photon beams (PS3.3 A.20)."""
    beams = [
        {
            "BeamNumber": number,
            "BeamName": f"Field {number}",
            "BeamType": "STATIC",
            "RadiationType": "PHOTON",
            "TreatmentMachineName": "PHANTOM 1",
            "TreatmentDeliveryType": "TREATMENT",
            "NumberOfControlPoints": 1,
            "ControlPointSequence": [
                {
                    "ControlPointIndex": 0,
                    "NominalBeamEnergy": "6",
                    "GantryAngle": f"{angle}",
                    "BeamLimitingDeviceAngle": "10",
                    "PatientSupportAngle": "0",
                }
            ],
        }
        for number, angle in enumerate(_GANTRY, 1)
    ]
    metersets = [{"ReferencedBeamNumber": n, "BeamMeterset": f"{60 + 7 * n}"} for n in range(1, len(_GANTRY) + 1)]
    attributes = {
        **common(name, "RTPLAN sphere", "RTPLAN", uid.RTPlanStorage),
        **frame_of_reference("torso"),
        "RTPlanLabel": "SPHERE",
        "PlanIntent": "RESEARCH",
        "RTPlanGeometry": "TREATMENT_DEVICE",
        "DoseReferenceSequence": [
            {
                "DoseReferenceNumber": 1,
                "DoseReferenceStructureType": "VOLUME",
                "DoseReferenceDescription": "Sphere",
                "DoseReferenceType": "TARGET",
                "TargetPrescriptionDose": "50",
            }
        ],
        "FractionGroupSequence": [
            {
                "FractionGroupNumber": 1,
                "NumberOfFractionsPlanned": 25,
                "NumberOfBeams": len(beams),
                "NumberOfBrachyApplicationSetups": 0,
                "ReferencedBeamSequence": metersets,
            }
        ],
        "BeamSequence": beams,
    }
    return build_single(name, attributes, None)


def build_registration(name: str = "registration") -> PhantomSeries:
    """Build a registration that shifts the head onto the torso (PS3.3 A.39.1)."""
    matrix = ["0.96", "-0.28", "0", "12.5", "0.28", "0.96", "0", "-3", "0", "0", "1", "40", "0", "0", "0", "1"]
    attributes = {
        **common(name, "REG head to torso", "REG", uid.SpatialRegistrationStorage),
        **frame_of_reference("torso"),
        "ContentLabel": "HEAD",
        "ContentDescription": "Head to torso",
        "ContentCreatorName": "",
        "RegistrationSequence": [
            {
                "FrameOfReferenceUID": phantom_uid("frame-of-reference/head"),
                "MatrixRegistrationSequence": [
                    {
                        "MatrixSequence": [
                            {
                                "FrameOfReferenceTransformationMatrixType": "RIGID",
                                "FrameOfReferenceTransformationMatrix": matrix,
                            }
                        ]
                    }
                ],
            }
        ],
    }
    return build_single(name, attributes, None)
