"""Write what the pages of docs/ show and the program itself knows: the pictures, drawn from phantoms.

`make docs` runs it. Every picture is the very file that the program writes for the options below.
"""  # noqa: INP001  # a script, not a package

from __future__ import annotations

import logging
import runpy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsp_batch import ContrastMosaicOptions, ImageOptions, MosaicOptions, preview
from dsp_batch.options import ImageVerbOptions
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import (
    build_bolus,
    build_ct,
    build_localizer,
    build_mr,
    build_palette_ultrasound,
    build_pet,
    build_radiograph,
    build_ultrasound,
    write_collection,
)

DOCS = Path(__file__).parent
REFERENCE_GENERATOR = DOCS.parent / "tests" / "cli" / "reference.py"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of docs/images."""

    build: Callable[[], PhantomSeries]
    options: ImageVerbOptions
    damage: bool = False
    """Cut off the end of the object in the middle: what a frame that cannot be decoded looks like."""


_build_fine_ct = partial(build_ct, count=96)
_build_small_ct = partial(build_ct, count=24, size=192)
_EIGHT = MosaicOptions(tile_width=8, tile_height=1, image_width=112, quality=50)

PICTURES: dict[str, Picture] = {
    "ct-mosaic.webp": Picture(
        build=_build_fine_ct, options=MosaicOptions(tile_width=8, tile_height=3, start=0.04, end=0.96, quality=60)
    ),
    "tutorial-mosaic.webp": Picture(build=build_ct, options=MosaicOptions()),
    "tutorial-image.webp": Picture(
        build=build_ct,
        options=ImageOptions(position=0.3, contrast="ct-lung", image_width=256, quality=50),
    ),
    "order-axial.webp": Picture(build=_build_small_ct, options=_EIGHT),
    "order-coronal.webp": Picture(build=partial(_build_small_ct, "ct-coronal", plane="coronal"), options=_EIGHT),
    "order-sagittal.webp": Picture(build=partial(_build_small_ct, "ct-sagittal", plane="sagittal"), options=_EIGHT),
    "order-oblique.webp": Picture(build=partial(_build_small_ct, "ct-oblique", plane="oblique"), options=_EIGHT),
    "order-times.webp": Picture(build=build_bolus, options=MosaicOptions(image_width=96, quality=40)),
    "order-localizer.webp": Picture(build=build_localizer, options=MosaicOptions(tile_width=3, quality=50)),
    "order-cine.webp": Picture(build=build_ultrasound, options=MosaicOptions(tile_width=5, tile_height=2, quality=50)),
    "contrast-columns.webp": Picture(
        build=_build_small_ct,
        options=ContrastMosaicOptions(
            contrasts=("ct-lung", "ct-bone", "ct-soft-tissue", "auto", "embedded"),
            start=0.15,
            end=0.75,
            tile_height=3,
            image_width=144,
            quality=50,
        ),
    ),
    "contrast-mr.webp": Picture(build=build_mr, options=MosaicOptions(tile_width=6, tile_height=2, quality=50)),
    "contrast-pet.webp": Picture(build=build_pet, options=MosaicOptions(tile_width=6, tile_height=2, quality=50)),
    "contrast-inverted.webp": Picture(
        build=build_radiograph, options=ImageOptions(position=0, image_width=256, quality=50)
    ),
    "contrast-palette.webp": Picture(
        build=build_palette_ultrasound, options=ImageOptions(position=0, image_width=320, quality=50)
    ),
    "failed-tile.webp": Picture(
        build=partial(build_ct, "ct-damaged", count=4, size=192),
        options=MosaicOptions(tile_width=4, tile_height=1, quality=50),
        damage=True,
    ),
}


def draw_pictures(folder: Path) -> None:
    """Draw all pictures into a folder."""
    for name, picture in PICTURES.items():
        with tempfile.TemporaryDirectory() as root:
            series = picture.build()
            write_collection(Path(root), [series])
            if picture.damage:
                _damage(sorted((Path(root) / series.series_uuid).iterdir())[2])
            (folder / name).write_bytes(preview(series.series_uuid, picture.options, root=root).data)
        _log.info("%s", folder / name)


def _damage(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def main() -> None:
    """Write all of it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    draw_pictures(DOCS / "images")
    if REFERENCE_GENERATOR.exists():
        runpy.run_path(str(REFERENCE_GENERATOR), run_name="__main__")


if __name__ == "__main__":
    main()
