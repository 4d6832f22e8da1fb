"""The nouns of what lies over an image, or is made of one: segments, and images as presentation states order them."""

from __future__ import annotations

from dataclasses import dataclass

from dsp_batch.kinds.kind import Picture
from dsp_batch.kinds.overlays.graphics import Graphic, TextNote
from dsp_batch.model.frame import GrayscaleTransform
from dsp_batch.model.scene import Color
from dsp_batch.model.series import BoolArray, ByteArray, FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Backdrop:
    """The picture beneath a scene."""

    series: int
    """As in `FrameRef.series`."""

    picture: Picture
    """A picture of that series, its frames counted as the series itself does: `FrameRef.series` is 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaneLayer:
    """The segments at one position, and the image there."""

    backdrop: Backdrop
    shape: tuple[int, int]
    """Rows and columns of the image."""

    aspect: float
    """Height of a pixel of the image over its width."""

    picture: Picture
    """The frames of the segmentation at this position."""

    mapping: FloatArray
    """From column, row and 1 of the image to column and row of the segmentation, shape (2, 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayedArea:
    """The part of an image that is displayed (PS3.3 C.10.4), before it is turned."""

    left: int
    """Columns left of it, from 0; negative where it begins outside of the image."""

    top: int
    columns: int
    rows: int
    aspect: float
    """Height of a pixel over its width."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateImage:
    """An image, and how its state orders it to be displayed."""

    backdrop: Backdrop | None
    """The image; None where it is not at hand."""

    shape: tuple[int, int]
    """Rows and columns of the image; of the displayed area where there is none."""

    area: DisplayedArea
    transform: GrayscaleTransform | None
    """Modality transform, VOI and polarity; None without an image."""

    presentation_lut: FloatArray | None
    """Output of the presentation lookup table for inputs spread evenly over its range, from 0 to 1; None for none."""

    color_map: ByteArray | None
    """Colors of the display values 0 … 255, shape (256, 3); None for gray."""

    shutter: BoolArray | None
    """True where the image is hidden, shape (rows, columns); None where it is not."""

    shutter_color: Color
    rotation: int
    """Quarter turns clockwise, before the image is mirrored."""

    is_mirrored: bool
    graphics: tuple[Graphic, ...]
    texts: tuple[TextNote, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnnotationLayer:
    """Bulk annotations, whose points are read when they are drawn."""

    row: int
    """Row of the object in the index of its series."""

    mapping: FloatArray | None
    """From mm on the slide, x, y, z and 1, to column and row of the total matrix, shape (2, 4). None where that is not
    known; points in pixels need none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Modality values of an image that are shown."""

    low: float
    high: float
    is_outside: bool = False
    """True where the values outside of both are shown."""

    includes_ends: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlendInput:
    """An image that is blended with others."""

    number: int
    """Blending Input Number (0070,1B02)."""

    name: str
    backdrop: Backdrop
    transform: GrayscaleTransform
    """Modality transform, VOI and polarity, if the image is not in color."""

    color_map: ByteArray | None
    """As in `StateImage`."""

    color: Color
    """Color of its highest values."""

    thresholds: tuple[Threshold, ...]
    """Values within any of them are shown; empty where all are."""

    mapping: FloatArray | None
    """From column, row and 1 of the image whose geometry counts to column and row of this one, shape (2, 3); None where
    this one covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlendStep:
    """One operation of a blending."""

    number: int | None
    """Number of its result, for further steps; None where the result is what is displayed."""

    inputs: tuple[int, ...]
    """Numbers of inputs, or of results of other steps."""

    opacity: float | None
    """Opacity of the first of two inputs, which lies in the foreground; None where all count alike."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blending:
    """What an advanced blending presentation state orders."""

    inputs: tuple[BlendInput, ...]
    steps: tuple[BlendStep, ...]
    rotation: int
    """As in `StateImage`."""

    is_mirrored: bool
