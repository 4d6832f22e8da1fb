"""Find the images that key object selections point at (PS3.3 A.35.4, C.17.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dsp_batch.core.selection import distribute
from dsp_batch.core.tiling import MOST_TILES
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries, find_frame
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.series import FrameRef

_MOST_REFERENCES = 100_000
"""References of a selection that are looked at, at most."""


def name_selected_images(instances: Instances) -> tuple[str, ...]:
    """Name the series that selections point at."""
    items = (item for header in instances.values() for item in list_evidence_series(header))
    return tuple(dict.fromkeys(uid for item in items if (uid := item.text("SeriesInstanceUID"))))


def lay_out_selection(instances: Instances, images: Sequence[ImageSeries]) -> Scene | None:
    """Lay out the images that selections point at as a grid, spread evenly over the references that are at hand.

    Returns:
        The scene; None where none of them is at hand.
    """
    found: dict[FrameRef, int] = {}
    for row, header in instances.items():
        shown = [each for each in images if each.may_show(header)]
        for uid in _list_objects(header):
            ref = find_frame(shown, uid)
            if ref is not None:
                count = next(each for each in shown if each.number == ref.series).count_frames(ref.instance)
                found.setdefault(ref._replace(frame=count // 2), row)
    refs = list(found)
    chosen = [refs[place] for place in distribute(len(refs), MOST_TILES).tolist()] if refs else []
    tiles = tuple(Picture(frames=(ref,), subject=FrameRef(found[ref], 0)) for ref in chosen)
    return Scene(shape=(1, 1), tiles=tiles) if tiles else None


def list_evidence_series(header: Attributes) -> Iterator[Attributes]:
    """List the items of the series that a document points at (PS3.3 C.17.2)."""
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in header.items(name):
            yield from study.items("ReferencedSeriesSequence")


def _list_objects(header: Attributes) -> list[str]:
    items = (item for series in list_evidence_series(header) for item in series.items("ReferencedSOPSequence"))
    uids = (item.text("ReferencedSOPInstanceUID") for item in items)
    return [*dict.fromkeys(uid for uid in uids if uid)][:_MOST_REFERENCES]
