"""From a series index to a finished preview: which pictures, their bytes, their tiles, one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsp_batch.core.encoding import encode_image
from dsp_batch.core.selection import distribute, select_position, select_range
from dsp_batch.core.tiling import check_mosaic, compose_mosaic, failed_tile, fit_tile, tile_shape
from dsp_batch.core.windowing import choose_voi, display_values, needs_percentiles, percentile_window
from dsp_batch.dicom.drawing import Picture
from dsp_batch.dicom.profiles import convert_to_srgb
from dsp_batch.drawables import drawer_of, list_drawables
from dsp_batch.errors import DspBatchError, HeaderError, PixelError
from dsp_batch.index import SeriesIndex
from dsp_batch.model import ByteArray, EncodedImage, FrameRef, LookupTable, ObjectInfo, StoredFrame, Window
from dsp_batch.options import Contrast, ContrastMosaicOptions, ImageOptions, MosaicOptions
from dsp_batch.pictures import DecodedFrames, read_pictures
from dsp_batch.reading import Reader, read_bytes
from dsp_batch.storage.store import Store

Drawn = StoredFrame | DspBatchError
"""A picture made from its frames, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where and how the frames of a series are read."""

    store: Store
    timeout: float | None = None
    """Seconds for reading; None for no limit."""


def render_mosaic(index: SeriesIndex, source: Source, options: MosaicOptions, suffix: str) -> EncodedImage:
    """Draw a grid of pictures spread evenly over a range of the series.

    Args:
        index: The series.
        source: Where its objects are read.
        options: The range, the grid and the contrast.
        suffix: `.webp`, `.jpg` or `.jpeg`.

    Raises:
        SeriesError: The series has nothing to draw.
        OptionsError: The range holds nothing, or the image would be too large.
        PixelError: Nothing could be decoded.
        StorageError: The frames could not be read.
    """
    drawables = list_drawables(index)
    places = select_range(drawables.order, options.start, options.end)
    rows, columns = options.grid
    chosen = [drawables.pictures[place] for place in places[distribute(len(places), rows * columns)]]
    drawn = _draw_pictures(index, source, chosen, overlays=options.overlays)
    tiles = _draw_tiles(drawn, (options.contrast,), options.image_width)
    return _finish(tiles, (rows, columns), options.quality, suffix)


def render_image(index: SeriesIndex, source: Source, options: ImageOptions, suffix: str) -> EncodedImage:
    """Draw one picture. Arguments and errors are those of `render_mosaic`."""
    drawables = list_drawables(index)
    chosen = drawables.pictures[select_position(drawables.order, options.position, options.slice_offset)]
    drawn = _draw_pictures(index, source, [chosen], overlays=options.overlays)
    return _finish(_draw_tiles(drawn, (options.contrast,), options.image_width), (1, 1), options.quality, suffix)


def render_contrast_mosaic(
    index: SeriesIndex, source: Source, options: ContrastMosaicOptions, suffix: str
) -> EncodedImage:
    """Draw the same pictures under several contrasts. Arguments and errors are those of `render_mosaic`."""
    drawables = list_drawables(index)
    if options.position is not None:
        places = np.asarray([select_position(drawables.order, options.position, options.slice_offset or 0)])
        rows = 1
    else:
        in_range = select_range(drawables.order, options.start or 0.0, options.end)
        rows = options.tile_height
        places = in_range[distribute(len(in_range), rows)]
    chosen = [drawables.pictures[place] for place in places]
    drawn = _draw_pictures(index, source, chosen, overlays=options.overlays)
    tiles = _draw_tiles(drawn, options.contrasts, options.image_width)
    return _finish(tiles, (rows, len(options.contrasts)), options.quality, suffix)


def _draw_pictures(index: SeriesIndex, source: Source, pictures: Sequence[Picture], *, overlays: bool) -> list[Drawn]:
    """Read, decode and compose pictures, all objects at once; one that fails is an error in its place."""
    wanted: dict[int, list[int]] = {}
    for ref in (ref for picture in pictures for ref in picture.frames):
        wanted.setdefault(ref.instance, []).append(ref.frame)
    names, sizes = index.values("FileName"), index.values("ObjectSize")
    infos = {row: ObjectInfo(name=names[row], size=sizes[row]) for row in wanted}
    readers = {infos[row]: read_pictures(index, row, frames, overlays=overlays) for row, frames in wanted.items()}
    found = _read_bodies(readers, index.bodies)
    missing = {info: reader for info, reader in readers.items() if info.name not in found}
    found.update(source.store.read(index.series_uuid, missing, timeout=source.timeout))
    by_row = {row: found[info.name] for row, info in infos.items()}
    drawn = [_compose(index, picture, by_row) for picture in pictures]
    _raise_if_none(index, pictures, drawn)
    return drawn


def _read_bodies(
    readers: Mapping[ObjectInfo, Reader[DecodedFrames]], bodies: Mapping[str, bytes]
) -> dict[str, DecodedFrames | DspBatchError]:
    """Read from the objects that are in memory."""
    found: dict[str, DecodedFrames | DspBatchError] = {}
    for info, reader in readers.items():
        if info.name in bodies:
            try:
                found[info.name] = read_bytes(reader, bodies[info.name])
            except DspBatchError as error:
                found[info.name] = error
    return found


def _compose(index: SeriesIndex, picture: Picture, by_row: Mapping[int, DecodedFrames | DspBatchError]) -> Drawn:
    """Make a picture from those of its frames that could be decoded."""
    frames, error = {}, None
    for ref in picture.frames:
        of_object = by_row[ref.instance]
        frame = of_object.frames[ref.frame] if isinstance(of_object, DecodedFrames) else of_object
        if isinstance(frame, StoredFrame):
            frames[ref] = frame
        else:
            error = error or _locate(index, ref, frame)
    if error is not None and not frames:
        return error
    first = picture.frames[0].instance
    try:
        drawn = drawer_of(index, picture).compose(picture, index.attributes(first), frames)
    except PixelError as failure:
        return _locate(index, picture.frames[0], failure)
    decoded = by_row[first]
    profile = decoded.profile if isinstance(decoded, DecodedFrames) else None
    return replace(drawn, values=convert_to_srgb(drawn.values, profile)) if profile and drawn.is_color else drawn


def _locate(index: SeriesIndex, ref: FrameRef, error: DspBatchError) -> DspBatchError:
    """Say of an error of pixels where it lies: object, frame and transfer syntax."""
    if not isinstance(error, PixelError | HeaderError):
        return error
    keys = ("FileName", "TransferSyntaxUID", "NumberOfFrames")
    name, syntax, count = (index.values(key)[ref.instance] for key in keys)
    frame = f", frame {ref.frame + 1}" if (count or 1) > 1 and not error.message.startswith("frame ") else ""
    encoded = f" ({syntax})" if syntax and syntax not in error.message else ""
    return type(error)(f"{name}{frame}{encoded}: {error.message}", error.reason)


def _raise_if_none(index: SeriesIndex, pictures: Sequence[Picture], drawn: Sequence[Drawn]) -> None:
    errors = [each for each in drawn if isinstance(each, DspBatchError)]
    for error in errors:
        if error.reason in ("network", "timeout", "access-denied"):
            raise error
    if len(errors) == len(drawn):
        where, name = f"{index.root}/{index.series_uuid}", index.values("FileName")[pictures[0].frames[0].instance]
        first = errors[0].message if name in errors[0].message else f"{name}: {errors[0].message}"
        raise PixelError(f"no frame of {where} could be drawn; the first, in {first}", errors[0].reason)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tiles:
    """The tiles of an image in reading order."""

    tiles: tuple[ByteArray, ...]
    shape: tuple[int, int]
    drawn: int
    failures: tuple[str, ...]
    window: Window | None


def _draw_tiles(drawn: Sequence[Drawn], contrasts: Sequence[Contrast], width: int) -> _Tiles:
    """Draw each picture under each contrast. One automatic window serves all, so that tiles compare."""
    frames = [each for each in drawn if isinstance(each, StoredFrame)]
    automatic = None
    if any(needs_percentiles(contrast, frame) for contrast in contrasts for frame in frames):
        automatic = percentile_window(frames)
    rows, columns = frames[0].values.shape[:2]
    shape = tile_shape(rows, columns, frames[0].aspect, width)
    tiles: list[ByteArray] = []
    failures: list[str] = []
    for each in drawn:
        if isinstance(each, StoredFrame):
            tiles.extend(_draw_tile(each, choose_voi(contrast, each, automatic), shape) for contrast in contrasts)
        else:
            failures.append(each.message)
            tiles.extend(failed_tile(shape) for _ in contrasts)
    voi = None if frames[0].is_color else choose_voi(contrasts[0], frames[0], automatic)
    return _Tiles(
        tiles=tuple(tiles),
        shape=shape,
        drawn=len(frames) * len(contrasts),
        failures=tuple(failures),
        window=voi if isinstance(voi, Window) else None,
    )


def _draw_tile(frame: StoredFrame, voi: Window | LookupTable, shape: tuple[int, int]) -> ByteArray:
    display = display_values(frame, voi)
    if frame.color_map is not None and display.ndim == 2:
        display = frame.color_map[display]
    if frame.overlay is not None:
        display = np.where(frame.overlay if display.ndim == 2 else frame.overlay[..., None], np.uint8(255), display)
    return fit_tile(display, frame.aspect, shape)


def _finish(tiles: _Tiles, grid: tuple[int, int], quality: int, suffix: str) -> EncodedImage:
    check_mosaic(grid, tiles.shape)
    pixels = compose_mosaic(tiles.tiles, grid, tiles.shape)
    return EncodedImage(
        data=encode_image(pixels, suffix, quality),
        width=pixels.shape[1],
        height=pixels.shape[0],
        n_tiles=tiles.drawn,
        failures=tiles.failures,
        window=tiles.window,
    )
