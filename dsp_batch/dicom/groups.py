"""Functional groups of multi-frame objects (PS3.3 C.7.6.16): per frame first, then shared."""

from __future__ import annotations

from dsp_batch.dicom.headers.attributes import Attributes


def frame_macro(attributes: Attributes, frame: int, sequence: str) -> Attributes:
    """The item of a functional group macro that holds for one frame.

    Args:
        attributes: The whole header of the instance.
        frame: Frame number from 0.
        sequence: Keyword of the macro's sequence, for example `PlanePositionSequence`.

    Returns:
        The per-frame item, else the shared one, else an empty one.
    """
    if items := attributes.item_at("PerFrameFunctionalGroupsSequence", frame).items(sequence):
        return items[0]
    return attributes.item("SharedFunctionalGroupsSequence").item(sequence)
