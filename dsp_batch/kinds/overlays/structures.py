"""Draw the contours of structure sets over the slice with most regions (PS3.3 C.8.8.5, C.8.8.6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsp_batch.core.planes import ImagePlane, measure_area
from dsp_batch.dicom.headers.attributes import EMPTY, Attributes
from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries, PlaneStack, iterate_reference_items
from dsp_batch.kinds.overlays.layers import Backdrop
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.scene import Color, Key, Label, Mark, Stroke, lighten, spread_hue
from dsp_batch.model.series import FloatArray, FrameRef

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")

_PLANE_SIDE = 1024
"""Pixels of the longer side of a plain plane."""

_PLANE_MARGIN = 0.06
"""Share of a plain plane that is left free on each side of the contours."""

_LEAST_EXTENT_MM = 20.0
"""Millimetres that a plain plane shows, at least: a point alone has no extent."""

_GRID_LINES = 12
"""Lines of the grid of a plain plane, at most."""

_GRID_MM = (1, 2, 5, 10, 20, 50, 100, 200, 500)

_BASES = {
    0: ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    1: ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    2: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
"""Axis of the patient that a plane is across → directions along its rows, along its columns, and across it: sagittal,
coronal and axial planes as they are looked at."""

_FLAT_MM = 0.05
"""Points that lie closer to a plane than this lie in it, where there is no image."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contour:
    """One contour of a region."""

    region: int
    """Number of its region in the list of regions."""

    geometry: str
    """Contour Geometric Type (3006,0042)."""

    points: FloatArray
    """Coordinates in mm, shape (n, 3), all of them finite."""

    images: tuple[str, ...]
    """SOPInstanceUIDs of the images that it is drawn on, where it names any."""

    @property
    def is_planar(self) -> bool:
        """Return True where it is meant to lie in one plane."""
        return self.geometry != "OPEN_NONPLANAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlinedRegion:
    """A region of interest as it is drawn."""

    name: str
    color: Color
    frame_of_reference: str
    """Referenced Frame of Reference UID (3006,0024); empty where it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameContours:
    """The contours that lie in a frame."""

    contours: tuple[Contour, ...]
    tolerance_mm: float
    """Distance from the plane of the frame within which points lie in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """The frame that shows most of a structure set."""

    series: ImageSeries
    ref: FrameRef
    placed: FrameContours


def name_structure_images(instances: Instances) -> tuple[str, ...]:
    """Name the series that structure sets were drawn on (PS3.3 C.8.8.5)."""
    path = ("ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence")
    items = (item for header in instances.values() for item in iterate_reference_items(header, *path))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_structures(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay out the contours of the slice on which most regions lie, and of several such the one with most area.

    Without an image the contours lie on a plain plane with a grid in millimetres. Regions without contours, and those
    that lie elsewhere, are named in gray at the end of the legend.

    Returns:
        The scene; None where there is no contour at all.
    """
    header = next(iter(instances.values()))
    regions = list(list_regions(header))
    contours = [each for each in list_contours(header) if each.region < len(regions)]
    if not contours:
        return None
    shown = [each for each in images if _may_show_any(each, header, regions)]
    choices = [choice for each in shown if (choice := _choose_frame(each, contours, regions))]
    best = max(choices, key=lambda each: _rate(each.placed.contours), default=None)
    if best is None:
        return _lay_out_plainly(regions, contours)
    plane = best.series.plane(best.ref)
    if plane is None:
        raise ValueError("a frame without a plane was chosen")
    picture = Picture(frames=(best.ref._replace(series=0),))
    scene = Scene(shape=plane.shape, aspect=plane.aspect, backdrop=Backdrop(series=best.series.number, picture=picture))
    return draw_contours(scene, plane, best.placed, regions)


def list_regions(header: Attributes) -> Iterator[OutlinedRegion]:
    """List the regions in the order of Structure Set ROI Sequence (3006,0020)."""
    colors = {
        item.integer("ReferencedROINumber"): item.numbers("ROIDisplayColor")
        for item in header.items("ROIContourSequence")
    }
    for place, item in enumerate(header.items("StructureSetROISequence")):
        number = item.integer("ROINumber")
        told = colors.get(number, ())
        is_color = len(told) == 3 and all(0 <= each <= 255 for each in told)
        yield OutlinedRegion(
            name=item.text("ROIName") or f"ROI {number}",
            color=lighten((int(told[0]), int(told[1]), int(told[2]))) if is_color else spread_hue(place),
            frame_of_reference=item.text("ReferencedFrameOfReferenceUID") or "",
        )


def list_contours(header: Attributes) -> Iterator[Contour]:
    """List the contours that have points, region by region."""
    items = {item.integer("ReferencedROINumber"): item for item in header.items("ROIContourSequence")}
    for place, region in enumerate(header.items("StructureSetROISequence")):
        for contour in items.get(region.integer("ROINumber"), EMPTY).items("ContourSequence"):
            points = _read_points(contour)
            if len(points):
                yield Contour(
                    region=place,
                    geometry=contour.text("ContourGeometricType") or "CLOSED_PLANAR",
                    points=points,
                    images=tuple(
                        uid
                        for image in contour.items("ContourImageSequence")
                        if (uid := image.text("ReferencedSOPInstanceUID"))
                    ),
                )


def _read_points(contour: Attributes) -> FloatArray:
    """Read Contour Data (3006,0050); none where it is no list of points. Points that are not finite are left out."""
    values = contour.value("ContourData")
    try:
        numbers = np.array(values if isinstance(values, list) else [], float)
    except (TypeError, ValueError):
        return np.empty((0, 3))
    points: FloatArray = numbers[: len(numbers) // 3 * 3].reshape(-1, 3)
    finite: FloatArray = points[np.isfinite(points).all(1)]
    return finite


def _may_show_any(series: ImageSeries, header: Attributes, regions: Sequence[OutlinedRegion]) -> bool:
    return any(series.may_show(header, each.frame_of_reference) for each in regions)


def _choose_frame(
    series: ImageSeries, contours: Sequence[Contour], regions: Sequence[OutlinedRegion]
) -> _Choice | None:
    """Choose the frame of a series on which most regions lie."""
    placed = place_contours(series, contours, regions)
    if not placed:
        return None
    ref = max(placed, key=lambda each: _rate(placed[each].contours))
    return _Choice(series=series, ref=ref, placed=placed[ref])


def place_contours(
    series: ImageSeries, contours: Sequence[Contour], regions: Sequence[OutlinedRegion]
) -> dict[FrameRef, FrameContours]:
    """Find the frames of a series that contours lie in: those that they name, else those of their planes.

    Contours of regions in another frame of reference lie in none.
    """
    own = {each for each in series.index.texts("FrameOfReferenceUID") if each}
    drawn = [
        each
        for each in contours
        if not own or not regions[each.region].frame_of_reference or regions[each.region].frame_of_reference in own
    ]
    by_frame: dict[FrameRef, list[Contour]] = {}
    tolerances: dict[FrameRef, float] = {}
    for stack in series.stacks:
        numbers = {ref: place for place, ref in enumerate(stack.frames)}
        for contour in drawn:
            named = [ref for uid in contour.images if (ref := series.find_frame(uid)) in numbers]
            for ref in dict.fromkeys(named or _find_frames(stack, contour)):
                by_frame.setdefault(ref, []).append(contour)
                tolerances[ref] = stack.tolerance_mm
    return {ref: FrameContours(contours=tuple(found), tolerance_mm=tolerances[ref]) for ref, found in by_frame.items()}


def _find_frames(stack: PlaneStack, contour: Contour) -> list[FrameRef]:
    """Find the frames that a contour lies in: one for a planar contour, several for one that runs through slices."""
    offsets = contour.points @ stack.normal
    if contour.is_planar:
        if float(np.ptp(offsets)) > 2 * stack.tolerance_mm:
            return []
        offsets = offsets.mean(keepdims=True)
    places = np.unique(stack.find_nearest(offsets))
    return [stack.frames[place] for place in places[places >= 0].tolist()]


def _rate(contours: Sequence[Contour]) -> tuple[int, float]:
    """Rate what a plane shows: the number of regions, then their area in mm²."""
    closed = (each.points for each in contours if each.geometry in _CLOSED and len(each.points) > 2)
    return len({each.region for each in contours}), sum(map(_measure_area, closed))


def _measure_area(points: FloatArray) -> float:
    """Compute the area of a polygon in space, from its three projections."""
    return float(np.hypot.reduce([measure_area(points[:, axes]) for axes in ([0, 1], [1, 2], [0, 2])]))


def _lay_out_plainly(regions: Sequence[OutlinedRegion], contours: Sequence[Contour]) -> Scene:
    """Lay the contours of one plane out on a plain plane, which is as large as all contours take."""
    basis = _find_basis(contours)
    every = np.concatenate([each.points for each in contours]) @ basis.T
    groups: dict[int, list[Contour]] = {}
    for contour in contours:
        offset = float((contour.points @ basis[2]).mean())
        groups.setdefault(round(offset / (2 * _FLAT_MM)), []).append(contour)
    chosen = max(groups.values(), key=_rate)
    low, high = every[:, :2].min(0), every[:, :2].max(0)
    extent = np.maximum(high - low, _LEAST_EXTENT_MM)
    side = float(extent.max()) * (1 + 2 * _PLANE_MARGIN) / _PLANE_SIDE
    columns, rows = (int(each) for each in np.ceil(extent / side + 2 * _PLANE_MARGIN * _PLANE_SIDE))
    corner = (low + high) / 2 - (np.array([columns, rows]) - 1) / 2 * side
    height = float(np.concatenate([each.points for each in chosen]).mean(0) @ basis[2])
    plane = ImagePlane(
        position=np.array([*corner, height]) @ basis,
        along_row=basis[0],
        along_column=basis[1],
        spacing=(side, side),
        shape=(rows, columns),
    )
    step = next((mm for mm in _GRID_MM if mm * _GRID_LINES >= side * _PLANE_SIDE), _GRID_MM[-1])
    scene = Scene(shape=(rows, columns), grid_pixels=step / side, grid_label=f"{step} mm")
    return draw_contours(scene, plane, FrameContours(contours=tuple(chosen), tolerance_mm=float("inf")), regions)


def _find_basis(contours: Sequence[Contour]) -> FloatArray:
    """Find the directions of the planes that contours lie in, as three rows: along rows, along columns, across.

    They are those of axial slices where most contours lie across the patient's axis, else those of the largest contour.
    """
    planar = [each.points for each in contours if each.is_planar and len(each.points) > 2]
    flat = [axis for points in planar for axis in range(3) if float(np.ptp(points[:, axis])) < _FLAT_MM]
    axis = max(set(flat), key=flat.count) if flat else 2
    if flat or not planar:
        return np.array(_BASES[axis], float)
    largest = max(planar, key=_measure_area)
    return np.linalg.svd(largest - largest.mean(0), full_matrices=True)[2]


def draw_contours(scene: Scene, plane: ImagePlane, placed: FrameContours, regions: Sequence[OutlinedRegion]) -> Scene:
    """Project contours to a plane, and make the legend: the regions that it shows, then the others in gray."""
    contours = placed.contours
    strokes: list[Stroke] = []
    marks: list[Mark] = []
    for contour in contours:
        region = regions[contour.region]
        for points in _project(contour, plane, placed.tolerance_mm):
            if contour.geometry == "POINT" or len(points) == 1:
                name = region.name if contour.geometry == "POINT" else ""
                marks += [Mark(at=(float(x), float(y)), color=region.color, name=name) for x, y in points]
            else:
                strokes.append(Stroke(points=points, color=region.color, is_closed=contour.geometry in _CLOSED))
    numbers = _number_regions(contours, regions)
    shown = sorted({contour.region for contour in contours})
    keys = [
        Key(name=f"{numbers.get(each, '')} {regions[each].name}".strip(), color=regions[each].color) for each in shown
    ]
    keys += [Key(name=each.name, color=None) for place, each in enumerate(regions) if place not in shown]
    labels = [
        Label(at=_find_top(contour, plane), text=numbers[contour.region], color=regions[contour.region].color)
        for contour in {each.region: each for each in contours}.values()
        if contour.region in numbers
    ]
    return replace(scene, strokes=tuple(strokes), marks=tuple(marks), labels=tuple(labels), legend=tuple(keys))


def _number_regions(contours: Sequence[Contour], regions: Sequence[OutlinedRegion]) -> dict[int, str]:
    """Number the regions on a plane whose color is that of another one there too."""
    shown = sorted({contour.region for contour in contours})
    counts = Counter(regions[each].color for each in shown)
    alike = [each for each in shown if counts[regions[each].color] > 1]
    return {region: f"{number}" for number, region in enumerate(alike, 1)}


def _find_top(contour: Contour, plane: ImagePlane) -> tuple[float, float]:
    """Find the uppermost point of a contour."""
    projected = plane.project(contour.points)
    x, y = projected[projected[:, 1].argmin()]
    return float(x), float(y)


def _project(contour: Contour, plane: ImagePlane, tolerance_mm: float) -> list[FloatArray]:
    """Project a contour to a plane; of one that runs through slices the parts near the plane."""
    projected = plane.project(contour.points)
    if contour.is_planar:
        return [projected]
    is_near = np.abs(plane.measure_distance(contour.points)) <= tolerance_mm
    breaks = np.flatnonzero(np.diff(is_near.astype(np.int8))) + 1
    parts = zip(np.split(projected, breaks), np.split(is_near, breaks), strict=True)
    return [points for points, near in parts if near[0]]
