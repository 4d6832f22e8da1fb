from __future__ import annotations

import csv
import shutil
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from datasets import DATA, attributes_of, decode_file, decode_values, largest_difference, make_pixels, needs_data
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.pixels import get_decoder, get_encoder
from pydicom.pixels.processing import apply_color_lut, convert_color_space

from dsp_batch.dicom.pixels.codestream import parse_jpeg, parse_jpeg_xl
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable
from dsp_batch.model.series import StoredArray

EXPLICIT, BIG_ENDIAN, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 70))
JPEG_LS, JPEG_LS_NEAR, J2K_LOSSLESS, J2K = (f"1.2.840.10008.1.2.4.{number}" for number in (80, 81, 90, 91))
HTJ2K, JPEG_XL = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.110"


def encode_lossless(uid: str, words: StoredArray, bits: int) -> bytes:
    """Encode unsigned words, or signed ones for JPEG 2000."""
    if uid == RLE:
        fields = {
            "rows": words.shape[0],
            "columns": words.shape[1],
            "number_of_frames": 1,
            "samples_per_pixel": words.shape[2] if words.ndim > 2 else 1,
            "bits_allocated": words.dtype.itemsize * 8,
            "bits_stored": words.dtype.itemsize * 8,
            "pixel_representation": 0,
            "photometric_interpretation": "RGB" if words.ndim > 2 else "MONOCHROME2",
            "planar_configuration": 0,
        }
        return bytes(get_encoder(RLE).encode(words, encoding_plugin="pydicom", **fields))
    encode = {
        JPEG_LOSSLESS: lambda: imagecodecs.jpeg8_encode(
            words, lossless=True, bitspersample=bits, colorspace="RGB" if words.ndim > 2 else None
        ),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(words),
        J2K_LOSSLESS: lambda: imagecodecs.jpeg2k_encode(words, reversible=True, codecformat="J2K"),
        HTJ2K: lambda: imagecodecs.htj2k_encode(words, reversible=True),
        JPEG_XL: lambda: imagecodecs.jpegxl_encode(words, lossless=True, bitspersample=bits),
    }
    return bytes(encode[uid]())


@st.composite
def stored_images(draw: st.DrawFn, signed: bool | None = None) -> tuple[StoredArray, int]:  # noqa: FBT001  # hypothesis style
    """Stored values and their bits; the type is the smallest that holds them."""
    bits = draw(st.integers(2, 16))
    is_signed = draw(st.booleans()) if signed is None else signed
    shape = (draw(st.integers(1, 20)), draw(st.integers(2, 20)))
    low = -(2 ** (bits - 1)) if is_signed else 0
    size = 1 if bits <= 8 else 2
    dtype = np.dtype(f"{'i' if is_signed else 'u'}{size}")
    values = draw(hnp.arrays(np.int32, shape, elements=st.integers(low, low + 2**bits - 1)))
    return values.astype(dtype), bits


class TestNative:
    @given(image=stored_images(), shift=st.integers(0, 4), garbage=st.integers(0, 0xFFFF), big=st.booleans())
    def test_stored_bits_come_out_of_words_with_anything_in_the_others(
        self, image: tuple[StoredArray, int], shift: int, garbage: int, *, big: bool
    ) -> None:
        values, bits = image
        shift = min(shift, 16 - bits)
        mask = ((1 << bits) - 1) << shift
        words = ((values.astype(np.int32) << shift) & mask) | (garbage & ~mask & 0xFFFF)
        pixels = make_pixels(
            values.shape,
            bits_allocated=16,
            bits_stored=bits,
            high_bit=bits - 1 + shift,
            signed=values.dtype.kind == "i",
            transfer_syntax_uid=BIG_ENDIAN if big else EXPLICIT,
        )

        decoded = decode_values(words.astype(">u2" if big else "<u2").tobytes(), pixels)

        assert decoded.dtype == values.dtype
        assert (decoded == values).all()

    @pytest.mark.parametrize(("allocated", "stored"), [(8, 8), (16, 16), (24, 24), (32, 32), (32, 20), (64, 40)])
    @pytest.mark.parametrize("signed", [True, False])
    @pytest.mark.parametrize("uid", [EXPLICIT, BIG_ENDIAN])
    def test_words_of_any_width(self, uid: str, allocated: int, stored: int, *, signed: bool) -> None:
        low = -(2 ** (stored - 1)) if signed else 0
        values = [low, low + 1, low + 2**stored - 1, 0, 1, 2]
        order = "big" if uid == BIG_ENDIAN else "little"
        data = b"".join((value % 2**allocated).to_bytes(allocated // 8, order) for value in values)
        pixels = make_pixels(
            (2, 3), bits_allocated=allocated, bits_stored=stored, signed=signed, transfer_syntax_uid=uid
        )

        assert decode_values(data, pixels).ravel().tolist() == values

    @given(bits=st.integers(2, 31), values=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=30))
    def test_words_that_fill_no_bytes_are_packed(self, bits: int, values: list[int]) -> None:
        values = [value % 2**bits for value in values]
        stream = sum(value << (number * bits) for number, value in enumerate(values))
        data = stream.to_bytes(-(-bits * len(values) // 8), "little")

        decoded = decode_values(data, make_pixels((1, len(values)), bits_allocated=bits, bits_stored=bits))

        assert decoded.tolist() == [values]

    def test_pixels_of_one_bit_begin_at_the_lowest(self) -> None:
        pixels = make_pixels((2, 5), bits_allocated=1, bits_stored=1)

        assert decode_values(b"\x25\x02", pixels).tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 0, 1]]

    @pytest.mark.parametrize("uid", [EXPLICIT, BIG_ENDIAN])
    @pytest.mark.parametrize("bits", [32, 64])
    def test_floats_keep_their_values(self, uid: str, bits: int) -> None:
        values = np.array([[1.5, -np.inf, np.nan], [1e-30, 3, 0]], f"{'>' if uid == BIG_ENDIAN else '<'}f{bits // 8}")
        pixels = make_pixels((2, 3), bits_allocated=bits, bits_stored=bits, value_type="float", transfer_syntax_uid=uid)

        decoded = decode_values(values.tobytes(), pixels)

        assert decoded.dtype == np.dtype(f"f{bits // 8}")
        np.testing.assert_array_equal(decoded, values)

    def test_a_frame_that_is_too_short_is_an_error(self) -> None:
        with pytest.raises(PixelError, match="23 bytes where 48"):
            decode_values(bytes(23), make_pixels((4, 6)))

    def test_a_deflated_frame_is_native_within(self) -> None:
        values = np.arange(24, dtype="<u2").reshape(4, 6)
        data = imagecodecs.deflate_encode(values.tobytes(), raw=True)
        pixels = make_pixels((4, 6), transfer_syntax_uid=DEFLATED_FRAMES)

        assert (decode_values(bytes(data), pixels) == values).all()
        with pytest.raises(PixelError):
            decode_values(bytes(data)[:20], pixels)


class TestColor:
    @given(rgb=hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3))), planar=st.booleans())
    def test_planar_configuration(self, rgb: StoredArray, *, planar: bool) -> None:
        data = (rgb.transpose(2, 0, 1) if planar else rgb).tobytes()

        decoded = decode_values(data, make_pixels(rgb.shape, bits_stored=8, planar_configuration=int(planar)))

        assert (decoded == rgb).all()

    @given(ybr=hnp.arrays(np.uint8, (3, 4, 3)))
    def test_ybr_full_is_converted_as_pydicom_does(self, ybr: StoredArray) -> None:
        decoded = decode_values(ybr.tobytes(), make_pixels(ybr.shape, bits_stored=8, photometric="YBR_FULL"))

        assert largest_difference(decoded, convert_color_space(ybr, "YBR_FULL", "RGB")) <= 1

    def test_ybr_full_422_repeats_the_chrominance_of_two_pixels(self) -> None:
        y, cb, cr = [50, 90, 130, 170], [100, 100, 160, 160], [120, 120, 90, 90]
        data = bytes([50, 90, 100, 120, 130, 170, 160, 90])
        full = np.stack([y, cb, cr], axis=-1).astype(np.uint8)[None]

        decoded = decode_values(data, make_pixels((1, 4, 3), bits_stored=8, photometric="YBR_FULL_422"))

        assert largest_difference(decoded, convert_color_space(full, "YBR_FULL", "RGB")) <= 1

    def test_ybr_full_422_that_was_expanded_is_taken_as_it_lies(self) -> None:
        ybr = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) + 100

        decoded = decode_values(ybr.tobytes(), make_pixels(ybr.shape, bits_stored=8, photometric="YBR_FULL_422"))

        assert largest_difference(decoded, convert_color_space(ybr, "YBR_FULL", "RGB")) <= 1

    def test_partial_range_reaches_black_and_white(self) -> None:
        pixels = make_pixels((1, 2, 3), bits_stored=8, photometric="YBR_PARTIAL_422")

        assert decode_values(bytes([16, 235, 128, 128]), pixels).tolist() == [[[0] * 3, [255] * 3]]

    @pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT", "RGB"])
    def test_codec_transformations_are_not_undone_twice(self, photometric: str) -> None:
        rgb = np.random.default_rng(3).integers(0, 256, (8, 9, 3)).astype(np.uint8)
        pixels = make_pixels(rgb.shape, bits_stored=8, photometric=photometric, transfer_syntax_uid=J2K_LOSSLESS)

        assert (decode_values(encode_lossless(J2K_LOSSLESS, rgb, 8), pixels) == rgb).all()

    @pytest.mark.parametrize(("bits", "top"), [(16, 65535), (12, 4095), (32, 2**32 - 1), (10, 1023)])
    def test_more_than_eight_bits_are_scaled(self, bits: int, top: int) -> None:
        pixels = make_pixels((1, 2, 3), bits_stored=bits)
        values = np.array([0, top, top // 2, top // 3, top, 0])

        decoded = decode_values(values.astype(f"<u{pixels.bits_allocated // 8}").tobytes(), pixels)

        assert decoded.ravel().tolist() == [0, 255, 127 if bits > 16 else round(top // 2 * 255 / top), 85, 255, 0]

    def test_alpha_is_ignored(self) -> None:
        rgba = np.arange(16, dtype=np.uint8).reshape(2, 2, 4)

        behind = decode_values(rgba.tobytes(), make_pixels(rgba.shape, bits_stored=8))
        before = decode_values(rgba.tobytes(), make_pixels(rgba.shape, bits_stored=8, photometric="ARGB"))

        assert (behind == rgba[..., :3]).all()
        assert (before == rgba[..., 1:]).all()

    def test_palette_values_beyond_its_ends_take_the_end_colors(self) -> None:
        colors = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)
        palette = PaletteTable(first_value=-1, colors=colors)
        pixels = make_pixels((1, 4), bits_stored=8, signed=True, photometric="PALETTE COLOR")

        decoded = decode_values(np.array([-128, -1, 0, 127], np.int8).tobytes(), pixels, palette)

        assert decoded.tolist() == [colors[[0, 0, 1, 2]].tolist()]

    def test_palette_color_without_palette_is_an_error(self) -> None:
        with pytest.raises(PixelError, match="without a palette"):
            decode_values(bytes(4), make_pixels((1, 4), bits_stored=8, photometric="PALETTE COLOR"))


class TestCompressed:
    @pytest.mark.parametrize("uid", [RLE, JPEG_LOSSLESS, JPEG_LS, J2K_LOSSLESS, HTJ2K, JPEG_XL])
    @settings(deadline=None, max_examples=60)
    @given(image=stored_images())
    def test_lossless_codecs_give_stored_values_back(self, uid: str, image: tuple[StoredArray, int]) -> None:
        values, bits = image
        words = (values.astype(np.int32) & ((1 << bits) - 1)).astype(f"u{values.dtype.itemsize}")
        pixels = make_pixels(values.shape, bits_stored=bits, signed=values.dtype.kind == "i", transfer_syntax_uid=uid)

        decoded = decode_values(encode_lossless(uid, words, bits), pixels)

        assert decoded.dtype == values.dtype
        assert (decoded == values).all()

    @pytest.mark.parametrize("uid", [J2K_LOSSLESS, J2K, HTJ2K])
    @settings(deadline=None, max_examples=60)
    @given(image=stored_images(signed=True))
    def test_signed_codestreams_keep_their_sign(self, uid: str, image: tuple[StoredArray, int]) -> None:
        values, bits = image
        data = encode_lossless(J2K_LOSSLESS if uid == J2K else uid, values, bits)
        pixels = make_pixels(values.shape, bits_stored=bits, signed=True, transfer_syntax_uid=uid)

        assert (decode_values(data, pixels) == values).all()

    @given(image=stored_images(signed=True))
    def test_a_signed_codestream_under_an_unsigned_header_is_unsigned(self, image: tuple[StoredArray, int]) -> None:
        values, bits = image
        pixels = make_pixels(values.shape, bits_stored=bits, transfer_syntax_uid=J2K_LOSSLESS)

        decoded = decode_values(encode_lossless(J2K_LOSSLESS, values, bits), pixels)

        assert (decoded == values.astype(np.int32) % (1 << bits)).all()

    @pytest.mark.parametrize("uid", [RLE, JPEG_LOSSLESS, JPEG_LS, J2K_LOSSLESS, HTJ2K, JPEG_XL])
    @settings(deadline=None, max_examples=40)
    @given(rgb=hnp.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9), st.just(3))))
    def test_lossless_codecs_give_colors_back(self, uid: str, rgb: StoredArray) -> None:
        decoded = decode_values(
            encode_lossless(uid, rgb, 8), make_pixels(rgb.shape, bits_stored=8, transfer_syntax_uid=uid)
        )

        assert (decoded == rgb).all()

    @pytest.mark.parametrize("uid", [RLE, JPEG_LOSSLESS, JPEG_LS])
    def test_ybr_in_a_codec_that_knows_no_color_is_converted_by_the_header(self, uid: str) -> None:
        ybr = np.random.default_rng(1).integers(0, 256, (6, 7, 3)).astype(np.uint8)
        pixels = make_pixels(ybr.shape, bits_stored=8, photometric="YBR_FULL", transfer_syntax_uid=uid)

        decoded = decode_values(encode_lossless(uid, ybr, 8), pixels)

        assert largest_difference(decoded, convert_color_space(ybr, "YBR_FULL", "RGB")) <= 1

    def test_unused_bits_in_a_lossless_codestream_are_left_out(self) -> None:
        values = np.random.default_rng(2).integers(0, 4096, (6, 7)).astype(np.uint16)
        pixels = make_pixels(values.shape, bits_stored=12, transfer_syntax_uid=JPEG_LOSSLESS)

        decoded = decode_values(encode_lossless(JPEG_LOSSLESS, values | 0x9000, 16), pixels)

        assert (decoded == values).all()

    def test_what_a_lossy_codec_overshoots_is_clipped(self) -> None:
        values = np.full((8, 8), 4100, np.uint16)
        pixels = make_pixels(values.shape, bits_stored=12, transfer_syntax_uid=J2K)

        assert (decode_values(encode_lossless(J2K_LOSSLESS, values, 16), pixels) == 4095).all()

    @pytest.mark.parametrize("uid", [JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS_NEAR, J2K])
    def test_lossy_codecs_stay_near(self, uid: str) -> None:
        bits = 12 if uid == JPEG_EXTENDED else 8
        ramp = np.linspace(0, 2**bits - 1, 64 * 64).reshape(64, 64).astype("u2" if bits > 8 else "u1")
        data = {
            JPEG_BASELINE: lambda: imagecodecs.jpeg8_encode(ramp, 95),
            JPEG_EXTENDED: lambda: imagecodecs.jpeg8_encode(ramp, 95, bitspersample=12),
            JPEG_LS_NEAR: lambda: imagecodecs.jpegls_encode(ramp, 3),
            J2K: lambda: imagecodecs.jpeg2k_encode(ramp, 60, reversible=False),
        }[uid]()

        decoded = decode_values(bytes(data), make_pixels(ramp.shape, bits_stored=bits, transfer_syntax_uid=uid))

        assert decoded.dtype == ramp.dtype
        assert largest_difference(decoded, ramp) <= 2**bits / 32


class TestJpegColor:
    """What the codestream says goes before the header."""

    red = np.zeros((16, 16, 3), np.uint8) + np.array([200, 30, 40], np.uint8)

    def decode(self, data: bytes, photometric: str) -> list[int]:
        pixels = make_pixels(self.red.shape, bits_stored=8, photometric=photometric, transfer_syntax_uid=JPEG_BASELINE)
        return [int(value) for value in decode_values(data, pixels)[8, 8]]

    def is_red(self, data: bytes, photometric: str) -> bool:
        return max(abs(a - b) for a, b in zip(self.decode(data, photometric), (200, 30, 40), strict=True)) < 6

    def encode(self, *, transform: bool, subsampling: str = "444") -> bytes:
        inside = "YCBCR" if transform else "RGB"
        return bytes(
            imagecodecs.jpeg8_encode(
                self.red, 95, colorspace="RGB", outcolorspace=inside, subsampling=subsampling if transform else None
            )
        )

    @staticmethod
    def without_markers(data: bytes) -> bytes:
        """The codestream without its APPn segments, its components numbered from 0."""
        at, kept = 2, data[:2]
        while data[at + 1] != 0xDA:
            stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if not 0xE0 <= data[at + 1] <= 0xEF:
                kept += data[at:stop]
            at = stop
        rest = kept + data[at:]
        frame, scan = rest.index(b"\xff\xc0"), rest.index(b"\xff\xda")
        renamed = bytearray(rest)
        for component in range(3):
            renamed[frame + 10 + 3 * component] = component
            renamed[scan + 5 + 2 * component] = component
        return bytes(renamed)

    @pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
    def test_markers_decide(self, photometric: str) -> None:
        jfif, adobe = self.encode(transform=True), self.encode(transform=False)

        assert b"JFIF" in jfif
        assert b"Adobe" in adobe
        assert self.is_red(jfif, photometric)
        assert self.is_red(adobe, photometric)

    def test_without_markers_the_header_decides(self) -> None:
        transformed = self.without_markers(self.encode(transform=True))
        plain = self.without_markers(self.encode(transform=False))

        assert self.is_red(transformed, "YBR_FULL")
        assert not self.is_red(transformed, "RGB")
        assert self.is_red(plain, "RGB")
        assert not self.is_red(plain, "YBR_FULL")

    def test_subsampled_components_are_chrominance_whatever_the_header_says(self) -> None:
        data = self.without_markers(self.encode(transform=True, subsampling="420"))

        assert self.is_red(data, "RGB")


class TestBadInput:
    @pytest.mark.parametrize(
        ("uid", "named"),
        [
            ("1.2.840.10008.1.2.4.100", "MPEG2"),
            ("1.2.840.10008.1.2.4.102", "MPEG-4"),
            ("1.2.840.10008.1.2.4.107", "HEVC"),
            ("1.2.840.10008.1.2.4.94", "JPIP"),
            ("1.2.3.4", "perhaps private"),
        ],
    )
    def test_an_unsupported_transfer_syntax_is_named_with_what_would_decode_it(self, uid: str, named: str) -> None:
        with pytest.raises(PixelError, match=named) as caught:
            decode_values(bytes(100), make_pixels((4, 6), transfer_syntax_uid=uid))

        assert caught.value.reason == "unsupported-transfer-syntax"
        assert uid in caught.value.message

    @pytest.mark.parametrize("uid", [EXPLICIT, DEFLATED_FRAMES, RLE, JPEG_BASELINE, JPEG_LS, J2K, JPEG_XL])
    @settings(deadline=None, max_examples=40)  # the first example imports a codec
    @given(data=st.binary(max_size=200))
    def test_a_few_bytes_of_any_kind_are_an_error(self, uid: str, data: bytes) -> None:
        pixels = make_pixels((20, 30), transfer_syntax_uid=uid)

        with pytest.raises(PixelError):
            decode_values(data, pixels)

    @pytest.mark.parametrize("uid", [RLE, JPEG_LOSSLESS, JPEG_LS, J2K_LOSSLESS, HTJ2K, JPEG_XL])
    @settings(deadline=None)
    @given(data=st.data())
    def test_damage_is_an_error_or_an_image_of_the_right_shape(self, uid: str, data: st.DataObject) -> None:
        values = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20)
        encoded = bytearray(encode_lossless(uid, values, 16))
        for _ in range(data.draw(st.integers(1, 4))):
            encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))

        try:
            decoded = decode_values(bytes(encoded), make_pixels(values.shape, transfer_syntax_uid=uid))
        except PixelError:
            return
        assert (decoded.shape, decoded.dtype) == (values.shape, values.dtype)

    @pytest.mark.parametrize("uid", [JPEG_LOSSLESS, JPEG_LS, J2K_LOSSLESS, HTJ2K, JPEG_XL])
    def test_a_codestream_of_another_shape_is_an_error(self, uid: str) -> None:
        data = encode_lossless(uid, np.zeros((5, 6), np.uint16), 16)

        for shape in [(6, 5), (5, 7), (5, 6, 3)]:
            with pytest.raises(PixelError, match="codestream holds"):
                decode_values(data, make_pixels(shape, bits_stored=16, transfer_syntax_uid=uid))

    def test_a_small_codestream_that_claims_a_gigantic_image_takes_no_memory(self) -> None:
        data = bytearray(encode_lossless(JPEG_LS, np.zeros((5, 6), np.uint16), 16))
        offset = data.index(b"\xff\xf7")
        data[offset + 5 : offset + 9] = b"\xff\xff\xff\xff"

        assert parse_jpeg(bytes(data)).rows == 65535
        with pytest.raises(PixelError, match="65535 x 65535"):
            decode_values(bytes(data), make_pixels((5, 6), transfer_syntax_uid=JPEG_LS))

    def test_a_damaged_jpeg_ls_frame_without_end_takes_no_time(self) -> None:
        values = np.arange(24 * 20, dtype=np.uint16).reshape(24, 20)
        data = encode_lossless(JPEG_LS, values, 16)[:200]

        started = time.perf_counter()
        with pytest.raises(PixelError):
            decode_values(data, make_pixels(values.shape, transfer_syntax_uid=JPEG_LS))

        assert time.perf_counter() - started < 2

    @pytest.mark.parametrize("shape", [(1, 1), (24, 20), (8, 256), (120, 100), (9000, 3), (100, 150)])
    @pytest.mark.parametrize("in_container", [True, False])
    def test_the_size_of_jpeg_xl_is_known_before_it_is_decoded(
        self, shape: tuple[int, int], *, in_container: bool
    ) -> None:
        data = bytes(imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True, usecontainer=in_container))

        assert parse_jpeg_xl(data) == shape

    def test_rle_that_cannot_fill_the_frame_is_refused_unseen(self) -> None:
        with pytest.raises(PixelError, match="cannot hold"):
            decode_values(bytes(200), make_pixels((30000, 30000), transfer_syntax_uid=RLE))

    def test_more_tiles_than_a_codestream_can_hold_are_refused_unseen(self) -> None:
        data = bytearray(encode_lossless(J2K_LOSSLESS, np.zeros((400, 400), np.uint16), 16))
        at = data.index(b"\xff\x4f\xff\x51") + 24
        data[at : at + 8] = (2).to_bytes(4, "big") * 2

        with pytest.raises(PixelError, match="cannot hold the 40000 tiles"):
            decode_values(bytes(data), make_pixels((400, 400), transfer_syntax_uid=J2K_LOSSLESS))

    @needs_data
    def test_j2k_60000_tiles(self) -> None:
        with pytest.raises(PixelError, match="cannot hold the 61504 tiles"):
            decode_file(DATA / "hostile" / "j2k-60000-tiles.dcm")

    def test_a_deflated_frame_may_have_a_zlib_header(self) -> None:
        values = np.arange(24, dtype=np.uint16).reshape(4, 6)
        pixels = make_pixels((4, 6), transfer_syntax_uid=DEFLATED_FRAMES)

        assert (decode_values(zlib.compress(values.tobytes()), pixels) == values).all()


def index_rows() -> list[dict[str, str]]:
    path = DATA / "codecs" / "index.csv"
    if not path.is_file():
        return []
    with path.open() as lines:
        return [row for row in csv.DictReader(lines) if row["reference"]]


@needs_data
@pytest.mark.parametrize("row", index_rows(), ids=lambda row: Path(row["file"]).name[-60:])
def test_conformance_files_equal_their_references(row: dict[str, str]) -> None:
    """Lossless ones exactly, the others within the difference that their index allows."""
    frames = range(int(row["n_frames"]))

    decoded = decode_file(DATA / "codecs" / row["file"], frames)
    reference = decode_file(DATA / "codecs" / row["reference"], frames)

    assert largest_difference(decoded[0], reference[0]) <= float(row["max_abs_diff_first_frame"])
    for frame in frames:
        if row["max_abs_diff_first_frame"] == "0":
            assert (decoded[frame] == reference[frame]).all()


def first_of_each_format() -> list[Path]:
    """One object for each format in each series: all of them would take a minute."""
    chosen: dict[tuple[Any, ...], Path] = {}
    for path in sorted(DATA.glob("series/*/*.dcm")):
        keywords = ["Rows", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration"]
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=keywords)
        key = (header.file_meta.get("TransferSyntaxUID"), *(header.get(keyword) for keyword in keywords))
        if "Rows" in header:
            chosen.setdefault((path.parent.name, *key), path)
    return list(chosen.values())


def decode_with_pydicom(path: Path) -> StoredArray | None:
    """RGB or stored values of the first frame; None where it has no decoder."""
    dataset = pydicom.dcmread(path, force=True)
    uid = dataset.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
    try:
        decoder = get_decoder(uid)
        values, _ = decoder.as_array(dataset, index=0)
    except (NotImplementedError, RuntimeError, AttributeError, ValueError):
        return None
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        values = values >> 8 if values.max() > 255 else values
    elif values.ndim == 3 and dataset.BitsStored > 8:
        values = np.rint(values * (255 / (2**dataset.BitsStored - 1)))
    return values


@needs_data
def test_first_frames_of_real_series_are_those_of_pydicom() -> None:
    differences, compared = {}, 0
    for path in first_of_each_format():
        expected = decode_with_pydicom(path)
        if expected is not None:
            compared += 1
            decoded = decode_file(path)[0]
            if decoded.shape != expected.shape or largest_difference(decoded, expected) > 0:
                differences[path.parent.name] = (decoded.shape, expected.shape)

    assert differences == {}
    assert compared > 100


@needs_data
@pytest.mark.skipif(not shutil.which("dcmdjpeg"), reason="DCMTK is not installed")
@pytest.mark.parametrize("series", ["2bf3663b", "2ee9d48b", "4aea28e2", "a2ddc480", "a6815aa5", "b9fdf0c3", "de083ca2"])
def test_lossless_jpeg_of_real_series_is_that_of_dcmtk(series: str, tmp_path: Path) -> None:
    path = next(next(DATA.glob(f"series/{series}*")).iterdir())
    subprocess.run(["dcmdjpeg", str(path), str(tmp_path / "native.dcm")], check=True, capture_output=True, timeout=60)

    assert (decode_file(path)[0] == pydicom.dcmread(tmp_path / "native.dcm").pixel_array).all()


@needs_data
@pytest.mark.parametrize(
    ("compressed", "native"),
    [("28d85b87", "68814dbd"), ("736289dd", "2d49be4c"), ("817c6087", "68814dbd"), ("45281691", "2d49be4c")],
)
def test_segmentations_of_one_bit_are_alike_in_every_syntax(compressed: str, native: str) -> None:
    paths = [next(next(DATA.glob(f"series/{series}*")).iterdir()) for series in (compressed, native)]

    first, second = (decode_file(path, range(3)) for path in paths)

    assert set(np.unique(first[0])) <= {0, 1}
    assert any(frame.any() for frame in first.values())
    assert all((first[frame] == second[frame]).all() for frame in range(3))


def test_attributes_of_a_dataset_read_as_in_the_package() -> None:
    dataset = pydicom.Dataset()
    dataset.PixelSpacing = [0.5, 0.25]
    dataset.Rows = 7

    assert attributes_of(dataset).numbers("PixelSpacing") == (0.5, 0.25)
    assert attributes_of(dataset).integer("Rows") == 7
