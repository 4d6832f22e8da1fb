"""Lay segmentations over the slices that they were made from (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsp_batch.core.planes import ImagePlane
from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.kinds.kind import Contents, Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries, find_frame, iterate_reference_items
from dsp_batch.kinds.overlays.layers import Backdrop, PlaneLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.segmentation import list_segmentation_pictures
from dsp_batch.model.series import FloatArray, FrameRef

MOST_LOOKED_AT = 5
"""Positions of which the one with most of the segments is drawn."""

_MOST_FRAMES = 256
"""Frames of one position that are read, at most."""

_PARALLEL = 0.999
"""Cosine between the normals of two planes that are parallel."""


def name_source_images(instances: Instances) -> tuple[str, ...]:
    """Name the series that segmentations were made from (PS3.3 C.12.2)."""
    items = (item for header in instances.values() for item in header.items("ReferencedSeriesSequence"))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_segments(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay the segments at a few positions over the image there: those positions that have frames of most segments.

    Returns:
        The scene, with a layer for each position that may be drawn; None where none has an image.
    """
    own = next((each for each in images if each.number == 0), None)
    others = [each for each in images if each.number > 0]
    if own is None or not others:
        return None
    pictures = [each for each in list_segmentation_pictures(Contents(instances=instances)) if each.frames]
    layers: list[PlaneLayer] = []
    for picture in _choose_positions(pictures):
        header = instances[picture.frames[0].instance]
        frame_of_reference = header.text("FrameOfReferenceUID") or ""
        shown = [each for each in others if each.may_show(header, frame_of_reference)]
        if not name_source_images({0: header}):
            shown = [each for each in shown if each.is_in(frame_of_reference)]
        layer = _lay_out_position(picture, header, own, shown)
        layers += [layer] if layer else []
        if len(layers) == MOST_LOOKED_AT:
            break
    if not layers:
        return None
    return Scene(shape=layers[0].shape, aspect=layers[0].aspect, backdrop=layers[0].backdrop, segments=tuple(layers))


def _choose_positions(pictures: Sequence[Picture]) -> list[Picture]:
    """Order positions by the number of their frames, and those with as many by their distance from the middle one.

    Of many positions that have as many frames, those spread evenly over the middle half come first.
    """
    most = max((len(each.frames) for each in pictures), default=0)
    full = [each for each in pictures if len(each.frames) == most]
    inner = full[len(full) // 4 : max(len(full) - len(full) // 4, 1)]
    spread = [inner[place] for place in np.linspace(0, len(inner) - 1, min(len(inner), MOST_LOOKED_AT)).astype(int)]
    rest = sorted(pictures, key=lambda each: -len(each.frames))
    return [*spread, *(each for each in rest if each not in spread)] if len(pictures) < _MOST_FRAMES else spread


def _lay_out_position(
    picture: Picture, header: Attributes, own: ImageSeries, images: Sequence[ImageSeries]
) -> PlaneLayer | None:
    """Find the frame of an image at a position, by its reference, else by its plane."""
    first = picture.frames[0]
    plane = own.plane(first)
    found = find_source(header, first, images) or (find_slice(plane, images) if plane else None)
    if found is None:
        return None
    series = next(each for each in images if each.number == found.series)
    beneath = series.plane(found)
    rows, columns = (series.index.values(name)[found.instance] for name in ("Rows", "Columns"))
    mapping = map_planes(beneath, plane) if beneath and plane else map_shapes((rows, columns), header)
    if mapping is None:
        return None
    return PlaneLayer(
        backdrop=Backdrop(series=series.number, picture=Picture(frames=(found._replace(series=0),))),
        shape=(rows, columns),
        aspect=beneath.aspect if beneath else 1.0,
        picture=Picture(frames=picture.frames[:_MOST_FRAMES]),
        mapping=mapping,
    )


def find_source(header: Attributes, ref: FrameRef, images: Sequence[ImageSeries]) -> FrameRef | None:
    """Find the first source image of a frame that is at hand (PS3.3 C.7.6.16.2.6)."""
    derivation = frame_macro(header, ref.frame, "DerivationImageSequence")
    sources = [*derivation.items("SourceImageSequence")]
    if not sources and (header.integer("NumberOfFrames") or 1) == 1:
        sources = [*iterate_reference_items(header, "ReferencedSeriesSequence", "ReferencedInstanceSequence")]
    for source in sources:
        frame = (source.integer("ReferencedFrameNumber") or 1) - 1
        if found := find_frame(images, source.text("ReferencedSOPInstanceUID") or "", frame):
            return found
    return None


def find_slice(plane: ImagePlane, images: Sequence[ImageSeries]) -> FrameRef | None:
    """Find the frame whose plane is that of a segmentation, or lies within half a slice of it."""
    for series in images:
        for stack in series.stacks:
            if abs(float(stack.normal @ plane.normal)) >= _PARALLEL:
                place = int(stack.find_nearest(np.array([float(plane.position @ stack.normal)]))[0])
                if place >= 0:
                    return stack.frames[place]
    return None


def map_planes(beneath: ImagePlane, plane: ImagePlane) -> FloatArray | None:
    """Compute the mapping from pixels of an image to pixels of a segmentation; None for planes across each other."""
    if abs(float(beneath.normal @ plane.normal)) < _PARALLEL:
        return None
    corners = plane.project(beneath.locate(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])))
    return np.stack([corners[1] - corners[0], corners[2] - corners[0], corners[0]], axis=1)


def map_shapes(shape: tuple[int, int], header: Attributes) -> FloatArray | None:
    """Map an image that tells no plane: a segmentation covers all of it."""
    rows, columns = header.integer("Rows") or 0, header.integer("Columns") or 0
    if min(rows, columns, *shape) <= 0:
        return None
    return np.array([[columns / shape[1], 0.0, 0.0], [0.0, rows / shape[0], 0.0]])
