"""Write what the pages of docs/ show and the program itself knows: the pictures, drawn from phantoms.

`make docs` runs it. Every picture is the very file that the program writes for the options below.
"""  # noqa: INP001  # a script, not a package

from __future__ import annotations

import csv
import io
import logging
import runpy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dsp_batch import (
    ContrastMosaicOptions,
    ImageOptions,
    MosaicOptions,
    PreviewOptions,
    load_index,
    open_cache,
    preview,
    run_batch,
)
from dsp_batch.cache import Cache
from dsp_batch.options import ImageVerbOptions
from dsp_batch.phantom.blending import build_blending
from dsp_batch.phantom.figures import build_clinical_document, build_ecg, build_model, build_page, build_spectrum
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.radiotherapy import build_plan, build_registration
from dsp_batch.phantom.series import (
    build_bolus,
    build_ct,
    build_localizer,
    build_mr,
    build_palette_ultrasound,
    build_pet,
    build_radiograph,
    build_report,
    build_ultrasound,
    write_collection,
)
from dsp_batch.phantom.statements import (
    build_measurements,
    build_presentation_state,
    build_segmentation,
    build_structure_set,
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

    beside: Callable[[], PhantomSeries] | None = None
    """Builds a series that this one speaks of, whose index is in the cache when it is drawn."""


_build_fine_ct = partial(build_ct, count=96)
_build_small_ct = partial(build_ct, count=24, size=192)
_KIND = PreviewOptions(size=384)
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
    "kind-images.webp": Picture(build=build_mr, options=_KIND),
    "kind-image.webp": Picture(build=build_radiograph, options=_KIND),
    "kind-report.webp": Picture(build=build_measurements, options=_KIND, beside=build_ct),
    "kind-text.webp": Picture(build=build_report, options=_KIND),
    "kind-structures.webp": Picture(build=build_structure_set, options=_KIND, beside=build_ct),
    "kind-segmentation.webp": Picture(build=build_segmentation, options=_KIND, beside=build_ct),
    "kind-state.webp": Picture(build=build_presentation_state, options=_KIND, beside=build_ct),
    "kind-blending.webp": Picture(build=build_blending, options=_KIND, beside=build_ct),
    "kind-plan.webp": Picture(build=build_plan, options=_KIND),
    "kind-registration.webp": Picture(build=build_registration, options=_KIND),
    "kind-ecg.webp": Picture(build=build_ecg, options=_KIND),
    "kind-model.webp": Picture(build=build_model, options=_KIND),
    "kind-spectrum.webp": Picture(build=build_spectrum, options=_KIND),
    "kind-page.webp": Picture(build=build_page, options=_KIND),
    "kind-document.webp": Picture(build=build_clinical_document, options=_KIND),
}


def draw_pictures(folder: Path) -> None:
    """Draw all pictures into a folder."""
    for name, picture in PICTURES.items():
        with tempfile.TemporaryDirectory() as root:
            series = picture.build()
            write_collection(Path(root), [series])
            if picture.damage:
                _damage(sorted((Path(root) / series.series_uuid).iterdir())[2])
            cache = open_cache(Path(root) / "cache")
            if picture.beside is not None:
                _write_beside(Path(root), picture.beside(), cache)
            (folder / name).write_bytes(preview(series.series_uuid, picture.options, root=root, cache=cache).data)
        _log.info("%s", folder / name)


def _write_beside(root: Path, other: PhantomSeries, cache: Cache) -> None:
    """Write a series into a folder that is named by its SeriesInstanceUID, where others look for it, and index it."""
    write_collection(root, [other])
    uid = load_index(other.series_uuid, root=root).texts("SeriesInstanceUID")[0]
    (root / other.series_uuid).rename(root / uid)
    load_index(root / uid, cache=cache)


GALLERY = "gallery.webp"
"""The picture of the gallery. It needs a browser, so it is drawn by `make docs` alone and compared with nothing."""

_COLLECTION: dict[str, tuple[Callable[[], PhantomSeries], ...]] = {
    "torso": (
        build_ct,
        partial(build_ct, "ct-coronal", plane="coronal"),
        partial(build_ct, "ct-sagittal", plane="sagittal"),
        build_pet,
    ),
    "head": (build_mr, build_bolus, build_localizer, partial(build_ct, "ct-oblique", plane="oblique")),
    "other": (build_radiograph, build_ultrasound, build_palette_ultrasound, build_report),
}


def draw_gallery(folder: Path) -> None:
    """Run a batch over a dozen phantoms, write its gallery, and take its picture in Debian's Chromium."""
    from PIL import Image  # noqa: PLC0415  # only for this picture
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only for the picture of the gallery

    from dsp_batch.web.gallery import GalleryOptions, write_gallery  # noqa: PLC0415  # only for the picture of the gallery

    with tempfile.TemporaryDirectory() as root, sync_playwright() as playwright:
        cache = open_cache(Path(root) / "cache")
        manifest = _write_collection(Path(root))
        run_batch(str(manifest), MosaicOptions(tile_width=4, image_width=96), cache=cache, root=root)
        gallery = write_gallery(cache, GalleryOptions(title="Phantoms", hidden=("error",)))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(Path(gallery.url).as_uri())
        page.get_by_role("gridcell").nth(1).click()
        page.wait_for_timeout(1_000)  # until the pictures are drawn
        Image.open(io.BytesIO(page.screenshot())).save(folder / GALLERY, quality=70, method=6)
        browser.close()
    _log.info("%s", folder / GALLERY)


def _write_collection(root: Path) -> Path:
    """Write the phantoms of the gallery, and a manifest that tells what they are."""
    rows = [("series_uuid", "collection_id", "PatientID", "SeriesDescription")]
    for number, (collection, builders) in enumerate(_COLLECTION.items()):
        for build in builders:
            series = build()
            write_collection(root, [series])
            rows.append((series.series_uuid, collection, f"PHANTOM-{number}", series.title))
    manifest = root / "manifest.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return manifest


def _damage(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def main() -> None:
    """Write all of it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    draw_pictures(DOCS / "images")
    draw_gallery(DOCS / "images")
    if REFERENCE_GENERATOR.exists():
        runpy.run_path(str(REFERENCE_GENERATOR), run_name="__main__")


if __name__ == "__main__":
    main()
