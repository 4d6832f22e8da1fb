"""Read frames of open series: as stored values with all that displays them, and as samples that a page may window."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsp_batch.core.windowing import full_window, percentile_window
from dsp_batch.errors import DspBatchError, HeaderError, PixelError
from dsp_batch.kinds.kind import Picture
from dsp_batch.model.frame import GrayscaleTransform, LookupTable, PixelFormat, StoredFrame
from dsp_batch.model.ranges import read_bytes
from dsp_batch.model.series import FrameRef, ObjectInfo, StoredArray
from dsp_batch.model.window import Window
from dsp_batch.render.compose import PictureSet, compose_group
from dsp_batch.render.read import EncodedFrames, ReadingOptions, pixels_of, read_pictures, transform_of
from dsp_batch.web.viewer.library import OpenSeries
from dsp_batch.web.viewer.pixels.memory import FrameMemory

_COPIES = 4
"""Number of copies of a frame in memory while it is decoded and drawn."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameSamples:
    """The decoded samples of a frame, as `raw` sends them."""

    values: StoredArray
    """Little endian, of the type that Bits Allocated and Pixel Representation name, (rows, columns) or RGB."""

    photometric: str
    bits_allocated: int
    transform: GrayscaleTransform
    window: Window | None

    def describe(self) -> dict[str, str]:
        """Describe the samples in the headers of an answer, from which a page may window them."""
        values, transform = self.values, self.transform
        headers = {
            "X-Frame-Rows": str(values.shape[0]),
            "X-Frame-Columns": str(values.shape[1]),
            "X-Frame-Bits-Allocated": str(self.bits_allocated),
            "X-Frame-Pixel-Representation": "1" if values.dtype.kind == "i" else "0",
            "X-Frame-Samples-Per-Pixel": str(values.shape[2] if values.ndim == 3 else 1),
            "X-Frame-Photometric-Interpretation": self.photometric,
            "X-Frame-Rescale-Slope": repr(float(transform.slope)),
            "X-Frame-Rescale-Intercept": repr(float(transform.intercept)),
            "X-Frame-Value-Type": "float" if values.dtype.kind == "f" else "integer",
            "X-Frame-Inverted": "true" if transform.inverted else "false",
        }
        if self.window is not None:
            headers["X-Frame-Default-Wc"] = repr(self.window.center)
            headers["X-Frame-Default-Ww"] = repr(self.window.width)
            headers["X-Frame-Default-Function"] = self.window.function
        if transform.padding is not None:
            headers["X-Frame-Padding-Low"], headers["X-Frame-Padding-High"] = map(_plain, transform.padding)
        return headers


class FrameReader:
    """Reads frames, and keeps those that were read last.

    Args:
        memory: Where they are kept.
    """

    def __init__(self, memory: FrameMemory) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._reading: dict[tuple[str, int, int], threading.Lock] = {}

    def read_frame(self, opened: OpenSeries, ref: FrameRef) -> StoredFrame:
        """Read one frame as its kind composes it: a frame of a segmentation in the color of its segment.

        Raises:
            PixelError: It cannot be decoded.
            StorageError: It cannot be read.
        """
        key = (opened.index.series_uuid, ref.instance, ref.frame)
        with self._lock:
            gate = self._reading.setdefault(key, threading.Lock())
        try:
            with gate:
                found = self._memory.find(("frame", *key), StoredFrame)
                return found if found is not None else self._compose(opened, ref, ("frame", *key))
        finally:
            with self._lock:
                self._reading.pop(key, None)

    def _compose(self, opened: OpenSeries, ref: FrameRef, key: tuple[str, str, int, int]) -> StoredFrame:
        pixels = pixels_of(opened.index, ref.instance)
        with self._memory.reserve(_COPIES * pixels.decoded_frame_bytes):
            whole = Picture(frames=(ref,), tile_offsets=((0, 0),), matrix=(pixels.rows, pixels.columns))
            composed = next(compose_group(PictureSet(index=opened.index, source=opened.source, pictures=[whole])))
        if isinstance(composed, DspBatchError):
            raise composed
        overlay = 0 if composed.overlay is None else composed.overlay.nbytes
        self._memory.keep(key, composed, composed.values.nbytes + overlay)
        return composed

    def read_samples(self, opened: OpenSeries, ref: FrameRef) -> FrameSamples:
        """Read the samples of one frame as they are stored: palette colors as their numbers, other colors as RGB.

        Raises:
            PixelError: It cannot be decoded.
            StorageError: It cannot be read.
        """
        index = opened.index
        pixels = pixels_of(index, ref.instance)
        with self._memory.reserve(_COPIES * pixels.decoded_frame_bytes):
            encoded = self._read_encoded(opened, ref)
            is_palette = pixels.photometric == "PALETTE COLOR"
            if is_palette:
                encoded = replace(encoded, pixels=replace(pixels, photometric="MONOCHROME2"))
            decoded = encoded.decode(ref.frame)
        if isinstance(decoded, DspBatchError):
            raise decoded
        values = decoded.values if decoded.is_color else _widen(decoded.values, pixels)
        photometric = "RGB" if decoded.is_color else pixels.photometric
        window = None if decoded.is_color or is_palette else own_window(decoded) or percentile_window([decoded])
        return FrameSamples(
            values=values,
            photometric=photometric,
            bits_allocated=values.dtype.itemsize * 8,
            transform=decoded.transform,
            window=window,
        )

    def _read_encoded(self, opened: OpenSeries, ref: FrameRef) -> EncodedFrames:
        index, source = opened.index, opened.source
        name = index.object_names[ref.instance]
        options = ReadingOptions(overlays=False, max_frame_bytes=source.max_frame_bytes)
        reader = read_pictures(index, ref.instance, [ref.frame], options)
        body = index.bodies.get(name)
        if body is not None:
            return read_bytes(reader, body)
        info = ObjectInfo(name=name, size=index.values("ObjectSize")[ref.instance])
        found = source.store.read(index.objects_folder, {info: reader})[name]
        if isinstance(found, DspBatchError):
            raise found
        return found


def _widen(values: StoredArray, pixels: PixelFormat) -> StoredArray:
    """Give stored values the type that Bits Allocated names, in little endian."""
    bits = next(bits for bits in (8, 16, 32, 64) if pixels.bits_allocated <= bits)
    kind = values.dtype.kind if pixels.value_type == "float" else "i" if pixels.signed else "u"
    return np.ascontiguousarray(values.astype(f"<{kind}{bits // 8}", copy=False))


def own_window(frame: StoredFrame) -> Window | None:
    """Find the window that a frame asks for itself; of a VOI LUT, the window over the values that it maps."""
    return window_of(frame.transform)


def window_of(transform: GrayscaleTransform) -> Window | None:
    """Find the window that a transform holds; of a VOI LUT, the window over the values that it maps."""
    voi = transform.voi
    if not isinstance(voi, LookupTable):
        return voi
    width = float(max(len(voi.values) - 1, 1))
    return Window(center=voi.first_value + width / 2, width=width)


def find_own_window(opened: OpenSeries, row: int, frame: int = 0) -> Window | None:
    """Find the window that the header of a frame asks for; None for color, and where there is none."""
    try:
        if pixels_of(opened.index, row).is_color:
            return None
        return window_of(transform_of(opened.index, row, frame))
    except (HeaderError, PixelError):
        return None


def automatic_window(frame: StoredFrame) -> Window | None:
    """Choose the window of a frame that has none: from the 2nd to the 98th percentile of its values."""
    return percentile_window([frame])


def full_range_window(frame: StoredFrame) -> Window | None:
    """Choose the window from the least to the greatest of a frame's values."""
    return full_window([frame])


def describe_window(window: Window | None) -> Mapping[str, Any] | None:
    """Describe a window for the API."""
    return None if window is None else {"center": window.center, "width": window.width, "function": window.function}


def _plain(value: float) -> str:
    return repr(int(value)) if value == int(value) else repr(value)
