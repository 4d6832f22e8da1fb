"""What tiles of frames decoded at reduced resolution differ by from tiles of whole frames.

    python tests/benchmarks/reduced_decoding.py

The middle picture of each real series is encoded anew, as JPEG 2000 without loss and as JPEG, and decoded at 1/2, 1/4
and 1/8 of its resolution through Pillow. Both are windowed and fitted into a tile of 128 pixels.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))

from data_folder import DATA

from dsp_batch.core.tiling import fit_tile, tile_shape
from dsp_batch.core.windowing import choose_voi, display_values, percentile_window
from dsp_batch.errors import DspBatchError
from dsp_batch.model.contrast import EMBEDDED
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import ByteArray, SeriesRef, StoredArray
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import index_series
from dsp_batch.render.choose import list_pictures
from dsp_batch.render.compose import FrameSource, PictureSet, compose_pictures
from dsp_batch.storage.store import Store

WIDTH = 128
LEVELS = (1, 2, 3)
SIGNED_ZERO = 1 << 15
LIMIT = 2.0
"""Gray levels that a tile may differ by."""


class Difference(NamedTuple):
    """One frame decoded at one resolution."""

    codec: str
    oversampling: float
    """Pixels of the reduced frame for each of the tile, along the side where there are fewer."""

    rms: float
    """Root mean square difference of the tiles, in gray levels."""

    gain: float
    """Time of the whole decoding over that of the reduced one."""


def main() -> None:
    """Print the distribution of the differences by codec and by how much is left to reduce."""
    logging.disable(logging.WARNING)
    found = [difference for frame in _middle_pictures() for difference in _compare(frame)]
    lines = [
        "| codec | pixels left for one of the tile | frames | median RMS | p90 | max | below 2 | times faster |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for codec in ("JPEG 2000", "JPEG gray", "JPEG color"):
        for low, high in ((1, 2), (2, 4), (4, 99)):
            part = [each for each in found if each.codec == codec and low <= each.oversampling < high]
            if part:
                lines.append(f"| {codec} | {low} to {high} | {_summarize(part)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _summarize(part: list[Difference]) -> str:
    rms, gain = np.array([each.rms for each in part]), np.median([each.gain for each in part])
    cells = [
        f"{np.median(rms):.1f}",
        f"{np.percentile(rms, 90):.1f}",
        f"{rms.max():.1f}",
        f"{np.mean(rms < LIMIT):.0%}",
    ]
    return " | ".join([str(len(part)), *cells, f"{gain:.1f}"])


def _middle_pictures() -> Iterator[StoredFrame]:
    if not DATA.is_dir():
        sys.exit("there is no folder of real series: set DSP_DATA")
    store = Store(str(DATA / "series"))
    for folder in sorted((DATA / "series").iterdir()):
        try:
            index = index_series(
                SeriesRef(root=store.root, series_uuid=folder.name), store, None, draw_options=MosaicOptions()
            )
            pictures = list_pictures(index).pictures
            middle = [pictures[len(pictures) // 2]]
            drawn = next(compose_pictures(PictureSet(index=index, source=FrameSource(store=store), pictures=middle)))
        except DspBatchError:
            continue
        if isinstance(drawn, StoredFrame) and drawn.values.dtype in (np.uint8, np.uint16, np.int16):
            yield drawn


def _compare(frame: StoredFrame) -> Iterator[Difference]:
    rows, columns = frame.values.shape[:2]
    shape = tile_shape(rows, columns, frame.aspect, WIDTH)
    voi = choose_voi(EMBEDDED, frame, percentile_window([frame]))
    tile = fit_tile(display_values(frame, voi), frame.aspect, shape).astype(float)
    codecs = {"JPEG 2000": _encode_jpeg_2000(frame.values)}
    if frame.values.dtype == np.uint8:
        codecs["JPEG color" if frame.is_color else "JPEG gray"] = _encode_jpeg(frame.values)
    for codec, data in codecs.items():
        whole, whole_seconds = _decode(data, 0, frame.values)
        if codec != "JPEG 2000":  # lossy: what counts is the difference from its own whole decoding
            tile = fit_tile(display_values(replace(frame, values=whole), voi), frame.aspect, shape).astype(float)
        for level in LEVELS:
            oversampling = min(rows / 2**level / shape[0], columns / 2**level / shape[1])
            if oversampling >= 1:
                try:
                    values, seconds = _decode(data, level, frame.values)
                except OSError as error:  # of some sizes Pillow decodes no reduced image
                    sys.stderr.write(f"{codec}, {rows} x {columns} at 1/{2**level}: {error}\n")
                    continue
                reduced = fit_tile(display_values(replace(frame, values=values), voi), frame.aspect, shape)
                rms = float(np.sqrt(np.mean((reduced - tile) ** 2)))
                yield Difference(codec, oversampling, rms, whole_seconds / seconds)


def _encode_jpeg_2000(values: StoredArray) -> bytes:
    if values.dtype.kind == "i":
        values = (values.astype(np.int32) + SIGNED_ZERO).astype(np.uint16)
    data: bytes = imagecodecs.jpeg2k_encode(np.ascontiguousarray(values), level=0, reversible=True, codecformat="j2k")
    return data


def _encode_jpeg(values: ByteArray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=90, subsampling="4:2:2")
    return file.getvalue()


def _decode(data: bytes, level: int, like: StoredArray) -> tuple[StoredArray, float]:
    """Stored values at a resolution, and the seconds that took."""
    begin = time.process_time()
    with Image.open(io.BytesIO(data)) as image:
        if image.format == "JPEG":
            image.draft(image.mode, (image.width >> level, image.height >> level))
        else:
            image.reduce = level  # type: ignore[attr-defined, method-assign, assignment]  # of this format alone
        values = np.asarray(image)
    if like.dtype.kind == "i":
        values = (values.astype(np.int32) - SIGNED_ZERO).astype(like.dtype)
    return values, time.process_time() - begin


if __name__ == "__main__":
    main()
