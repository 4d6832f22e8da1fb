"""What another series says of a frame, as a picture to lay over it: segments, regions, values, how it is presented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsp_batch.core.planes import ImagePlane
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.errors import DspBatchError
from dsp_batch.kinds.card import hide_descriptions
from dsp_batch.kinds.kind import Picture
from dsp_batch.kinds.maps import color_doses, color_parameters
from dsp_batch.kinds.overlays.layers import Backdrop, PlaneLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.overlays.segments import find_source, map_planes, map_shapes
from dsp_batch.kinds.overlays.states import STATE_READS, lay_out_state
from dsp_batch.kinds.overlays.structures import (
    FrameContours,
    OutlinedRegion,
    draw_contours,
    list_contours,
    list_regions,
    place_contours,
)
from dsp_batch.kinds.segmentation import list_masks
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import BoolArray, ByteArray, FloatArray, FrameRef
from dsp_batch.render.compose import PictureSet, compose_group, read_frames_of
from dsp_batch.render.figures.contents import read_contents
from dsp_batch.render.overlays.dose import LOWEST_SHOWN, OPACITY
from dsp_batch.render.overlays.layers import sample_values
from dsp_batch.render.overlays.segments import FILL, place_segments
from dsp_batch.render.overlays.states import display_state, draw_state, lay_out_whole
from dsp_batch.render.overlays.strokes import Overlayer
from dsp_batch.web.viewer.library import OpenSeries
from dsp_batch.web.viewer.pixels.frames import find_own_window
from dsp_batch.web.viewer.pixels.legends import OverlayKind
from dsp_batch.web.viewer.pixels.planes import find_frames_at, find_plane, show_planes

_BYTES_A_PIXEL = 48
"""Bytes that a pixel of an overlay takes while it is drawn: places and values as 64 bit, colors as 32 bit."""


class Turn(NamedTuple):
    """How a presentation state turns a frame (PS3.3 C.10.6)."""

    rotation: int
    """Quarter turns clockwise."""

    is_flipped: bool
    """True where the frame is then mirrored, left and right."""


class FrameOverlay(NamedTuple):
    """What a series says of a frame."""

    pixels: ByteArray
    """RGBA, (rows, columns, 4), in the pixels of the frame; clear where nothing is said."""

    numbers: tuple[int, ...]
    """Numbers of those keys of the legend that it shows."""

    turn: Turn | None = None
    """How the frame is turned; None where nothing orders that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameBeneath:
    """The frame that an overlay is asked for."""

    opened: OpenSeries
    ref: FrameRef
    shape: tuple[int, int]
    """Rows and columns."""

    describes: bool = True
    """False to leave out what somebody has typed, which may name the patient."""

    @property
    def plane(self) -> ImagePlane | None:
        """Return its plane; None where its header does not tell it."""
        return find_plane(self.opened, self.ref)


def count_overlay_bytes(beneath: FrameBeneath) -> int:
    """Compute the bytes of memory that drawing an overlay takes, of the picture alone."""
    return _BYTES_A_PIXEL * beneath.shape[0] * beneath.shape[1]


def clear_overlay(shape: tuple[int, int]) -> FrameOverlay:
    """Make the overlay of a series that says nothing of a frame."""
    return FrameOverlay(np.zeros((*shape, 4), np.uint8), ())


def draw_frame_overlay(over: OpenSeries, kind: OverlayKind, beneath: FrameBeneath) -> FrameOverlay | None:
    """Draw what a series says of a frame.

    Args:
        over: The series, which may lie over that of the frame.
        kind: What it lays over images.
        beneath: The frame.

    Returns:
        The overlay; None where the series says nothing of this frame.

    Raises:
        PixelError: Its frames cannot be decoded.
        StorageError: They cannot be read.
    """
    if kind == "RTSTRUCT":
        return _draw_regions(over, beneath)
    if kind == "PR":
        return _draw_state(over, beneath)
    return _draw_segments(over, beneath) if kind == "SEG" else _draw_values(over, kind, beneath)


def _draw_segments(over: OpenSeries, beneath: FrameBeneath) -> FrameOverlay | None:
    sheet, numbers = np.zeros((*beneath.shape, 4), np.float32), []
    for layer in _list_layers(over, beneath):
        frames = _read_all(over, layer.picture)
        masks = list_masks(layer.picture, over.index.attributes(layer.picture.about.instance), frames)
        for placed in place_segments(beneath.shape, layer, masks):
            if not placed.covered.any():
                continue
            numbers.append(placed.segment.number)
            _lay_color_over(sheet, placed.covered, (*placed.segment.color, FILL * 255))
            sheet[placed.outline] = (*placed.segment.color, 255)
    return FrameOverlay(np.rint(sheet).astype(np.uint8), tuple(numbers)) if numbers else None


def _lay_color_over(sheet: FloatArray, where: BoolArray, color: tuple[float, ...]) -> None:
    """Lay a color over those of a sheet of RGBA, 0 … 255, in some of its pixels."""
    old, above = sheet[where], color[3] / 255
    alpha = old[:, 3:] / 255 * (1 - above)
    mixed = (np.array(color[:3], np.float32) * above + old[:, :3] * alpha) / (above + alpha)
    sheet[where] = np.concatenate([mixed, (above + alpha) * 255], axis=1)


def _list_layers(over: OpenSeries, beneath: FrameBeneath) -> Iterator[PlaneLayer]:
    """List the frames of a series that lie in a frame, object by object."""
    plane = beneath.plane
    refs = find_frames_at(over, plane) if plane else []
    if not refs:
        key = ("sources", beneath.opened.ref.series_uuid, len(beneath.opened.index))
        refs = over.derive(key, lambda: _find_sources(over, beneath.opened)).get(beneath.ref, [])
    by_row: dict[int, list[FrameRef]] = {}
    for ref in refs:
        by_row.setdefault(ref.instance, []).append(ref)
    for row, found in by_row.items():
        above = find_plane(over, found[0])
        header = over.index.attributes(row)
        mapping = map_planes(plane, above) if plane and above else map_shapes(beneath.shape, header)
        if mapping is not None:
            yield PlaneLayer(
                backdrop=Backdrop(series=0, picture=Picture(frames=(beneath.ref,))),
                shape=beneath.shape,
                aspect=1.0,
                picture=Picture(frames=tuple(found)),
                mapping=mapping,
            )


def _find_sources(over: OpenSeries, images: OpenSeries) -> Mapping[FrameRef, list[FrameRef]]:
    """Find the frame that each frame was made of, for those whose own plane or that of the image is not known."""
    series, found = show_planes(images), dict[FrameRef, list[FrameRef]]()
    for row in over.drawable:
        header = over.index.attributes(row)
        for frame in range(over.frame_counts[row]):
            ref = FrameRef(row, frame)
            source = find_source(header, ref, [series])
            if source is not None and (find_plane(over, ref) is None or series.plane(source) is None):
                found.setdefault(source, []).append(ref)
    return found


def _draw_regions(over: OpenSeries, beneath: FrameBeneath) -> FrameOverlay | None:
    plane = beneath.plane
    if plane is None:
        return None
    key = ("regions", beneath.opened.ref.series_uuid, len(beneath.opened.index))
    sheet, numbers = Overlayer(beneath.shape, (1.0, 1.0)), set[int]()
    for regions, placed in over.derive(key, lambda: _place_regions(over, beneath.opened)):
        found = placed.get(beneath.ref)
        if found is None:
            continue
        scene = draw_contours(Scene(shape=beneath.shape), plane, found, regions)
        sheet.draw_strokes(scene.strokes)
        sheet.draw_marks(scene.marks)
        numbers |= {contour.region + 1 for contour in found.contours}
    return FrameOverlay(sheet.show(), tuple(sorted(numbers))) if numbers else None


def _place_regions(
    over: OpenSeries, images: OpenSeries
) -> Sequence[tuple[Sequence[OutlinedRegion], Mapping[FrameRef, FrameContours]]]:
    """Place the contours of each structure set of a series in the frames of another one."""
    found = []
    for row in range(len(over.index)):
        header = over.index.attributes(row)
        regions = list(list_regions(header))
        contours = [each for each in list_contours(header) if each.region < len(regions)]
        found.append((regions, place_contours(show_planes(images), contours, regions)))
    return found


def _draw_state(over: OpenSeries, beneath: FrameBeneath) -> FrameOverlay | None:
    """Draw the frame as the first state that refers to it orders it, in the pixels of the frame.

    All of the frame is shown, and not turned: which part is seen, and which side is up, the page says.
    """
    images = show_planes(beneath.opened)
    headers = over.derive("states", lambda: _read_states(over))
    for header in (headers if beneath.describes else hide_descriptions(headers)).values():
        state = lay_out_state(header, images, beneath.ref)
        if state is not None:
            frame = _read_all(beneath.opened, Picture(frames=(beneath.ref,)))[beneath.ref]
            upright = lay_out_whole(state)
            pixels = draw_state(upright, display_state(upright, frame), beneath.shape)
            opaque = np.full((*beneath.shape, 1), 255, np.uint8)
            turn = Turn(state.rotation, is_flipped=state.is_mirrored)
            return FrameOverlay(np.concatenate([pixels, opaque], axis=2), (1,), turn)
    return None


def _read_states(over: OpenSeries) -> Mapping[int, Attributes]:
    headers, _ = read_contents(over.index, over.source, STATE_READS, range(len(over.index)))
    return headers


def _draw_values(over: OpenSeries, kind: OverlayKind, beneath: FrameBeneath) -> FrameOverlay | None:
    """Draw the colors of a dose above a tenth of its largest value, or of a map above the least one that it shows."""
    layer = next(_list_layers(over, beneath), None)
    if layer is None:
        return None
    ref = layer.picture.frames[0]
    low, high = over.derive(("range", ref.instance), lambda: _find_range(over, kind, ref.instance))
    if not high > low:
        return None
    values = _rescale(_read_all(over, Picture(frames=(ref,)))[ref])
    share = sample_values(beneath.shape, layer, np.nan_to_num((values - low) / (high - low), nan=0.0))
    shown = share >= LOWEST_SHOWN if kind == "RTDOSE" else share > 0
    if not shown.any():
        return None
    colors = color_doses() if kind == "RTDOSE" else color_parameters()
    pixels = np.zeros((*beneath.shape, 4), np.uint8)
    pixels[shown, :3] = colors[np.rint(share[shown].clip(0, 1) * 255).astype(np.uint8)]
    pixels[shown, 3] = round(255 * OPACITY)
    return FrameOverlay(pixels, (1, 2, 3, 4, 5))


def _find_range(over: OpenSeries, kind: OverlayKind, row: int) -> tuple[float, float]:
    """Find the values that the first and the last color mean: of a map those of its window, else all that it has.

    Doses begin at 0. Where each plane of a dose is an object of its own, all of them count for the largest one.
    """
    window = find_own_window(over, row) if kind == "PM" else None
    if window is not None:
        return window.center - window.width / 2, window.center + window.width / 2
    rows = [row] if over.frame_counts[row] > 1 else sorted(over.drawable)
    pictures = [Picture(frames=(FrameRef(each, frame),)) for each in rows for frame in range(over.frame_counts[each])]
    low, high = np.inf, -np.inf
    for frames in read_frames_of(PictureSet(index=over.index, source=over.source, pictures=pictures)):
        for frame in frames.values():
            values = _rescale(frame)
            finite = values[np.isfinite(values)]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (0.0 if kind == "RTDOSE" else low), high


def _rescale(frame: StoredFrame) -> FloatArray:
    """Compute modality values; NaN where a map is padded."""
    values: FloatArray = frame.values.astype(np.float64) * frame.transform.slope + frame.transform.intercept
    return values


def _read_all(over: OpenSeries, picture: Picture) -> Mapping[FrameRef, StoredFrame]:
    """Read the frames of a picture.

    Raises:
        PixelError: None of them can be decoded.
        StorageError: They cannot be read.
    """
    some = PictureSet(index=over.index, source=over.source, pictures=[picture], overlays=False)
    frames = next(read_frames_of(some))
    found = {ref: frames[ref] for ref in frames}
    failure = None if found else next(compose_group(some))
    if isinstance(failure, DspBatchError):
        raise failure
    return found
