"""What the user asked for, checked once, before anything is read. It loads without numpy, so that `--help` is quick."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from numbers import Integral, Real
from typing import Any, Literal, get_args

from dsp_batch.errors import OptionsError, show_value
from dsp_batch.model.contrast import EMBEDDED, Contrast, parse_contrast
from dsp_batch.model.places import ContextMode

LATENCY = 0.04
"""Seconds that storage is expected to take to answer a request, where nothing else is said."""


def convert_fields(options: Any) -> None:
    """Bring the value of each field of an options class to the type of the field, by the field's annotation.

    NumPy's numbers become Python's, whole numbers become decimal ones where these are meant, names of contrasts become
    contrasts, paths become text: options that mean the same are equal, and their digests too. Fields of other types are
    left to the class.

    Args:
        options: A frozen dataclass under construction.

    Raises:
        OptionsError: A value is of another type.
    """
    for each in fields(options):
        kind, value = str(each.type), getattr(options, each.name)
        convert = _CONVERTERS.get(kind.removesuffix(" | None"))
        if convert is not None and (value is not None or not kind.endswith(" | None")):
            object.__setattr__(options, each.name, convert(each.name, value))


def _check_fraction(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:  # true for NaN
        raise OptionsError(f"{name} must lie between 0.0 and 1.0, not {value}")


def _check_range(start: float, end: float) -> None:
    _check_fraction("--start", start)
    _check_fraction("--end", end)
    if start > end:
        raise OptionsError(f"--start {start} lies behind --end {end}: exchange them")


def _to_whole_number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise OptionsError(f"{name} must be a whole number, not {show_value(value)}")
    return int(value)


def _to_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise OptionsError(f"{name} must be a number, not {show_value(value)}")
    return float(value)


def _to_switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionsError(f"{name} must be True or False, not {show_value(value)}")
    return value


def _to_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionsError(f"{name} must be text, not {show_value(value)}")
    return value


def _to_path(name: str, value: Any) -> str:
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise OptionsError(f"{name} must be a path or a URL, not {show_value(value)}")
    return text


def _to_contrast(_name: str, value: Any) -> Contrast:
    return parse_contrast(value)


def _to_contrasts(name: str, value: Any) -> tuple[Contrast, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionsError(
            f"{name} must be a sequence of contrasts such as ('ct-lung', 'auto'), not {show_value(value)}"
        )
    return tuple(map(parse_contrast, value))


_CONVERTERS: dict[str, Callable[[str, Any], Any]] = {
    "int": _to_whole_number,
    "float": _to_number,
    "bool": _to_switch,
    "str": _to_text,
    "str | os.PathLike[str]": _to_path,
    "Contrast | str": _to_contrast,
    "Sequence[Contrast | str]": _to_contrasts,
}
"""Annotation of a field, without `| None` → what brings a value to that type."""


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise OptionsError(f"{name} must be 1 or more, not {value}")


def _check_image(image_width: int, quality: int) -> None:
    _check_positive("--image-width", image_width)
    if image_width > 16383:
        raise OptionsError(f"--image-width must be 16383 or less (WebP's limit), not {image_width}")
    _check_quality(quality)


def _check_quality(quality: int) -> None:
    if not 0 <= quality <= 100:
        raise OptionsError(f"--quality must lie between 0 and 100, not {quality}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """One picture of one size for any series: a grid of its frames, its only frame, or a card."""

    size: int = 768
    """Pixels of the square that the picture fits, 64 to 4096."""

    contrast: Contrast | str = EMBEDDED
    """A contrast, or text that `parse_contrast` reads; text becomes a contrast."""

    quality: int = 50
    overlays: bool = True
    context: ContextMode = "cached"
    """What is read for the image that an object speaks of: an index of the cache alone, its headers too, or nothing."""

    describe: bool = True
    """Show and tell descriptions, dates and the patient's identifier; False for private data."""

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_quality(self.quality)
        if self.context not in get_args(ContextMode):
            raise OptionsError(f"--context must be cached, fetch or off, not {show_value(self.context)}")
        if not 64 <= self.size <= 4096:
            raise OptionsError(f"--size must lie between 64 and 4096 pixels, not {self.size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicOptions:
    """A grid of frames spread evenly over a range of the series."""

    image_width: int = 128
    """Width of a tile in pixels; its height follows the physical aspect ratio."""

    contrast: Contrast | str = EMBEDDED
    """A contrast, or text that `parse_contrast` reads; text becomes a contrast."""

    quality: int = 25
    tile_width: int = 6
    """Tiles per row."""

    tile_height: int | None = None
    """Tiles per column; None for as many as per row."""

    start: float = 0.0
    end: float = 1.0
    """The part of the main stack to show, as fractions of its length."""

    overlays: bool = True
    """Burn overlay graphics in."""

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_image(self.image_width, self.quality)
        _check_positive("--tile-width", self.tile_width)
        _check_positive("--tile-height", self.tile_height)
        _check_range(self.start, self.end)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the mosaic, in tiles."""
        return self.tile_height or self.tile_width, self.tile_width

    @property
    def column_contrasts(self) -> tuple[Contrast, ...]:
        """The contrast of each column of frames: here one for all."""
        return (parse_contrast(self.contrast),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """One frame."""

    position: float
    """Place along the main stack, 0.0 first (head), 1.0 last (feet)."""

    slice_offset: int = 0
    """Frames to walk from there in display order."""

    image_width: int = 128
    contrast: Contrast | str = EMBEDDED
    """A contrast, or text that `parse_contrast` reads; text becomes a contrast."""

    quality: int = 25
    overlays: bool = True

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_image(self.image_width, self.quality)
        _check_fraction("--position", self.position)

    @property
    def column_contrasts(self) -> tuple[Contrast, ...]:
        """The contrast of each column of frames: here one for all."""
        return (parse_contrast(self.contrast),)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the image, in tiles."""
        return 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastMosaicOptions:
    """The same frames under several contrasts: one column each."""

    contrasts: Sequence[Contrast | str]
    """Contrasts, or texts that `parse_contrast` reads, one a column; they become a tuple of contrasts."""

    position: float | None = None
    """One row: the frame here."""

    slice_offset: int | None = None
    start: float | None = None
    """Several rows: frames spread over this range. Exactly one of position and start is given."""

    end: float = 1.0
    tile_height: int = 2
    """Rows, when a range is given."""

    image_width: int = 128
    quality: int = 25
    overlays: bool = True

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_image(self.image_width, self.quality)
        _check_positive("--tile-height", self.tile_height)
        if not self.contrasts:
            raise OptionsError("give at least one --contrast")
        if (self.position is None) == (self.start is None):
            raise OptionsError("give either --position for one row, or --start (and --end) for several, not both")
        if self.slice_offset is not None and self.position is None:
            raise OptionsError("--slice-offset goes with --position")
        _check_fraction("--position", self.position)
        if self.start is not None:
            _check_range(self.start, self.end)

    @property
    def column_contrasts(self) -> tuple[Contrast, ...]:
        """The contrast of each column of frames, from left to right."""
        return tuple(map(parse_contrast, self.contrasts))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the mosaic, in tiles: a row for each frame, a column for each contrast."""
        return 1 if self.start is None else self.tile_height, len(self.contrasts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CineOptions:
    """The frames of a range one after the other, as a moving picture."""

    fps: float | None = None
    """Frames per second, up to 1000; None for the rate that the object names, else 10."""

    frames: int = 120
    """Number of frames, at most: of more, so many are spread evenly over the range."""

    start: float = 0.0
    end: float = 1.0
    """The part of the main stack to show, as fractions of its length."""

    image_width: int = 128
    """Width of the picture in pixels; its height follows the physical aspect ratio."""

    contrast: Contrast | str = EMBEDDED
    """A contrast, or text that `parse_contrast` reads; text becomes a contrast."""

    quality: int = 25
    overlays: bool = True

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_image(self.image_width, self.quality)
        _check_positive("--frames", self.frames)
        _check_range(self.start, self.end)
        if self.fps is not None and not 0.01 <= self.fps <= 1000:
            raise OptionsError(f"--fps must lie between 0.01 and 1000 frames per second, not {self.fps}")

    @property
    def column_contrasts(self) -> tuple[Contrast, ...]:
        """The contrast of each column of frames: here one for all."""
        return (parse_contrast(self.contrast),)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of each picture, in tiles."""
        return 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexOptions:
    """How much of a series goes into its index."""

    limit: int | None = None
    """Only the first N objects as listed: a partial index, never used as a complete one."""

    full: bool = False
    """Read binary values of more than 16 KiB too, for their hashes."""

    def __post_init__(self) -> None:
        convert_fields(self)
        _check_positive("--limit", self.limit)


FrameOptions = MosaicOptions | ImageOptions | ContrastMosaicOptions | CineOptions
"""Options of the verbs that draw frames, and nothing else."""

ImageVerbOptions = PreviewOptions | FrameOptions
Options = ImageVerbOptions | IndexOptions
Verb = Literal["preview", "mosaic", "get-image", "contrast-mosaic", "cine", "build-index"]

TableFormat = Literal["parquet", "json", "jsonl", "csv"]
"""Formats of a table of headers."""

SCHEDULER_VARIABLE = "DASK_SCHEDULER_ADDRESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Where the tasks of a run are computed."""

    scheduler: str | None = None
    """Address of a running scheduler, `tcp://` or `tls://`."""

    scheduler_file: str | os.PathLike[str] | None = None
    """JSON file that a running scheduler wrote."""

    client: object | None = None
    """A `distributed.Client` that the caller has; it stays open. Only from Python."""

    workers: int | None = None
    """Processes of a local cluster; None for one a core."""

    wait_for_workers: float = 60.0
    """Seconds to wait for the first worker, for one to come back when all are gone, and for a silent scheduler."""

    performance_report: str | os.PathLike[str] | None = None
    """Path or URL of an HTML file for Dask's performance report."""

    def __post_init__(self) -> None:
        convert_fields(self)
        if self.performance_report and not find_spec("bokeh"):
            raise OptionsError("--performance-report needs bokeh: pip install 'dsp-batch[dashboard]'")
        if not 0 <= self.wait_for_workers < math.inf:
            raise OptionsError(f"--wait-for-workers must be 0 or more seconds, not {self.wait_for_workers}")
        _check_positive("--workers", self.workers)
        if self.scheduler and self.scheduler_file:
            raise OptionsError("give either --scheduler or --scheduler-file, not both")
        if self.client is not None and (self.scheduler or self.scheduler_file):
            raise OptionsError("give either a client or a scheduler, not both: a client has its scheduler")
        if self.workers is not None and self.is_remote:
            raise OptionsError("--workers is for a local cluster: it does not go together with a scheduler")

    @property
    def is_remote(self) -> bool:
        """True where a running scheduler was named, or a client of one given."""
        given = self.scheduler or self.scheduler_file or os.environ.get(SCHEDULER_VARIABLE)
        return bool(given) or self.client is not None
