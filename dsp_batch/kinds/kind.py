"""What a kind of object must say of itself: which pictures a series of it holds, and how one is made of its frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import FrameRef

Instances = Mapping[int, Attributes]
"""Row of the series index → header, of the instances of one kind."""

StoredFrames = Mapping[FrameRef, StoredFrame]
"""The decoded frames of a picture, those left out that could not be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a kind chooses its pictures from."""

    instances: Instances

    references: Sequence[SeriesIndex] = ()
    """The series that the instances draw upon, as far as they are at hand. The k-th, counted from 1, is `series` k of a
    `FrameRef`."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    """Row of the series index → bytes of the object, as far as known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One thing to draw."""

    frames: tuple[FrameRef, ...]
    """The frames that make it up."""

    tile_offsets: tuple[tuple[int, int], ...] = ()
    """Row and column of the first pixel of each frame, from 0, in a picture that is stitched. Its frames are decoded
    one after the other, so that there may be many."""

    matrix: tuple[int, int] = (0, 0)
    """Rows and columns of a picture that is stitched."""

    step: int = 1
    """Of a picture that is stitched every row and column of this step is kept."""

    subject: FrameRef | None = None
    """The frame of this series that the picture is about: its instance describes the picture, and it tells the rank of
    the picture in the order of the series. None for the first of `frames`."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the object the picture leaves out."""

    @property
    def about(self) -> FrameRef:
        """The frame of this series that the picture is about."""
        return self.subject or self.frames[0]


def _name_no_references(instances: Instances) -> tuple[str, ...]:  # noqa: ARG001  # what a Kind asks for
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How objects of a kind become pictures. A kind is one of these, in a file of its own, and a row of the registry.

    None of its functions reads anything: the frames that a picture names are read for it.
    """

    list_pictures: Callable[[Contents], list[Picture]]
    """Tells which pictures a series holds, from headers alone: only their frames are ever read. Raises `SeriesError`
    where there is something that must not be drawn, and nothing else."""

    compose: Callable[[Picture, Attributes, StoredFrames], StoredFrame]
    """Makes one picture from its decoded frames, some of which may be missing, and the header of the instance that it
    is about; raises `PixelError` where nothing can be drawn."""

    name_references: Callable[[Instances], tuple[str, ...]] = field(default=_name_no_references)
    """Names the SeriesInstanceUIDs (0020,000E) of the series that the instances draw upon, the most wanted first."""

    needs_pixels: bool = True
    """Only instances with Pixel Data of their own are drawn."""

    in_color: bool = False
    """Pictures are in color, whatever their frames are."""

    is_blank: Callable[[StoredFrame], bool] | None = None
    """Tells that a composed picture shows nothing, so that another is better drawn in its place; None where pictures
    are drawn whatever they show."""


def list_plain_pictures(contents: Contents) -> list[Picture]:
    """List every frame of every instance."""
    return [
        Picture(frames=(FrameRef(row, frame),))
        for row, attributes in contents.instances.items()
        for frame in range(max(attributes.integer("NumberOfFrames") or 1, 1))
    ]


def take_plain_frame(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:  # noqa: ARG001  # what a Kind asks for
    """Take the only frame as it is."""
    return frames[picture.frames[0]]


PLAIN = Kind(list_pictures=list_plain_pictures, compose=take_plain_frame)
"""Single and multi-frame images: each frame is a picture."""
