"""Grayscale images with colors for some of their values (PS3.3 C.7.6.19, C.8.16.2.1.1.1)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from data_folder import DATA, needs_data
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch.core.windowing import apply_supplement, display_values, percentile_window
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.dicom.pixels.palette import describe_supplement
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.contrast import AUTO, parse_contrast
from dsp_batch.model.frame import StoredFrame
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import index_series, render_preview
from dsp_batch.render.choose import list_pictures
from dsp_batch.render.compose import FrameSource, PictureSet, compose_pictures
from dsp_batch.storage.store import Store

FIRST = 1000
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint16)
SIZE = 8


def make_series(root: Path, presentation: str, **values: Any) -> tuple[SeriesIndex, Store]:
    """One frame: its upper half is gray, 100, its lower half has the first, the last and a value beyond the palette."""
    stored = np.full((SIZE, SIZE), 100, np.uint16)
    stored[SIZE // 2 :] = FIRST
    stored[-2] = FIRST + 2
    stored[-1] = FIRST + 50
    dataset = add_pixels(make_dataset(PixelPresentation=presentation), size=SIZE)
    dataset.update(make_dataset(**values))
    dataset.PixelData = stored.tobytes()
    for channel, color in enumerate(("Red", "Green", "Blue")):
        setattr(dataset, f"{color}PaletteColorLookupTableDescriptor", [len(COLORS), FIRST, 16])
        setattr(dataset, f"{color}PaletteColorLookupTableData", (COLORS[:, channel] * 257).tobytes())
    (root / "series").mkdir()
    (root / "series" / "a.dcm").write_bytes(write_dataset(dataset))
    store = Store(str(root))
    return index_series(SeriesRef(root=str(root), series_uuid="series"), store, None), store


def draw(index: SeriesIndex, store: Store) -> list[list[int]]:
    """The first pixel of each row, without losses worth mentioning."""
    options = MosaicOptions(image_width=SIZE, tile_width=1, contrast=parse_contrast("200/100"), quality=100)
    image = render_preview(index, FrameSource(store=store), options, ".jpg")
    with Image.open(io.BytesIO(image.data)) as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    return pixels[[0, SIZE // 2, -1], SIZE // 2].tolist()


def test_values_from_the_first_of_the_palette_on_are_colored(tmp_path: Path) -> None:
    gray, first, beyond = draw(*make_series(tmp_path, "COLOR"))

    assert gray == pytest.approx([128] * 3, abs=3)
    assert first[0] > max(first[1:]) + 140
    assert beyond[2] > max(beyond[:2]) + 50


@pytest.mark.parametrize("damage", [{"RedPaletteColorLookupTableDescriptor": [3, 0, 16]}, {}])
def test_a_palette_that_cannot_be_read_leaves_the_image_in_gray(damage: dict[str, Any]) -> None:
    palette, notes = describe_supplement(Attributes(damage))

    assert palette is None
    assert notes[0].startswith("Supplemental palette is left out: ")


@pytest.mark.parametrize("presentation", ["MONOCHROME", "MIXED"])
def test_without_a_presentation_in_color_the_palette_is_left_out(presentation: str, tmp_path: Path) -> None:
    for pixel in draw(*make_series(tmp_path, presentation)):
        assert max(pixel) - min(pixel) <= 3


def test_an_image_of_a_palette_takes_no_supplement(tmp_path: Path) -> None:
    _, first, beyond = draw(*make_series(tmp_path, "COLOR", PhotometricInterpretation="PALETTE COLOR"))

    assert first[0] > max(first[1:]) + 140
    assert beyond[2] > max(beyond[:2]) + 50


def test_each_frame_says_whether_it_is_in_color_where_they_are_mixed(tmp_path: Path) -> None:
    group, kind = Dataset(), Dataset()
    kind.PixelPresentation = "COLOR"
    group.MRImageFrameTypeSequence = [kind]

    _, first, _ = draw(*make_series(tmp_path, "MIXED", PerFrameFunctionalGroupsSequence=[group]))

    assert first[0] > max(first[1:]) + 140


def test_colored_values_do_not_count_for_the_automatic_window(tmp_path: Path) -> None:
    index, store = make_series(tmp_path, "COLOR")
    options = MosaicOptions(image_width=SIZE, tile_width=1, contrast=AUTO)

    window = render_preview(index, FrameSource(store=store), options, ".webp").window

    assert window is not None
    assert window.center == pytest.approx(100, abs=1)


@needs_data
def test_a_real_map_of_blood_flow_has_the_colors_of_pydicom() -> None:
    folder = next(DATA.glob("series/80ff0609*"))
    store = Store(str(folder.parent))
    index = index_series(SeriesRef(root=store.root, series_uuid=folder.name), store, None)
    dataset = pydicom.dcmread(next(folder.iterdir()))
    del dataset.PixelPresentation  # pydicom applies no supplemental palettes
    pictures = list_pictures(index).pictures

    drawn = list(compose_pictures(PictureSet(index=index, source=FrameSource(store=store), pictures=pictures)))

    for picture, frame in zip(pictures, drawn, strict=True):
        assert isinstance(frame, StoredFrame)
        assert frame.transform.supplement is not None
        window = percentile_window([frame])
        assert window is not None
        gray = display_values(frame, window)
        image = apply_supplement(gray, frame.values, frame.transform.supplement)
        colored = frame.values >= dataset.RedPaletteColorLookupTableDescriptor[1]
        assert 0.1 < colored.mean() < 0.9
        stored = dataset.pixel_array[picture.frames[0].frame]
        assert (image[colored] == (apply_color_lut(stored, dataset) >> 8)[colored]).all()
        assert (image[~colored] == gray[~colored][:, np.newaxis]).all()
