"""Draw the regions of structured reports over the image that they are on (PS3.3 C.18.6, C.18.9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsp_batch.dicom.content import ContentItem, read_content
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.objects.measurements import MEASUREMENT_GROUP
from dsp_batch.kinds.overlays.graphics import read_points, trace_graphic
from dsp_batch.kinds.overlays.images import ImageSeries, find_frame
from dsp_batch.kinds.overlays.layers import Backdrop
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.overlays.selections import list_evidence_series
from dsp_batch.model.scene import Color, Label, Mark, Stroke, spread_hue
from dsp_batch.model.series import FloatArray, FrameRef

_REGION_TYPES = ("SCOORD", "SCOORD3D")

_MOST_LOOKED_AT = 200_000
"""Content items that are looked at for regions, at most."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportRegion:
    """One region of a report."""

    group: int
    """Number of its measurement group, from 1; 0 where it is in none."""

    graphic: str
    """Graphic Type (0070,0023)."""

    points: FloatArray
    """Pixels of the image, shape (n, 2), or mm, shape (n, 3)."""

    images: tuple[tuple[str, int], ...]
    """SOPInstanceUID and frame, from 0, of the images that it is on."""

    frame_of_reference: str
    """Referenced Frame of Reference UID (3006,0024) of a region in space."""


def name_region_images(instances: Instances) -> tuple[str, ...] | None:
    """Name the series that reports with regions are about; None for reports without regions."""
    if not any(_has_regions(header) for header in instances.values()):
        return None
    items = (item for header in instances.values() for item in list_evidence_series(header))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_regions(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay out the regions on the image that has most of them. The table of the report stands beside it.

    Returns:
        The scene; None where no image of a region is at hand.
    """
    if not images or name_region_images(instances) is None:
        return None
    header = next(iter(instances.values()))
    shown = [each for each in images if each.may_show(header)]
    by_frame: dict[FrameRef, list[tuple[ReportRegion, FloatArray]]] = {}
    for region in _list_regions(read_content(header)[0], header):
        for ref, points in _place_region(region, shown):
            by_frame.setdefault(ref, []).append((region, points))
    if not by_frame:
        return None
    best = max(by_frame, key=lambda ref: (len({id(region) for region, _ in by_frame[ref]}), -ref.instance))
    series = next(each for each in shown if each.number == best.series)
    plane = series.plane(best)
    rows, columns = (series.index.values(name)[best.instance] for name in ("Rows", "Columns"))
    return _draw(
        Scene(
            shape=(rows, columns),
            aspect=plane.aspect if plane else 1.0,
            backdrop=Backdrop(series=best.series, picture=Picture(frames=(best._replace(series=0),))),
            has_table=True,
        ),
        by_frame[best],
    )


def _has_regions(header: Attributes) -> bool:
    """Tell whether any item of a content tree is a region, without reading what else the items say."""
    stack, count = [header], 0
    while stack and count < _MOST_LOOKED_AT:
        item = stack.pop()
        count += 1
        if item.text("ValueType") in _REGION_TYPES:
            return True
        stack.extend(item.items("ContentSequence"))
    return False


def _list_regions(root: ContentItem, header: Attributes) -> Iterator[ReportRegion]:
    """List the regions of a content tree, with the number of the measurement group that each is in."""
    groups = 0
    stack: list[tuple[ContentItem, int]] = [(root, 0)]
    while stack:
        item, group = stack.pop()
        if group == 0 and item.value_type == "CONTAINER" and item.concept.value in MEASUREMENT_GROUP:
            groups += 1
            group = groups
        if item.value_type in _REGION_TYPES:
            yield ReportRegion(
                group=group,
                graphic=item.attributes.text("GraphicType") or "",
                points=_read_space(item.attributes) if item.value_type == "SCOORD3D" else read_points(item.attributes),
                images=tuple(_list_images(item, header)),
                frame_of_reference=item.attributes.text("ReferencedFrameOfReferenceUID") or "",
            )
        stack.extend((child, group) for child in reversed(item.children))


def _read_space(item: Attributes) -> FloatArray:
    numbers = np.array(item.numbers("GraphicData"))
    points: FloatArray = numbers[: len(numbers) // 3 * 3].reshape(-1, 3)
    return points if np.isfinite(points).all() else points[:0]


def _list_images(item: ContentItem, header: Attributes) -> Iterator[tuple[str, int]]:
    """List the images that a region is selected from, those by reference to another item too (PS3.3 C.17.3.2.5)."""
    sources = [child.attributes for child in item.children if child.value_type == "IMAGE"]
    for child in item.attributes.items("ContentSequence"):
        path = child.numbers("ReferencedContentItemIdentifier")
        if path and (found := _follow(header, path)) is not None:
            sources.append(found)
    for source in sources:
        for image in source.items("ReferencedSOPSequence"):
            frame = image.integer("ReferencedFrameNumber") or 1
            yield image.text("ReferencedSOPInstanceUID") or "", frame - 1


def _follow(header: Attributes, path: tuple[float, ...]) -> Attributes | None:
    """Find the item that an identifier names: the place of each item among its siblings, from the root's own 1."""
    item = header
    for place in path[1:]:
        items = item.items("ContentSequence")
        if not 1 <= place <= len(items):
            return None
        item = items[int(place) - 1]
    return item


def _place_region(region: ReportRegion, images: Sequence[ImageSeries]) -> Iterator[tuple[FrameRef, FloatArray]]:
    """Find the frames that a region is on, and its points in pixels of each."""
    if not len(region.points):
        return
    if region.points.shape[1] == 2:
        for uid, frame in region.images:
            if (ref := find_frame(images, uid, frame)) is not None:
                yield ref, region.points
        return
    for series in images:
        if not series.is_in(region.frame_of_reference):
            continue
        for stack in series.stacks:
            offsets = region.points @ stack.normal
            place = int(stack.find_nearest(offsets.mean(keepdims=True))[0])
            plane = series.plane(stack.frames[place]) if place >= 0 else None
            if plane and float(np.ptp(offsets)) <= 2 * stack.tolerance_mm:
                yield stack.frames[place], plane.project(region.points)


def _draw(scene: Scene, regions: Sequence[tuple[ReportRegion, FloatArray]]) -> Scene:
    """Draw regions in the color of their group, and number them where there are several groups."""
    strokes: list[Stroke] = []
    marks: list[Mark] = []
    labels: list[Label] = []
    colors: dict[int, Color] = {}
    counts = Counter(region.group for region, _ in regions)
    for region, points in regions:
        color = colors.setdefault(region.group, spread_hue(region.group))
        if region.graphic in ("POINT", "MULTIPOINT"):
            marks += [Mark(at=(float(x), float(y)), color=color) for x, y in points]
        else:
            corners, is_closed = trace_graphic(region.graphic, points)
            strokes.append(Stroke(points=corners, color=color, is_closed=is_closed or region.graphic == "POLYGON"))
            points = corners  # noqa: PLW2901  # the label stands at the outline
        if len(counts) > 1 and region.group:
            x, y = points[points[:, 0].argmax()]
            labels.append(Label(at=(float(x), float(y)), text=f" {region.group}", color=color))
    return replace(
        scene,
        strokes=tuple(strokes),
        marks=tuple(marks),
        labels=tuple(labels),
        table_colors=colors,
    )
