"""The codec of a frame is known by its bytes, whatever transfer syntax is declared."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from datasets import DATA, make_pixels, needs_data, read_source
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.pixels import pixel_array
from test_codecs import encode_lossless

from dsp_batch.dicom.pixels.codecs import decode_frame
from dsp_batch.dicom.pixels.frames import PixelSource, read_frames
from dsp_batch.dicom.pixels.signature import identify_syntax
from dsp_batch.dicom.syntaxes import name_codec
from dsp_batch.errors import PixelError
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import StoredArray

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
RLE, DEFLATED_FRAMES = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"
JPEG, JPEG_LOSSLESS, JPEG_LS, J2K, HTJ2K, JPEG_XL = (
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 70, 80, 90, 201, 110)
)
COMPRESSED = [RLE, JPEG_LOSSLESS, JPEG_LS, J2K, HTJ2K, JPEG_XL]
DECLARED = [EXPLICIT, IMPLICIT, BIG_ENDIAN, JPEG, DEFLATED_FRAMES, "", "1.2.3.4", *COMPRESSED]


def item(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data


def values_of(shape: tuple[int, int]) -> StoredArray:
    return (np.arange(shape[0] * shape[1]).reshape(shape) * 37 % 65536).astype(np.uint16)


@pytest.mark.parametrize("actual", COMPRESSED)
@pytest.mark.parametrize("declared", DECLARED)
@settings(deadline=None, max_examples=6)
@given(shape=st.tuples(st.integers(2, 40), st.integers(2, 40)))
def test_any_codec_is_decoded_under_any_declaration(actual: str, declared: str, shape: tuple[int, int]) -> None:
    values = values_of(shape)
    data = encode_lossless(actual, values, 16)
    assume(len(data) not in (values.nbytes, values.nbytes + 1))

    decoded = decode_frame(data, make_pixels(shape, transfer_syntax_uid=declared))

    assert (decoded.values == values).all()
    assert bool(decoded.notes) == (name_codec(actual) != name_codec(declared))


@pytest.mark.parametrize("declared", [uid for uid in DECLARED if uid not in (BIG_ENDIAN, DEFLATED_FRAMES)])
@settings(deadline=None, max_examples=10)
@given(values=hnp.arrays("<u2", hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20)))
def test_as_many_bytes_as_a_native_frame_are_native(declared: str, values: StoredArray) -> None:
    decoded = decode_frame(values.tobytes(), make_pixels(values.shape, transfer_syntax_uid=declared))

    assert (decoded.values == values).all()
    assert bool(decoded.notes) == (declared not in (EXPLICIT, IMPLICIT, ""))


@pytest.mark.parametrize("declared", [JPEG, JPEG_LS, J2K, RLE, "1.2.3.4"])
@settings(deadline=None)  # the machine may be busy
@given(frames=st.integers(1, 4), odd=st.booleans())
def test_an_element_of_defined_length_of_exactly_the_frames_is_native(declared: str, frames: int, *, odd: bool) -> None:
    stored = np.arange(frames * 15 if odd else frames * 16, dtype=np.uint8)
    pixels = make_pixels(
        (3, 5) if odd else (4, 4), bits_stored=8, number_of_frames=frames, transfer_syntax_uid=declared
    )
    data = stored.tobytes() + b"\0" * (len(stored) % 2)
    source = PixelSource(pixels=pixels, size=len(data), pixel_data_offset=0, pixel_data_length=len(data))

    found = read_bytes(read_frames(source, range(frames)), data)

    parts = [part for part in found.values() if not isinstance(part, PixelError)]
    decoded = [decode_frame(part, pixels).values.ravel() for part in parts]
    assert np.concatenate(decoded).tolist() == stored.tolist()


@pytest.mark.parametrize("declared", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("layout", ["items", "bare"])
def test_an_element_of_defined_length_that_is_shorter_than_its_frames_may_hold_a_codestream(
    declared: str, layout: str
) -> None:
    values = values_of((60, 60)) // 64
    codestream = encode_lossless(J2K, values, 16)
    data = item(b"") + item(codestream) if layout == "items" else codestream
    pixels = make_pixels(values.shape, transfer_syntax_uid=declared)
    source = PixelSource(pixels=pixels, size=len(data), pixel_data_offset=0, pixel_data_length=len(data))

    found = read_bytes(read_frames(source, [0]), data)[0]

    assert not isinstance(found, PixelError)
    assert (decode_frame(found, pixels).values == values).all()


def test_native_pixels_that_begin_as_a_codestream_does_are_native_where_they_are_declared_so() -> None:
    data = b"\xff\xd8\xff\xe0" + bytes(44)

    assert identify_syntax(data, make_pixels((4, 6))) == EXPLICIT


def test_a_lossy_codestream_is_told_from_a_lossless_one() -> None:
    lossy = bytes(imagecodecs.jpeg2k_encode(values_of((64, 64)), level=40, reversible=False, codecformat="J2K"))
    baseline = bytes(imagecodecs.jpeg8_encode(values_of((64, 64)).astype(np.uint8)))

    assert identify_syntax(lossy, make_pixels((64, 64), transfer_syntax_uid=JPEG)).endswith(".91")
    assert identify_syntax(baseline, make_pixels((64, 64), transfer_syntax_uid=JPEG_LOSSLESS)).endswith(".51")


REPORTS = {
    "encapsulated-under-native-syntax": (JPEG, "Pixel Data is lossy JPEG, though uncompressed is declared"),
    "jpeg-under-jpeg2000-syntax": (JPEG, "Pixel Data is lossy JPEG, though JPEG 2000 is declared"),
    "native-under-jpeg-syntax": (EXPLICIT, "Pixel Data is uncompressed, though lossless JPEG is declared"),
    "jpegls-under-jpeg-lossless-syntax": (JPEG_LS, "Pixel Data is JPEG-LS, though lossless JPEG is declared"),
}


@needs_data
@pytest.mark.parametrize("report", REPORTS)
def test_a_transfer_syntax_that_contradicts_the_pixels_is_passed_over_with_a_note(report: str, tmp_path: Path) -> None:
    uid, note = REPORTS[report]
    path = DATA / "reports" / report / "1.dcm"
    corrected = pydicom.dcmread(path)
    corrected.file_meta.TransferSyntaxUID = uid
    corrected.save_as(tmp_path / "corrected.dcm")
    _, source, data = read_source(path)

    found = read_bytes(read_frames(source, [0]), data)[0]

    assert not isinstance(found, PixelError)
    decoded = decode_frame(found, source.pixels)
    assert (decoded.values == pixel_array(tmp_path / "corrected.dcm", raw=True)).all()
    assert decoded.notes == (note,)
