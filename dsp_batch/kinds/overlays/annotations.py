"""Lay bulk annotations over the slide that they are about (PS3.3 C.37.1.2, C.8.12.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsp_batch.dicom.headers.attributes import Attributes, frame_macro
from dsp_batch.errors import SeriesError
from dsp_batch.kinds.kind import Contents, Instances
from dsp_batch.kinds.overlays.images import ImageSeries
from dsp_batch.kinds.overlays.layers import AnnotationLayer, Backdrop
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.kinds.registry import find_kind
from dsp_batch.kinds.slide import SLIDE, list_slide_pictures
from dsp_batch.model.series import FloatArray


def name_annotated_slides(instances: Instances) -> tuple[str, ...]:
    """Name the series of the slides that annotations are about."""
    items = (item for header in instances.values() for item in header.items("ReferencedSeriesSequence"))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_annotations(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay annotations out over the picture of their slide, else on a blank canvas.

    Returns:
        The scene. Its shape is that of the image that the annotations refer to, (0, 0) where that is not at hand.
    """
    row, header = next(iter(instances.items()))
    uids = [item.text("ReferencedSOPInstanceUID") or "" for item in header.items("ReferencedImageSequence")]
    for series in images:
        found = next((series.rows_by_uid[uid] for uid in uids if uid in series.rows_by_uid), None)
        if found is None or not series.may_show(header):
            continue
        image = series.index.attributes(found)
        shape = image.integer("TotalPixelMatrixRows") or 0, image.integer("TotalPixelMatrixColumns") or 0
        if min(shape) <= 0:
            continue
        is_in_space = header.text("AnnotationCoordinateType") == "3D"
        mapping = _map_slide(image) if is_in_space else None
        if is_in_space and mapping is None:
            continue
        layer = AnnotationLayer(row=row, mapping=mapping)
        return Scene(shape=shape, backdrop=_find_thumbnail(series), annotations=layer)
    return Scene(shape=(0, 0), annotations=AnnotationLayer(row=row, mapping=None))


def _find_thumbnail(series: ImageSeries) -> Backdrop | None:
    """Find the picture of a slide; None where it shows only a part of it, or nothing at all."""
    classes = series.index.texts("SOPClassUID")
    rows = [row for row in series.rows_by_uid.values() if find_kind(classes[row]) is SLIDE]
    sizes = dict(enumerate(series.index.values("ObjectSize")))
    try:
        contents = Contents(instances={row: series.index.attributes(row) for row in rows}, sizes=sizes)
        pictures = list_slide_pictures(contents) if rows else []
    except SeriesError:
        return None
    whole = [each for each in pictures if not each.notes]
    return Backdrop(series=series.number, picture=whole[0]) if whole else None


def _map_slide(image: Attributes) -> FloatArray | None:
    """Compute the mapping from mm on the slide to pixels of a total matrix; None where its header does not tell it.

    References:
        DICOM PS3.3 C.8.12.2.1.1 (Image Orientation (Slide)), C.8.12.2 (Total Pixel Matrix Origin, which may be absent).
    """
    orientation = image.numbers("ImageOrientationSlide")
    spacing = frame_macro(image, 0, "PixelMeasuresSequence").numbers("PixelSpacing")
    if len(orientation) != 6 or len(spacing) != 2 or min(spacing) <= 0:
        return None
    origin = image.item("TotalPixelMatrixOriginSequence")
    x, y = (origin.number(f"{axis}OffsetInSlideCoordinateSystem") or 0.0 for axis in "XY")
    across, down = np.array(orientation[:3]) / spacing[1], np.array(orientation[3:]) / spacing[0]
    corner = np.array([x, y, 0.0])
    # The origin is the center of the first pixel, and places count from its outer corner.
    return np.array([[*across, 0.5 - across @ corner], [*down, 0.5 - down @ corner]])
