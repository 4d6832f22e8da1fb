"""The options of the verbs, which decide what to make. They are the same for one series and for a manifest."""

from __future__ import annotations

import logging
from typing import Any

import click

from dsp_batch.cli.options import Option, describe_option, option_set
from dsp_batch.model.contrast import Contrast, parse_contrast
from dsp_batch.options import (
    CineOptions,
    ContrastMosaicOptions,
    ImageOptions,
    IndexOptions,
    MosaicOptions,
    PreviewOptions,
)

_log = logging.getLogger(__name__)

CONTRAST_HELP = (
    "ct-lung, ct-bone, ct-brain, ct-abdomen, ct-liver, ct-mediastinum (media), ct-soft-tissue (soft), auto "
    "(2nd to 98th percentile), embedded (the object's own window), or WIDTH/CENTER such as 1500/-500."
)

_IMAGE: dict[str, Option] = {
    "image_width": click.option(
        "--image-width",
        type=int,
        default=128,
        show_default=True,
        metavar="PIXELS",
        help="Width of each frame; the height follows from the physical aspect ratio.",
    ),
    "quality": click.option(
        "-q",
        "--quality",
        type=int,
        default=25,
        show_default=True,
        metavar="0-100",
        help="Quality of the WebP or JPEG image.",
    ),
    "overlays": click.option(
        "--overlays/--no-overlays", default=True, show_default=True, help="Draw overlay graphics, in white."
    ),
}
_CONTRAST: dict[str, Option] = {
    "contrast": click.option("--contrast", metavar="CONTRAST", help=f"{CONTRAST_HELP}  [default: embedded]"),
    "contrast_preset": click.option(
        "--contrast-preset", metavar="NAME", hidden=True, help="Older spelling of --contrast NAME."
    ),
    "window_width": click.option(
        "--window-width", metavar="W", hidden=True, help="With --window-center, older spelling of --contrast W/C."
    ),
    "window_center": click.option(
        "--window-center", metavar="C", hidden=True, help="With --window-width, older spelling of --contrast W/C."
    ),
}


_RANGE: dict[str, Option] = {
    "start": click.option(
        "--start",
        type=float,
        default=0.0,
        show_default=True,
        metavar="0.0-1.0",
        help="Start of the range of frames to draw: 0.0 is the first frame (head).",
    ),
    "end": click.option(
        "--end",
        type=float,
        default=1.0,
        show_default=True,
        metavar="0.0-1.0",
        help="End of the range of frames to draw: 1.0 is the last frame (feet).",
    ),
}


def _choose_contrast(values: dict[str, Any]) -> dict[str, Any]:
    """Replace the spellings of contrast among the values of a command by the one contrast that they mean."""
    preset, width, center = (values.pop(name) for name in ("contrast_preset", "window_width", "window_center"))
    spellings = [values.pop("contrast")]
    if (width is None) != (center is None):
        raise click.UsageError("--window-width and --window-center go together; better write --contrast WIDTH/CENTER")
    if preset is not None:
        _log.warning("--contrast-preset is deprecated: write --contrast %s", preset)
        spellings.append(preset)
    if width is not None:
        _log.warning("--window-width and --window-center are deprecated: write --contrast %s/%s", width, center)
        spellings.append(f"{width}/{center}")
    given = [spelling for spelling in spellings if spelling is not None]
    if len(given) > 1:
        raise click.UsageError("the contrast is given twice: write --contrast alone, once")
    return {**values, "contrast": _parse_contrast(given[0] if given else "embedded")}


def _parse_contrast(text: str) -> Contrast:
    return parse_contrast(text)


def _build_preview(**values: Any) -> PreviewOptions:
    return PreviewOptions(**{**values, "contrast": _parse_contrast(values["contrast"] or "embedded")})


_PREVIEW: dict[str, Option] = {
    "size": click.option(
        "--size",
        type=int,
        default=768,
        show_default=True,
        metavar="64-4096",
        help="Side of the square that the picture fits, in pixels.",
    ),
    "contrast": _CONTRAST["contrast"],
    "quality": click.option(
        "-q",
        "--quality",
        type=int,
        default=50,
        show_default=True,
        metavar="0-100",
        help="Quality of the WebP or JPEG image; cards of text are written without loss.",
    ),
    "overlays": _IMAGE["overlays"],
    "context": click.option(
        "--context",
        type=click.Choice(["cached", "fetch", "off"]),
        default="cached",
        show_default=True,
        help="What to read for the image that an object without one speaks of: only an index that the cache has "
        "already, also up to 64 MB of its headers, or nothing.",
    ),
}

preview_options = option_set("options", _build_preview, {**_PREVIEW, "describe": describe_option})

run_preview_options = option_set("options", _build_preview, _PREVIEW)
"""Without `--describe`, which the options of a run have for the rows of every verb."""


def _build_mosaic(**values: Any) -> MosaicOptions:
    return MosaicOptions(**_choose_contrast(values))


mosaic_options = option_set(
    "options",
    _build_mosaic,
    {
        "tile_width": click.option(
            "--tile-width", type=int, default=6, show_default=True, metavar="N", help="Number of frames in each row."
        ),
        "tile_height": click.option(
            "--tile-height", type=int, metavar="N", help="Number of rows.  [default: as many as frames in a row]"
        ),
        **_RANGE,
        **_CONTRAST,
        **_IMAGE,
    },
)


def _build_cine(**values: Any) -> CineOptions:
    return CineOptions(**_choose_contrast(values))


cine_options = option_set(
    "options",
    _build_cine,
    {
        "fps": click.option(
            "--fps",
            type=float,
            metavar="N",
            help="Frames per second.  [default: the rate that the object names, else 10]",
        ),
        "frames": click.option(
            "--frames",
            type=int,
            default=120,
            show_default=True,
            metavar="N",
            help="Largest number of frames. Of more, so many are spread evenly over the range.",
        ),
        **_RANGE,
        **_CONTRAST,
        **_IMAGE,
    },
)


def _build_image(**values: Any) -> ImageOptions:
    return ImageOptions(**_choose_contrast(values))


image_options = option_set(
    "options",
    _build_image,
    {
        "position": click.option(
            "--position",
            type=float,
            required=True,
            metavar="0.0-1.0",
            help="Position of the frame along the series, from 0.0 (first frame, head) to 1.0 (last frame, feet).",
        ),
        "slice_offset": click.option(
            "--slice-offset",
            type=int,
            default=0,
            show_default=True,
            metavar="N",
            help="Draw the frame that is N frames further in display order; N may be negative.",
        ),
        **_CONTRAST,
        **_IMAGE,
    },
)


def _build_contrast_mosaic(**values: Any) -> ContrastMosaicOptions:
    given = {name: value for name, value in values.items() if value is not None}
    if "position" in given and ("end" in given or "tile_height" in given):
        raise click.UsageError("--end and --tile-height go with --start, not with --position")
    given["contrasts"] = tuple(map(_parse_contrast, given.pop("contrast")))
    return ContrastMosaicOptions(**given)


contrast_mosaic_options = option_set(
    "options",
    _build_contrast_mosaic,
    {
        "contrast": click.option(
            "--contrast",
            multiple=True,
            required=True,
            metavar="CONTRAST",
            help=f"Contrast of one column; repeat the option for more columns. {CONTRAST_HELP}",
        ),
        "position": click.option(
            "--position",
            type=float,
            metavar="0.0-1.0",
            help="Draw one row: the frame at this position, from 0.0 (head) to 1.0 (feet).",
        ),
        "slice_offset": click.option(
            "--slice-offset",
            type=int,
            metavar="N",
            help="With --position: draw the frame that is N frames further in display order.  [default: 0]",
        ),
        "start": click.option(
            "--start",
            type=float,
            metavar="0.0-1.0",
            help="Draw several rows: frames spread evenly over a range that starts at this position.",
        ),
        "end": click.option(
            "--end", type=float, metavar="0.0-1.0", help="With --start: end of the range.  [default: 1.0]"
        ),
        "tile_height": click.option(
            "--tile-height", type=int, metavar="N", help="With --start: number of rows.  [default: 2]"
        ),
        **_IMAGE,
    },
)


def _build_index(**values: Any) -> IndexOptions:
    return IndexOptions(**values)


index_options = option_set(
    "options",
    _build_index,
    {
        "limit": click.option(
            "--limit",
            type=int,
            metavar="N",
            help="Index the first N objects only. The result is a partial index, which never serves as a complete one.",
        ),
        "full": click.option(
            "--full", is_flag=True, help="Also read binary values of more than 16 KiB, to index their hashes."
        ),
    },
)
