"""Series: an odd object, alone or beside good ones → headers → index → cache → picture, by every verb."""

from __future__ import annotations

import shutil
from pathlib import Path

from case import Case, Target
from chance import Chance
from element_changes import change_object
from elements import write_object
from objects import load_neighbours, load_seeds

from dsp_batch.cache import open_cache
from dsp_batch.model.series import SeriesRef
from dsp_batch.options import ImageOptions, ImageVerbOptions, MosaicOptions, PreviewOptions
from dsp_batch.pipeline import describe_index, draw_series, index_series
from dsp_batch.storage.store import Store

UUID = "38902e14-b11f-4548-910e-771ee757dc82"


def make(chance: Chance) -> Case:
    """Change an object as a tree, and now and then its bytes; choose how it is drawn."""
    data = write_object(change_object(chance.choice(load_seeds()), chance), chance)
    settings = {
        "verb": chance.choice(("preview", "mosaic", "image")),
        "beside": chance.one_in(2),
        "cache": chance.one_in(3),
    }
    return Case(data=chance.spoil(data) if chance.one_in(5) else data, settings=settings)


def attempt(case: Case, folder: Path) -> None:
    """Draw the series, with a cache twice, and describe it for a row."""
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    (root / UUID).mkdir(parents=True)
    beside = load_neighbours() if case.settings["beside"] else ()
    for number, data in enumerate([*beside, case.data]):
        (root / UUID / f"{number}.dcm").write_bytes(data)
    cache = open_cache(str(folder / "cache")) if case.settings["cache"] else None
    ref, store = SeriesRef(root=str(root), series_uuid=UUID), Store(str(root))
    describe_index(index_series(ref, store, cache))
    draw_series(ref, store, cache, choose_options(case.settings["verb"]), ".webp")


def choose_options(verb: str) -> ImageVerbOptions:
    """Make small options of a verb."""
    match verb:
        case "preview":
            return PreviewOptions(size=128)
        case "mosaic":
            return MosaicOptions(image_width=32, tile_width=2)
        case _:
            return ImageOptions(image_width=32, position=0.5, contrast="auto")


TARGET = Target("series", make, attempt)
