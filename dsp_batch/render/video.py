"""Encode moving pictures as MP4 files with the ffmpeg of the system."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dsp_batch.core.animation import Animation
from dsp_batch.errors import OptionsError, PixelError, printable
from dsp_batch.model.series import ByteArray

_LONGEST_ENCODING = 3600.0
"""Seconds that ffmpeg may take before it is stopped."""

_WORST, _BEST = 40, 15
"""Constant rate factors of H.264 for a quality of 0 and of 100: lower ones are better, and 23 is usual."""


def find_ffmpeg() -> str:
    """Find the program.

    Raises:
        OptionsError: It is not on the search path.
    """
    found = shutil.which("ffmpeg")
    if found is None:
        raise OptionsError("MP4 needs the program ffmpeg, which is not installed: install it, or end the name in .webp")
    return found


def encode_video(tiles: Iterator[ByteArray], animation: Animation) -> bytes:
    """Make an MP4 file of H.264, with an even height and width, as that needs: a black line may be added.

    Args:
        tiles: Display values of each frame, (height, width) or (height, width, 3), all of one height and width.
        animation: How fast they follow one another, and the quality.

    Raises:
        OptionsError: There is no ffmpeg.
        PixelError: It failed or took too long; the message has its first line.
    """
    program = find_ffmpeg()
    first = next(tiles)
    with tempfile.TemporaryDirectory(prefix="dsp-batch-") as folder:
        output = Path(folder) / "cine.mp4"
        _run([program, *_list_arguments(first, animation), str(output)], _list_bytes(first, tiles))
        return output.read_bytes()


def _list_arguments(first: ByteArray, animation: Animation) -> list[str]:
    height, width = first.shape[:2]
    factor = round(_WORST - (_WORST - _BEST) * animation.quality / 100)
    taken = f"-f rawvideo -pix_fmt rgb24 -video_size {width}x{height} -framerate {animation.frames_per_second} -i -"
    made = f"-vf pad=ceil(iw/2)*2:ceil(ih/2)*2 -c:v libx264 -crf {factor} -pix_fmt yuv420p -threads 1"
    # Without the date and the version of the encoder, and with its table in front, so that browsers begin at once.
    plain = "-map_metadata -1 -fflags +bitexact -flags:v +bitexact -movflags +faststart"
    return f"-nostdin -loglevel error -y {taken} {made} {plain}".split()


def _list_bytes(first: ByteArray, others: Iterator[ByteArray]) -> Iterator[bytes]:
    yield _to_rgb(first)
    for tile in others:
        yield _to_rgb(tile)


def _to_rgb(tile: ByteArray) -> bytes:
    return (tile if tile.ndim == 3 else np.repeat(tile[..., None], 3, axis=2)).tobytes()


def _run(arguments: Sequence[str], frames: Iterator[bytes]) -> None:
    """Run ffmpeg, and give it frame after frame."""
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=messages)  # noqa: S603  # ours, but for its path
        timer = threading.Timer(_LONGEST_ENCODING, process.kill)
        timer.start()
        try:
            _feed(process, frames)
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
            timer.cancel()
        if status:
            messages.seek(0)
            said = messages.read().decode("utf-8", "replace").strip().splitlines()
            reason = printable(said[0]) if said else "it was stopped"
            raise PixelError(f"ffmpeg could not write the MP4 file: {reason}")


def _feed(process: subprocess.Popen[bytes], frames: Iterator[bytes]) -> None:
    if process.stdin is None:
        raise ValueError("ffmpeg was started without a way to give it frames")
    try:
        with process.stdin as pipe:
            for frame in frames:
                pipe.write(frame)
    except BrokenPipeError:
        return  # it has ended, and its messages say why
