"""Read what presentation states order for each image that they refer to (PS3.3 A.33, PS3.4 N.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.color import convert_from_lab
from dsp_batch.dicom.pixels.grayscale import describe_transform
from dsp_batch.dicom.pixels.overlays import GROUPS, read_bitmap_shutter
from dsp_batch.dicom.pixels.palette import read_color_map
from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.overlays.graphics import read_graphics, read_texts
from dsp_batch.kinds.overlays.images import ImageSeries, find_frame
from dsp_batch.kinds.overlays.layers import Backdrop, DisplayedArea, StateImage
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.deadline import check_time
from dsp_batch.model.frame import GrayscaleTransform
from dsp_batch.model.scene import Color
from dsp_batch.model.series import BoolArray, FloatArray, FrameRef
from dsp_batch.model.window import Window

STATE_CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.11.{number}" for number in (1, 2, 3, 5))
"""SOP classes of grayscale, color, pseudo-color and XA/XRF presentation states."""

STATE_READS = tuple(f"{group:04x}_3000" for group in GROUPS)
"""Large values that states are drawn from: the overlay plane of a bitmap shutter (PS3.3 C.7.6.15)."""

MOST_STATES = 9
"""Images of a state that are drawn, at most."""

_OVERRIDDEN = frozenset(
    {
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "ModalityLUTSequence",
        "PresentationLUTShape",
    }
)
"""Attributes whose values a state gives for all its images, or which count as absent."""

_OF_VOI = frozenset({"WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"})
"""Attributes that the item of Softcopy VOI LUT Sequence for an image gives."""

_HIDDEN = frozenset(
    {
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "PixelPaddingValue",
        "RealWorldValueMappingSequence",
        "DoseGridScaling",
    }
)
"""Attributes of the image that its state does not know."""


def name_state_images(instances: Instances) -> tuple[str, ...]:
    """Name the series that presentation states refer to (PS3.3 C.11.11)."""
    items = (item for header in instances.values() for item in header.items("ReferencedSeriesSequence"))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_states(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay out the images that states refer to, as they order them: a grid of at most nine.

    Without an image, the graphics lie on a plain canvas of the displayed area.

    Returns:
        The scene; None where there is neither an image nor a graphic.
    """
    found: list[StateImage] = []
    for header in instances.values():
        for item in _list_images(header):
            check_time()
            each = _lay_out_named(header, item, [image for image in images if image.may_show(header)])
            if each is not None:
                found.append(each)
            if len(found) == MOST_STATES:
                break
    drawn = [each for each in found if each.backdrop] or found[:1]
    if not drawn:
        return None
    return Scene(shape=drawn[0].shape, backdrop=drawn[0].backdrop, states=tuple(drawn[:MOST_STATES]))


def _list_images(header: Attributes) -> Iterator[Attributes]:
    for series in header.items("ReferencedSeriesSequence"):
        yield from series.items("ReferencedImageSequence")


def lay_out_state(header: Attributes, images: ImageSeries, ref: FrameRef) -> StateImage | None:
    """Lay out a frame as a state orders it.

    Args:
        header: The state.
        images: The series of the frame.
        ref: The frame.

    Returns:
        The frame as it is ordered; None where the state does not refer to it.
    """
    uid = images.index.texts("SOPInstanceUID")[ref.instance]
    for item in _list_images(header):
        frames = item.numbers("ReferencedFrameNumber")
        if item.text("ReferencedSOPInstanceUID") == uid and (not frames or ref.frame + 1 in frames):
            return _lay_out_image(header, uid, ref, images.index.attributes(ref.instance))
    return None


def _lay_out_named(header: Attributes, item: Attributes, images: Sequence[ImageSeries]) -> StateImage | None:
    uid = item.text("ReferencedSOPInstanceUID") or ""
    frame = (item.integer("ReferencedFrameNumber") or 1) - 1
    ref = find_frame(images, uid, frame)
    series = next((each for each in images if ref and each.number == ref.series), None)
    image = series.index.attributes(ref.instance) if series and ref else None
    return _lay_out_image(header, uid, ref, image)


def _lay_out_image(header: Attributes, uid: str, ref: FrameRef | None, image: Attributes | None) -> StateImage | None:
    if image is None and not header.items("GraphicAnnotationSequence"):
        return None
    told = next((each for each in header.items("DisplayedAreaSelectionSequence") if _is_about(each, uid)), None)
    shape = (image.integer("Rows") or 0, image.integer("Columns") or 0) if image else (0, 0)
    area = _read_area(told, shape, image)
    if area is None:
        return None
    graphics = tuple(read_graphics(header, lambda each: _is_about(each, uid)))
    texts = tuple(read_texts(header, lambda each: _is_about(each, uid)))
    if (image is None and not graphics and not texts) or math.prod(shape) > _MOST_PIXELS:
        return None
    shape = shape if image else (area.top + area.rows, area.left + area.columns)
    return StateImage(
        backdrop=_refer(ref) if ref else None,
        shape=shape,
        area=area,
        transform=describe_ordered_transform(header, image, uid) if image else None,
        presentation_lut=_read_presentation_lut(header),
        color_map=read_color_map(header),
        shutter=_read_shutter(header, shape) if image else None,
        shutter_color=_read_shutter_color(header),
        rotation=(header.integer("ImageRotation") or 0) // 90 % 4,
        is_mirrored=header.text("ImageHorizontalFlip") == "Y",
        graphics=graphics,
        texts=texts,
    )


def _refer(ref: FrameRef) -> Backdrop:
    return Backdrop(series=ref.series, picture=Picture(frames=(ref._replace(series=0),)))


def _is_about(item: Attributes, uid: str) -> bool:
    """Tell whether an item of a state is about an image: it names none, or this one among others."""
    named = {each.text("ReferencedSOPInstanceUID") for each in item.items("ReferencedImageSequence")}
    return not named or uid in named


class _OrderedValues:
    """The attributes of an image as its state orders them."""

    def __init__(self, header: Attributes, image: Attributes, uid: str) -> None:
        self._header, self._image = header, image
        items = header.items("SoftcopyVOILUTSequence")
        self._voi = next((each for each in items if _is_about(each, uid)), None)

    def get(self, keyword: str, /) -> Any:
        """Return the value of an element; None where it is absent."""
        if keyword in _OVERRIDDEN:
            return self._header.value(keyword)
        if keyword in _OF_VOI:
            return self._voi.value(keyword) if self._voi else None
        if keyword == "PhotometricInterpretation":
            return "MONOCHROME2"  # the state alone decides the polarity (PS3.3 C.11.6)
        return None if keyword in _HIDDEN else self._image.value(keyword)


def describe_ordered_transform(header: Attributes, image: Attributes, uid: str) -> GrayscaleTransform:
    """Read the grayscale transform of a state. Without a VOI the whole range that the pixels may have is shown."""
    ordered = describe_transform(Attributes(_OrderedValues(header, image, uid)))
    if ordered.voi is not None:
        return ordered
    bits, is_signed = image.integer("BitsStored") or 16, image.integer("PixelRepresentation") == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    first, last = sorted(each * ordered.slope + ordered.intercept for each in (low, high))
    if ordered.modality_lut is not None:
        first, last = 0.0, float(2**ordered.modality_lut.bits - 1)
    return GrayscaleTransform(
        slope=ordered.slope,
        intercept=ordered.intercept,
        modality_lut=ordered.modality_lut,
        voi=Window(center=(first + last) / 2, width=max(last - first, 1.0)),
        inverted=ordered.inverted,
    )


def _read_area(item: Attributes | None, shape: tuple[int, int], image: Attributes | None) -> DisplayedArea | None:
    """Read the displayed area, else take all of the image. Its corners are those after the turn: their order varies."""
    first = item.numbers("DisplayedAreaTopLeftHandCorner") if item else ()
    last = item.numbers("DisplayedAreaBottomRightHandCorner") if item else ()
    is_told = len(first) == len(last) == 2 and all(map(math.isfinite, (*first, *last)))
    corners = np.array([first, last]) if is_told else np.array([[1, 1], shape[::-1]])
    left, top = (int(each) for each in corners.min(0))
    right, bottom = (int(each) for each in corners.max(0))
    columns, rows = right - left + 1, bottom - top + 1
    if shape != (0, 0) and not (rows <= 4 * shape[0] and columns <= 4 * shape[1]):
        left, top, columns, rows = 1, 1, shape[1], shape[0]
    if not (0 < rows <= _MOST_SIDE and 0 < columns <= _MOST_SIDE):
        return None
    return DisplayedArea(left=left - 1, top=top - 1, columns=columns, rows=rows, aspect=_read_aspect(item, image))


_MOST_SIDE = 1 << 15
"""Rows and columns of a displayed area, at most."""


_MOST_PIXELS = 1 << 28
"""Pixels of an image, at most: what shutters hide takes a byte for each before the image is read."""

_FARTHEST = 1e9
"""Rows and columns of shutters, at most: their squares have to be numbers."""


def _read_aspect(item: Attributes | None, image: Attributes | None) -> float:
    for source, keyword in ((item, "PresentationPixelSpacing"), (item, "PresentationPixelAspectRatio")):
        numbers = source.numbers(keyword) if source else ()
        if len(numbers) == 2 and min(numbers) > 0:
            return float(numbers[0] / numbers[1])
    spacing = image.numbers("PixelSpacing") if image else ()
    return float(spacing[0] / spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else 1.0


def _read_presentation_lut(header: Attributes) -> FloatArray | None:
    """Read the presentation lookup table (PS3.3 C.11.6)."""
    item = header.item("PresentationLUTSequence")
    descriptor, data = item.numbers("LUTDescriptor"), item.numbers("LUTData")
    if len(descriptor) < 3 or not data or not np.isfinite([*descriptor, *data]).all():
        return None
    values: FloatArray = np.clip(np.array(data) / (2 ** min(max(int(descriptor[2]), 1), 16) - 1), 0, 1)
    return values


def _read_shutter(header: Attributes, shape: tuple[int, int]) -> BoolArray | None:
    """Find the pixels that shutters hide: those outside of any shape, and of a bitmap (PS3.3 C.7.6.11, C.7.6.15)."""
    kinds = set(header.texts("ShutterShape"))
    rows, columns = np.arange(1, shape[0] + 1)[:, np.newaxis], np.arange(1, shape[1] + 1)
    hidden = np.zeros(shape, np.bool_)
    edges = [header.number(f"Shutter{side}Edge") for side in ("LeftVertical", "RightVertical")]
    edges += [header.number(f"Shutter{side}Edge") for side in ("UpperHorizontal", "LowerHorizontal")]
    if "RECTANGULAR" in kinds and None not in edges:
        left, right, upper, lower = (float(each or 0) for each in edges)
        hidden |= (columns <= left) | (columns >= right) | (rows <= upper) | (rows >= lower)
    circle = *header.numbers("CenterOfCircularShutter"), header.number("RadiusOfCircularShutter") or math.nan
    if "CIRCULAR" in kinds and len(circle) == 3 and all(map(math.isfinite, circle)):
        _hide_outside_circle(hidden, np.array(circle).clip(-_FARTHEST, _FARTHEST))
    corners = np.array(header.numbers("VerticesOfThePolygonalShutter"))
    if "POLYGONAL" in kinds and len(corners) >= 6 and np.isfinite(corners).all():
        _hide_outside_polygon(hidden, corners[: len(corners) // 2 * 2].reshape(-1, 2).clip(-_FARTHEST, _FARTHEST))
    bitmap = read_bitmap_shutter(header, shape) if "BITMAP" in kinds else None
    if bitmap is not None:
        hidden |= bitmap
    return hidden if hidden.any() else None


def _hide_outside_circle(hidden: BoolArray, circle: FloatArray) -> None:
    """Hide the pixels outside of a circle, told by row, column and radius, row by row: a frame may be gigantic."""
    row, column, radius = circle.tolist()
    across = (np.arange(1, hidden.shape[1] + 1) - column) ** 2
    for line in range(len(hidden)):
        hidden[line] |= (line + 1 - row) ** 2 + across > radius**2


def _hide_outside_polygon(hidden: BoolArray, corners: FloatArray) -> None:
    """Hide the pixels outside of a polygon, whose corners are row and column: those before an even number of edges.

    It goes row by row, over all edges at once, because a polygon may have a million of them.
    """
    begin, end = corners, np.roll(corners, -1, 0)
    columns = np.arange(1, hidden.shape[1] + 1)
    upper, lower = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
    for number in range(1, len(hidden) + 1):
        check_time()
        crossed = (upper <= number) & (number < lower)
        (row, column), (next_row, next_column) = begin[crossed].T, end[crossed].T
        edges = np.sort(column + (number - row) * (next_column - column) / (next_row - row))
        behind = len(edges) - np.searchsorted(edges, columns, side="right")
        hidden[number - 1] |= behind % 2 == 0


def _read_shutter_color(header: Attributes) -> Color:
    lab = header.numbers("ShutterPresentationColorCIELabValue")
    if len(lab) == 3:
        return convert_from_lab(lab)
    gray = min(max(round((header.integer("ShutterPresentationValue") or 0) / 257), 0), 255)
    return gray, gray, gray
