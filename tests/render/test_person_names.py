"""Names of persons that real objects bear, at any level, are told and shown nowhere."""

from __future__ import annotations

import io
import logging
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from data_folder import DATA, list_objects, needs_data
from pydicom import Dataset, dcmread

from dsp_batch import PreviewOptions, preview
from dsp_batch.model.frame import EncodedImage

OBJECTS = DATA / "objects"
FOLDERS = sorted(path.name for path in OBJECTS.iterdir() if path.is_dir()) if OBJECTS.is_dir() else []
NAMES = ("CANARY^ALPHA", "PARROT^BRAVO")
"""Two names of one length: with either the picture has to have the same bytes."""

LARGEST = 1 << 20
"""Bytes of the largest folder of which copies are written."""

PERSONS = (
    *("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson"),
    *("ReferringPhysicianName", "PerformingPhysicianName", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy"),
    *("OperatorsName", "ContentCreatorName", "ReviewerName"),
)
"""Keywords that are added to each object, so that all of them bear names."""


def name_persons(dataset: Dataset, name: str) -> None:
    """Write a name into each element of VR PN, at all levels, and into elements that the object lacks."""
    for element in dataset.iterall():
        if element.VR == "PN":
            element.value = name
    for keyword in PERSONS:
        setattr(dataset, keyword, name)
    if "ContentSequence" in dataset and dataset.ContentSequence[0].get("PersonName") != name:
        observer = Dataset()
        observer.RelationshipType, observer.ValueType, observer.PersonName = "HAS OBS CONTEXT", "PNAME", name
        concept = Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator = "121008", "DCM"
        concept.CodeMeaning = "Person Observer Name"
        observer.ConceptNameCodeSequence = [concept]
        dataset.ContentSequence.insert(0, observer)


def write_named(folder: str, root: Path) -> list[Path]:
    """Write two copies of a folder whose persons have the one and the other of the names."""
    copies = [root / str(number) / folder for number in range(len(NAMES))]
    for copy in copies:
        copy.mkdir(parents=True)
    for path in list_objects(OBJECTS / folder):
        dataset = dcmread(path, force=True)
        if "SOPClassUID" not in dataset:
            continue
        for name, copy in zip(NAMES, copies, strict=True):
            name_persons(dataset, name)
            written = io.BytesIO()
            dataset.save_as(written)
            (copy / path.name).write_bytes(written.getvalue())
    return copies


@cache
def is_small(folder: str) -> bool:
    return sum(path.stat().st_size for path in list_objects(OBJECTS / folder)) <= LARGEST


def list_told(image: EncodedImage) -> list[Any]:
    return [image.title, image.summary, image.notes, image.references, image.grid]


@needs_data
@pytest.mark.parametrize("folder", [*filter(is_small, FOLDERS)])
def test_no_name_of_a_person_is_told_or_shown(folder: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    images = []
    for name, copy in zip(NAMES, write_named(folder, tmp_path), strict=True):
        images.append(preview(copy, PreviewOptions(size=256)))
        told = f"{list_told(images[-1])}{caplog.text}".upper()
        assert not any(part in told for part in name.split("^"))

    one, other = images
    assert one.data == other.data
    assert list_told(one) == list_told(other)
