"""Frames that are cut off are drawn as far as they go, where at least half of them is there."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from datasets import DATA, decode_file, make_pixels, needs_data, read_source
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_codecs import encode_lossless

from dsp_batch.dicom.pixels.codecs import decode_frame
from dsp_batch.dicom.pixels.frames import PixelSource, read_frames
from dsp_batch.dicom.pixels.grayscale import hide_missing
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import GrayscaleTransform, PixelFormat
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import StoredArray

RLE, JPEG_LOSSLESS, JPEG_LS, J2K = (f"1.2.840.10008.1.2.{number}" for number in ("5", "4.70", "4.80", "4.90"))
SIDE = 32


def noise(dtype: Any = np.uint16, *shape: int) -> StoredArray:
    values = np.random.default_rng(7).integers(1, np.iinfo(dtype).max, (SIDE, SIDE, *shape))
    return values.astype(dtype)


def literal_runs(plane: bytes) -> bytes:
    return b"".join(bytes([len(plane[at : at + 128]) - 1]) + plane[at : at + 128] for at in range(0, len(plane), 128))


def make_rle(segments: Sequence[bytes]) -> bytes:
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16L", len(segments), *offsets, *[0] * (15 - len(segments))) + b"".join(segments)


def make_waves(side: int) -> StoredArray:
    """Make an image of large shapes with fine noise over them."""
    rows, columns = np.mgrid[:side, :side]
    noise_over = np.random.default_rng(7).integers(0, 40, (side, side))
    return (1000 + 400 * np.sin(columns / 30) + 300 * np.cos(rows / 17) + noise_over).astype(np.uint16)


def encode_jpeg_2000(values: StoredArray, style: dict[str, Any]) -> bytes:
    sink = BytesIO()
    Image.fromarray(values).save(sink, "JPEG2000", no_jp2=True, **style)
    return sink.getvalue()


def assert_drawn_up_to(data: bytes, pixels: PixelFormat, values: StoredArray, last: int = 0) -> int:
    """Decode a frame that is cut off, and compare what is there, without the last pixels, which a codec makes up.

    Returns:
        The number of pixels that are missing.
    """
    values_found, notes, missing = decode_frame(data, pixels)
    count = SIDE * SIDE - missing

    assert (values_found.ravel()[: count - last] == values.ravel()[: count - last]).all()
    assert len(set(values_found.reshape(SIDE * SIDE, -1)[count:].ravel().tolist())) <= 1
    assert 2 * missing <= SIDE * SIDE
    assert "cut off" in notes[0] or "no end marker" in notes[0]
    return missing


class TestNative:
    @settings(deadline=None)  # the machine may be busy
    @given(present=st.integers(0, 2047))
    def test_half_of_a_frame_is_enough(self, present: int) -> None:
        values, pixels = noise(), make_pixels((SIDE, SIDE))

        if present < 1024:
            with pytest.raises(PixelError, match="are needed"):
                decode_frame(values.tobytes()[:present], pixels)
        else:
            assert assert_drawn_up_to(values.tobytes()[:present], pixels, values) == SIDE * SIDE - present // 2

    def test_colors_that_are_missing_are_black(self) -> None:
        values = noise(np.uint8, 3)
        pixels = make_pixels(values.shape, bits_stored=8, photometric="YBR_FULL")

        decoded = decode_frame(values.tobytes()[:-300], pixels)

        assert decoded.values.reshape(-1, 3)[-100:].max() == 0
        assert decoded.values.reshape(-1, 3)[-101].max() > 0

    def test_values_that_are_missing_count_as_padding(self) -> None:
        decoded = decode_frame(noise(np.int16).tobytes()[:-500], make_pixels((SIDE, SIDE), signed=True))

        assert decoded.values[-1, -1] == -32768
        assert hide_missing(GrayscaleTransform(), decoded).padding == (-32768, -32768)
        assert hide_missing(GrayscaleTransform(padding=(5, 5)), decoded).padding == (5, 5)

    @settings(deadline=None)  # the machine may be busy
    @given(frames=st.integers(1, 4), cut=st.integers(0, 127))
    def test_only_the_last_frame_of_an_object_that_is_cut_is_cut(self, frames: int, cut: int) -> None:
        stored = np.arange(frames * 64, dtype="<u2")
        data = stored.tobytes()[: frames * 128 - cut]
        pixels = make_pixels((8, 8), number_of_frames=frames)
        source = PixelSource(pixels=pixels, size=len(data), pixel_data_offset=0, pixel_data_length=stored.nbytes)

        found = read_bytes(read_frames(source, range(frames)), data)

        for frame in range(frames - 1):
            assert found[frame] == stored[frame * 64 : (frame + 1) * 64].tobytes()
        last = found[frames - 1]
        assert isinstance(last, PixelError) == (cut > 64)
        assert isinstance(last, PixelError) or len(last) == 128 - cut

    @needs_data
    def test_a_real_object_that_is_cut_is_that_of_its_whole_twin(self) -> None:
        path = DATA / "broken" / "MR_truncated.dcm"
        _, source, data = read_source(path)
        stored = np.frombuffer(data[source.pixel_data_offset :], "<i2")

        (values,) = decode_file(path).values()

        assert values.ravel()[: len(stored)].tolist() == stored.tolist()
        assert 0 < values.size - len(stored) < 50


class TestRLE:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
    @settings(deadline=None, max_examples=30)
    @given(surplus=st.lists(st.binary(max_size=20), min_size=4, max_size=4))
    def test_surplus_bytes_of_segments_are_left_out(self, dtype: Any, surplus: list[bytes]) -> None:
        values = noise(dtype)
        size = values.itemsize
        planes = values.astype(f">u{size}").reshape(-1, 1).view(np.uint8).T
        data = make_rle([literal_runs(plane.tobytes() + more) for plane, more in zip(planes, surplus, strict=False)])
        pixels = make_pixels(values.shape, bits_stored=size * 8, transfer_syntax_uid=RLE)

        decoded = decode_frame(data, pixels)

        assert (decoded.values == values).all()
        assert bool(decoded.notes) == any(surplus[:size])

    @settings(deadline=None, max_examples=40)
    @given(cut=st.integers(1, 1100))
    def test_a_frame_that_is_cut_has_its_first_planes(self, cut: int) -> None:
        values, pixels = noise(), make_pixels((SIDE, SIDE), transfer_syntax_uid=RLE)
        planes = values.astype(">u2").reshape(-1, 1).view(np.uint8).T
        data = make_rle([literal_runs(plane.tobytes()) for plane in planes])[:-cut]

        if cut > 1032:
            with pytest.raises(PixelError, match="are needed"):
                decode_frame(data, pixels)
        else:
            found = decode_frame(data, pixels)
            assert (found.values >> 8 == values >> 8).all()
            assert "cut off" in found.notes[0]

    @settings(deadline=None, max_examples=40)
    @given(data=st.binary(max_size=300), count=st.integers(1, 4))
    def test_no_segments_crash(self, data: bytes, count: int) -> None:
        offsets = [64 + 3 * number for number in range(count)]
        head = struct.pack("<16L", count, *offsets, *[0] * (15 - count))
        pixels = make_pixels((10, 10), bits_stored=8 * count if count != 3 else 8, transfer_syntax_uid=RLE)

        try:
            assert decode_frame(head + data, pixels).values.shape == (10, 10)
        except PixelError:
            return


class TestCodestreams:
    @pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS])
    @pytest.mark.parametrize("part", [0.99, 0.8, 0.6])
    def test_rows_of_a_codestream_that_is_cut_are_drawn(self, syntax: str, part: float) -> None:
        values, pixels = noise(), make_pixels((SIDE, SIDE), transfer_syntax_uid=syntax)
        data = encode_lossless(syntax, values, 16).rstrip(b"\0")

        missing = assert_drawn_up_to(data[: int(len(data) * part)], pixels, values, SIDE)

        assert missing < SIDE * SIDE * (1.15 - part)

    @pytest.mark.parametrize("part", [0.95, 0.6])
    def test_rows_of_color_jpeg_ls_that_is_cut_are_drawn(self, part: float) -> None:
        values = noise(np.uint8, 3)
        pixels = make_pixels(values.shape, bits_stored=8, photometric="RGB", transfer_syntax_uid=JPEG_LS)
        data = encode_lossless(JPEG_LS, values, 8).rstrip(b"\0")

        missing = assert_drawn_up_to(data[: int(len(data) * part)], pixels, values, SIDE)

        assert 0 < missing < SIDE * SIDE * (1.15 - part)

    @needs_data
    @pytest.mark.parametrize("part", [0.95, 0.719])
    def test_jpeg_2000_that_is_cut_in_the_header_of_a_packet_is_no_noise(self, part: float) -> None:
        path = DATA / "codecs" / "J2KI" / "MR3_J2KI"
        _, source, data = read_source(path)
        whole = read_bytes(read_frames(source, [0]), data)[0]
        assert not isinstance(whole, PixelError)

        reference = decode_frame(whole, source.pixels).values.astype(int)
        found = decode_frame(bytes(whole)[: int(len(whole) * part)], source.pixels).values

        assert abs(found - reference).mean() < 60  # of values with a deviation of 400; noise is 120 to 300 away

    @pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS])
    def test_less_than_half_is_an_error(self, syntax: str) -> None:
        data = encode_lossless(syntax, noise(), 16)

        with pytest.raises(PixelError, match="cut off: only"):
            decode_frame(data[: len(data) // 3], make_pixels((SIDE, SIDE), transfer_syntax_uid=syntax))

    @pytest.mark.parametrize("cut", [1, 2])
    @pytest.mark.parametrize("syntax", [JPEG_LOSSLESS, JPEG_LS, J2K])
    def test_a_codestream_without_its_end_marker_is_whole(self, syntax: str, cut: int) -> None:
        values = noise()
        data = encode_lossless(syntax, values, 16).rstrip(b"\0")

        decoded = decode_frame(data[:-cut], make_pixels((SIDE, SIDE), transfer_syntax_uid=syntax))

        assert (decoded.values == values).all()
        assert all("no end marker" in note for note in decoded.notes)

    @pytest.mark.parametrize(
        "style",
        [
            {},
            {"progression": "LRCP", "precinct_size": (64, 64)},
            {"progression": "RPCL", "precinct_size": (64, 64)},
            {"irreversible": True, "quality_mode": "rates", "quality_layers": [20, 8, 3, 1]},
        ],
        ids=["one-packet-a-resolution", "by-layer", "by-resolution", "layers"],
    )
    @pytest.mark.parametrize("part", [0.99, 0.8, 0.55])
    def test_jpeg_2000_that_is_cut_lacks_details_alone(self, style: dict[str, Any], part: float) -> None:
        values = make_waves(256)
        whole = encode_jpeg_2000(values, style)
        pixels = make_pixels(values.shape, transfer_syntax_uid=J2K)

        reference = decode_frame(whole, pixels).values.astype(int)
        found = decode_frame(whole[: int(len(whole) * part)], pixels)

        assert "cut off" in found.notes[0]
        assert abs(found.values - reference).mean() < 12  # of values from 300 to 1,700, with 40 of noise

    @pytest.mark.parametrize(("part", "rows"), [(0.9, 192), (0.55, 128)])
    def test_tiles_of_jpeg_2000_before_the_cut_are_whole(self, part: float, rows: int) -> None:
        values = make_waves(256)
        whole = encode_jpeg_2000(values, {"tile_size": (64, 64)})
        pixels = make_pixels(values.shape, transfer_syntax_uid=J2K)

        reference = decode_frame(whole, pixels).values
        found = decode_frame(whole[: int(len(whole) * part)], pixels).values

        assert (found[:rows] == reference[:rows]).all()
        assert not (found == reference).all()

    @pytest.mark.parametrize("style", [{}, {"tile_size": (64, 64)}])
    def test_less_than_half_of_jpeg_2000_is_an_error(self, style: dict[str, Any]) -> None:
        whole = encode_jpeg_2000(make_waves(256), style)

        with pytest.raises(PixelError, match=r"cut off: the last \d+ of its bytes"):
            decode_frame(whole[: int(len(whole) * 0.45)], make_pixels((256, 256), transfer_syntax_uid=J2K))

    @settings(deadline=None, max_examples=60)
    @given(data=st.data())
    def test_jpeg_2000_that_is_cut_and_damaged_ends_in_an_image_or_an_error(self, data: st.DataObject) -> None:
        whole = bytearray(encode_jpeg_2000(make_waves(64), {"tile_size": (32, 32)}))
        for at in data.draw(st.lists(st.integers(80, len(whole) - 1), max_size=4)):
            whole[at] = data.draw(st.integers(0, 255))
        cut = bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])

        try:
            assert decode_frame(cut, make_pixels((64, 64), transfer_syntax_uid=J2K)).values.shape == (64, 64)
        except PixelError:
            return

    @pytest.mark.parametrize("frames", [1, 3])
    def test_the_last_item_of_an_object_may_be_cut(self, frames: int) -> None:
        codestream = encode_lossless(JPEG_LOSSLESS, noise(), 16)
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(codestream)) + codestream
        whole = b"\xfe\xff\x00\xe0\0\0\0\0" + item * frames
        pixels = make_pixels((SIDE, SIDE), transfer_syntax_uid=JPEG_LOSSLESS, number_of_frames=frames)

        for part, is_drawn in ((0.3, False), (0.7, True)):
            data = whole[: len(whole) - int(len(codestream) * (1 - part))]
            source = PixelSource(pixels=pixels, size=len(data), fragments_offset=0)
            found = read_bytes(read_frames(source, [frames - 1]), data)[frames - 1]

            assert isinstance(found, PixelError) != is_drawn
            if not isinstance(found, PixelError):
                assert_drawn_up_to(bytes(found), pixels, noise(), SIDE)
