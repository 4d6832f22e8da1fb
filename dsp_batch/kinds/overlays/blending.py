"""Lay out the images that advanced blending presentation states blend (PS3.3 A.33.7, C.11.33, C.11.34)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.palette import read_color_map
from dsp_batch.errors import SeriesError
from dsp_batch.kinds.kind import Contents, Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries
from dsp_batch.kinds.overlays.layers import Backdrop, Blending, BlendInput, BlendStep, Threshold
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.overlays.segments import find_slice, map_planes
from dsp_batch.kinds.overlays.states import describe_ordered_transform
from dsp_batch.kinds.registry import find_kind
from dsp_batch.kinds.slide import SLIDE, list_slide_pictures
from dsp_batch.model.scene import Color, Key
from dsp_batch.model.series import FloatArray, FrameRef

MOST_INPUTS = 64
"""Inputs that are blended, at most: a slide of cyclic immunofluorescence has some forty."""

_MOST_THRESHOLDS = 64
"""Thresholds of an input, at most: each takes a pass over its pixels."""

_WHITE: Color = (255, 255, 255)


def name_blended_images(instances: Instances) -> tuple[str, ...]:
    """Name the series that states blend."""
    items = (item for header in instances.values() for item in header.items("AdvancedBlendingSequence"))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_blending(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay out the inputs of the first state, as far as they are at hand.

    Of a slide the smallest useful level is an input, of other series the middle one of the images that the state names,
    and the image of each other series in the same plane.

    Returns:
        The scene; None where no input is at hand.
    """
    header = next(iter(instances.values()))
    items = header.items("AdvancedBlendingSequence")[:MOST_INPUTS]
    chosen = [_choose_image(item, [each for each in images if each.may_show(header)]) for item in items]
    found = [(item, each) for item, each in zip(items, chosen, strict=True) if each]
    if not found:
        return None
    base = next((each for item, each in found if item.text("GeometryForDisplay") == "TRUE"), found[0][1])
    placed = [(item, _place(each, base)) for item, each in found]
    inputs = [_describe_input(item, *each) for item, each in placed if each]
    missing = len(header.items("AdvancedBlendingSequence")) - len(inputs)
    has_many = any(len(item.items("ThresholdSequence")) > _MOST_THRESHOLDS for item in items)
    return Scene(
        shape=base.shape,
        aspect=base.aspect,
        backdrop=base.backdrop,
        blending=Blending(
            inputs=tuple(inputs),
            steps=tuple(_read_steps(header)),
            rotation=(header.integer("ImageRotation") or 0) // 90 % 4,
            is_mirrored=header.text("ImageHorizontalFlip") == "Y",
        ),
        legend=tuple(_list_keys(inputs)),
        notes=(
            *([f"{missing} of {missing + len(inputs)} images that are blended are left out"] if missing else []),
            *([f"only the first {_MOST_THRESHOLDS} thresholds of an input are applied"] if has_many else []),
        ),
    )


def _list_keys(inputs: Sequence[BlendInput]) -> Iterable[Key]:
    """Name each input in its color; inputs of one name, such as that of a modality, by their numbers too."""
    counts = Counter(each.name for each in inputs)
    for each in inputs:
        yield Key(name=each.name if counts[each.name] == 1 else f"{each.name} {each.number}", color=each.color)


class _Chosen(NamedTuple):
    """The image of an input."""

    series: ImageSeries
    picture: Picture
    shape: tuple[int, int]
    aspect: float

    @property
    def about(self) -> FrameRef:
        return self.picture.about

    @property
    def backdrop(self) -> Backdrop:
        return Backdrop(series=self.series.number, picture=self.picture)


def _choose_image(item: Attributes, images: Sequence[ImageSeries]) -> _Chosen | None:
    series = next((each for each in images if each.uid == item.text("SeriesInstanceUID")), None)
    if series is None:
        return None
    named = item.items("ReferencedImageSequence")
    uids = [each.text("ReferencedSOPInstanceUID") or "" for each in named]
    rows = [series.rows_by_uid[uid] for uid in uids if uid in series.rows_by_uid]
    rows = rows or ([] if named else [*series.rows_by_uid.values()])
    if not rows:
        return None
    classes = series.index.texts("SOPClassUID")
    if find_kind(classes[rows[0]]) is SLIDE:
        paths = {path for each in named if (path := each.text("ReferencedOpticalPathIdentifier"))}
        return _choose_level(series, rows, paths)
    row = rows[len(rows) // 2]
    frames = [(each.integer("ReferencedFrameNumber") or 1) - 1 for each in named]
    frame = frames[len(frames) // 2] if len(rows) == 1 and frames else series.count_frames(row) // 2
    return _describe_frame(series, FrameRef(row, min(max(frame, 0), series.count_frames(row) - 1)))


def _choose_level(series: ImageSeries, rows: Iterable[int], paths: set[str]) -> _Chosen | None:
    """Choose the smallest useful level of a slide whose objects show the optical path of some of them.

    Of several optical paths in one object the first is stitched: an input that is another one is left out.
    """
    headers = {row: series.index.attributes(row) for row in series.rows_by_uid.values()}
    if not paths and any(len(_list_paths(headers[row])) > 1 for row in rows):
        return None
    wanted = paths or {path for row in rows for path in _list_paths(headers[row])}
    alike = {row: each for row, each in headers.items() if not wanted or wanted & {*_list_paths(each)[:1]}}
    sizes = dict(enumerate(series.index.values("ObjectSize")))
    try:
        pictures = list_slide_pictures(Contents(instances=alike, sizes=sizes))
    except SeriesError:
        return None  # only a label is at hand
    return _Chosen(series, pictures[0], pictures[0].matrix, 1.0) if pictures else None


def _list_paths(header: Attributes) -> list[str]:
    return [path for each in header.items("OpticalPathSequence") if (path := each.text("OpticalPathIdentifier"))]


def _describe_frame(series: ImageSeries, ref: FrameRef) -> _Chosen | None:
    header, plane = series.index.attributes(ref.instance), series.plane(ref)
    shape = header.integer("Rows") or 0, header.integer("Columns") or 0
    if min(shape) <= 0:
        return None
    return _Chosen(series, Picture(frames=(ref._replace(series=0),)), shape, plane.aspect if plane else 1.0)


def _place(chosen: _Chosen, base: _Chosen) -> tuple[_Chosen, FloatArray | None] | None:
    """Find the image of a series that lies in the plane of another one, and how their pixels lie to one another.

    Returns:
        The image, with None where it covers the other one as it is; None where it has none in that plane.
    """
    plane = base.series.plane(base.about)
    if chosen is base or plane is None or chosen.series.plane(chosen.about) is None:
        return chosen, None
    found = find_slice(plane, [chosen.series])
    beside = chosen.series.plane(found) if found else None
    mapping = map_planes(plane, beside) if beside else None
    again = _describe_frame(chosen.series, found) if found else None
    return (again, mapping) if again and mapping is not None else None


def _describe_input(item: Attributes, chosen: _Chosen, mapping: FloatArray | None) -> BlendInput:
    image = chosen.series.index.attributes(chosen.about.instance)
    number = item.integer("BlendingInputNumber") or 0
    colors = read_color_map(item.item("PaletteColorLookupTableSequence"))
    path = image.item("OpticalPathSequence").text("OpticalPathDescription")
    red, green, blue = _WHITE if colors is None else colors[-1].tolist()
    return BlendInput(
        number=number,
        name=(path or image.text("Modality") or "").strip() or f"input {number}",
        backdrop=chosen.backdrop,
        transform=describe_ordered_transform(item, image, image.text("SOPInstanceUID") or ""),
        color_map=colors,
        color=(red, green, blue),
        thresholds=tuple(_read_threshold(each) for each in item.items("ThresholdSequence")[:_MOST_THRESHOLDS]),
        mapping=mapping,
    )


def _read_threshold(item: Attributes) -> Threshold:
    """Read the values that are shown (PS3.3 C.11.33.1.2.1)."""
    values = [each.number("ThresholdValue") for each in item.items("ThresholdValueSequence")]
    told = sorted(each for each in values if each is not None and not math.isnan(each))
    kind = item.text("ThresholdType") or ""
    if not told:
        return Threshold(low=-math.inf, high=math.inf)
    if kind.startswith("RANGE"):
        return Threshold(low=told[0], high=told[-1], is_outside=kind == "RANGE_EXCL")
    includes = kind.endswith("EQUAL")
    if kind.startswith("GREATER"):
        return Threshold(low=told[0], high=math.inf, includes_ends=includes)
    return Threshold(low=-math.inf, high=told[0], includes_ends=includes)


def _read_steps(header: Attributes) -> Iterable[BlendStep]:
    for item in header.items("BlendingDisplaySequence"):
        numbers = [each.integer("BlendingInputNumber") for each in item.items("BlendingDisplayInputSequence")]
        is_over = item.text("BlendingMode") == "FOREGROUND"
        told = item.number("RelativeOpacity")
        opacity = 1.0 if told is None or math.isnan(told) else min(max(told, 0.0), 1.0)
        yield BlendStep(
            number=item.integer("BlendingInputNumber"),
            inputs=tuple(each for each in numbers if each is not None),
            opacity=opacity if is_over else None,
        )
