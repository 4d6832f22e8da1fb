"""The nouns of pixels, from how they are stored to the finished preview."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from dsp_batch.errors import OptionsError, SinkError
from dsp_batch.model.series import ByteArray, FloatArray, StoredArray
from dsp_batch.model.window import Window

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LookupTable:
    """A modality or VOI lookup table (PS3.3 C.11.1.1, C.11.2.1.1)."""

    first_value: int
    """Input of the first entry. Smaller inputs take the first entry, inputs after the last entry take the last."""

    values: FloatArray
    """Output of each entry, shape (entries,)."""

    bits: int
    """Number of bits of an entry: the output range of a VOI LUT is 0 … 2**bits − 1."""

    notes: tuple[str, ...] = ()
    """Sentences that say where its data contradict its descriptor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaletteTable:
    """Palette color lookup tables (PS3.3 C.7.6.3.1.5), merged to 8 bit."""

    first_value: int
    """Stored value that takes the first entry."""

    colors: ByteArray
    """Red, green and blue of each entry, shape (entries, 3)."""

    notes: tuple[str, ...] = ()
    """Sentences that say where its data contradict its descriptors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """The encoding of an instance's stored values in its bytes (PS3.3 C.7.6.3)."""

    transfer_syntax_uid: str
    rows: int
    columns: int
    number_of_frames: int
    samples_per_pixel: int
    photometric: str
    """PhotometricInterpretation as the header says it: `MONOCHROME2`, `RGB`, `YBR_FULL_422` …"""

    bits_allocated: int
    """Bits of a sample, 1 to 64. Samples whose bits are no multiple of 8 are packed without gaps."""

    bits_stored: int
    high_bit: int
    signed: bool
    """True where PixelRepresentation is 1: stored values are two's complement."""

    planar_configuration: int = 0
    value_type: Literal["integer", "float"] = "integer"
    """Type of stored values: float for Float Pixel Data and Double Float Pixel Data (7FE0,0008 and 7FE0,0009)."""

    @property
    def is_color(self) -> bool:
        """Tell whether pixels have three samples or a palette; such frames are never windowed."""
        return self.samples_per_pixel >= 3 or self.photometric == "PALETTE COLOR"

    @property
    def native_frame_bits(self) -> int:
        """Compute the bits of one uncompressed frame. Frames of 1-bit pixels need not start on a byte (PS3.5 8.1.1)."""
        samples = 2 if self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def decoded_frame_bytes(self) -> int:
        """Compute the bytes of one decoded frame, before a palette or fewer bits change it."""
        return self.rows * self.columns * self.samples_per_pixel * -(-self.bits_allocated // 8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GrayscaleTransform:
    """The transform of one frame from its stored values to the display (PS3.3 C.11)."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookupTable | None = None
    """Modality LUT, which replaces slope and intercept; None where there is none."""

    voi: Window | LookupTable | None = None
    """The object's own window or VOI LUT, the first of several; None where it has none that is usable."""

    padding: tuple[float, float] | None = None
    """Closed range of stored values that are padding (PixelPaddingValue, PixelPaddingRangeLimit)."""

    inverted: bool = False
    """True where low values are white: by MONOCHROME1 or a presentation LUT shape INVERSE, which count once."""

    supplement: PaletteTable | None = None
    """Supplemental palette: stored values from its first one on have its colors, lower ones are gray."""

    notes: tuple[str, ...] = ()
    """Sentences that say where the header was read otherwise than it is written."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFrame:
    """One decoded frame."""

    values: StoredArray
    """Stored values of a monochrome frame, (rows, columns), or RGB of 8 bit of a color frame, (rows, columns, 3)."""

    transform: GrayscaleTransform
    """Transform of monochrome values to the display; unused for color."""

    aspect: float
    """Row spacing over column spacing: the physical height of a pixel over its width."""

    overlay: npt.NDArray[np.bool_] | None = None
    """Mask that is True where graphics are burned in, shape (rows, columns); None for no graphics."""

    color_map: ByteArray | None = None
    """Colors of the display values 0 … 255 of a monochrome frame, shape (256, 3); None for gray."""

    notes: tuple[str, ...] = ()
    """Sentences that say where the frame was read otherwise than its header declares it, and what was left out."""

    @property
    def is_color(self) -> bool:
        """Tell whether the values are RGB, which is never windowed."""
        return self.values.ndim == 3


_FORMATS: dict[str, tuple[int, bytes, tuple[str, ...]]] = {
    "image/jpeg": (0, b"\xff\xd8", (".jpg", ".jpeg")),
    "image/webp": (8, b"WEBP", (".webp",)),
    "image/gif": (0, b"GIF8", (".gif",)),
    "image/avif": (4, b"ftypavi", (".avif",)),
    "video/mp4": (4, b"ftyp", (".mp4",)),
}
"""Media type of a file → the place of its signature, the signature, and endings of its name."""

DrawnAs = Literal["mosaic", "image", "cine", "overlay", "picture", "card"]
"""Forms of a preview: a grid of frames, one frame, frames one after the other, an object over the image it speaks of or
alone, or text."""

ContextState = Literal["drawn", "absent", "not-looked-for", "too-dear"]
"""What became of the image that an object speaks of: drawn beneath it, not at hand, not wanted, or too many bytes to
read."""

WindowSource = Literal["embedded", "auto", "preset"]
"""Where the window of a preview comes from: its object, its values, or the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """The tiles of a preview and the frames that they show. Places count from 0 along the rows."""

    columns: int
    rows: int
    tile_width: int
    tile_height: int

    blank: tuple[int, ...]
    """Places without a tile: the last ones of the last row."""

    failed: tuple[int, ...]
    """Places of frames that could not be drawn."""

    positions: tuple[float | None, ...]
    """Position of each frame on the primary axis in mm; its instance number where there is no position."""

    times: tuple[float | None, ...]
    """Time of each frame in seconds, where the frames have times that vary."""

    instances: tuple[str, ...]
    """SOPInstanceUID (0008,0018) of each frame."""

    frames: tuple[int, ...]
    """Number of each frame within its instance, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EncodedImage:
    """A finished preview, and how it was made."""

    data: bytes
    """The file: WebP or JPEG, or of a moving picture WebP, AVIF, GIF or MP4."""

    width: int
    height: int
    n_tiles: int
    """Number of frames drawn, without failed tiles."""

    failures: tuple[str, ...] = ()
    """One line for each tile that could not be decoded."""

    notes: tuple[str, ...] = ()
    """Sentences that say what was left out, or read otherwise than it is declared: of the series and of its frames."""

    window: Window | None = None
    """The window of the first frame, where there was one."""

    window_source: WindowSource | None = None
    """Where the window or the lookup table of the first frame comes from; None for color and cards."""

    drawn_as: DrawnAs = "image"
    context: ContextState | None = None
    """What became of the image that the object speaks of; None where it needs none."""

    grid: TileGrid | None = None
    """The tiles of a preview; None for cards and for the other verbs."""

    title: str | None = None
    """Headline in one line; None for the other verbs."""

    summary: tuple[str, ...] | None = None
    """Lines of the text that a card shows; None for images."""

    n_items: int | None = None
    """The number that the headline of a card counts; None for images."""

    references: tuple[str, ...] | None = None
    """SeriesInstanceUIDs of the series that the object of a card refers to; None for images."""

    def __repr__(self) -> str:
        """Return one line without the bytes of the file."""
        size = f"{self.width} × {self.height} pixels, {self.n_tiles} tiles, {len(self.data):,} bytes"
        return f"EncodedImage({self._media_type}: {size})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:  # noqa: ARG002  # all
        """Show the picture in a notebook."""
        text = base64.b64encode(self.data).decode("ascii")
        source = f'src="data:{self._media_type};base64,{text}" width="{self.width}"'
        tag = f'<img {source} alt="preview of a series">'
        if self._media_type == "video/mp4":
            tag = f"<video {source} controls loop></video>"
        return {"text/plain": repr(self), "text/html": tag, self._media_type: text}

    @property
    def _media_type(self) -> str:
        return next(kind for kind, (place, signature, _) in _FORMATS.items() if self.data[place:].startswith(signature))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file to a local path.

        Args:
            path: It ends as the format of the picture does: `.webp`, `.jpg` or `.jpeg`, `.avif`, `.gif`, `.mp4`. A file
                that is there is replaced.

        Raises:
            OptionsError: The path names another format.
            SinkError: The file cannot be written.
        """
        suffixes = _FORMATS[self._media_type][2]
        if Path(path).suffix.lower() not in suffixes:
            raise OptionsError(f"the picture is {self._media_type}: end {os.fspath(path)} in {' or '.join(suffixes)}")
        try:
            Path(path).write_bytes(self.data)
        except OSError as error:
            raise SinkError(f"cannot write {os.fspath(path)}: {(error.strerror or str(error)).lower()}") from error

    def to_pil(self) -> Image.Image:
        """Decode the picture as an image of Pillow."""
        from PIL import Image, WebPImagePlugin  # noqa: F401, PLC0415  # as in core/encoding; only who asks needs it

        image = Image.open(BytesIO(self.data))
        image.load()
        return image

    def to_numpy(self) -> ByteArray:
        """Decode the picture: display values, shape (height, width, 3)."""
        return np.asarray(self.to_pil().convert("RGB"))
