"""Draw frames as 8-bit picture files, under the window that a request asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from dsp_batch.core.encoding import encode_picture, resize_image
from dsp_batch.core.tiling import fit_tile, tile_shape
from dsp_batch.core.windowing import apply_supplement, display_values
from dsp_batch.model.frame import LookupTable, StoredFrame
from dsp_batch.model.series import ByteArray
from dsp_batch.model.window import Window
from dsp_batch.web.viewer.pixels.frames import automatic_window, full_range_window, own_window

PictureFormat = Literal["png", "webp", "jpeg"]

_NOTHING = Window(center=0.0, width=1.0)
"""The window of a frame without any usable value, which is black under every window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOptions:
    """What a request asks of the picture of a frame."""

    window: Window | None = None
    """Window to show it with; None for the one of `mode`."""

    mode: Literal["default", "full_dynamic"] = "default"
    format: PictureFormat = "png"
    width: int | None = None
    """Columns of the picture; None for those of the frame. It is never enlarged."""

    burns_overlays: bool = False
    """True to draw overlay planes in white."""

    box: int | None = None
    """Pixels of the square that the picture fits into, with the physical shape of its pixels; None for no box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePicture:
    """The picture file of one frame, and the window that it shows."""

    data: bytes
    format: PictureFormat
    window: Window | None
    """None for color."""

    applied: Literal["none", "explicit", "full_dynamic", "embedded", "voi_lut", "percentile"]


def draw_frame(frame: StoredFrame, options: PictureOptions) -> FramePicture:
    """Draw one frame."""
    voi, applied = _choose_voi(frame, options)
    display = display_values(frame, voi)
    if frame.transform.supplement is not None:
        display = apply_supplement(display, frame.values, frame.transform.supplement)
    if frame.color_map is not None and display.ndim == 2:
        display = frame.color_map[display]
    if frame.overlay is not None and options.burns_overlays:
        display = np.where(frame.overlay if display.ndim == 2 else frame.overlay[..., None], np.uint8(255), display)
    window = own_window(frame) if isinstance(voi, LookupTable) else voi
    return FramePicture(
        data=encode_picture(_scale(display, frame, options), options.format),
        format=options.format,
        window=None if applied == "none" else window,
        applied=applied,
    )


def _choose_voi(
    frame: StoredFrame, options: PictureOptions
) -> tuple[Window | LookupTable, Literal["none", "explicit", "full_dynamic", "embedded", "voi_lut", "percentile"]]:
    if frame.is_color:
        return _NOTHING, "none"
    if options.window is not None:
        return options.window, "explicit"
    if options.mode == "full_dynamic":
        return full_range_window(frame) or _NOTHING, "full_dynamic"
    voi = frame.transform.voi
    if isinstance(voi, LookupTable):
        return voi, "voi_lut"
    if voi is not None:
        return voi, "embedded"
    return automatic_window(frame) or _NOTHING, "percentile"


def _scale(display: ByteArray, frame: StoredFrame, options: PictureOptions) -> ByteArray:
    rows, columns = display.shape[:2]
    if options.box is not None:
        physical_rows = rows * frame.aspect
        width = max(round(min(options.box, options.box * columns / physical_rows)), 1)
        return fit_tile(display, frame.aspect, tile_shape(rows, columns, frame.aspect, width))
    if options.width is None or options.width >= columns:
        return display
    return resize_image(display, (max(int(rows * options.width / columns + 0.5), 1), options.width))
