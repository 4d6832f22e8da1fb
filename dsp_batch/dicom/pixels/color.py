"""Convert color samples of any photometric interpretation to RGB of 8 bit (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsp_batch.errors import PixelError
from dsp_batch.model.frame import PaletteTable
from dsp_batch.model.series import ByteArray, StoredArray

_PARTIAL = ("YBR_PARTIAL_420", "YBR_PARTIAL_422")
_RGB = ("RGB", "YBR_RCT", "YBR_ICT", "ARGB", "CMYK", "HSV")

_WHITE = np.array([0.95047, 1.0, 1.08883])
"""XYZ of D65, the white of sRGB. The standard means D50, but dcmqi and highdicom write D65, so nearly all files do."""

_XYZ_TO_SRGB = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
)
"""Matrix from CIE XYZ to linear sRGB (IEC 61966-2-1)."""


def convert_to_rgb(samples: StoredArray, photometric: str, bits: int) -> ByteArray:
    """Convert decoded samples to RGB of 8 bit.

    Args:
        samples: Unsigned samples, (rows, columns, 3 or 4), chrominance at full resolution. Not modified.
        photometric: Photometric interpretation of the samples. YBR_RCT and YBR_ICT name a transformation within the
            codec, which its decoder has undone: the samples are RGB.
        bits: Number of bits of a sample.

    Returns:
        RGB, (rows, columns, 3). Alpha is ignored: the fourth sample, or the first one of the retired ARGB.
    """
    samples = samples[..., 1:4] if photometric == "ARGB" and samples.shape[-1] == 4 else samples[..., :3]
    if bits != 8:
        top = float(2**bits - 1)
        samples = np.rint(np.minimum(samples, top) * (255.0 / top)).astype(np.uint8)
    samples = samples.astype(np.uint8, copy=False)
    if photometric in _RGB or not photometric.startswith("YBR"):
        return np.ascontiguousarray(samples)
    return _convert_ybr(samples, is_partial=photometric in _PARTIAL)


def _convert_ybr(samples: ByteArray, *, is_partial: bool) -> ByteArray:
    """Convert ITU-R BT.601 luminance and chrominance to RGB: of full range, or of 16 … 235 and 16 … 240."""
    y, cb, cr = (samples[..., channel].astype(np.float32) for channel in range(3))
    cb -= 128
    cr -= 128
    if is_partial:
        y = (y - 16) * np.float32(255 / 219)
        cb *= np.float32(255 / 224)
        cr *= np.float32(255 / 224)
    red = y + np.float32(1.402) * cr
    green = y - np.float32(0.114 * 1.772 / 0.587) * cb - np.float32(0.299 * 1.402 / 0.587) * cr
    blue = y + np.float32(1.772) * cb
    rgb: ByteArray = np.rint(np.stack([red, green, blue], axis=-1)).clip(0, 255).astype(np.uint8)
    return rgb


def convert_from_lab(encoded: Sequence[float]) -> tuple[int, int, int]:
    """Convert a CIELab value as DICOM encodes it to sRGB.

    Args:
        encoded: L*, a*, b* as unsigned 16-bit numbers: 0 … 100 and twice −128 … 127 over their range. Others count as
            the nearest of these, and what is no number as 0.

    Returns:
        Red, green and blue, 0 … 255; colors that no screen shows are clipped.

    References:
        DICOM PS3.3 C.10.7.1.1.
    """
    shares = (np.nan_to_num(np.array(encoded[:3], np.float64)) / 65535).clip(0, 1).tolist()
    lightness = shares[0] * 100
    a, b = (share * 255 - 128 for share in shares[1:])
    fy = (lightness + 16) / 116
    roots = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * _WHITE
    linear = (_XYZ_TO_SRGB @ xyz).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(srgb * 255).astype(int).tolist()
    return red, green, blue


def apply_palette(values: StoredArray, palette: PaletteTable | None) -> ByteArray:
    """Look stored values up in a palette.

    Args:
        values: Stored values, (rows, columns).
        palette: The palette. Values before its first entry take the first color, values after its last entry the last.

    Returns:
        RGB, (rows, columns, 3).

    Raises:
        PixelError: There is no palette.
    """
    if palette is None:
        raise PixelError("it is PALETTE COLOR without a palette")
    entries = values.astype(np.int64) - palette.first_value
    colors: ByteArray = palette.colors[entries.clip(0, len(palette.colors) - 1)]
    return colors
