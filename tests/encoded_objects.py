"""Objects of one small frame or several, in each compressed transfer syntax."""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate
from written_objects import make_dataset, write_dataset

DEFLATED_FRAMES, RLE = "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.5"
JPEG, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, JPEG_XL, HTJ2K = (
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 70, 80, 90, 110, 201)
)
_UNKNOWN_TO_PYDICOM = {JPEG_XL: HTJ2K, DEFLATED_FRAMES: JPEG_2000}
"""Transfer syntaxes newer than pydicom → one of the same length, in whose name an object is written."""

SIDE = 32
"""Rows and columns."""


def make_object(frames: list[bytes] | bytes, syntax: str, **attributes: Any) -> bytes:
    """An object of 8 bit; frames in a list are encapsulated."""
    values = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SIDE,
        "Columns": SIDE,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    if isinstance(frames, list) and len(frames) > 1:
        values["NumberOfFrames"] = len(frames)
    dataset = make_dataset(**(values | attributes))
    dataset.PixelData = encapsulate(frames) if isinstance(frames, list) else frames
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = isinstance(frames, list)
    if syntax not in _UNKNOWN_TO_PYDICOM:
        return write_dataset(dataset, syntax)
    known = _UNKNOWN_TO_PYDICOM[syntax]
    return write_dataset(dataset, known).replace(_padded(known), _padded(syntax), 1)


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


def encode(syntax: str, image: np.ndarray[Any, Any]) -> bytes:
    """One frame of 8 bit."""
    encoders: dict[str, Any] = {
        RLE: lambda: struct.pack("<16L", 1, 64, *[0] * 14) + bytes(imagecodecs.packbits_encode(image.tobytes())),
        JPEG: lambda: imagecodecs.jpeg8_encode(image, 98),
        JPEG_LOSSLESS: lambda: imagecodecs.jpeg8_encode(image, lossless=True),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(image),
        JPEG_2000: lambda: imagecodecs.jpeg2k_encode(image, reversible=True, codecformat="J2K"),
        HTJ2K: lambda: imagecodecs.htj2k_encode(image, reversible=True),
        JPEG_XL: lambda: imagecodecs.jpegxl_encode(image, lossless=True),
        DEFLATED_FRAMES: lambda: imagecodecs.deflate_encode(image.tobytes(), raw=True),
    }
    return bytes(encoders[syntax]())
