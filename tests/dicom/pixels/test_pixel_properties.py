"""Pixels of generated objects through the package's whole path: a file written by pydicom, read back as stored."""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.pixels.utils import pack_bits
from written_objects import gather_headers, make_dataset, write_dataset

from dsp_batch.core.windowing import display_values
from dsp_batch.index.build import build_index
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.window import Window
from dsp_batch.render.read import read_pictures

IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, RLE = (
    f"1.2.840.10008.1.2{suffix}" for suffix in ("", ".1", ".2", ".1.99", ".5")
)
NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)
JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K = (f"1.2.840.10008.1.2.4.{number}" for number in (70, 80, 90, 201))
LOSSLESS = (RLE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K)
WHITE = Window(center=127.5, width=255, function="LINEAR_EXACT")
Values = npt.NDArray[Any]


def read_frames_of(data: bytes, count: int = 1) -> list[StoredFrame]:
    """All frames of an object in memory, by way of its index."""
    index = build_index(gather_headers([data]))
    found = read_bytes(read_pictures(index, 0, range(count)), data)
    frames = [found.decode(number) for number in range(count)]
    for frame in frames:
        assert isinstance(frame, StoredFrame), frame
    return [frame for frame in frames if isinstance(frame, StoredFrame)]


def describe_image(shape: tuple[int, ...], allocated: int, stored: int, **more: Any) -> Dataset:
    """The Image Pixel module of frames of this shape: (frames, rows, columns) or (frames, rows, columns, samples)."""
    dataset = make_dataset(
        Rows=shape[1],
        Columns=shape[2],
        SamplesPerPixel=shape[3] if len(shape) > 3 else 1,
        PhotometricInterpretation="RGB" if len(shape) > 3 else "MONOCHROME2",
        BitsAllocated=allocated,
        BitsStored=stored,
        HighBit=stored - 1,
        PixelRepresentation=0,
    )
    if len(shape) > 3:
        dataset.PlanarConfiguration = 0
    if shape[0] > 1:
        dataset.NumberOfFrames = shape[0]
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def write_native(dataset: Dataset, data: bytes, syntax: str, vr: str = "OW") -> bytes:
    """The object with these pixels, little endian, which are turned for big endian."""
    if syntax == BIG_ENDIAN and dataset.BitsAllocated in (16, 32, 64):
        data = np.frombuffer(data, f"<u{dataset.BitsAllocated // 8}").byteswap().tobytes()
    data += b"\0" * (len(data) % 2)
    if syntax == BIG_ENDIAN and dataset.BitsAllocated <= 8:
        vr = "OB"
    dataset.add_new(0x7FE00010, "OB" if dataset.BitsAllocated <= 8 else vr, data)
    return write_dataset(dataset, syntax)


@dataclass(frozen=True, kw_only=True, eq=False)
class Image:
    """Stored values, and the words that they lie in."""

    values: Values
    words: Values
    allocated: int
    stored: int
    high_bit: int

    @property
    def signed(self) -> bool:
        return self.values.dtype.kind == "i"


@st.composite
def images(draw: st.DrawFn) -> Image:
    """Frames of 1 to 32 bits anywhere in words of 8, 16 or 32, with anything in the other bits."""
    allocated = draw(st.sampled_from([8, 16, 32]))
    stored = draw(st.integers(1, allocated))
    high_bit = draw(st.integers(stored - 1, allocated - 1))
    signed = draw(st.booleans()) if stored > 1 else False
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    low = -(1 << stored - 1) if signed else 0
    values = draw(hnp.arrays(np.int64, shape, elements=st.integers(low, low + (1 << stored) - 1)))
    shift = high_bit + 1 - stored
    mask = (1 << stored) - 1 << shift
    garbage = draw(st.integers(0, (1 << allocated) - 1)) & ~mask
    words = (values << shift & mask | garbage).astype(f"<u{allocated // 8}")
    size = next(size for size in (1, 2, 4) if stored <= size * 8)
    kind = "i" if signed else "u"
    return Image(
        values=values.astype(f"{kind}{size}"), words=words, allocated=allocated, stored=stored, high_bit=high_bit
    )


@settings(max_examples=150, deadline=None)
@given(image=images(), syntax=st.sampled_from(NATIVE))
def test_native_values_come_back_from_any_bits_of_any_word(image: Image, syntax: str) -> None:
    dataset = describe_image(image.values.shape, image.allocated, image.stored)
    dataset.HighBit, dataset.PixelRepresentation = image.high_bit, int(image.signed)

    frames = read_frames_of(write_native(dataset, image.words.tobytes(), syntax), len(image.values))

    for frame, expected in zip(frames, image.values, strict=True):
        assert frame.values.dtype == expected.dtype
        np.testing.assert_array_equal(frame.values, expected)


@settings(max_examples=60, deadline=None)
@given(
    bits=hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)
    ),
    syntax=st.sampled_from((IMPLICIT, EXPLICIT, DEFLATED)),
)
def test_pixels_of_one_bit_are_packed_over_the_frames(bits: Values, syntax: str) -> None:
    data = write_native(describe_image(bits.shape, 1, 1), bytes(pack_bits(bits)), syntax)

    for frame, expected in zip(read_frames_of(data, len(bits)), bits, strict=True):
        np.testing.assert_array_equal(frame.values, expected)


@settings(max_examples=40, deadline=None)
@given(
    values=st.sampled_from([32, 64]).flatmap(
        lambda width: hnp.arrays(np.dtype(f"f{width // 8}"), (2, 3, 4), elements=st.floats(width=width))
    ),
    syntax=st.sampled_from((IMPLICIT, EXPLICIT, DEFLATED)),
)
def test_float_and_double_pixels_keep_every_bit(values: Values, syntax: str) -> None:
    width = values.dtype.itemsize * 8
    dataset = describe_image(values.shape, width, width)
    for keyword in ("BitsStored", "HighBit", "PixelRepresentation"):
        delattr(dataset, keyword)
    dataset.add_new(*((0x7FE00008, "OF") if width == 32 else (0x7FE00009, "OD")), values.tobytes())

    for frame, expected in zip(read_frames_of(write_dataset(dataset, syntax), 2), values, strict=True):
        np.testing.assert_array_equal(frame.values, expected)
        assert frame.values.dtype == expected.dtype


def encode_rle(words: Values) -> bytes:
    """Byte planes, the highest byte of the first sample first (PS3.5 G.2)."""
    samples = words.reshape(*words.shape[:2], -1).astype(words.dtype.newbyteorder(">"))
    cells = samples.view(np.uint8).reshape(*words.shape[:2], -1)
    planes = [bytes(imagecodecs.packbits_encode(cells[..., channel].tobytes())) for channel in range(cells.shape[-1])]
    planes = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    offsets = [64 + sum(map(len, planes[:number])) for number in range(len(planes))]
    return struct.pack("<16L", len(planes), *offsets, *[0] * (15 - len(planes))) + b"".join(planes)


def encode(syntax: str, words: Values, stored: int) -> bytes:
    """One frame by a lossless codec."""
    encoders: dict[str, Any] = {
        RLE: lambda: encode_rle(words),
        JPEG_LOSSLESS: lambda: imagecodecs.jpeg8_encode(
            words, lossless=True, bitspersample=stored, colorspace="RGB" if words.ndim > 2 else None
        ),
        JPEG_LS: lambda: imagecodecs.jpegls_encode(words),
        JPEG_2000: lambda: imagecodecs.jpeg2k_encode(words, reversible=True, codecformat="J2K"),
        HTJ2K: lambda: imagecodecs.htj2k_encode(words, reversible=True),
    }
    return bytes(encoders[syntax]())


def write_compressed(dataset: Dataset, frames: list[bytes], syntax: str, fragments: int = 1, *, table: bool) -> bytes:
    dataset.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return write_dataset(dataset, syntax)


@pytest.mark.parametrize("syntax", LOSSLESS)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), table=st.booleans())
def test_compressed_values_come_back_with_the_sign_of_the_header(
    syntax: str, data: st.DataObject, *, table: bool
) -> None:
    stored = data.draw(st.integers(2, 16))
    signed = data.draw(st.booleans())
    low = -(1 << stored - 1) if signed else 0
    shape = (data.draw(st.integers(1, 3)), data.draw(st.integers(2, 12)), data.draw(st.integers(2, 12)))
    values = data.draw(hnp.arrays(np.int32, shape, elements=st.integers(low, low + (1 << stored) - 1)))
    allocated = 8 if stored <= 8 else 16
    words = (values & (1 << stored) - 1).astype(f"u{allocated // 8}")
    dataset = describe_image(shape, allocated, stored, PixelRepresentation=int(signed))
    encoded = [encode(syntax, frame, stored) for frame in words]
    fragments = data.draw(st.integers(1, 2)) if table and min(map(len, encoded)) >= 8 else 1

    frames = read_frames_of(write_compressed(dataset, encoded, syntax, fragments, table=table), len(values))

    for frame, expected in zip(frames, values, strict=True):
        np.testing.assert_array_equal(frame.values, expected)
        assert frame.values.dtype.kind == ("i" if signed else "u")


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN, *LOSSLESS])
@settings(max_examples=25, deadline=None)
@given(
    samples=hnp.arrays(np.uint8, st.tuples(st.integers(1, 2), st.integers(2, 8), st.integers(2, 8), st.just(3))),
    planar=st.booleans(),
    photometric=st.sampled_from(["RGB", "YBR_FULL"]),
)
def test_colors_come_back_in_rgb(syntax: str, samples: Values, photometric: str, *, planar: bool) -> None:
    if syntax in (JPEG_2000, HTJ2K):
        photometric = "RGB"  # their encoder transforms color itself, and the standard calls that YBR_RCT
    dataset = describe_image(samples.shape, 8, 8, PhotometricInterpretation=photometric)
    dataset.PlanarConfiguration = int(planar)
    if syntax in (EXPLICIT, BIG_ENDIAN):
        data = write_native(dataset, (samples.transpose(0, 3, 1, 2) if planar else samples).tobytes(), syntax)
    else:
        data = write_compressed(dataset, [encode(syntax, frame, 8) for frame in samples], syntax, table=True)

    for frame, expected in zip(read_frames_of(data, len(samples)), samples, strict=True):
        rgb = expected if photometric == "RGB" else convert_color_space(expected, "YBR_FULL", "RGB")
        assert np.abs(frame.values.astype(int) - rgb).max() <= (photometric != "RGB")


polarities = st.tuples(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]), st.sampled_from([None, "IDENTITY", "INVERSE"]))


@settings(max_examples=80, deadline=None)
@given(
    values=hnp.arrays(np.int16, (1, 4, 5), elements=st.integers(-300, 300)),
    rescale=st.tuples(st.sampled_from([1, -1, 0.5, 2, 0.25]), st.integers(-200, 200)),
    padding=st.none() | st.tuples(st.integers(-300, 300), st.integers(-300, 300)),
    polarity=polarities,
    syntax=st.sampled_from(NATIVE),
)
def test_display_values_follow_slope_window_polarity_and_padding(
    values: Values,
    rescale: tuple[float, int],
    padding: tuple[int, int] | None,
    polarity: tuple[str, str | None],
    syntax: str,
) -> None:
    (slope, intercept), (photometric, shape) = rescale, polarity
    dataset = describe_image(values.shape, 16, 16, PixelRepresentation=1, PhotometricInterpretation=photometric)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 127.5, 255, "LINEAR_EXACT"
    if shape:
        dataset.PresentationLUTShape = shape
    if padding:
        dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = padding

    (frame,) = read_frames_of(write_native(dataset, values.astype("<i2").tobytes(), syntax))

    expected = (values[0] * slope + intercept).clip(0, 255)
    if shape == "INVERSE" or (shape is None and photometric == "MONOCHROME1"):
        expected = 255 - expected
    if padding:
        expected[(values[0] >= min(padding)) & (values[0] <= max(padding))] = 0
    assert frame.transform.voi == WHITE
    assert np.abs(display_values(frame, WHITE) - expected).max() <= 0.5


@pytest.mark.skipif(not shutil.which("dcm2pnm"), reason="DCMTK is not installed")
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
def test_polarity_is_that_of_dcmtk(photometric: str, shape: str | None, tmp_path: Path) -> None:
    values = np.array([[[0, 100, 255]]], np.uint8)
    dataset = describe_image(values.shape, 8, 8, PhotometricInterpretation=photometric)
    if shape:
        dataset.PresentationLUTShape = shape
    data = write_native(dataset, values.tobytes(), EXPLICIT)
    (tmp_path / "a.dcm").write_bytes(data)
    subprocess.run(
        ["dcm2pnm", "+Ww", "128", "256", str(tmp_path / "a.dcm"), str(tmp_path / "a.pgm")], check=True, timeout=60
    )

    (frame,) = read_frames_of(data)

    expected = np.asarray(PIL.Image.open(tmp_path / "a.pgm")).astype(int)
    assert np.abs(display_values(frame, WHITE) - expected).max() <= 1


@settings(max_examples=30, deadline=None)
@given(
    slopes=st.lists(st.sampled_from([0.5, 1, 2, 4]), min_size=1, max_size=4),
    windows=st.lists(st.tuples(st.integers(-50, 50), st.integers(2, 400)), min_size=4, max_size=4),
    shared=st.booleans(),
)
def test_each_frame_has_the_slope_and_window_of_its_functional_groups(
    slopes: list[float], windows: list[tuple[int, int]], *, shared: bool
) -> None:
    values = np.arange(len(slopes) * 6, dtype=np.uint16).reshape(-1, 2, 3)
    dataset = describe_image(values.shape, 16, 12)

    def make_group(slope: float, window: tuple[int, int]) -> Dataset:
        group, transformation, voi = Dataset(), Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = slope, -1, "US"
        voi.WindowCenter, voi.WindowWidth = window
        group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [transformation], [voi]
        return group

    if shared:
        dataset.SharedFunctionalGroupsSequence = [make_group(slopes[0], windows[0])]
        slopes, windows = [slopes[0]] * len(slopes), [windows[0]] * len(slopes)
    else:
        groups = [make_group(slope, window) for slope, window in zip(slopes, windows, strict=False)]
        dataset.PerFrameFunctionalGroupsSequence = groups

    frames = read_frames_of(write_native(dataset, values.tobytes(), EXPLICIT), len(slopes))

    assert [frame.transform.slope for frame in frames] == slopes
    assert {frame.transform.intercept for frame in frames} == {-1}
    assert [frame.transform.voi for frame in frames] == [
        Window(center=center, width=width, function="LINEAR") for center, width in windows[: len(slopes)]
    ]


def test_a_channel_of_a_16_bit_palette_may_be_dark_throughout() -> None:
    values = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    dataset = describe_image(values.shape, 8, 8, PhotometricInterpretation="PALETTE COLOR")
    tables = {"Red": [0, 20000, 40000, 65535], "Green": [0, 100, 200, 255], "Blue": [0, 0, 0, 0]}
    for color, entries in tables.items():
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [4, 0, 16])
        setattr(dataset, f"{color}PaletteColorLookupTableData", np.array(entries, "<u2").tobytes())

    (frame,) = read_frames_of(write_native(dataset, values.tobytes(), EXPLICIT))

    assert frame.values.reshape(4, 3).tolist() == (apply_color_lut(values[0], dataset) >> 8).reshape(4, 3).tolist()


def test_a_file_of_odd_pixels_ends_with_a_byte_that_is_no_pixel() -> None:
    values = np.arange(15, dtype=np.uint8).reshape(1, 3, 5)

    data = write_native(describe_image(values.shape, 8, 8), values.tobytes(), EXPLICIT)

    assert data[-1] == 0
    np.testing.assert_array_equal(read_frames_of(data)[0].values, values[0])
