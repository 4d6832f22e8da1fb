"""The nouns of pixels, from how they are stored to the finished preview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dsp_batch.model.series import ByteArray, FloatArray, StoredArray
from dsp_batch.model.window import Window


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """A modality or VOI lookup table (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first_value: int
    """The input that the first entry belongs to; smaller inputs take the first entry, larger than the last the last."""

    values: FloatArray
    """Outputs, shape (entries,)."""

    bits: int
    """Bits of an entry: the output range of a VOI LUT is 0 … 2**bits − 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaletteTable:
    """Palette color lookup tables (PS3.3 C.7.6.3.1.5), merged to 8 bit."""

    first_value: int
    """The stored value that the first entry belongs to."""

    colors: ByteArray
    """Red, green and blue of each entry, shape (entries, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How the stored values of an instance lie in its bytes (PS3.3 C.7.6.3)."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    number_of_frames: int
    samples_per_pixel: int
    photometric: str
    """PhotometricInterpretation as the header says it: `MONOCHROME2`, `RGB`, `YBR_FULL_422` …"""

    bits_allocated: int
    """1 to 64; what is no multiple of 8 is packed without gaps."""

    bits_stored: int
    high_bit: int
    signed: bool
    """PixelRepresentation is 1: two's complement."""

    planar_configuration: int = 0
    value_type: Literal["integer", "float"] = "integer"
    """float for Float Pixel Data and Double Float Pixel Data (7FE0,0008 and 7FE0,0009)."""

    @property
    def is_color(self) -> bool:
        """Three samples a pixel, or a palette: never windowed."""
        return self.samples_per_pixel >= 3 or self.photometric == "PALETTE COLOR"

    @property
    def native_frame_bits(self) -> int:
        """Bits of one uncompressed frame; frames of 1-bit pixels need not start on a byte (PS3.5 8.1.1)."""
        samples = 2 if self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def decoded_frame_bytes(self) -> int:
        """Bytes of one decoded frame, before a palette or fewer bits change it."""
        return self.rows * self.columns * self.samples_per_pixel * -(-self.bits_allocated // 8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GrayscaleTransform:
    """What one frame asks for between its stored values and the display (PS3.3 C.11)."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookupTable | None = None
    """Takes the place of slope and intercept."""

    voi: Window | LookupTable | None = None
    """The object's own window or VOI LUT, the first of several; None where it has none that is usable."""

    padding: tuple[float, float] | None = None
    """Closed range of stored values that are no image (PixelPaddingValue, PixelPaddingRangeLimit)."""

    inverted: bool = False
    """Low values are white: MONOCHROME1, or a presentation LUT shape INVERSE; applied once."""

    supplement: PaletteTable | None = None
    """Colors of the stored values from its first one on; those below are gray (supplemental palette)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFrame:
    """One decoded frame."""

    values: StoredArray
    """Monochrome: stored values, (rows, columns). Color: RGB of 8 bit, (rows, columns, 3)."""

    transform: GrayscaleTransform
    """How monochrome values are displayed; unused for color."""

    aspect: float
    """Row spacing over column spacing: the physical height of a pixel over its width."""

    overlay: npt.NDArray[np.bool_] | None = None
    """Where graphics are burned in, shape (rows, columns)."""

    color_map: ByteArray | None = None
    """Colors of the display values 0 … 255 of a monochrome frame, shape (256, 3); None for gray."""

    notes: tuple[str, ...] = ()
    """Sentences that say where the frame was read otherwise than its header declares it, and what was left out."""

    @property
    def is_color(self) -> bool:
        """Whether the values are RGB, which is never windowed."""
        return self.values.ndim == 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedImage:
    """A finished preview, and what it took to make it."""

    data: bytes
    """The WebP or JPEG file."""

    width: int
    height: int
    n_tiles: int
    """Frames drawn, failed tiles not counted."""

    failures: tuple[str, ...] = ()
    """One line for each tile that could not be decoded."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out, or read otherwise than it is declared: of the series and of its frames."""

    window: Window | None = None
    """The window of the first frame, where there was one."""
