"""Decode the bytes of one frame to stored values: the decoders by transfer syntax, and what all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dsp_batch.dicom import syntaxes
from dsp_batch.dicom.pixels.codestream import DecodedSamples
from dsp_batch.dicom.pixels.color import apply_palette, convert_to_rgb
from dsp_batch.dicom.pixels.compressed import (
    CODEC_ERRORS,
    decode_jpeg,
    decode_jpeg_2000,
    decode_jpeg_ls,
    decode_jpeg_xl,
)
from dsp_batch.dicom.pixels.native import decode_native, decode_rle, fill_up, inflate_frame
from dsp_batch.dicom.pixels.signature import describe_departure, identify_syntax
from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable, PixelFormat
from dsp_batch.model.ranges import Buffer
from dsp_batch.model.series import StoredArray

Decoder = Callable[[Buffer, PixelFormat], DecodedSamples]


def _decode_native(data: Buffer, pixels: PixelFormat) -> DecodedSamples:
    """Decode native words, whose bits lie as the header says."""
    whole = fill_up(data, pixels)
    words = decode_native(whole.data, pixels)
    return DecodedSamples(
        words, pixels.photometric, pixels.bits_allocated, pixels.bits_stored, whole.missing, whole.notes
    )


def _decode_deflated(data: Buffer, pixels: PixelFormat) -> DecodedSamples:
    return _decode_native(inflate_frame(data, pixels), pixels)


def _as_codestream(decode: Callable[[bytes, PixelFormat], DecodedSamples]) -> Decoder:
    """Make a decoder of a codestream, which has been joined from fragments."""
    return lambda data, pixels: decode(bytes(data), pixels)


TRANSFER_SYNTAXES: Mapping[str, Decoder] = {
    "": _decode_native,  # no file meta information: what could be parsed is native
    **dict.fromkeys(syntaxes.NATIVE, _decode_native),
    syntaxes.DEFLATED_FRAMES: _decode_deflated,
    syntaxes.RLE: decode_rle,
    **dict.fromkeys(syntaxes.JPEG_LOSSY | syntaxes.JPEG_LOSSLESS, _as_codestream(decode_jpeg)),
    **dict.fromkeys(syntaxes.JPEG_LS, _as_codestream(decode_jpeg_ls)),
    **dict.fromkeys(syntaxes.JPEG_2000 | syntaxes.HTJ2K, _as_codestream(decode_jpeg_2000)),
    **dict.fromkeys(syntaxes.JPEG_XL, _as_codestream(decode_jpeg_xl)),
}
"""The decoder of each transfer syntax, by UID. Another codec is one more entry."""


class DecodedFrame(NamedTuple):
    """One frame, decoded."""

    values: StoredArray
    """Monochrome: stored values, (rows, columns), of the smallest integer type that holds bits_stored, or floats.
    Color: RGB of 8 bit, (rows, columns, 3)."""

    notes: tuple[str, ...] = ()
    """Sentences that say where it was read otherwise than its format declares."""

    missing: int = 0
    """Number of pixels at the end that the data do not reach. They are blank: black, NaN, or the lowest value."""


def decode_frame(data: Buffer, pixels: PixelFormat, palette: PaletteTable | None = None) -> DecodedFrame:
    """Decode one frame, by the codec that its bytes are of.

    Args:
        data: The frame's bytes, as `read_frames` gives them.
        pixels: Its format.
        palette: The palette of a PALETTE COLOR image.

    Raises:
        PixelError: The transfer syntax is not supported (reason `unsupported-transfer-syntax`), or the data are
            damaged or do not fit the format.

    References:
        DICOM PS3.5 8 (encoding), A (transfer syntaxes); PS3.3 C.7.6.3 (Image Pixel).
    """
    uid = identify_syntax(data, pixels)
    notes: tuple[str, ...] = ()
    if uid != pixels.transfer_syntax_uid:
        notes = describe_departure(pixels.transfer_syntax_uid, uid)
        pixels = replace(pixels, transfer_syntax_uid=uid)
    decoded = _run_decoder(data, pixels)
    values = _convert_samples(decoded, pixels, palette)
    if decoded.missing:
        values = _blank_end(values, decoded.missing)
    return DecodedFrame(values, notes + decoded.notes, decoded.missing)


def _run_decoder(data: Buffer, pixels: PixelFormat) -> DecodedSamples:
    uid = pixels.transfer_syntax_uid
    decoder = TRANSFER_SYNTAXES.get(uid)
    if decoder is None:
        raise PixelError(
            f"its transfer syntax is not supported: {syntaxes.describe_syntax(uid)}", "unsupported-transfer-syntax"
        )
    try:
        return decoder(data, pixels)
    except CODEC_ERRORS as error:
        raise PixelError(f"its frame of transfer syntax {uid} is damaged: {error}") from error
    except MemoryError as error:
        raise PixelError(
            f"there is no memory to decode its frame of {pixels.rows} x {pixels.columns}", "too-large"
        ) from error


def _convert_samples(decoded: DecodedSamples, pixels: PixelFormat, palette: PaletteTable | None) -> StoredArray:
    if pixels.value_type == "float":
        return decoded.samples
    if pixels.samples_per_pixel > 1:
        samples = _store_values(decoded, replace(pixels, signed=False))
        return convert_to_rgb(samples, decoded.photometric, pixels.bits_stored)
    values = _store_values(decoded, pixels)
    return apply_palette(values, palette) if pixels.photometric == "PALETTE COLOR" else values


def _blank_end(values: StoredArray, missing: int) -> StoredArray:
    """Blank the last pixels: colors black, floats no number, other values the lowest of their type."""
    blanked = values.copy()
    lowest = 0 if values.ndim == 3 else math.nan if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    blanked.reshape(values.shape[0] * values.shape[1], -1)[-missing:] = lowest
    return blanked


def _store_values(decoded: DecodedSamples, pixels: PixelFormat) -> StoredArray:
    """Take the stored bits out of decoded words, with the sign that the header gives them.

    Unused bits may hold overlays or anything (PS3.5 8.1.1) and are left out. A lossy codec has none; it may
    overshoot what the stored bits can hold, and is clipped.
    """
    words = decoded.samples
    target = _smallest_type(pixels)
    is_lossy = pixels.transfer_syntax_uid in syntaxes.LOSSY
    if is_lossy and (words.dtype.kind == "i") == pixels.signed:
        low = -(1 << (pixels.bits_stored - 1)) if pixels.signed else 0
        high = low + (1 << pixels.bits_stored) - 1
        return words.clip(max(low, np.iinfo(words.dtype).min), min(high, np.iinfo(words.dtype).max)).astype(target)
    unused_below = pixels.high_bit + 1 - pixels.bits_stored if decoded.bits > pixels.high_bit else 0
    word_bits = words.dtype.itemsize * 8
    used = min(decoded.sign_bits, word_bits)
    unused_above = word_bits - unused_below - used
    words = words.view(f"u{words.dtype.itemsize}")
    if pixels.signed:
        if unused_above:
            words = words << unused_above
        words = words.view(f"i{words.dtype.itemsize}")
        words = words >> (word_bits - used) if used < word_bits else words
    elif used < word_bits:
        words = (words >> unused_below if unused_below else words) & words.dtype.type((1 << used) - 1)
    return words.astype(target, copy=False)


def _smallest_type(pixels: PixelFormat) -> np.dtype[np.generic]:
    size = next(size for size in (1, 2, 4, 8) if pixels.bits_stored <= size * 8)
    return np.dtype(f"{'i' if pixels.signed else 'u'}{size}")


def require_codecs() -> None:
    """Import the package that decodes compressed frames, so that a worker without it is found before any work.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    import imagecodecs  # noqa: F401, PLC0415  # otherwise imported by the first compressed frame
