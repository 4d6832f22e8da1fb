"""Objects for tests: real ones from the data folder, and pydicom datasets as attributes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.pixels.codecs import decode_frame
from dsp_batch.dicom.pixels.format import describe_pixels
from dsp_batch.dicom.pixels.frames import PixelSource, read_frames
from dsp_batch.dicom.pixels.palette import describe_palette
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable, PixelFormat
from dsp_batch.model.ranges import Buffer, read_bytes
from dsp_batch.model.series import StoredArray

DATA = Path(os.environ.get("DSP_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real DICOM data is not here (DSP_DATA)")
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def attributes_of(dataset: Dataset) -> Attributes:
    """The header of a pydicom dataset."""
    values: dict[str, Any] = {}
    for element in dataset:
        if element.keyword in _PIXEL_KEYWORDS:
            continue
        value = element.value
        if element.VR == "SQ":
            value = [attributes_of(item) for item in value]
        elif isinstance(value, pydicom.multival.MultiValue):
            value = list(value)
        values[element.keyword or f"{element.tag.group:04x}_{element.tag.element:04x}"] = value
    return Attributes(values)


def make_attributes(**values: Any) -> Attributes:
    """A small header; what is not given is that of a 16-bit monochrome image."""
    header = {
        "Rows": 4,
        "Columns": 6,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
    }
    return Attributes({key: value for key, value in (header | values).items() if value is not None})


def make_pixels(shape: tuple[int, ...], **values: Any) -> PixelFormat:
    """A pixel format for an array of this shape: (rows, columns) or (rows, columns, samples)."""
    bits = values.pop("bits_stored", 16)
    fields = {
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "rows": shape[0],
        "columns": shape[1],
        "number_of_frames": 1,
        "samples_per_pixel": shape[2] if len(shape) > 2 else 1,
        "photometric": "RGB" if len(shape) > 2 else "MONOCHROME2",
        "bits_allocated": 8 if bits <= 8 else 16 if bits <= 16 else 32,
        "bits_stored": bits,
        "high_bit": bits - 1,
        "signed": False,
    }
    return PixelFormat(**(fields | values))


def read_source(path: Path) -> tuple[Attributes, PixelSource, bytes]:
    """Header, layout and bytes of one object."""
    data = path.read_bytes()
    header = read_bytes(read_header(path.name, len(data)), data)
    attributes = attributes_of(pydicom.dcmread(path, force=True))
    pixels = describe_pixels(attributes, header.transfer_syntax_uid)
    source = PixelSource(
        pixels=pixels,
        size=len(data),
        pixel_data_offset=header.pixel_data_offset,
        pixel_data_length=header.pixel_data_length,
        fragments_offset=header.fragments_offset,
    )
    return attributes, source, data


def decode_values(data: Buffer, pixels: PixelFormat, palette: PaletteTable | None = None) -> StoredArray:
    """Decode one frame to its values alone."""
    return decode_frame(data, pixels, palette).values


def decode_file(path: Path, frames: Sequence[int] = (0,)) -> dict[int, StoredArray]:
    """Decoded frames of one object.

    Raises:
        PixelError: Any of them cannot be decoded.
    """
    attributes, source, data = read_source(path)
    palette = describe_palette(attributes) if source.pixels.photometric == "PALETTE COLOR" else None
    decoded = {}
    for frame, found in read_bytes(read_frames(source, frames), data).items():
        if isinstance(found, PixelError):
            raise found
        decoded[frame] = decode_values(found, source.pixels, palette)
    return decoded


def largest_difference(first: StoredArray, second: StoredArray) -> float:
    """Largest absolute difference of two images of one shape."""
    assert first.shape == second.shape
    return float(np.abs(first.astype(np.float64) - second.astype(np.float64)).max())
