"""DICOM objects written by pydicom, and their headers and indices."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian
from pydicom.uid import ImplicitVRLittleEndian as ImplicitLittle

from dsp_batch.dicom.headers.read import read_header
from dsp_batch.index.build import build_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import InstanceHeader, SeriesHeaders, SeriesRef

NATIVE_SYNTAXES = (ImplicitLittle, ExplicitVRLittleEndian, ExplicitVRBigEndian)
DEFLATED = DeflatedExplicitVRLittleEndian


def make_dataset(**values: Any) -> Dataset:
    """An instance that says no more than that it is one; private and other elements may be added."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def add_pixels(dataset: Dataset, frames: int = 1, size: int = 4) -> Dataset:
    """The dataset with unsigned 16-bit pixels that count upwards."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = size
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.add_new(0x7FE00010, "OW", np.arange(frames * size * size).astype("<u2").tobytes())
    return dataset


def write_dataset(dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, meta: bool = True) -> bytes:
    """The bytes of an object; without `meta` neither preamble nor file meta information."""
    copy = Dataset(dataset)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that pydicom finds odd are meant
        if meta:
            copy.file_meta = FileMetaDataset()
            copy.file_meta.TransferSyntaxUID = syntax
            copy.file_meta.MediaStorageSOPClassUID = "1.2"
            copy.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
            pydicom.dcmwrite(buffer, copy, enforce_file_format=True)
        else:
            implicit, little = syntax == ImplicitLittle, syntax != ExplicitVRBigEndian
            pydicom.dcmwrite(buffer, copy, implicit_vr=implicit, little_endian=little)
    return buffer.getvalue()


def parse_object(data: bytes, name: str = "a.dcm", *, bulk: frozenset[int] | None = frozenset()) -> InstanceHeader:
    """The header of an object in memory."""
    return read_bytes(read_header(name, len(data), bulk=bulk), data)


def gather_headers(objects: Sequence[bytes], **more: Any) -> SeriesHeaders:
    """The headers of a series of objects in memory, named `0.dcm`, `1.dcm` …"""
    headers = tuple(parse_object(data, f"{number}.dcm") for number, data in enumerate(objects))
    ref = SeriesRef(root="/root", series_uuid="38902e14-b11f-4548-910e-771ee757dc82")
    return SeriesHeaders(**({"ref": ref, "headers": headers, "listed": len(headers), "rejected": {}} | more))


def index_objects(*objects: bytes) -> SeriesIndex:
    """The index of a series of objects in memory."""
    return build_index(gather_headers(objects))
