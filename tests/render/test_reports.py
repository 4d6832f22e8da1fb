"""Small series for faults that public bug reports tell of: each is drawn as the standard asks for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from data_folder import DATA, needs_data

from dsp_batch.cache import Cache
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.frame import EncodedImage
from dsp_batch.model.series import SeriesRef
from dsp_batch.model.window import Window
from dsp_batch.options import MosaicOptions
from dsp_batch.pipeline import draw_series, index_series, render_preview
from dsp_batch.render.choose import list_pictures
from dsp_batch.render.compose import FrameSource
from dsp_batch.storage.store import Store

pytestmark = needs_data


def draw_report(name: str) -> tuple[SeriesIndex, EncodedImage]:
    store = Store(str(DATA / "reports"))
    index = index_series(SeriesRef(root=store.root, series_uuid=name), store, None)
    return index, render_preview(index, FrameSource(store=store), MosaicOptions(), ".webp")


def shown(index: SeriesIndex, name: str = "InstanceNumber") -> list[Any]:
    """An element of the instance of each picture, in the order of display."""
    return [index.values(name)[picture.about.instance] for picture in list_pictures(index).pictures]


def test_rotating_projections_are_all_drawn_by_number() -> None:
    index, image = draw_report("rotating-mip")

    assert shown(index) == list(range(1, 13))
    assert (image.n_tiles, image.notes) == (12, ())


def test_slabs_of_a_spine_are_all_drawn_one_behind_the_other() -> None:
    index, image = draw_report("spine-slabs")

    assert shown(index) == list(range(1, 21))
    assert (image.n_tiles, image.notes) == (20, ())


def test_decimal_commas_are_points_in_order_shape_and_window() -> None:
    index, image = draw_report("ds-decimal-comma")

    assert shown(index) == [2, 4, 6, 1, 3, 5]
    assert (image.n_tiles, image.width, image.height) == (6, 6 * 128, 6 * 256)
    assert image.window == Window(center=0.5, width=2000, function="LINEAR")


def test_slices_of_a_nuclear_reconstruction_that_rise_are_drawn_from_the_last_to_the_first() -> None:
    index, image = draw_report("nm-recon-rising")

    frames = [picture.about.frame for picture in list_pictures(index).pictures]
    assert frames == [5, 4, 3, 2, 1, 0]
    assert set(index.order.axis) == {"Z"}
    assert image.n_tiles == 6


def test_private_creators_that_change_places_have_a_column_each() -> None:
    index, _ = draw_report("private-blocks-move")

    by_name = {
        field.metadata[b"creator"].decode(): index.values(field.name)
        for field in index.table.schema
        if (field.metadata or {}).get(b"creator")
    }
    numbers = index.values("InstanceNumber")
    assert by_name["VENDOR A"] == [f"dose {number}" for number in numbers]
    assert by_name["VENDOR B"] == [f"name {number}" for number in numbers]


def test_of_two_series_in_one_folder_one_is_drawn_and_the_other_counted() -> None:
    index, image = draw_report("two-series-one-folder")

    assert shown(index) == [1, 3]
    assert set(index.values("SeriesInstanceUID")) == {"2.25.37473790836865559193582037095"}
    assert image.n_tiles == 2
    assert image.notes == ("2 instances are left out: of another SeriesInstanceUID in the same folder",)


def test_names_of_files_that_are_no_utf_8_lead_back_to_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    shutil.copytree(DATA / "reports" / "file-names-latin1", folder)
    folder.chmod(0o755)
    for path in list(folder.iterdir()):
        path.rename(folder / os.fsdecode(b"Sch\xe4del" + os.fsencode(path.name)))
    store, cache = Store(str(tmp_path)), Cache(url=str(tmp_path / "cache"))
    ref = SeriesRef(root=store.root, series_uuid="series")

    first = draw_series(ref, store, cache, MosaicOptions(), ".webp")
    again = draw_series(ref, store, cache, MosaicOptions(), ".webp")

    assert (first.n_tiles, first.failures) == (3, ())
    assert again.data == first.data
