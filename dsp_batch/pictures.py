"""From one instance of an index to decoded frames: its format, its bytes, its transforms."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dsp_batch.attributes import EMPTY, Attributes
from dsp_batch.dicom.codecs import decode_frame
from dsp_batch.dicom.dictionary import name_of, tag_of
from dsp_batch.dicom.frames import PixelSource, read_frames
from dsp_batch.dicom.grayscale import describe_transform
from dsp_batch.dicom.grids import Grid, crop_slice
from dsp_batch.dicom.headers import DEFLATED, read_header
from dsp_batch.dicom.objects import RAW_DATA_STORAGE, sop_class_name
from dsp_batch.dicom.overlays import combine_overlays, overlay_data_tags
from dsp_batch.dicom.palette import describe_palette
from dsp_batch.dicom.pixels import describe_aspect, describe_pixels
from dsp_batch.dicom.syntaxes import is_native
from dsp_batch.dicom.values import HeaderDecoder
from dsp_batch.errors import DspBatchError, PixelError, Reason, SeriesError
from dsp_batch.index import SeriesIndex
from dsp_batch.model import InstanceHeader, PaletteTable, PixelFormat, StoredFrame
from dsp_batch.reading import ByteRange, Reader, Reply

Pictures = Mapping[int, StoredFrame | DspBatchError]
"""Frame number → the decoded frame, or why there is none."""

_PALETTE_DATA = tuple(
    f"{kind}{color}PaletteColorLookupTableData" for kind in ("", "Segmented") for color in ("Red", "Green", "Blue")
)


_ROWS, _SOP_CLASS_UID = 0x00280010, 0x00080016


def has_pixels(header: InstanceHeader) -> bool:
    """Whether an instance has pixels, as far as its header tells."""
    placed = header.pixel_data_offset is not None or header.fragments_offset is not None
    return _ROWS in header.elements and (placed or header.transfer_syntax_uid == DEFLATED)


def sop_class_of(header: InstanceHeader) -> str:
    """SOP Class UID (0008,0016); empty where it is absent."""
    element = header.elements.get(_SOP_CLASS_UID)
    return (element.value or b"").decode("ascii", "replace").strip(" \0") if element else ""


def without_pixels(url: str, sop_classes: Iterable[str]) -> SeriesError:
    """The error of a series that has nothing to draw, naming what it is."""
    classes = dict.fromkeys(sop_classes)
    names = ", ".join(f"{sop_class_name(uid)} ({uid})" if uid else "objects without SOP class" for uid in classes)
    reason: Reason = "raw-data" if list(classes) == [RAW_DATA_STORAGE] else "no-pixels"
    return SeriesError(f"{url} has no object with pixels: it holds {names}; build-index works on it", reason)


def drawable_rows(index: SeriesIndex) -> list[int]:
    """Rows of the instances that have pixels to draw."""
    columns = (index.values(name) for name in ("PixelDataOffset", "FragmentsOffset", "TransferSyntaxUID", "Rows"))
    return [
        row
        for row, (native, encapsulated, syntax, rows) in enumerate(zip(*columns, strict=True))
        if rows and (native is not None or encapsulated is not None or syntax == DEFLATED)
    ]


def read_pictures(index: SeriesIndex, row: int, frames: Sequence[int], *, overlays: bool = True) -> Reader[Pictures]:
    """Read and decode frames of one instance.

    Args:
        index: The series.
        row: The instance.
        frames: Frame numbers from 0.
        overlays: Read overlay planes too.

    Returns:
        A reader of frame number → decoded frame, or the error of that frame alone.

    Raises:
        PixelError: No frame of the instance can be had.
    """
    attributes = index.attributes(row)
    pixels = describe_pixels(attributes, index.values("TransferSyntaxUID")[row])
    palette = None
    if pixels.photometric == "PALETTE COLOR":
        palette = describe_palette((yield from _with_bulk(index, row, _palette_tags(attributes))))
    planes = overlay_data_tags(attributes) if overlays else frozenset[int]()
    described = (yield from _with_bulk(index, row, planes)) if planes else EMPTY
    source = _describe_source(index, row, pixels)
    grid = index.grid(row)
    found = yield from read_frames(source, frames if grid is None else [0])
    decoded = {
        frame: _decode(
            data, _Instance(pixels=pixels, palette=palette, attributes=attributes, overlays=described), frame
        )
        for frame, data in found.items()
    }
    return decoded if grid is None else {frame: _cut(decoded[0], grid, frame) for frame in frames}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Instance:
    """What decoding a frame takes besides its bytes."""

    pixels: PixelFormat
    palette: PaletteTable | None
    attributes: Attributes
    overlays: Attributes
    """The header with its overlay data; empty where there are none to draw."""


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


def _with_bulk(index: SeriesIndex, row: int, tags: frozenset[int]) -> Generator[Sequence[ByteRange], Reply, Attributes]:
    """The header with binary values that are too large for the index, which is read again where that lacks any."""
    attributes = index.attributes(row)
    if all(attributes.binary(name_of(tag)) is not None for tag in tags):
        return attributes
    name, size = index.values("FileName")[row], index.values("ObjectSize")[row]
    header = yield from read_header(name, size, bulk=tags)
    return HeaderDecoder(header).attributes()


def _describe_source(index: SeriesIndex, row: int, pixels: PixelFormat) -> PixelSource:
    return PixelSource(
        pixels=pixels,
        size=index.values("ObjectSize")[row],
        pixel_data_offset=index.values("PixelDataOffset")[row],
        pixel_data_length=index.values("PixelDataLength")[row],
        fragments_offset=index.values("FragmentsOffset")[row],
    )
