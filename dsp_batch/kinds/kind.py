"""The functions of a kind of object: list the pictures of a series, and compose one from its frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.card import Card
from dsp_batch.model.figure import Figure
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import FrameRef
from dsp_batch.model.statement import Statement

Instances = Mapping[int, Attributes]
"""Headers of the instances of one kind, by row of the series index."""

StoredFrames = Mapping[FrameRef, StoredFrame]
"""The decoded frames of a picture, without those that could not be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The instances of a series and the series that they draw upon, from which a kind lists its pictures."""

    instances: Instances

    references: Sequence[SeriesIndex] = ()
    """The series that the instances draw upon, as far as they were found. The k-th, counted from 1, is `series` k of a
    `FrameRef`."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    """Row of the series index → bytes of the object, as far as known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture to draw."""

    frames: tuple[FrameRef, ...]
    """The frames that the picture is made of."""

    tile_offsets: tuple[tuple[int, int], ...] = ()
    """Row and column of the first pixel of each frame, from 0, in a picture that is stitched. Its frames are decoded
    one after the other, so that there may be many."""

    matrix: tuple[int, int] = (0, 0)
    """Rows and columns of a picture that is stitched."""

    step: int = 1
    """Distance between the rows and columns that are kept of a picture that is stitched; 1 keeps all of them."""

    subject: FrameRef | None = None
    """The frame of this series that the picture is about: its instance describes the picture, and it tells the rank of
    the picture in the order of the series. None for the first of `frames`."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the object the picture leaves out."""

    @property
    def about(self) -> FrameRef:
        """Return the frame of this series that the picture is about."""
        return self.subject or self.frames[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The way from objects of a kind to pictures. Each kind has a file of its own and a row in the registry.

    None of its functions reads anything: the frames that a picture names are read for it.
    """

    list_pictures: Callable[[Contents], list[Picture]]
    """Function that lists the pictures of a series from headers alone. Only their frames are ever read. It raises
    `SeriesError` where a series holds nothing but what must not be drawn."""

    compose: Callable[[Picture, Attributes, StoredFrames], StoredFrame]
    """Function that makes one picture from its decoded frames, some of which may be missing, and the header of the
    instance that it is about. It raises `PixelError` where nothing can be drawn."""

    name_references: Callable[[Instances], tuple[str, ...]] | None = None
    """Function that names the SeriesInstanceUIDs (0020,000E) of series that instances draw upon, best ones first; None
    where they draw upon none."""

    needs_pixels: bool = True
    """True where only instances with Pixel Data of their own can be drawn."""

    in_color: bool = False
    """True where pictures are in color, whatever their frames are."""

    is_blank: Callable[[StoredFrame], bool] | None = None
    """Function that tells whether a composed picture shows nothing, so that another one is drawn instead; None where
    pictures are drawn whatever they show."""

    describe: Callable[[Instances], Card] | None = None
    """Function that describes instances in text, for a series that shows no image; None where their headers alone
    describe them well enough."""

    reads: tuple[str, ...] = ()
    """Keywords of binary values that `describe` and `draw` need however large they are."""

    draw: Callable[[Instances], Figure | None] | None = None
    """Function that reads what instances show by themselves, for a series that shows no image. It returns None where
    there is nothing, and raises `PixelError` where it is damaged. None for kinds that are described in text alone."""

    state: Callable[[Instances], tuple[Statement, ...]] | None = None
    """Function that lists what instances say as data; None for kinds that say nothing besides what they show."""


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
"""The kind of single and multi-frame images: each frame is a picture."""
