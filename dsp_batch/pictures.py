"""From one instance of an index to decoded frames: its format, its bytes, its transforms."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from dsp_batch.attributes import EMPTY, Attributes
from dsp_batch.dicom.codecs import decode_frame
from dsp_batch.dicom.dictionary import name_of, tag_of
from dsp_batch.dicom.frames import PixelSource, parse_offset_table, read_frames
from dsp_batch.dicom.grayscale import describe_transform
from dsp_batch.dicom.grids import Grid, crop_slice
from dsp_batch.dicom.headers import read_header
from dsp_batch.dicom.overlays import combine_overlays, overlay_data_tags
from dsp_batch.dicom.palette import describe_palette
from dsp_batch.dicom.pixels import describe_aspect, describe_pixels
from dsp_batch.dicom.profiles import find_profile
from dsp_batch.dicom.syntaxes import is_native
from dsp_batch.dicom.values import HeaderDecoder
from dsp_batch.errors import DspBatchError, PixelError
from dsp_batch.index import SeriesIndex
from dsp_batch.model import PaletteTable, PixelFormat, StoredFrame
from dsp_batch.reading import ByteRange, Reader, Reply

_PALETTE_DATA = tuple(
    f"{kind}{color}PaletteColorLookupTableData" for kind in ("", "Segmented") for color in ("Red", "Green", "Blue")
)
_OFFSET_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedFrames:
    """Frames of one instance."""

    frames: Mapping[int, StoredFrame | DspBatchError]
    """Frame number → the decoded frame, or why there is none."""

    profile: bytes | None = None
    """ICC profile of its colors."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Instance:
    """What decoding a frame takes besides its bytes."""

    pixels: PixelFormat
    palette: PaletteTable | None
    attributes: Attributes
    overlays: Attributes
    """The header with its overlay data; empty where there are none to draw."""


def read_pictures(
    index: SeriesIndex, row: int, frames: Sequence[int], *, overlays: bool = True
) -> Reader[DecodedFrames]:
    """Read and decode frames of one instance.

    Args:
        index: The series.
        row: The instance.
        frames: Frame numbers from 0; of a grid image, its slices.
        overlays: Read overlay planes too.

    Returns:
        A reader of the decoded frames, each of which may be an error of its own.

    Raises:
        PixelError: No frame of the instance can be had.
    """
    attributes = index.attributes(row)
    pixels = describe_pixels(attributes, index.values("TransferSyntaxUID")[row])
    has_palette = pixels.photometric == "PALETTE COLOR"
    planes = overlay_data_tags(attributes) if overlays else frozenset[int]()
    tables = _palette_tags(attributes) if has_palette else frozenset[int]()
    whole = yield from _with_bulk(index, row, planes | tables | _listed_tags(index, pixels))
    instance = _Instance(
        pixels=pixels,
        palette=describe_palette(whole) if has_palette else None,
        attributes=attributes,
        overlays=whole if planes else EMPTY,
    )
    grid = index.grid(row)
    source = _describe_source(index, row, pixels, whole)
    found = yield from read_frames(source, frames if grid is None else [0])
    decoded = {frame: _decode(data, instance, frame) for frame, data in found.items()}
    if grid is not None:
        decoded = {frame: _cut(decoded[0], grid, frame) for frame in frames}
    return DecodedFrames(frames=decoded, profile=find_profile(whole) if pixels.is_color else None)


def _cut(whole: StoredFrame | DspBatchError, grid: Grid, number: int) -> StoredFrame | DspBatchError:
    """One slice of a grid image; graphics on the whole of it belong to none of them."""
    if not isinstance(whole, StoredFrame):
        return whole
    return replace(whole, values=crop_slice(whole.values, grid, number), overlay=None)


def _decode(data: bytes | PixelError, instance: _Instance, frame: int) -> StoredFrame | DspBatchError:
    if isinstance(data, PixelError):
        return data
    pixels = instance.pixels
    words = data if is_native(pixels.transfer_syntax_uid) else None
    try:
        return StoredFrame(
            values=decode_frame(data, pixels, instance.palette),
            transform=describe_transform(instance.attributes, frame),
            aspect=describe_aspect(instance.attributes, frame),
            overlay=combine_overlays(instance.overlays, pixels, words, frame),
        )
    except PixelError as error:
        return error


def _palette_tags(attributes: Attributes) -> frozenset[int]:
    """Tags of the palette's tables that the header must have somewhere; none where they are in the index."""
    present = any(keyword in attributes for keyword in _PALETTE_DATA)
    return frozenset() if present else frozenset(tag for tag in map(tag_of, _PALETTE_DATA) if tag is not None)


def _listed_tags(index: SeriesIndex, pixels: PixelFormat) -> frozenset[int]:
    """Tags of other large values that drawing needs, where the series has them."""
    wanted = [*_OFFSET_TABLES, *(["ICCProfile"] if pixels.is_color else [])]
    return frozenset(tag for name in wanted if index.has(f"{name}_Size") and (tag := tag_of(name)) is not None)


def _with_bulk(index: SeriesIndex, row: int, tags: frozenset[int]) -> Generator[Sequence[ByteRange], Reply, Attributes]:
    """The header with binary values that are too large for the index, which is read again where that lacks any."""
    attributes = index.attributes(row)
    if all(attributes.binary(name_of(tag)) is not None for tag in tags):
        return attributes
    name, size = index.values("FileName")[row], index.values("ObjectSize")[row]
    header = yield from read_header(name, size, bulk=tags)
    return HeaderDecoder(header).attributes()


def _describe_source(index: SeriesIndex, row: int, pixels: PixelFormat, whole: Attributes) -> PixelSource:
    offsets, lengths = (parse_offset_table(whole, name) for name in _OFFSET_TABLES)
    return PixelSource(
        pixels=pixels,
        size=index.values("ObjectSize")[row],
        pixel_data_offset=index.values("PixelDataOffset")[row],
        pixel_data_length=index.values("PixelDataLength")[row],
        fragments_offset=index.values("FragmentsOffset")[row],
        frame_offsets=offsets,
        frame_lengths=lengths,
    )
