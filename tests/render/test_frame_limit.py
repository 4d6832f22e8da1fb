"""Frames that are too large are refused, and drawn where more is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.errors import PixelError
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import index_series, render_preview
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store


def test_a_frame_is_drawn_up_to_the_limit_and_refused_beyond_it(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "a.dcm").write_bytes(write_dataset(add_pixels(make_dataset(), size=32)))
    store = Store(str(tmp_path))
    index = index_series(SeriesRef(root=str(tmp_path), series_uuid="series"), store, None)

    with pytest.raises(PixelError, match=r"a\.dcm.*--max-frame-mb") as caught:
        render_preview(index, FrameSource(store=store, max_frame_bytes=2047), MosaicOptions(), ".webp")
    assert caught.value.reason == "too-large"
    assert render_preview(index, FrameSource(store=store, max_frame_bytes=2048), MosaicOptions(), ".webp").n_tiles == 1
