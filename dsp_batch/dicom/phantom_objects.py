"""DICOM objects from attributes and arrays, the same bytes on every run."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dsp_batch.dicom.phantom_shapes import Points, as_points

Attributes = Mapping[str, Any]
"""Values by keyword. A sequence is a list of such mappings."""

Frames = npt.NDArray[Any]
"""Stored values, shape (frames, rows, columns), or (frames, rows, columns, 3) for RGB."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:dsp_batch:phantom")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomObject:
    """One generated object."""

    name: str
    """Object name below the series prefix: `{UUID}.dcm`."""

    data: bytes = field(repr=False)
    """The whole DICOM file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSeries:
    """One generated series: what stands below one series prefix."""

    series_uuid: str
    title: str
    """What it is, in a few words."""

    objects: tuple[PhantomObject, ...]
    """Sorted by name, which says nothing about their place in the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Parallel planes through the middle of patient space. Slice 0 comes last on display, so numbers run against it."""

    row_direction: tuple[float, float, float]
    """From one column to the next, LPS, unit length."""

    column_direction: tuple[float, float, float]
    """From one row to the next, LPS, unit length."""

    center: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Middle of the stack, mm."""

    rows: int
    columns: int
    row_spacing: float
    """Distance of rows, mm."""

    column_spacing: float
    """Distance of columns, mm."""

    count: int
    slice_spacing: float
    """Distance of slices along the normal, mm."""

    def origin(self, number: int) -> tuple[float, ...]:
        """Center of the first pixel of a slice, LPS, mm."""
        normal = np.cross(self.row_direction, self.column_direction)
        along = (number - (self.count - 1) / 2) * self.slice_spacing
        across = np.multiply(self.row_direction, (self.columns - 1) / 2 * self.column_spacing)
        down = np.multiply(self.column_direction, (self.rows - 1) / 2 * self.row_spacing)
        return tuple(float(value) for value in self.center + along * normal - across - down)

    def points(self, number: int) -> Points:
        """Coordinates of the pixels of a slice; small arrays along the axes that the plane follows."""
        across = np.arange(self.columns) * self.column_spacing
        down = np.arange(self.rows) * self.row_spacing
        axes = zip(self.origin(number), self.row_direction, self.column_direction, strict=True)
        return as_points(
            *(o + (across[None, :] * r if r else 0.0) + (down[:, None] * c if c else 0.0) for o, r, c in axes)
        )

    def plane_attributes(self, number: int) -> dict[str, Any]:
        """Image Plane module of a slice (PS3.3 C.7.6.2)."""
        return {
            "ImagePositionPatient": decimals(*self.origin(number)),
            "ImageOrientationPatient": decimals(*self.row_direction, *self.column_direction),
            "PixelSpacing": decimals(self.row_spacing, self.column_spacing),
            "SliceThickness": decimals(self.slice_spacing)[0],
        }


def phantom_uid(name: str) -> str:
    """A UID of 44 characters that depends on the name alone (PS3.5 B.2: an integer of 128 bits below 2.25)."""
    digest = hashlib.sha256(f"{_NAMESPACE}/{name}".encode()).digest()
    return f"2.25.{10**38 + int.from_bytes(digest[:16], 'big') % 10**38}"


def phantom_uuid(name: str) -> str:
    """A UUID that depends on the name alone."""
    return str(uuid.uuid5(_NAMESPACE, name))


def decimals(*values: float) -> list[str]:
    """Decimal strings of at most 16 characters (VR DS)."""
    return [f"{round(value, 5) + 0.0:.9g}" for value in values]


def build_series(name: str, title: str, instances: Iterable[Callable[[str], bytes]]) -> PhantomSeries:
    """Name and sort the objects of a series.

    Args:
        name: Decides the UUIDs and UIDs.
        title: What the series is.
        instances: One function each, from SOP Instance UID to the object's bytes.
    """
    objects = [
        PhantomObject(name=f"{phantom_uuid(f'{name}/{number}')}.dcm", data=write(phantom_uid(f"{name}/{number}")))
        for number, write in enumerate(instances)
    ]
    return PhantomSeries(
        series_uuid=phantom_uuid(name), title=title, objects=tuple(sorted(objects, key=lambda o: o.name))
    )


def build_dataset(attributes: Attributes) -> Dataset:
    """A dataset from values by keyword."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        nested = isinstance(value, list) and value and isinstance(value[0], Mapping)
        setattr(dataset, keyword, [build_dataset(item) for item in value] if nested else value)
    return dataset


def write_object(attributes: Attributes, frames: Frames | None, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Write one DICOM file.

    Args:
        attributes: Everything but the Image Pixel module, which the frames decide; `BitsStored` and
            `PhotometricInterpretation` are taken from here where given.
        frames: Stored values; None for an object without pixels.
        transfer_syntax: UID. Compressed ones give the same bytes for one version of the codec.
    """
    dataset = build_dataset(attributes if frames is None else {**_pixel_attributes(frames, transfer_syntax), **attributes})
    if frames is not None:
        _add_pixel_data(dataset, frames, transfer_syntax)
    return write_dataset(dataset, transfer_syntax)


def write_dataset(dataset: Dataset, transfer_syntax: str) -> bytes:
    """The bytes of a DICOM file, with file meta information that names no version of any library."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    dataset.file_meta.ImplementationClassUID = UID(phantom_uid("implementation"))
    dataset.file_meta.ImplementationVersionName = "DSP_BATCH"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _pixel_attributes(frames: Frames, transfer_syntax: str) -> dict[str, Any]:
    color = frames.ndim == 4
    bits = frames.dtype.itemsize * 8
    of_codec = {JPEGBaseline8Bit: "YBR_FULL_422", JPEG2000Lossless: "YBR_RCT", HTJ2KLossless: "YBR_RCT"}
    values: dict[str, Any] = {
        "SamplesPerPixel": 3 if color else 1,
        "PhotometricInterpretation": of_codec.get(UID(transfer_syntax), "RGB") if color else "MONOCHROME2",
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": int(frames.dtype.kind == "i"),
    }
    if color:
        values["PlanarConfiguration"] = 0
    return values


def _add_pixel_data(dataset: Dataset, frames: Frames, transfer_syntax: str) -> None:
    dataset.HighBit = dataset.BitsStored - 1
    encode = _ENCODERS.get(UID(transfer_syntax))
    if encode:
        dataset.PixelData = encapsulate([encode(frame, dataset) for frame in frames])
    else:
        order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
        data = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 and not encode else "OB"


def _encode_rle(frame: Frames, dataset: Dataset) -> bytes:
    return RLELosslessEncoder.encode(
        np.ascontiguousarray(frame),
        encoding_plugin="pydicom",
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=dataset.SamplesPerPixel,
        number_of_frames=1,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        pixel_representation=dataset.PixelRepresentation,
        photometric_interpretation=dataset.PhotometricInterpretation,
        planar_configuration=0,
    )


def _encode_jpeg(frame: Frames, dataset: Dataset, **options: Any) -> bytes:
    bits = dataset.BitsStored if dataset.BitsStored > 8 else None
    return bytes(imagecodecs.jpeg8_encode(frame, bitspersample=bits, **options))


def _encode_jpeg_ls(frame: Frames, dataset: Dataset) -> bytes:
    # The stream knows no sign: PixelRepresentation says how its bits are read (PS3.5 8.2.3).
    return bytes(imagecodecs.jpegls_encode(frame.view(f"u{dataset.BitsAllocated // 8}")))


def _encode_jpeg2000(frame: Frames, dataset: Dataset) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(frame, 0, codecformat="j2k", reversible=True, bitspersample=dataset.BitsStored)
    )


def _encode_htj2k(frame: Frames, dataset: Dataset) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True, rgb=dataset.SamplesPerPixel == 3))


_ENCODERS: dict[UID, Callable[[Frames, Dataset], bytes]] = {
    RLELossless: _encode_rle,
    JPEGBaseline8Bit: partial(_encode_jpeg, level=90, subsampling="422"),
    JPEGExtended12Bit: partial(_encode_jpeg, level=95),
    JPEGLosslessSV1: partial(_encode_jpeg, lossless=True, predictor=1),
    JPEGLSLossless: _encode_jpeg_ls,
    JPEG2000Lossless: _encode_jpeg2000,
    HTJ2KLossless: _encode_htj2k,
}
"""Encoders by transfer syntax; the others are native."""
