"""Write DICOM objects from attributes and arrays, with the same bytes on every run."""

from __future__ import annotations

import hashlib
import itertools
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, Literal

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element, write_file_meta_info
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

ElementValues = Mapping[str, Any]
"""Values of elements by keyword. A sequence is a list of such mappings."""

FrameArray = npt.NDArray[Any]
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
    """One generated series: the objects below one series prefix."""

    series_uuid: str
    title: str
    """Name of the series, in a few words."""

    objects: tuple[PhantomObject, ...]
    """The objects, sorted by name. Names say nothing about positions in the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedHeader:
    """The elements that all objects of a series share. They are encoded once: that takes most of the time."""

    attributes: ElementValues
    transfer_syntax: UID
    elements: Mapping[int, bytes]
    """The bytes of each element, by tag."""


def phantom_uid(name: str) -> str:
    """Make a UID of 44 characters that depends on the name alone (PS3.5 B.2: an integer of 128 bits below 2.25)."""
    digest = hashlib.sha256(_NAMESPACE.bytes + name.encode()).digest()
    return f"2.25.{10**38 + int.from_bytes(digest[:16], 'big') % 10**38}"


def phantom_uuid(name: str) -> str:
    """Make a UUID that depends on the name alone."""
    return str(uuid.uuid5(_NAMESPACE, name))


def build_series(name: str, title: str, instances: Iterable[bytes]) -> PhantomSeries:
    """Name and sort the objects of a series.

    Args:
        name: Text that decides the UUIDs.
        title: Name of the series, in a few words.
        instances: The bytes of each object.
    """
    names = (f"{phantom_uuid(f'{name}/{number}')}.dcm" for number in itertools.count())
    objects = [PhantomObject(name=key, data=data) for key, data in zip(names, instances, strict=False)]
    objects.sort(key=attrgetter("name"))
    return PhantomSeries(series_uuid=phantom_uuid(name), title=title, objects=tuple(objects))


def instance_numbers(name: str, number: int) -> dict[str, Any]:
    """Make the SOP Instance UID and InstanceNumber of an object of a series, the first being number 0."""
    return {"SOPInstanceUID": phantom_uid(f"instance/{name}/{number}"), "InstanceNumber": number + 1}


def build_single(
    name: str, attributes: ElementValues, frames: FrameArray | None, transfer_syntax: str = ExplicitVRLittleEndian
) -> PhantomSeries:
    """Build a series of one object, titled by its Series Description."""
    several = {} if frames is None or len(frames) == 1 else {"NumberOfFrames": len(frames)}
    data = write_object(encode_header(attributes, transfer_syntax), several | instance_numbers(name, 0), frames)
    return build_series(name, attributes["SeriesDescription"], [data])


def build_dataset(attributes: ElementValues) -> Dataset:
    """Build a dataset from values by keyword."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        nested = isinstance(value, list) and value and isinstance(value[0], Mapping)
        setattr(dataset, keyword, [build_dataset(item) for item in value] if nested else value)
    return dataset


def encode_header(attributes: ElementValues, transfer_syntax: str = ExplicitVRLittleEndian) -> SharedHeader:
    """Encode the attributes that all objects of a series share."""
    elements = encode_elements(build_dataset(attributes), UID(transfer_syntax))
    return SharedHeader(attributes=attributes, transfer_syntax=UID(transfer_syntax), elements=elements)


def write_object(header: SharedHeader, own: ElementValues, frames: FrameArray | None) -> bytes:
    """Write one DICOM file.

    Args:
        header: The elements that the object shares with its series. `BitsStored` and `PhotometricInterpretation` are
            taken from here where given; the frames decide the rest of the Image Pixel module.
        own: The object's own attributes, SOPInstanceUID among them.
        frames: Stored values; None for an object without pixels.

    Returns:
        The whole file. It names no version of a library, but compressed pixels depend on the codec's version.
    """
    dataset = build_dataset(own)
    if frames is not None:
        pixels = _pixel_attributes(frames, header.transfer_syntax)
        dataset.update(build_dataset({key: header.attributes.get(key, value) for key, value in pixels.items()}))
        _add_pixel_data(dataset, frames, header.transfer_syntax)
    elements = {**header.elements, **encode_elements(dataset, header.transfer_syntax)}
    body = b"".join(elements[tag] for tag in sorted(elements))
    if header.transfer_syntax == DeflatedExplicitVRLittleEndian:
        body = zlib.compress(body, wbits=-zlib.MAX_WBITS)
        body += b"\0" * (len(body) % 2)
    return _encode_meta(header, own["SOPInstanceUID"]) + body


def _encode_meta(header: SharedHeader, sop_instance_uid: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.attributes["SOPClassUID"]
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = header.transfer_syntax
    meta.ImplementationClassUID = UID(phantom_uid("implementation"))
    meta.ImplementationVersionName = "DSP_BATCH"
    buffer = DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def encode_elements(dataset: Dataset, transfer_syntax: UID) -> dict[int, bytes]:
    """Encode each element of a dataset by itself; the result has their bytes by tag."""
    correct_ambiguous_vr(dataset, transfer_syntax.is_little_endian)
    elements = {}
    for element in dataset:
        buffer = DicomBytesIO()
        buffer.is_implicit_VR = transfer_syntax.is_implicit_VR
        buffer.is_little_endian = transfer_syntax.is_little_endian
        write_data_element(buffer, element)
        elements[int(element.tag)] = buffer.getvalue()
    return elements


def _pixel_attributes(frames: FrameArray, transfer_syntax: UID) -> dict[str, Any]:
    color = frames.ndim == 4
    bits = frames.dtype.itemsize * 8
    of_codec = {JPEGBaseline8Bit: "YBR_FULL_422", JPEG2000Lossless: "YBR_RCT", HTJ2KLossless: "YBR_RCT"}
    values: dict[str, Any] = {
        "SamplesPerPixel": 3 if color else 1,
        "PhotometricInterpretation": of_codec.get(transfer_syntax, "RGB") if color else "MONOCHROME2",
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "PixelRepresentation": int(frames.dtype.kind == "i"),
    }
    return values | {"PlanarConfiguration": 0} if color else values


def _add_pixel_data(dataset: Dataset, frames: FrameArray, transfer_syntax: UID) -> None:
    dataset.HighBit = dataset.BitsStored - 1
    if encode := _ENCODERS.get(transfer_syntax):
        dataset.PixelData = encapsulate([encode(frame, dataset) for frame in frames])
    else:
        order: Literal["<", ">"] = "<" if transfer_syntax.is_little_endian else ">"
        data = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
    element = dataset["PixelData"]
    element.VR = "OW" if dataset.BitsAllocated > 8 and not encode else "OB"
    element.is_undefined_length = encode is not None


def _encode_rle(frame: FrameArray, dataset: Dataset) -> bytes:
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


def _encode_lossy_jpeg(frame: FrameArray, dataset: Dataset, *, bits: int, **options: Any) -> bytes:
    if dataset.BitsStored != bits or dataset.PixelRepresentation:
        raise ValueError(f"this transfer syntax is written from unsigned values of {bits} bit only (PS3.5 8.2.1)")
    return _encode_jpeg(frame, dataset, **options)


def _encode_jpeg(frame: FrameArray, dataset: Dataset, **options: Any) -> bytes:
    bits = dataset.BitsStored if dataset.BitsStored > 8 else None
    unsigned = frame.view(f"u{dataset.BitsAllocated // 8}")
    return bytes(imagecodecs.jpeg8_encode(unsigned, bitspersample=bits, **options))


def _encode_jpeg_ls(frame: FrameArray, dataset: Dataset) -> bytes:
    # The stream knows no sign: PixelRepresentation says how its bits are read (PS3.5 8.2.3).
    return bytes(imagecodecs.jpegls_encode(frame.view(f"u{dataset.BitsAllocated // 8}")))


def _encode_jpeg2000(frame: FrameArray, dataset: Dataset) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(frame, 0, codecformat="j2k", reversible=True, bitspersample=dataset.BitsStored)
    )


def _encode_htj2k(frame: FrameArray, dataset: Dataset) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True, rgb=dataset.SamplesPerPixel == 3))


_ENCODERS: dict[UID, Callable[[FrameArray, Dataset], bytes]] = {
    RLELossless: _encode_rle,
    JPEGBaseline8Bit: partial(_encode_lossy_jpeg, bits=8, level=90, subsampling="422"),
    JPEGExtended12Bit: partial(_encode_lossy_jpeg, bits=12, level=95),
    JPEGLosslessSV1: partial(_encode_jpeg, lossless=True, predictor=1),
    JPEGLSLossless: _encode_jpeg_ls,
    JPEG2000Lossless: _encode_jpeg2000,
    HTJ2KLossless: _encode_htj2k,
}
"""The encoder of each transfer syntax that compresses pixels. All others are native."""
