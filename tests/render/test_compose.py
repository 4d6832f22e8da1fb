"""How much is read and held at once while a preview is drawn."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from phantom_enhanced import build_enhanced_mr
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.contrast import AUTO, EMBEDDED, Contrast
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.phantom.series import (
    build_palette_ultrasound,
    build_pet,
    build_ultrasound,
    write_collection,
)
from dsp_batch.pipeline import index_series, render_preview
from dsp_batch.render import compose as painting
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store
from dsp_batch.storage.usage import measure_usage

FRAMES, SIDE = 12, 1024
FRAME_BYTES = SIDE * SIDE * 2


@pytest.fixture(scope="module")
def large_frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[SeriesIndex, Store]:
    """Frames of noise, 2 MB each, with a window of their own."""
    root = tmp_path_factory.mktemp("large")
    (root / "series").mkdir()
    values = np.random.default_rng(1).integers(0, 4096, (SIDE, SIDE), np.uint16)
    for number in range(FRAMES):
        dataset = add_pixels(make_dataset(SOPInstanceUID=f"1.{number}", InstanceNumber=number + 1), size=SIDE)
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
        dataset.PixelData = np.roll(values, number * 7).tobytes()
        (root / "series" / f"{number:02}.dcm").write_bytes(write_dataset(dataset))
    store = Store(str(root))
    return index_series(SeriesRef(root=str(root), series_uuid="series"), store, None), store


def mosaic(contrast: Contrast) -> MosaicOptions:
    return MosaicOptions(contrast=contrast, tile_width=4, tile_height=3, image_width=64)


@pytest.mark.parametrize(("contrast", "passes"), [(EMBEDDED, 1), (AUTO, 2)])
def test_large_frames_are_not_held_together(
    large_frames: tuple[SeriesIndex, Store], contrast: Contrast, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three at a time here; twice where one window must be found for all."""
    index, store = large_frames
    monkeypatch.setattr(painting, "MAX_READ", 3 * FRAME_BYTES)
    render_preview(index, FrameSource(store=store), mosaic(contrast), ".webp")  # imports

    tracemalloc.start()
    with measure_usage() as usage:
        render_preview(index, FrameSource(store=store), mosaic(contrast), ".webp")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert usage.bytes_read == passes * FRAMES * FRAME_BYTES
    assert peak < 8 * FRAME_BYTES  # 3 as they are read, one decoded, its shades, 2 MB of counting


@pytest.mark.parametrize("contrast", [EMBEDDED, AUTO])
@pytest.mark.parametrize("decoders", [1, 3])
def test_the_preview_does_not_depend_on_how_much_is_read_at_once(
    large_frames: tuple[SeriesIndex, Store], contrast: Contrast, decoders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, store = large_frames
    at_once = render_preview(index, FrameSource(store=store), mosaic(contrast), ".webp")

    monkeypatch.setattr(painting, "MAX_READ", 1)
    one_by_one = render_preview(index, FrameSource(store=store, decoders=decoders), mosaic(contrast), ".webp")

    assert one_by_one == at_once


def test_kinds_of_objects_look_the_same_however_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transforms of their own, frames of one object, compressed ones, a palette."""
    series = [build_pet(), build_enhanced_mr(), build_ultrasound(), build_palette_ultrasound()]
    write_collection(tmp_path, series)
    store = Store(str(tmp_path))
    for each in series:
        index = index_series(SeriesRef(root=str(tmp_path), series_uuid=each.series_uuid), store, None)
        with monkeypatch.context() as patch:
            at_once = render_preview(index, FrameSource(store=store), mosaic(EMBEDDED), ".webp")
            patch.setattr(painting, "MAX_READ", 1)
            assert render_preview(index, FrameSource(store=store, decoders=2), mosaic(EMBEDDED), ".webp") == at_once


def test_color_is_never_read_twice_for_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = [build_ultrasound(), build_palette_ultrasound()]
    write_collection(tmp_path, series)
    store = Store(str(tmp_path))
    monkeypatch.setattr(painting, "MAX_READ", 1)
    for each in series:
        index = index_series(SeriesRef(root=str(tmp_path), series_uuid=each.series_uuid), store, None)
        with measure_usage() as by_window:
            render_preview(index, FrameSource(store=store), mosaic(EMBEDDED), ".webp")
        with measure_usage() as automatic:
            render_preview(index, FrameSource(store=store), mosaic(AUTO), ".webp")

        assert automatic.bytes_read == by_window.bytes_read
