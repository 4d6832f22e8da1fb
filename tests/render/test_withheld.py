"""What --no-describe leaves out of rows is in no title, no summary and no picture, however deep it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import uid

from dsp_batch import PreviewOptions, preview
from dsp_batch.model.frame import EncodedImage
from dsp_batch.phantom.modules import code, common
from dsp_batch.phantom.objects import build_single
from dsp_batch.phantom.series import write_collection


def make_item(kind: str, meaning: str, **values: Any) -> dict[str, Any]:
    return {
        "RelationshipType": "CONTAINS",
        "ValueType": kind,
        "ConceptNameCodeSequence": code("1", "99T", meaning),
    } | values


def make_report(word: str) -> dict[str, Any]:
    below = [
        make_item("TEXT", "Impression", TextValue=word),
        make_item("DATE", "Day", Date="20010203"),
        make_item("CODE", "Answer", ConceptCodeSequence=code("2", "99T", "Yes")),
    ]
    section = make_item("CONTAINER", "Section", ContentSequence=below, ContinuityOfContent="SEPARATE")
    return make_item("CONTAINER", "Report", ContentSequence=[section], ContinuityOfContent="SEPARATE")


def make_plan(word: str) -> dict[str, Any]:
    dose = {"DoseReferenceNumber": 1, "DoseReferenceType": "TARGET", "TargetPrescriptionDose": "50"}
    return {"RTPlanLabel": word[:16], "DoseReferenceSequence": [dose | {"DoseReferenceDescription": word}]}


def make_document(word: str) -> dict[str, Any]:
    data = (
        f"<ClinicalDocument><title>{word}</title><section><title>{word}</title></section></ClinicalDocument>".encode()
    )
    return {
        "DocumentTitle": word,
        "MIMETypeOfEncapsulatedDocument": "text/xml",
        "EncapsulatedDocument": data + b"\0" * (len(data) % 2),
    }


def make_selection(word: str) -> dict[str, Any]:
    description = make_item("TEXT", "Description", TextValue=word)
    description["ConceptNameCodeSequence"] = code("113012", "DCM", "Key Object Description")
    return make_item("CONTAINER", "Of Interest", ContentSequence=[description])


def make_state(word: str) -> dict[str, Any]:
    text = {
        "AnchorPoint": [20.0, 30.0],
        "AnchorPointAnnotationUnits": "PIXEL",
        "AnchorPointVisibility": "N",
        "UnformattedTextValue": word,
    }
    circle = {
        "GraphicAnnotationUnits": "PIXEL",
        "GraphicDimensions": 2,
        "NumberOfGraphicPoints": 2,
        "GraphicData": [30.0, 30.0, 40.0, 30.0],
        "GraphicType": "CIRCLE",
        "GraphicFilled": "N",
    }
    image = [{"ReferencedSOPClassUID": uid.CTImageStorage, "ReferencedSOPInstanceUID": "1.2.3"}]
    area = {
        "DisplayedAreaTopLeftHandCorner": [1, 1],
        "DisplayedAreaBottomRightHandCorner": [64, 64],
        "PresentationSizeMode": "SCALE TO FIT",
        "PresentationPixelAspectRatio": ["1", "1"],
    }
    return {
        "ContentDescription": word,
        "ReferencedSeriesSequence": [{"SeriesInstanceUID": "1.2", "ReferencedImageSequence": image}],
        "DisplayedAreaSelectionSequence": [area],
        "GraphicAnnotationSequence": [{"GraphicObjectSequence": [circle], "TextObjectSequence": [text]}],
    }


KINDS = {
    "report": (uid.EnhancedSRStorage, make_report),
    "plan": (uid.RTPlanStorage, make_plan),
    "structures": (uid.RTStructureSetStorage, lambda word: {"StructureSetLabel": word[:16]}),
    "document": (uid.EncapsulatedCDAStorage, make_document),
    "selection": (uid.KeyObjectSelectionDocumentStorage, make_selection),
    "state": (uid.GrayscaleSoftcopyPresentationStateStorage, make_state),
}


def draw(folder: Path, kind: str, word: str, *, describe: bool) -> EncodedImage:
    sop_class, make = KINDS[kind]
    private = {"SeriesDescription": word, "StudyDescription": word, "PatientID": word}
    series = build_single("withheld", common("withheld", "", "OT", sop_class) | private | make(word), None)
    write_collection(folder / word, [series])
    return preview(folder / word / series.series_uuid, PreviewOptions(describe=describe))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_withheld_changes_nothing(kind: str, tmp_path: Path) -> None:
    one, other = (draw(tmp_path, kind, word, describe=False) for word in ("CANARY", "NIGHTINGALE"))

    assert one.data == other.data
    assert (one.title, one.summary, one.notes) == (other.title, other.summary, other.notes)
    assert "CANARY" not in f"{one.title}{one.summary}{one.notes}"
    assert "2001" not in f"{one.title}{one.summary}{one.notes}"


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_option_it_is_told(kind: str, tmp_path: Path) -> None:
    image = draw(tmp_path, kind, "CANARY", describe=True)

    assert "CANARY" in f"{image.title}{image.summary}"


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    image = draw(tmp_path, "report", "CANARY", describe=False)

    assert image.summary is not None
    assert any("Answer: Yes" in line for line in image.summary)


def test_the_text_of_a_state_is_drawn_unless_it_is_withheld(tmp_path: Path) -> None:
    shown, hidden = (draw(tmp_path, "state", "CANARY", describe=describe) for describe in (True, False))

    assert shown.drawn_as == hidden.drawn_as == "picture"
    assert shown.data != hidden.data
