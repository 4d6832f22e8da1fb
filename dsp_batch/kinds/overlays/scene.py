"""What the objects of a kind draw over the images that they speak of, or on a plain plane without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dsp_batch.kinds.kind import Instances, Picture
from dsp_batch.kinds.overlays.images import ImageSeries
from dsp_batch.kinds.overlays.layers import AnnotationLayer, Backdrop, Blending, PlaneLayer, StateImage
from dsp_batch.model.scene import Color, Key, Label, Mark, Stroke


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """One image, or a plain plane, and what is drawn over it."""

    shape: tuple[int, int]
    """Rows and columns that places are counted in."""

    aspect: float = 1.0
    """Height of a pixel over its width."""

    backdrop: Backdrop | None = None
    """The image beneath; None for a plain plane."""

    grid_pixels: float = 0.0
    """Distance of the lines of a grid on a plain plane, in pixels; 0 for no grid."""

    grid_label: str = ""
    """What the distance of the lines is, such as `20 mm`."""

    strokes: tuple[Stroke, ...] = ()
    marks: tuple[Mark, ...] = ()
    labels: tuple[Label, ...] = ()
    legend: tuple[Key, ...] = ()

    segments: tuple[PlaneLayer, ...] = ()
    """Positions of a segmentation, of which the one that shows most is drawn over its own image."""

    dose: tuple[PlaneLayer, ...] = ()
    """Planes of a dose grid that have an image, of which the one with the largest dose is drawn."""

    other_dose: tuple[Picture, ...] = ()
    """Planes of the grid that have none. They count for the largest dose."""

    annotations: AnnotationLayer | None = None
    """Annotations of a slide."""

    tiles: tuple[Picture, ...] = ()
    """Images that are drawn as a grid. Their frames are those of the series that the object draws upon."""

    states: tuple[StateImage, ...] = ()
    """Images as presentation states order them; they are drawn side by side."""

    blending: Blending | None = None
    """Images that are blended into one."""

    has_table: bool = False
    """True where the card of the object stands beside the image."""

    table_colors: Mapping[int, Color] = field(default_factory=dict)
    """Number of a row of that table, from 1 → color that it is drawn in."""

    notes: tuple[str, ...] = ()
    """Sentences that say what of the object the scene leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The way from objects of a kind to a scene. Each kind has a file of its own and a row in `registry`."""

    name_images: Callable[[Instances], tuple[str, ...] | None]
    """Function that names the SeriesInstanceUIDs (0020,000E) of the images that instances speak of, the best first;
    None where they need no image. Where it names none, the images of the same study are looked at."""

    lay_out: Callable[[Instances, Sequence[ImageSeries]], Scene | None]
    """Function that lays a scene out over one of the images at hand; None where there is nothing to draw so."""

    reads: tuple[str, ...] = ()
    """Keywords, or names `gggg_eeee`, of large values that the scene is made from, which an index has not."""
