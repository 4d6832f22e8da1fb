"""From one instance of an index to decoded frames: its format, its bytes, its transforms."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace

from dsp_batch.attributes import Attributes
from dsp_batch.dicom.codecs import decode_frame
from dsp_batch.dicom.dictionary import tag_of
from dsp_batch.dicom.frames import PixelSource, read_frames
from dsp_batch.dicom.grayscale import describe_transform
from dsp_batch.dicom.grids import Grid, crop_slice
from dsp_batch.dicom.headers import DEFLATED, read_header
from dsp_batch.dicom.objects import RAW_DATA_STORAGE, sop_class_name
from dsp_batch.dicom.palette import describe_palette
from dsp_batch.dicom.pixels import describe_aspect, describe_pixels
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


def read_pictures(index: SeriesIndex, row: int, frames: Sequence[int]) -> Reader[Pictures]:
    """Read and decode frames of one instance.

    Args:
        index: The series.
        row: The instance.
        frames: Frame numbers from 0.

    Returns:
        A reader of frame number → decoded frame, or the error of that frame alone.

    Raises:
        PixelError: No frame of the instance can be had.
    """
    attributes = index.attributes(row)
    pixels = describe_pixels(attributes, index.values("TransferSyntaxUID")[row])
    palette = None
    if pixels.photometric == "PALETTE COLOR":
        palette = yield from _read_palette(attributes, index.values("FileName")[row], index.values("ObjectSize")[row])
    source = _describe_source(index, row, pixels)
    grid = index.grid(row)
    if grid is not None:
        found = yield from read_frames(source, [0])
        whole = _decode(found[0], pixels, palette, attributes, 0)
        return {frame: _cut(whole, grid, frame) for frame in frames}
    found = yield from read_frames(source, frames)
    return {frame: _decode(found[frame], pixels, palette, attributes, frame) for frame in frames}


def _cut(whole: StoredFrame | DspBatchError, grid: Grid, number: int) -> StoredFrame | DspBatchError:
    """One slice of a grid image."""
    return replace(whole, values=crop_slice(whole.values, grid, number)) if isinstance(whole, StoredFrame) else whole


def _decode(
    data: bytes | PixelError, pixels: PixelFormat, palette: PaletteTable | None, attributes: Attributes, frame: int
) -> StoredFrame | DspBatchError:
    if isinstance(data, PixelError):
        return data
    try:
        return StoredFrame(
            values=decode_frame(data, pixels, palette),
            transform=describe_transform(attributes, frame),
            aspect=describe_aspect(attributes, frame),
        )
    except PixelError as error:
        return error


def _read_palette(attributes: Attributes, name: str, size: int) -> Generator[Sequence[ByteRange], Reply, PaletteTable]:
    """The palette; its tables are too large for the index where they have 16 bits, and are read again then."""
    if not any(keyword in attributes for keyword in _PALETTE_DATA):
        tags = frozenset(tag for tag in map(tag_of, _PALETTE_DATA) if tag is not None)
        header = yield from read_header(name, size, bulk=tags)
        attributes = HeaderDecoder(header).attributes()
    return describe_palette(attributes)


def _describe_source(index: SeriesIndex, row: int, pixels: PixelFormat) -> PixelSource:
    return PixelSource(
        pixels=pixels,
        size=index.values("ObjectSize")[row],
        pixel_data_offset=index.values("PixelDataOffset")[row],
        pixel_data_length=index.values("PixelDataLength")[row],
        fragments_offset=index.values("FragmentsOffset")[row],
    )
