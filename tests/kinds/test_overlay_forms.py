"""The form of the picture of every object of the pack: with the index of its image at hand, and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from data_folder import IS_EXPECTED
from image_caches import OBJECTS, fill_cache, list_image_folders, read_objects
from pydicom import dcmread
from pydicom.dataset import Dataset

from dsp_batch import PreviewOptions, preview
from dsp_batch.cache import Cache
from dsp_batch.errors import DspBatchError

pytestmark = pytest.mark.skipif(not OBJECTS.is_dir() and not IS_EXPECTED, reason="the pack of objects is not here")

SPEAKING = ("ann", "ko", "pr", "rtdose", "rtstruct", "seg")
WITHOUT_IMAGE = {
    "ko-mr-36-two-series-absent",
    "pr-gsps-hip-annotation",  # its image has no pixels
    "rtstruct-head-neck-raystation",
    "rtstruct-water-phantom-no-references",
    "seg-mr-source-none-ispy",
    "sr-tid1500-cornerstone-enhanced",
    "made-sr-deflated",
}
"""Objects that speak of images which the pack has not, or which nothing ties to them."""

WITH_REGIONS = {"sr-tid1500-highdicom-groups", "sr-tid1500-cornerstone-enhanced", "made-sr-deflated"}
WITHOUT_GRAPHICS = {"made-pr-gsps-rotate-flip-inverse-zoom", "made-pr-pseudocolor-hot"}
FOLDERS = [row for row in read_objects() if row["kind"] in SPEAKING or row["folder"] in WITH_REGIONS]
UUID = "11111111-1111-4111-8111-111111111111"
SMALL = PreviewOptions(size=256)


def name_form(row: dict[str, Any], *, has_image: bool) -> tuple[str, ...]:
    """The forms that may be right."""
    kind, folder = row["kind"], row["folder"]
    if has_image and folder not in WITHOUT_IMAGE:
        return ("mosaic",) if kind == "ko" else ("overlay",)
    if kind in ("seg", "rtdose"):
        return "mosaic", "image"
    is_card = kind in ("ko", "sr") or folder in WITHOUT_GRAPHICS
    return ("card",) if is_card else ("picture",)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache that knows the images of the pack."""
    return fill_cache(tmp_path_factory.mktemp("images"), list_image_folders())


def list_names(dataset: Dataset) -> set[str]:
    """The names of persons in a dataset, whole and in parts."""
    found: set[str] = set()
    for element in dataset.iterall():
        if element.VR == "PN":
            values = element.value if isinstance(element.value, list) else [element.value]
            found |= {str(value) for value in values if len(str(value)) > 3}
    return found


@pytest.mark.parametrize("row", FOLDERS, ids=lambda row: row["folder"])
def test_an_object_is_drawn_over_an_image_whose_index_is_in_the_cache(row: dict[str, Any], images: Cache) -> None:
    image = preview(OBJECTS / row["folder"], SMALL, cache=images)

    assert image.drawn_as in name_form(row, has_image=True)
    assert image.context == ("absent" if row["folder"] in WITHOUT_IMAGE else "drawn")
    assert max(image.width, image.height) <= 256
    told = " ".join((image.title or "", *(image.summary or ()), *image.notes))
    path = next(path for path in sorted((OBJECTS / row["folder"]).iterdir()))
    assert not [name for name in list_names(dcmread(path, force=True)) if name in told and name not in OF_PLACES]


OF_PLACES = {"Lung_Dx-A0002"}
"""Names that are also identifiers of the patient."""


@pytest.mark.parametrize("row", FOLDERS, ids=lambda row: row["folder"])
def test_an_object_is_drawn_alone_where_nothing_is_known_of_its_image(row: dict[str, Any], tmp_path: Path) -> None:
    for options, context in ((SMALL, "absent"), (PreviewOptions(size=256, context="off"), "not-looked-for")):
        image = preview(OBJECTS / row["folder"], options, cache=tmp_path)

        assert image.drawn_as in name_form(row, has_image=False)
        assert image.context == context


@pytest.mark.parametrize(
    "row",
    [row for row in read_objects() if row["kind"] == "sr" and row["folder"] not in WITH_REGIONS],
    ids=lambda row: row["folder"],
)
def test_reports_without_regions_need_no_image(row: dict[str, Any], images: Cache) -> None:
    image = preview(OBJECTS / row["folder"], SMALL, cache=images)

    assert (image.drawn_as, image.context) == ("card", None)


def test_headers_of_an_image_are_read_where_that_is_wanted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    ct = OBJECTS / "ref-ct-breast"
    uid = str(dcmread(next(iter(ct.iterdir())), stop_before_pixels=True).SeriesInstanceUID)
    for source, name in ((ct, uid), (OBJECTS / "rtstruct-breast-10-rois", UUID)):
        (root / name).mkdir(parents=True)
        for path in source.iterdir():
            (root / name / path.name).write_bytes(path.read_bytes())
    structures = root / UUID

    found = {
        mode: preview(structures, PreviewOptions(size=256, context=mode), cache=tmp_path / "cache").context
        for mode in ("cached", "fetch")
    }

    assert found == {"cached": "absent", "fetch": "drawn"}
    assert preview(structures, SMALL, cache=tmp_path / "cache").context == "drawn"


def test_an_image_whose_objects_are_gone_is_done_without(tmp_path: Path) -> None:
    folder = tmp_path / "ct"
    folder.mkdir()
    for path in (OBJECTS / "ref-ct-breast").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    kept = fill_cache(tmp_path / "cache", [folder])
    for path in folder.iterdir():
        path.unlink()

    image = preview(OBJECTS / "rtstruct-breast-10-rois", SMALL, cache=kept)

    assert (image.drawn_as, image.context) == ("picture", "absent")


def test_too_many_headers_are_too_dear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsp_batch.references.load.MOST_HEADER_BYTES", 1000)
    kept = fill_cache(tmp_path / "cache", [OBJECTS / "ref-ct-breast"])
    for entry in list(kept.list("indices")):
        kept.delete(f"indices/{entry.key}")

    image = preview(OBJECTS / "rtstruct-breast-10-rois", PreviewOptions(size=256, context="fetch"), cache=kept)

    assert (image.drawn_as, image.context) == ("picture", "too-dear")


def test_a_mode_must_be_one_of_three() -> None:
    with pytest.raises(DspBatchError, match="--context must be cached, fetch or off"):
        PreviewOptions(context="sometimes")  # type: ignore[arg-type]
