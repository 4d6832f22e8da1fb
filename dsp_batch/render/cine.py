"""Draw frames of a series as a moving picture."""

from __future__ import annotations

from collections.abc import Iterator

from dsp_batch.core.animation import (
    ANIMATION_SUFFIXES,
    MOST_GIF_FRAMES_PER_SECOND,
    Animation,
    check_animation_suffix,
    encode_animation,
)
from dsp_batch.dicom.frame_rate import describe_frame_rate
from dsp_batch.errors import OptionsError
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import ByteArray
from dsp_batch.options import CineOptions
from dsp_batch.render.choose import choose_pictures
from dsp_batch.render.compose import FrameSource, PictureSet, is_in_color
from dsp_batch.render.draw import TileStream, lay_out_mosaic
from dsp_batch.render.video import encode_video, find_ffmpeg

CINE_SUFFIXES = (*ANIMATION_SUFFIXES, ".mp4")

_USUAL_RATE = 10.0
"""Frames per second of objects that name no rate."""


def check_cine_suffix(suffix: str) -> None:
    """Check that moving pictures of a format can be written on this machine.

    Raises:
        OptionsError: The suffix names no such format, or what writes it is not installed.
    """
    if suffix not in CINE_SUFFIXES:
        raise OptionsError(f"moving pictures cannot be written as {suffix!r}: end the name in {_list_suffixes()}")
    if suffix == ".mp4":
        find_ffmpeg()
    else:
        check_animation_suffix(suffix)


def _list_suffixes() -> str:
    return f"{', '.join(CINE_SUFFIXES[:-1])} or {CINE_SUFFIXES[-1]}"


def draw_cine(index: SeriesIndex, source: FrameSource, options: CineOptions, suffix: str) -> EncodedImage:
    """Draw the frames that the options ask for, one after the other, and encode them as they come.

    No more frames are held than are read at once; see `compose_pictures`.

    Args:
        index: The series.
        source: The source of its frames, and of the series that it draws upon.
        options: Range, number and rate of the frames.
        suffix: `.webp`, `.avif`, `.gif` or `.mp4`.

    Raises:
        OptionsError: The range holds nothing, a frame would be too large, or the format cannot be written here.
        PixelError: Nothing could be decoded.
        SeriesError: The series has nothing to draw.
        StorageError: The frames could not be read.
    """
    check_cine_suffix(suffix)
    chosen = choose_pictures(index, source, options)
    about = chosen.pictures[0].about
    rate = options.fps or chosen.index.derive(describe_frame_rate, about.instance) or _USUAL_RATE
    stream = TileStream(chosen, options.column_contrasts, lay_out_mosaic(index, options))
    tiles = iter(stream)
    first = next(tiles)
    animation = Animation(
        count=len(chosen.pictures),
        frames_per_second=rate,
        quality=options.quality,
        in_color=first.ndim == 3 or _is_any_in_color(chosen),
    )
    every = _join(first, tiles)
    data = encode_video(every, animation) if suffix == ".mp4" else encode_animation(every, animation, suffix)
    return EncodedImage(
        data=data,
        width=stream.shape[1],
        height=stream.shape[0],
        n_tiles=animation.count - len(stream.failed),
        failures=tuple(stream.failures),
        window=stream.window,
        window_source=stream.window_source,
        drawn_as="cine",
        notes=(*stream.notes, *_note_rate(rate, suffix)),
    )


def _join(first: ByteArray, others: Iterator[ByteArray]) -> Iterator[ByteArray]:
    yield first
    yield from others


def _is_any_in_color(chosen: PictureSet) -> bool:
    return any(is_in_color(chosen, picture) for picture in chosen.pictures)


def _note_rate(rate: float, suffix: str) -> tuple[str, ...]:
    """Say where a format is slower than the rate."""
    if suffix != ".gif" or rate <= MOST_GIF_FRAMES_PER_SECOND:
        return ()
    return (f"a GIF shows {MOST_GIF_FRAMES_PER_SECOND} frames per second at most, not {rate:g}",)
