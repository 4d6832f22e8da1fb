"""Every real object is read as pydicom reads it: which elements, their VRs, and their bytes."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from data_folder import DATA, list_objects, needs_data, parse_file, read_catalog, select_series
from pydicom.dataelem import RawDataElement
from recording import record_reader

from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import effective_vr
from dsp_batch.dicom.headers.walk import FIRST_RANGE
from dsp_batch.errors import HeaderError
from dsp_batch.model.series import InstanceHeader

pytestmark = [needs_data, pytest.mark.filterwarnings("ignore:Expected explicit VR")]

FOLDERS = [f"series/{row['series_uuid']}" for row in read_catalog()] + ["codecs"]
_NO_INSTANCE = "series/cb72d2cc-5693-5a4d-905f-e7b63e2a0507"  # one object without SOP class, instance and rows


def compare_with_pydicom(path: Path, header: InstanceHeader) -> int:
    """Hold a header against pydicom's; returns how many values were compared byte by byte."""
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    raw = {
        int(tag): part.get_item(tag)
        for part in (dataset.file_meta, dataset)
        for tag in part.keys()  # noqa: SIM118  # a Dataset iterates over elements, not tags
        if tag & 0xFFFF
    }
    assert list(header.elements) == list(raw), path
    compared = 0
    for tag, element in raw.items():
        found = header.elements[tag]
        if isinstance(element, RawDataElement):  # not so for sequences of undefined length
            assert found.value == (element.value or b""), (path, hex(tag))
            compared += 1
        if element.VR not in (None, "UN"):
            assert found.vr == element.VR, (path, hex(tag))
    return compared


@pytest.mark.parametrize("folder", FOLDERS)
def test_elements_and_their_bytes_are_those_that_pydicom_finds(folder: str) -> None:
    for path in list_objects(DATA / folder):
        if folder == _NO_INSTANCE:
            with pytest.raises(HeaderError, match="neither SOP Class UID"):
                parse_file(path)
        else:
            header = parse_file(path, bulk=None)
            assert compare_with_pydicom(path, header) > 5


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != _NO_INSTANCE])
def test_vrs_are_those_of_pydicom_where_the_encoding_leaves_them_open(folder: str) -> None:
    for path in list_objects(DATA / folder)[:1]:
        header = parse_file(path, bulk=None)
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        open_tags = [tag for tag, raw in dataset.items() if raw.VR in (None, "UN") and tag & 0xFFFF]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on odd values
            expected = {int(tag): dataset[tag].VR for tag in open_tags}
        assert {tag: effective_vr(tag, header.elements[tag], header) for tag in expected} == expected


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != _NO_INSTANCE])
def test_pixels_lie_where_the_header_says(folder: str) -> None:
    for path in list_objects(DATA / folder)[:2]:
        header, data = parse_file(path), path.read_bytes()
        dataset = pydicom.dcmread(path, force=True)
        keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
        if header.pixel_data_offset is not None:
            assert keyword is not None
            stop = header.pixel_data_offset + (header.pixel_data_length or 0)
            assert data[header.pixel_data_offset : stop] == dataset[keyword].value
        elif header.fragments_offset is not None:
            assert data[header.fragments_offset :].startswith(dataset.PixelData[:64])
            assert dataset["PixelData"].is_undefined_length
        else:
            assert keyword is None or header.transfer_syntax_uid == pydicom.uid.DeflatedExplicitVRLittleEndian


@pytest.mark.parametrize(
    ("kind", "most_requests", "most_bytes"),
    [
        ("CT axial volume", 1, FIRST_RANGE),
        ("MR oblique fMRI 4D", 1, FIRST_RANGE),
        ("MR sagittal volume CSA header", 4, 6 * FIRST_RANGE),
        ("MR Siemens mosaic", 4, 7 * FIRST_RANGE),
    ],
)
def test_real_headers_cost_few_requests(kind: str, most_requests: int, most_bytes: int) -> None:
    for path in list_objects(DATA / "series" / select_series(kind)[0]):
        data = path.read_bytes()
        recording = record_reader(read_header(path.name, len(data)), data)
        assert len(recording.ranges) <= most_requests, path
        assert recording.bytes_read <= most_bytes, path
