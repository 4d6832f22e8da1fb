"""Decode JPEG, JPEG-LS, JPEG 2000 and JPEG XL (PS3.5 8.2). Their codecs are imported when a frame needs one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dsp_batch.dicom.pixels.codestream import (
    Codestream,
    Cut,
    DecodedSamples,
    find_cut,
    parse_jpeg,
    parse_jpeg_2000,
    parse_jpeg_xl,
)
from dsp_batch.errors import PixelError
from dsp_batch.model.deadline import check_time
from dsp_batch.model.frame import PixelFormat
from dsp_batch.model.series import StoredArray

_END_OF_IMAGE = b"\xff\xd9"
_TRAILER = 1024
"""Number of bytes at the end of JPEG in which its end marker stands, with what writers put behind it."""

_MOST_UNCHECKED = 1 << 25
"""Number of samples that any codestream may claim: decoding them takes below 300 MB and some seconds at worst."""

_MOST_SAMPLES_A_BYTE = 1 << 10
"""Largest number of samples that a byte may hold in larger images. Baseline JPEG spends at least 2 bits on 64 samples,
and real images of any codec 100 times that."""

_LEAST_SHARE = 0.5
"""Share of an image that must be there for it to be drawn."""

_LEFT_OUT = (0, 64, 192)
"""Numbers of bytes before the cut of JPEG 2000 that are left out: those of the headers of packets."""

CODEC_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, OSError)
"""Exceptions that codecs raise at damaged data."""


def decode_jpeg(data: bytes, pixels: PixelFormat) -> DecodedSamples:
    """Decode JPEG of 8 or 12 bit, baseline to progressive, and lossless JPEG of 2 to 16 bit.

    The codestream decides about color before the header does, because a wrong header cannot change what was encoded:
    by its Adobe and JFIF markers, by components named RGB, by subsampled chrominance. Lossless JPEG has no color
    transformation of its own, so there the header decides.
    """
    stream = parse_jpeg(data)
    _check_claims(data, (stream.rows, stream.columns, stream.components), pixels)
    photometric = pixels.photometric
    inside, outside = None, None
    if stream.components == 3:
        is_rgb = stream.is_lossless or not _transforms_color(stream, pixels)
        inside, outside = "RGB" if is_rgb else "YCBCR", "RGB"
        photometric = photometric if stream.is_lossless else "RGB"
    import imagecodecs  # noqa: PLC0415  # imported when a frame needs it

    # Not ljpeg_decode nor jpegsof3_decode for what this one refuses: damaged data crash them.
    samples = _run_codec(lambda: imagecodecs.jpeg8_decode(data, colorspace=inside, outcolorspace=outside), pixels)
    missing = 0
    notes: tuple[str, ...] = ()
    if _END_OF_IMAGE not in data[-_TRAILER:]:
        missing = _count_missing(samples, 1 << (stream.precision - 1))
        notes = _say_missing(missing) or ("The codestream has no end marker: its last pixels may be missing",)
    return DecodedSamples(samples, photometric, stream.precision, pixels.bits_stored, missing, notes)


def _transforms_color(stream: Codestream, pixels: PixelFormat) -> bool:
    return pixels.photometric != "RGB" if stream.transforms_color is None else stream.transforms_color


def decode_jpeg_ls(data: bytes, pixels: PixelFormat) -> DecodedSamples:
    """Decode JPEG-LS. Its codestream tells neither sign nor color, so the header does."""
    stream = parse_jpeg(data)
    _check_claims(data, (stream.rows, stream.columns, stream.components), pixels)
    import imagecodecs  # noqa: PLC0415  # imported when a frame needs it

    bits = min(stream.precision, pixels.bits_stored)
    if _has_end(data):
        samples = _run_codec(lambda: imagecodecs.jpegls_decode(data), pixels)
        return DecodedSamples(samples, pixels.photometric, stream.precision, bits)
    # Without an end of image CharLS reads zeros after damaged data, for half a minute a frame.
    samples, missing = _decode_cut_jpeg_ls(data.removesuffix(b"\xff") + _END_OF_IMAGE, stream, pixels)
    return DecodedSamples(samples, pixels.photometric, stream.precision, bits, missing, _say_missing(missing))


def _decode_cut_jpeg_ls(data: bytes, stream: Codestream, pixels: PixelFormat) -> tuple[StoredArray, int]:
    """Decode JPEG-LS that is cut off: the codec fills the rows that it reaches, then it fails.

    Components that stand one after the other, in scans of their own, are refused: no row has all of them.
    """
    import imagecodecs  # noqa: PLC0415  # imported when a frame needs it

    blank = np.iinfo(np.uint8 if stream.precision <= 8 else np.uint16).max
    shape = (pixels.rows, pixels.columns, stream.components)[: 2 + (stream.components > 1)]
    samples = np.full(shape, blank, np.uint8 if stream.precision <= 8 else np.uint16)
    try:
        imagecodecs.jpegls_decode(data, out=samples)
    except CODEC_ERRORS:
        return samples, _count_missing(samples, blank)
    return samples, 0


def _has_end(data: bytes) -> bool:
    return data.rstrip(b"\0").endswith(_END_OF_IMAGE)


def _count_missing(samples: StoredArray, blank: int) -> int:
    """Count the pixels of the last rows, which a codec has left blank because its codestream is cut off.

    Raises:
        PixelError: Fewer than half of the rows were decoded.
    """
    is_row_blank = (samples == blank).reshape(len(samples), -1).all(axis=1)
    decoded = len(samples) - int(np.argmin(is_row_blank[::-1])) if not is_row_blank.all() else 0
    if 2 * decoded < len(samples):
        raise PixelError(f"its codestream is cut off: only {decoded} of its {len(samples)} rows can be decoded")
    columns: int = samples.shape[1]
    return (len(samples) - decoded) * columns


def _say_missing(missing: int) -> tuple[str, ...]:
    return (f"Pixel Data is cut off: the last {missing} pixels of the frame are missing",) if missing else ()


def decode_jpeg_2000(data: bytes, pixels: PixelFormat) -> DecodedSamples:
    """Decode JPEG 2000 and High-Throughput JPEG 2000. The codec undoes the component transformation.

    OpenJPEG decodes both. OpenJPH would take half its time for the latter, but imagecodecs' binding of it prints
    errors of damaged data on stderr and gives out the rest as an image (2026.3.6).
    """
    stream = parse_jpeg_2000(data)
    _check_claims(data, (stream.rows, stream.columns, stream.components), pixels)
    cut = find_cut(data)
    if cut is not None:
        samples, notes = _decode_cut_jpeg_2000(data, cut, pixels)
    else:
        # OpenJPEG refuses a codestream that is whole but for its end marker.
        ended = data if _has_end(data) else data.removesuffix(b"\xff") + _END_OF_IMAGE
        samples, notes = _run_jpeg_2000(ended, pixels), ()
    photometric = "RGB" if stream.transforms_color else pixels.photometric
    bits = min(stream.precision, pixels.bits_stored)
    return DecodedSamples(samples, photometric, stream.precision, bits, notes=notes)


def _run_jpeg_2000(data: bytes, pixels: PixelFormat) -> StoredArray:
    import imagecodecs  # noqa: PLC0415  # imported when a frame needs it

    return _run_codec(lambda: imagecodecs.jpeg2k_decode(data, numthreads=1), pixels)


def _decode_cut_jpeg_2000(data: bytes, cut: Cut, pixels: PixelFormat) -> tuple[StoredArray, tuple[str, ...]]:
    """Decode JPEG 2000 that is cut off, as far as it goes: where its order is by resolution, all of it but details.

    Where the cut runs through the header of a packet, its first bits and what follows may say anything: the codec
    refuses it, or draws noise. So the image is decoded without some of the last bytes too, and of these images the one
    that is most like the others is taken.

    Raises:
        PixelError: Less than half of the image is there, or it cannot be decoded.
    """
    found: list[StoredArray] = []
    for left_out in _LEFT_OUT:
        shorter = data[: len(data) - left_out]
        there = find_cut(shorter)
        if there is None or there.share < _LEAST_SHARE or there.missing > len(shorter):
            break
        samples = _fill_up_jpeg_2000(shorter, there.missing, pixels)
        if samples is not None:
            found.append(samples)
    if not found:
        raise PixelError(f"its codestream is cut off: the last {cut.missing} of its bytes are missing")
    note = f"Pixel Data is cut off: the last {cut.missing} bytes of the frame are missing, and its details"
    return min(found, key=lambda each: sum(_measure_difference(each, other) for other in found)), (note,)


def _measure_difference(first: StoredArray, second: StoredArray) -> float:
    """Measure the mean difference of the samples of two images of one shape."""
    return float(np.abs(first.astype(np.float32) - second.astype(np.float32)).mean())


def _fill_up_jpeg_2000(data: bytes, missing: int, pixels: PixelFormat) -> StoredArray | None:
    """Decode JPEG 2000 with other bytes in the place of those that are missing, as OpenJPEG refuses what is cut off.

    Ones are what a decoder of code blocks reads behind their end (T.800 C.3.4), and a zero is an empty packet (B.10.3).
    The codec refuses most ones in the place of a packet, which tells where the packet that is cut off would have ended.

    Returns:
        Samples, shape (rows, columns) or (rows, columns, samples); None where the codec refuses zeros too.
    """

    def decode(ones: int) -> StoredArray | None:
        check_time()
        try:
            return _run_jpeg_2000(data + b"\xff" * ones + bytes(missing - ones) + _END_OF_IMAGE, pixels)
        except PixelError:
            return None  # the next number of ones tells more

    samples, accepted, refused = decode(missing), 0, missing
    if samples is not None:
        return samples
    samples = decode(0)
    while samples is not None and refused - accepted > 1:
        middle = (accepted + refused) // 2
        better = decode(middle)
        accepted, refused = (accepted, middle) if better is None else (middle, refused)
        samples = samples if better is None else better
    return samples


def decode_jpeg_xl(data: bytes, pixels: PixelFormat) -> DecodedSamples:
    """Decode JPEG XL. The codec returns RGB, whatever the image was encoded from."""
    _check_claims(data, (*parse_jpeg_xl(data), pixels.samples_per_pixel), pixels)
    import imagecodecs  # noqa: PLC0415  # imported when a frame needs it

    samples = _run_codec(lambda: imagecodecs.jpegxl_decode(data, numthreads=1), pixels)
    photometric = "RGB" if samples.ndim == 3 else pixels.photometric
    return DecodedSamples(samples, photometric, samples.dtype.itemsize * 8, pixels.bits_stored)


def _check_claims(data: bytes, shape: tuple[int, int, int], pixels: PixelFormat) -> None:
    """Refuse a small codestream that claims a gigantic image, before it is decoded: the header may agree with it."""
    if shape != (pixels.rows, pixels.columns, pixels.samples_per_pixel):
        _refuse_shape(shape, pixels)
    samples = math.prod(shape)
    if samples > max(_MOST_UNCHECKED, len(data) * _MOST_SAMPLES_A_BYTE):
        raise PixelError(f"its codestream of {len(data)} bytes cannot hold the {samples} samples that it claims")


def _refuse_shape(found: tuple[int, ...], pixels: PixelFormat) -> None:
    expected = f"{pixels.rows} x {pixels.columns} pixels of {pixels.samples_per_pixel} samples"
    raise PixelError(f"its codestream holds {' x '.join(map(str, found))}, its header says {expected}")


def _run_codec(decode: Callable[[], Any], pixels: PixelFormat) -> StoredArray:
    """Run a codec and return its samples, shape (rows, columns) or (rows, columns, samples)."""
    try:
        samples = decode()
    except CODEC_ERRORS as error:
        raise PixelError(f"its codestream cannot be decoded: {error}") from error
    return _arrange(np.asarray(samples), pixels)


def _arrange(samples: StoredArray, pixels: PixelFormat) -> StoredArray:
    """Put the axis of samples last: codecs without interleaving put it first."""
    shape, n_samples = (pixels.rows, pixels.columns), pixels.samples_per_pixel
    if samples.shape == shape and n_samples == 1:
        return samples
    if samples.ndim == 3 and samples.shape[:2] == shape and samples.shape[2] in (n_samples, n_samples + 1):
        return samples[..., 0] if n_samples == 1 else samples
    if samples.ndim == 3 and samples.shape == (n_samples, *shape):
        return samples.transpose(1, 2, 0)
    _refuse_shape(samples.shape, pixels)
    raise AssertionError
