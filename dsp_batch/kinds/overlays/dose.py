"""Lay dose grids over the slices of the images that they were planned on (PS3.3 C.8.8.3)."""

from __future__ import annotations

from collections.abc import Sequence

from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries
from dsp_batch.kinds.overlays.layers import Backdrop, PlaneLayer
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.overlays.segments import find_slice, map_planes
from dsp_batch.model.series import FrameRef


def name_planned_images(instances: Instances) -> tuple[str, ...]:  # noqa: ARG001  # what an Overlay asks for
    """Name nothing: a dose refers to a plan, and that to structures. Its image is one of its study and its frame."""
    return ()


def lay_out_dose(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay each plane of a dose grid over the slice of an image there, in the same frame of reference.

    Returns:
        The scene, with a layer for each plane that has a slice, and all other planes without one; None where none has.
    """
    own = next((each for each in images if each.number == 0), None)
    row, header = next(iter(instances.items()))
    frame_of_reference = header.text("FrameOfReferenceUID") or ""
    others = [each for each in images if each.number > 0 and each.may_show(header) and each.is_in(frame_of_reference)]
    if own is None or not others:
        return None
    layers: list[PlaneLayer] = []
    unplaced: list[Picture] = []
    for frame in range(own.count_frames(row)):
        ref = FrameRef(row, frame)
        layer = _lay_out_plane(ref, own, others)
        if layer:
            layers.append(layer)
        else:
            unplaced.append(Picture(frames=(ref,)))
    if not layers:
        return None
    first = layers[0]
    return Scene(
        shape=first.shape, aspect=first.aspect, backdrop=first.backdrop, dose=tuple(layers), other_dose=tuple(unplaced)
    )


def _lay_out_plane(ref: FrameRef, own: ImageSeries, images: Sequence[ImageSeries]) -> PlaneLayer | None:
    plane = own.plane(ref)
    found = find_slice(plane, images) if plane else None
    if plane is None or found is None:
        return None
    series = next(each for each in images if each.number == found.series)
    beneath = series.plane(found)
    mapping = map_planes(beneath, plane) if beneath else None
    if beneath is None or mapping is None:
        return None
    return PlaneLayer(
        backdrop=Backdrop(series=series.number, picture=Picture(frames=(found._replace(series=0),))),
        shape=beneath.shape,
        aspect=beneath.aspect,
        picture=Picture(frames=(ref,)),
        mapping=mapping,
    )
