"""Bad pixels through the whole mosaic path: a clear error or a crossed tile, soon, and without taking memory."""

from __future__ import annotations

import io
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_folder import DATA, list_objects, needs_data
from encoded_objects import (
    DEFLATED_FRAMES,
    JPEG,
    JPEG_2000,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_XL,
    RLE,
    SIDE,
    encode,
    make_object,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from written_objects import make_dataset, write_dataset

from dsp_batch.errors import DspBatchError, PixelError
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import draw_series
from dsp_batch.storage.store import Store

EXPLICIT = "1.2.840.10008.1.2.1"
SLIDE, SEGMENTATION = "1.2.840.10008.5.1.4.1.1.77.1.6", "1.2.840.10008.5.1.4.1.1.66.4"
HUGE = 30000
SECONDS, MEGABYTES = 5.0, 300
"""Limits of one object: processor time and growth. A worker may have 500 MB for everything."""


def draw(folder: Path, data: bytes, **options: Any) -> EncodedImage:
    """Preview a series of one object."""
    series = folder / "series"
    series.mkdir(exist_ok=True)
    (series / "a.dcm").write_bytes(data)
    ref = SeriesRef(root=str(folder), series_uuid="series")
    return draw_series(ref, Store(ref.root), None, MosaicOptions(quality=100, **options), ".webp")


@contextmanager
def within_limits() -> Iterator[None]:
    """Neither long nor large: the peak of the process tells of codecs' memory too."""

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

    start, before = time.process_time(), peak()
    yield
    assert time.process_time() - start < SECONDS
    assert peak() - before < MEGABYTES


def flat_image(value: int) -> np.ndarray[Any, Any]:
    """A frame of one gray and a little texture, so that damage in its codestream is met."""
    return (np.full((SIDE, SIDE), value) + np.random.default_rng(value).integers(-4, 5, (SIDE, SIDE))).astype(np.uint8)


CODECS = [RLE, JPEG, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, JPEG_XL, DEFLATED_FRAMES]


@pytest.mark.parametrize("syntax", CODECS)
def test_one_bad_frame_is_one_crossed_tile_and_the_others_are_drawn(syntax: str, tmp_path: Path) -> None:
    frames = [encode(syntax, flat_image(value)) for value in (50, 100, 200)]
    frames[1] = b"\xaa" * len(frames[1])

    window = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
    image = draw(tmp_path, make_object(frames, syntax, **window), tile_width=3, tile_height=1, image_width=SIDE)

    pixels = np.asarray(Image.open(io.BytesIO(image.data)).convert("L"))
    tiles = [pixels[:, left : left + SIDE] for left in range(0, 3 * SIDE, SIDE)]
    assert image.n_tiles == 2
    assert abs(tiles[0].mean() - 50) < 3
    assert abs(tiles[2].mean() - 200) < 3
    assert (tiles[1] < 20).mean() > 0.8
    assert (tiles[1] > 60).any()
    (line,) = image.failures
    assert line.startswith("a.dcm, frame 2")
    assert syntax in line


@pytest.mark.parametrize("syntax", CODECS)
def test_the_error_names_series_object_transfer_syntax_and_cause(syntax: str, tmp_path: Path) -> None:
    with pytest.raises(PixelError) as caught:
        draw(tmp_path, make_object([b"\xaa" * 100], syntax))

    message = caught.value.message
    assert f"{tmp_path}/series" in message
    assert "a.dcm" in message
    assert syntax in message
    assert any(cause in message for cause in ("damaged", "cannot be decoded", "cannot hold", "are needed"))
    assert "\n" not in message


def _patch(data: bytes, marker: bytes, offset: int, packed: bytes) -> bytes:
    at = data.index(marker) + offset
    return data[:at] + packed + data[at + len(packed) :]


def claim_too_much(syntax: str) -> bytes:
    """A small object that claims to be a large one, in its header and its codestream."""
    image = flat_image(90)
    frame = image.tobytes() if syntax == EXPLICIT else encode(syntax, image)
    size, long_size = struct.pack(">HH", HUGE, HUGE), struct.pack(">LL", HUGE, HUGE)
    if syntax in _FRAME_HEADERS:
        frame = _patch(frame, _FRAME_HEADERS[syntax], 5, size)
    elif syntax == JPEG_2000:
        frame = _patch(_patch(frame, b"\xff\x51", 6, long_size), b"\xff\x51", 22, long_size)
    elif syntax == JPEG_XL:
        # A size header of two lengths of 30 bits (ISO/IEC 18181-1 D.2), in place of the real one.
        bits = 3 << 1 | (HUGE - 1) << 3 | 3 << 36 | (HUGE - 1) << 38
        frame = b"\xff\x0a" + bits.to_bytes(9, "little") + bytes(100)
    return make_object(frame if syntax == EXPLICIT else [frame], syntax, Rows=HUGE, Columns=HUGE)


_FRAME_HEADERS = {JPEG: b"\xff\xc0", JPEG_LOSSLESS: b"\xff\xc3", JPEG_LS: b"\xff\xf7"}
"""Markers of the segment that has rows and columns."""


@pytest.mark.parametrize("syntax", [EXPLICIT, *CODECS])
def test_a_gigabyte_claim_in_a_small_object_is_refused_before_memory_is_taken(syntax: str, tmp_path: Path) -> None:
    data = claim_too_much(syntax)
    assert len(data) < 10_000

    with within_limits(), pytest.raises(PixelError):
        draw(tmp_path, data)


def test_a_deflated_frame_is_inflated_no_further_than_its_size(tmp_path: Path) -> None:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = deflater.compress(bytes(200_000_000)) + deflater.flush()

    with within_limits():
        assert draw(tmp_path, make_object([bomb], DEFLATED_FRAMES)).n_tiles == 1


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.2", SLIDE, SEGMENTATION])
@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_2000])
def test_millions_of_frames_that_are_not_there_cost_nothing(sop_class: str, syntax: str, tmp_path: Path) -> None:
    image = flat_image(90)
    frames: list[bytes] | bytes = image.tobytes() if syntax == EXPLICIT else [encode(syntax, image)]
    item = Dataset()
    item.FrameAcquisitionNumber = 1
    data = make_object(
        frames,
        syntax,
        SOPClassUID=sop_class,
        NumberOfFrames=2**31 - 1,
        TotalPixelMatrixRows=4000,
        TotalPixelMatrixColumns=4000,
        PerFrameFunctionalGroupsSequence=[item],
    )

    with within_limits():
        try:
            draw(tmp_path, data)
        except DspBatchError as error:
            assert "\n" not in error.message  # noqa: PT017  # either outcome is right


def test_a_gigantic_overlay_of_a_few_bytes_is_blank(tmp_path: Path) -> None:
    dataset = make_dataset(Rows=SIDE, Columns=SIDE, BitsAllocated=8, SamplesPerPixel=1)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for tag, vr, value in (
        (0x60000010, "US", 16000),
        (0x60000011, "US", 16000),
        (0x60000040, "CS", "G"),
        (0x60000050, "SS", [1, 1]),
        (0x60000100, "US", 1),
        (0x60000102, "US", 0),
        (0x60003000, "OW", b"\xff\0" * 4),
        (0x7FE00010, "OB", flat_image(90).tobytes()),
    ):
        dataset.add_new(tag, vr, value)

    with within_limits():
        assert draw(tmp_path, write_dataset(dataset)).n_tiles == 1


def test_a_depth_bomb_before_the_pixels_does_not_go_off(tmp_path: Path) -> None:
    item, sequence = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\x40\x00\x60\xa7SQ\0\0\xff\xff\xff\xff"  # (0040,A760)
    data = make_object(flat_image(90).tobytes(), EXPLICIT)
    at = data.index(b"\x28\x00\x02\x00US")

    with within_limits(), pytest.raises(DspBatchError):
        draw(tmp_path, data[:at] + (sequence + item) * 100_000 + data[at:])


_numbers = st.one_of(st.none(), st.integers(0, 40), st.sampled_from([64, 255, 4096, 65535]))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.fixed_dictionaries(
        {},
        optional={
            "Rows": _numbers,
            "Columns": _numbers,
            "BitsAllocated": _numbers,
            "BitsStored": _numbers,
            "HighBit": _numbers,
            "SamplesPerPixel": st.one_of(st.none(), st.integers(0, 5)),
            "PixelRepresentation": st.integers(0, 3),
            "PlanarConfiguration": st.integers(0, 3),
            "NumberOfFrames": st.integers(-3, 50),
            "PhotometricInterpretation": st.sampled_from(
                ["", "MONOCHROME1", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "PALETTE COLOR", "ARGB", "?"]
            ),
            "WindowWidth": st.sampled_from([-1, 0, 1e-30, 1, 1e300]),
            "WindowCenter": st.sampled_from([-1e300, 0, 1e300]),
            "RescaleSlope": st.sampled_from([0, -1, 1e300, 1e-300]),
            "RescaleIntercept": st.sampled_from([0, -1e300, 1e300]),
            "PixelPaddingValue": st.sampled_from([0, 40, 32767]),
            "PixelSpacing": st.sampled_from([[0, 1], [1e-9, 1], [1, 1e9], [-1, 1]]),
        },
    ),
    syntax=st.sampled_from([EXPLICIT, *CODECS]),
)
def test_whatever_a_header_says_the_outcome_is_an_image_or_one_line(
    header: dict[str, Any], syntax: str, tmp_path: Path
) -> None:
    image = flat_image(90)
    frames: list[bytes] | bytes = image.tobytes() * 3 if syntax == EXPLICIT else [encode(syntax, image)] * 3
    with within_limits():
        try:
            drawn = draw(tmp_path, make_object(frames, syntax, **header), image_width=16)
        except DspBatchError as error:
            assert "\n" not in error.message  # noqa: PT017  # either outcome is right
        else:
            assert drawn.n_tiles >= 1


def damage(data: bytes, chance: random.Random, kind: int) -> bytes:
    """Cut within the pixels, or change some bits there: among the first bytes, where headers are, or anywhere."""
    start = max(data.rfind(b"\xe0\x7f\x10\x00"), 0)
    if kind == 0:
        return data[: chance.randrange(start, len(data))]
    changed = bytearray(data)
    reach = len(data) if kind == 1 else min(start + 400, len(data))
    for _ in range(chance.choice([1, 3, 20])):
        changed[chance.randrange(start, reach)] ^= 1 << chance.randrange(8)
    return bytes(changed)


CODEC_FILES = [path.relative_to(DATA) for path in list_objects(DATA / "codecs")] if DATA.is_dir() else []


@needs_data
@pytest.mark.parametrize("kind", [0, 1, 2], ids=["cut", "bits", "headers"])
@pytest.mark.parametrize("path", CODEC_FILES, ids=str)
def test_damaged_codestreams_are_drawn_or_one_line(path: Path, kind: int, tmp_path: Path) -> None:
    data = damage((DATA / path).read_bytes(), random.Random(f"{path} {kind}"), kind)

    with within_limits():
        try:
            image = draw(tmp_path, data)
        except DspBatchError as error:
            assert "\n" not in error.message  # noqa: PT017  # either outcome is right
        else:
            assert image.n_tiles >= 1


BROKEN_FILES = [path.name for path in list_objects(DATA / "broken")] if DATA.is_dir() else []
DRAWN = {
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm",
    "GH340.dcm",
    "MR_small_padded.dcm",
    "MR_truncated.dcm",
    "badVR.dcm",
    "genFile.dcm",
}
"""Broken files whose pixels are there, at least most of them."""


@needs_data
@pytest.mark.parametrize("name", BROKEN_FILES)
def test_broken_files_are_drawn_where_their_pixels_are_there_and_one_line_elsewhere(name: str, tmp_path: Path) -> None:
    data = (DATA / "broken" / name).read_bytes()

    with within_limits():
        if name in DRAWN:
            assert draw(tmp_path, data).failures == ()
        else:
            with pytest.raises(DspBatchError) as caught:
                draw(tmp_path, data)
            assert f"{tmp_path}/series" in caught.value.message
            assert "\n" not in caught.value.message
