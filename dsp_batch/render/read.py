"""Read and decode the frames of one instance."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dsp_batch.dicom.grids import crop_slice
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.headers.dictionary import name_of, tag_of
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.dicom.headers.values import HeaderDecoder
from dsp_batch.dicom.pixels.codecs import decode_frame
from dsp_batch.dicom.pixels.format import MAX_FRAME_BYTES, check_frame_size, describe_aspect, describe_pixels
from dsp_batch.dicom.pixels.frames import PixelSource, parse_offset_table, read_frames
from dsp_batch.dicom.pixels.grayscale import describe_transform, hide_missing
from dsp_batch.dicom.pixels.overlays import Graphics, combine_overlays, overlay_data_tags
from dsp_batch.dicom.pixels.palette import describe_palette, describe_supplement, has_supplement
from dsp_batch.dicom.pixels.profiles import describe_profile, find_profile
from dsp_batch.dicom.pixels.signature import identify_syntax
from dsp_batch.dicom.syntaxes import is_native
from dsp_batch.errors import DspBatchError, PixelError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import GrayscaleTransform, PaletteTable, PixelFormat, StoredFrame
from dsp_batch.model.ranges import Buffer, ByteRange, Reader, Reply

_PALETTE_DATA = tuple(
    f"{kind}{color}PaletteColorLookupTableData" for kind in ("", "Segmented") for color in ("Red", "Green", "Blue")
)
_OFFSET_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedFrames:
    """Encoded frames of one instance, and what decoding them needs besides."""

    index: SeriesIndex
    row: int
    pixels: PixelFormat
    data: Mapping[int, Buffer | PixelError]
    """The bytes of each frame or its error, by frame number. A grid image has one frame, which holds all slices."""

    palette: PaletteTable | None = None
    """Palette of a PALETTE COLOR image, or supplemental palette of a grayscale one."""

    overlays: Attributes | None = None
    """The header with its overlay data; None where there are none to draw."""

    profile: bytes | None = None
    """ICC profile of the colors; None where there is none."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the palette and the profile was left out, or read otherwise than declared."""

    def decode(self, frame: int) -> StoredFrame | DspBatchError:
        """Decode one frame, or one slice of a grid image; return an error where that fails."""
        grid = self.index.grid(self.row)
        if grid is None:
            return self._decode(frame)
        if not isinstance(self._whole_grid, StoredFrame):
            return self._whole_grid
        # Graphics on the whole of a grid belong to none of its slices.
        return replace(self._whole_grid, values=crop_slice(self._whole_grid.values, grid, frame), overlay=None)

    @cached_property
    def _whole_grid(self) -> StoredFrame | DspBatchError:
        return self._decode(0)

    def _decode(self, frame: int) -> StoredFrame | DspBatchError:
        data = self.data[frame]
        if isinstance(data, PixelError):
            return data
        words = data if is_native(identify_syntax(data, self.pixels)) else None
        transform = transform_of(self.index, self.row, frame)
        if not self.pixels.is_color and self.index.derive(has_supplement, self.row, frame):
            transform = replace(transform, supplement=self.palette)
        try:
            decoded = decode_frame(data, self.pixels, self.palette)
            graphics = combine_overlays(self.overlays, self.pixels, words, frame) if self.overlays else Graphics()
            return StoredFrame(
                values=decoded.values,
                transform=hide_missing(transform, decoded),
                aspect=self.index.derive(describe_aspect, self.row, frame),
                overlay=graphics.mask,
                notes=self.notes + decoded.notes + transform.notes + graphics.notes,
            )
        except PixelError as error:
            return error


def pixels_of(index: SeriesIndex, row: int) -> PixelFormat:
    """Read the pixel format of an instance.

    Raises:
        PixelError: An attribute is absent or impossible.
    """
    return index.derive(describe_pixels, row, index.values("TransferSyntaxUID")[row])


def transform_of(index: SeriesIndex, row: int, frame: int) -> GrayscaleTransform:
    """Read the transform of a frame from its stored values to the display."""
    return index.derive(describe_transform, row, frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """Options about reading an instance."""

    overlays: bool = True
    """True to read overlay planes too."""

    max_frame_bytes: int = MAX_FRAME_BYTES
    """Bytes of the largest decoded frame that is accepted."""


_ALL = ReadingOptions()


def read_pictures(
    index: SeriesIndex, row: int, frames: Sequence[int], options: ReadingOptions = _ALL
) -> Reader[EncodedFrames]:
    """Read frames of one instance, and what decoding them needs.

    Args:
        index: The series.
        row: Row of the instance.
        frames: Frame numbers from 0, or slice numbers of a grid image.
        options: Whether overlays are read, and the largest frame.

    Returns:
        A reader of the frames. Each of them may be an error.

    Raises:
        PixelError: No frame of the instance can be read.
    """
    pixels = pixels_of(index, row)
    check_frame_size(pixels, options.max_frame_bytes)
    needs_palette = pixels.photometric == "PALETTE COLOR"
    may_be_colored = not pixels.is_color
    has_palette = needs_palette or (may_be_colored and any(index.derive(has_supplement, row, at) for at in frames))
    planes = index.derive(overlay_data_tags, row) if options.overlays else frozenset[int]()
    tables = index.derive(_palette_tags, row) if has_palette else frozenset[int]()
    attributes = yield from read_with_bulk(index, row, planes | tables | _listed_tags(index, pixels))
    source = _describe_source(index, row, pixels, attributes)
    data = yield from read_frames(source, frames if index.grid(row) is None else [0])
    palette: PaletteTable | None = None
    notes: tuple[str, ...] = ()
    if needs_palette:
        palette = describe_palette(attributes)
    elif has_palette:
        palette, notes = describe_supplement(attributes)
    profile = find_profile(attributes) if pixels.is_color else None
    return EncodedFrames(
        index=index,
        row=row,
        pixels=pixels,
        data=data,
        palette=palette,
        overlays=attributes if planes else None,
        profile=profile,
        notes=notes + (palette.notes if palette else ()) + (describe_profile(profile) if profile else ()),
    )


def _palette_tags(attributes: Attributes) -> frozenset[int]:
    """List the tags of the palette's tables, which must be read from the object; none if the index has them."""
    present = any(keyword in attributes for keyword in _PALETTE_DATA)
    return frozenset() if present else frozenset(tag for tag in map(tag_of, _PALETTE_DATA) if tag is not None)


def _listed_tags(index: SeriesIndex, pixels: PixelFormat) -> frozenset[int]:
    """List the tags of other large values that drawing needs, if the series has them."""
    wanted = [*_OFFSET_TABLES, *(["ICCProfile"] if pixels.is_color else [])]
    return frozenset(tag for name in wanted if index.has(f"{name}_Size") and (tag := tag_of(name)) is not None)


def read_with_bulk(
    index: SeriesIndex, row: int, tags: frozenset[int]
) -> Generator[Sequence[ByteRange], Reply, Attributes]:
    """Read the header with binary values that are too large for an index; read it from the object if any is missing."""
    attributes = index.attributes(row)
    if all(attributes.binary(name_of(tag)) is not None for tag in tags):
        return attributes
    name, size = index.object_names[row], index.values("ObjectSize")[row]
    header = yield from read_header(name, size, bulk=tags)
    return HeaderDecoder(header).attributes()


def _describe_source(index: SeriesIndex, row: int, pixels: PixelFormat, attributes: Attributes) -> PixelSource:
    offsets, lengths = (parse_offset_table(attributes, name) for name in _OFFSET_TABLES)
    return PixelSource(
        pixels=pixels,
        size=index.values("ObjectSize")[row],
        pixel_data_offset=index.values("PixelDataOffset")[row],
        pixel_data_length=index.values("PixelDataLength")[row],
        fragments_offset=index.values("FragmentsOffset")[row],
        frame_offsets=offsets,
        frame_lengths=lengths,
    )
