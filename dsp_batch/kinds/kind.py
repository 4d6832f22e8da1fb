"""What a series is drawn as: its pictures, each made of one or more frames; here of plain images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import FrameRef

Instances = Mapping[int, Attributes]
"""Row of the series index → header, of the instances that have pixels."""

Frames = Mapping[FrameRef, StoredFrame]
"""Decoded frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One thing to draw."""

    frames: tuple[FrameRef, ...]
    """The frames that make it up; the first one tells its place in the order of the series."""

    places: tuple[tuple[int, int], ...] = ()
    """Row and column where each frame goes, from 0, in a picture that is stitched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawer:
    """How objects of a kind become pictures. A kind of object is one of these, and its SOP classes in `objects`."""

    list_pictures: Callable[[Instances], list[Picture]]
    """Which pictures a series holds, told from headers alone: only their frames are ever read."""

    compose: Callable[[Picture, Attributes, Frames], StoredFrame]
    """One picture from its decoded frames, some of which may be missing, and the header of its first frame's
    instance; raises `PixelError` where nothing can be drawn."""

    in_color: bool = False
    """Pictures are in color, whatever their frames are."""

    is_blank: Callable[[StoredFrame], bool] | None = None
    """Whether a composed picture shows nothing, so that another is better drawn in its place; None where pictures are
    drawn whatever they show."""


def list_plain_pictures(instances: Instances) -> list[Picture]:
    """Every frame of every instance."""
    return [
        Picture(frames=(FrameRef(row, frame),))
        for row, attributes in instances.items()
        for frame in range(max(attributes.integer("NumberOfFrames") or 1, 1))
    ]


def take_plain_frame(picture: Picture, attributes: Attributes, frames: Frames) -> StoredFrame:  # noqa: ARG001  # a Drawer's signature
    """The only frame as it is."""
    return frames[picture.frames[0]]


PLAIN = Drawer(list_pictures=list_plain_pictures, compose=take_plain_frame)
"""Single and multi-frame images: each frame is a picture."""
