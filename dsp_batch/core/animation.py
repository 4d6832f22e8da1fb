"""Encode moving pictures as animated WebP, AVIF or GIF files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any

from PIL import Image, WebPImagePlugin, features  # noqa: F401  # as in core/encoding

from dsp_batch.errors import OptionsError
from dsp_batch.model.series import ByteArray

MOST_GIF_FRAMES_PER_SECOND = 50
"""Frames per second of a GIF, at most: browsers take shorter times than 20 ms for 100 ms."""

_FORMATS: dict[str, dict[str, Any]] = {
    ".webp": {"method": 2},
    # One thread, because the bytes of some encoders depend on their number. At speed 8 the file of a CT is no larger
    # than at the usual 6, and takes a third of the time.
    ".avif": {"speed": 8, "max_threads": 1},
    ".gif": {"optimize": False, "disposal": 1},
}
"""Pillow's settings for each suffix."""

ANIMATION_SUFFIXES = tuple(_FORMATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Animation:
    """How frames become a moving picture."""

    count: int
    """Number of frames, at least 1."""

    frames_per_second: float
    quality: int
    """0 (smallest) to 100 (best); a GIF has none."""

    in_color: bool
    """True where any frame may be in color."""


def check_animation_suffix(suffix: str) -> None:
    """Check that moving pictures of a format can be written here.

    Raises:
        OptionsError: The suffix names no such format, or Pillow was built without it.
    """
    if suffix not in _FORMATS:
        raise OptionsError(f"moving pictures cannot be written as {suffix!r}: end the name in {', '.join(_FORMATS)}")
    if suffix == ".avif" and not features.check("avif"):
        raise OptionsError("this Pillow was built without AVIF: install its wheel, or end the name in .webp")


def encode_animation(tiles: Iterator[ByteArray], animation: Animation, suffix: str) -> bytes:
    """Make the file of a moving picture, which begins again when it has ended.

    Frames are taken one by one. Encoders may store neighbours that are alike as one, which is then shown for the time
    of all of them. A single frame becomes a still picture.

    Args:
        tiles: Display values of each frame, (height, width) or (height, width, 3), all of one height and width.
        animation: Their number, how fast they follow one another, and the quality.
        suffix: `.webp`, `.avif` or `.gif`.

    Returns:
        The file, the same bytes for the same frames. A GIF is held with all its frames until it is written, with one
        byte a pixel; the other formats hold what is encoded.

    Raises:
        OptionsError: The suffix is none of these.
    """
    check_animation_suffix(suffix)
    reel = _Reel(tiles, animation, "L" if suffix == ".gif" and not animation.in_color else "RGB")
    file = BytesIO()
    file.name = f"cine{suffix}"  # see core/encoding
    rate = min(animation.frames_per_second, MOST_GIF_FRAMES_PER_SECOND) if suffix == ".gif" else None
    durations = list_durations(animation.count, rate or animation.frames_per_second, 10 if rate else 1)
    settings = _FORMATS[suffix] | ({} if rate else {"quality": animation.quality})
    if animation.count > 1:
        settings |= {"save_all": True, "duration": durations, "loop": 0}
    reel.save(file, **settings)
    return file.getvalue()


def list_durations(count: int, rate: float, unit: int) -> list[int]:
    """List the milliseconds of each frame. They are whole units, and never add up to another time than the rate gives.

    Args:
        count: Number of frames.
        rate: Frames per second.
        unit: Milliseconds that the format counts in.

    Example:
        >>> list_durations(6, 30, 10)
        [30, 40, 30, 30, 40, 30]
    """
    ends = [round(number * 1000 / rate / unit) * unit for number in range(count + 1)]
    return [after - before for before, after in pairwise(ends)]


class _Reel(Image.Image):
    """One image of many frames for Pillow, which asks for them in order. Only the one that it looks at is held.

    Args:
        tiles: The frames.
        animation: Their number.
        mode: `L` or `RGB`, into which each frame is converted.
    """

    def __init__(self, tiles: Iterator[ByteArray], animation: Animation, mode: str) -> None:
        super().__init__()
        self._tiles, self._number, self._wanted = tiles, -1, mode
        self.n_frames = animation.count
        self.is_animated = animation.count > 1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Go to a frame; one that is over is not found again, and the frame stays.

        Raises:
            EOFError: There is no such frame.
        """
        if frame >= self.n_frames:
            raise EOFError
        while self._number < frame:
            image = Image.fromarray(next(self._tiles))
            core = (image if image.mode == self._wanted else image.convert(self._wanted)).im
            self.im, self._mode, self._size = core, self._wanted, core.size
            self._number += 1

    def tell(self) -> int:
        """Return the number of the frame, from 0."""
        return self._number
