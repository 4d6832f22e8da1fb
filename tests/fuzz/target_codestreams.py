"""Codestreams: markers and segments of JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL and RLE → decoded frames."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from case import Case, Target
from chance import Chance
from data_folder import DATA, list_objects
from elements import PIXEL_DATA, parse_object
from pydicom import uid
from pydicom.encaps import generate_fragments
from pydicom.pixels.encoders import RLELosslessEncoder

from dsp_batch.dicom.pixels.codecs import decode_frame
from dsp_batch.dicom.pixels.format import check_frame_size
from dsp_batch.model.frame import PixelFormat

_SHAPE = (24, 32)
_JPEG_XL = "1.2.840.10008.1.2.4.110"
_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_LARGEST = 40_000
"""Bytes of the largest real codestream that is taken."""

_MOST_BYTES = 64 << 20
"""Bytes of the largest frame that is decoded: larger claims are refused by the same check, with another number."""

_SIZES = {0xC0: 3, 0xC1: 3, 0xC2: 3, 0xC3: 3, 0xF7: 3}
"""Marker of a frame header of JPEG and JPEG-LS → where its rows and columns stand, from the start of its contents."""


@cache
def _load_seeds() -> tuple[tuple[str, bytes, dict[str, Any]], ...]:
    """Transfer syntax, codestream and pixel format of some frames."""
    return (*_generate(), *_take_real())


def _describe(values: Any) -> dict[str, Any]:
    bits = values.dtype.itemsize * 8
    samples = values.shape[2] if values.ndim == 3 else 1
    return {
        "rows": values.shape[0], "columns": values.shape[1], "number_of_frames": 1, "samples_per_pixel": samples,
        "photometric": "RGB" if samples == 3 else "MONOCHROME2", "bits_allocated": bits, "bits_stored": bits,
        "high_bit": bits - 1, "signed": False,
    }  # fmt: skip


def _generate() -> list[tuple[str, bytes, dict[str, Any]]]:
    rows, columns = np.indices(_SHAPE)
    gray8 = (rows * 5 + columns * 3).astype(np.uint8)
    gray16 = (rows * 1501 + columns * 77).astype(np.uint16)
    color = np.dstack([gray8, gray8[::-1], gray8.T.reshape(_SHAPE)])
    made = []
    for values in (gray8, gray16, color):
        fields = _describe(values)
        bits = fields["bits_stored"]
        encoded = {
            uid.JPEGLosslessSV1: imagecodecs.jpeg8_encode(values, lossless=True, predictor=1, bitspersample=bits),
            uid.JPEGLSLossless: imagecodecs.jpegls_encode(values),
            uid.JPEG2000Lossless: imagecodecs.jpeg2k_encode(values, 0, codecformat="j2k", reversible=True),
            uid.HTJ2KLossless: imagecodecs.htj2k_encode(values, reversible=True),
            _JPEG_XL: imagecodecs.jpegxl_encode(values, lossless=True),
            uid.RLELossless: _encode_rle(values, fields),
            _DEFLATED_FRAMES: zlib.compress(values.tobytes(), wbits=-15),
            uid.ExplicitVRLittleEndian: values.tobytes(),
        }
        if bits == 8:
            encoded[uid.JPEGBaseline8Bit] = imagecodecs.jpeg8_encode(values, level=80)
        made += [(str(syntax), bytes(data), fields) for syntax, data in encoded.items()]
    return made


def _encode_rle(values: Any, fields: dict[str, Any]) -> bytes:
    return RLELosslessEncoder.encode(
        np.ascontiguousarray(values), encoding_plugin="pydicom", rows=fields["rows"], columns=fields["columns"],
        samples_per_pixel=fields["samples_per_pixel"], number_of_frames=1, bits_allocated=fields["bits_allocated"],
        bits_stored=fields["bits_stored"], pixel_representation=0, planar_configuration=0,
        photometric_interpretation=fields["photometric"],
    )  # fmt: skip


def _take_real() -> list[tuple[str, bytes, dict[str, Any]]]:
    """First fragments of real objects, with the format of a frame that they may have or not."""
    found = []
    for path in list_objects(DATA / "codecs") if DATA.is_dir() else []:
        if path.stat().st_size > 4 * _LARGEST or path.suffix == ".csv":
            continue
        made = parse_object(path.read_bytes())
        pixels = next((each for each in made.elements if each.tag == PIXEL_DATA and each.is_undefined), None)
        if pixels is None or not isinstance(pixels.value, bytes):
            continue
        fragments = [each for each in generate_fragments(pixels.value) if each]
        if fragments and len(fragments[-1]) <= _LARGEST:
            found.append((made.syntax, fragments[-1], _describe(np.empty(_SHAPE, np.uint16))))
    return found


def make(chance: Chance) -> Case:
    """Change a codestream by its segments or its bytes; let the header agree with it half of the time."""
    syntax, data, fields = chance.choice(_load_seeds())
    if not chance.one_in(12):
        data = _change_segments(data, chance) if chance.one_in(2) else chance.spoil(data)
    fields = dict(fields)
    agrees = chance.one_in(2)
    if agrees:
        fields |= _read_claims(data)
    for name in (
        () if agrees else chance.some(("rows", "columns", "bits_stored", "signed", "samples", "photometric"), 3)
    ):
        fields |= _change_field(name, fields, chance)
    declared = syntax if not chance.one_in(6) else chance.choice(_load_seeds())[0]
    return Case(data=data, settings={**fields, "transfer_syntax_uid": declared})


def _change_field(name: str, fields: dict[str, Any], chance: Chance) -> dict[str, Any]:
    match name:
        case "rows" | "columns":
            return {name: chance.choice((1, 2, 23, 24, 25, 32, 33, 64, 4096, 65535))}
        case "bits_stored":
            stored = chance.randint(1, fields["bits_allocated"])
            return {"bits_stored": stored, "high_bit": chance.randint(stored - 1, fields["bits_allocated"] - 1)}
        case "signed":
            return {
                "signed": chance.one_in(2),
                "bits_allocated": chance.choice((8, 16, 32)),
                "bits_stored": 8,
                "high_bit": 7,
            }
        case "samples":
            samples = chance.choice((1, 3))
            return {"samples_per_pixel": samples, "photometric": "RGB" if samples == 3 else "MONOCHROME1"}
        case _:
            choices = (
                ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
                if fields["samples_per_pixel"] == 3
                else ("MONOCHROME2",)
            )
            return {"photometric": chance.choice(choices), "planar_configuration": chance.randrange(2)}


def _split(data: bytes) -> list[bytes]:
    """Split a codestream of the JPEG family at its markers; the entropy-coded data stay with the marker before."""
    cuts = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] not in (0x00, 0xFF)]
    return [data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True) if stop > start]


def _change_segments(data: bytes, chance: Chance) -> bytes:
    segments = _split(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(segments))
        match chance.randrange(5):
            case 0:
                del segments[at : at + 1]
            case 1:
                segments.insert(chance.randrange(len(segments)), segments[at])
            case 2:
                segments[at] = _change_word(segments[at], chance)
            case 3:
                segments[at] = segments[at][:2] + chance.spoil(segments[at][2:32], 2) + segments[at][32:]
            case _:
                segments[at] = segments[at][: chance.randrange(len(segments[at]) + 1)]
        if not segments:
            return b""
    return b"".join(segments)


def _change_word(segment: bytes, chance: Chance) -> bytes:
    """Change a 16-bit number near the beginning of a segment: a length, a size, a count."""
    at = chance.randrange(0, max(1, min(len(segment), 40)), 2)
    return segment[:at] + struct.pack(">H", chance.number() & 0xFFFF) + segment[at + 2 :]


def _read_claims(data: bytes) -> dict[str, Any]:
    """Read the rows and columns that a codestream claims: those that the header has to agree with."""
    for segment in _split(data):
        if len(segment) >= 9 and segment[1] in _SIZES:
            rows, columns = struct.unpack_from(">HH", segment, 5)
            return {"rows": max(1, rows), "columns": max(1, columns)}
        if len(segment) >= 22 and segment[1] == 0x51:  # SIZ of JPEG 2000
            columns, rows, left, top = struct.unpack_from(">IIII", segment, 6)
            return {"rows": min(max(1, rows - top), 65535), "columns": min(max(1, columns - left), 65535)}
    return {}


def attempt(case: Case, _: Path) -> None:
    """Decode the frame, if a frame of its size may be."""
    pixels = PixelFormat(**case.settings)
    check_frame_size(pixels, _MOST_BYTES)
    values = decode_frame(case.data, pixels).values
    if values.shape[:2] != (pixels.rows, pixels.columns):
        raise AssertionError(f"{values.shape} is not {pixels.rows} x {pixels.columns}")


TARGET = Target("codestreams", make, attempt)
