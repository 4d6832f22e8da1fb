"""The one picture of any series: its grid, its window, and the card of a series that shows no image."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from data_folder import DATA, IS_EXPECTED, list_objects
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch import PreviewOptions, preview
from dsp_batch.errors import DspBatchError, OptionsError, PixelError
from dsp_batch.model.frame import EncodedImage

OBJECTS = DATA / "objects"
FOLDERS = sorted(path.name for path in OBJECTS.iterdir() if path.is_dir()) if OBJECTS.is_dir() or IS_EXPECTED else []
SMALL = PreviewOptions(size=256)


def make_slice(values: object, number: int = 0, size: int = 16, **attributes: object) -> Dataset:
    dataset = add_pixels(
        make_dataset(SOPInstanceUID=f"1.{number + 1}", InstanceNumber=number + 1, **attributes), size=size
    )
    dataset.PixelData = np.broadcast_to(np.asarray(values, "<u2"), (size, size)).tobytes()
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, -2 * number]
    return dataset


def draw(root: Path, datasets: list[Dataset], options: PreviewOptions = SMALL, suffix: str = ".webp") -> EncodedImage:
    folder = root / "series"
    folder.mkdir(parents=True)
    for number, dataset in enumerate(datasets):
        (folder / f"{number:03}.dcm").write_bytes(write_dataset(dataset))
    return preview(folder, options, suffix=suffix)


def pixels_of(image: EncodedImage) -> np.ndarray:
    with Image.open(io.BytesIO(image.data)) as opened:
        assert opened.size == (image.width, image.height)
        return np.asarray(opened.convert("RGB"))


def test_a_single_frame_is_drawn_whole_and_enlarged_four_times_at_most(tmp_path: Path) -> None:
    image = draw(tmp_path, [make_slice(7)])

    assert (image.drawn_as, image.width, image.height, image.n_tiles) == ("image", 64, 64, 1)


def test_a_page_can_tell_which_frame_is_where(tmp_path: Path) -> None:
    image = draw(tmp_path, [make_slice(number, number, size=200) for number in range(5)])

    assert image.grid is not None
    grid = json.loads(json.dumps(asdict(image.grid)))
    assert (grid["rows"], grid["columns"], grid["tile_width"], grid["tile_height"]) == (2, 3, 85, 85)
    assert (grid["blank"], grid["failed"]) == ([5], [])
    assert grid["positions"] == [0, -2, -4, -6, -8]
    assert grid["instances"] == ["1.1", "1.2", "1.3", "1.4", "1.5"]
    assert (grid["frames"], grid["times"]) == ([0] * 5, [None] * 5)
    assert (image.width, image.height, image.drawn_as, image.n_tiles) == (255, 170, "mosaic", 5)


def test_a_frame_that_fails_has_a_place_of_its_own(tmp_path: Path) -> None:
    broken = make_slice(9, 1)
    broken.PixelData = b""

    image = draw(tmp_path, [make_slice(5, 0), broken, make_slice(7, 2)])

    assert image.grid is not None
    assert (image.grid.failed, image.n_tiles, len(image.failures)) == ((1,), 2, 1)


def test_a_window_that_shows_nothing_gives_way(tmp_path: Path) -> None:
    values = np.arange(256).reshape(16, 16)
    window = {"WindowCenter": "40000", "WindowWidth": "10"}

    image = draw(tmp_path / "dark", [make_slice(values, number, **window) for number in range(3)])
    asked = draw(
        tmp_path / "asked",
        [make_slice(values, number, **window) for number in range(3)],
        replace(SMALL, contrast="10/40000"),
    )

    assert image.window_source == "auto"
    assert pixels_of(image).max() > 200
    assert asked.window_source == "preset"
    assert pixels_of(asked).max() <= 2


def test_a_window_that_shows_half_of_the_tiles_stays(tmp_path: Path) -> None:
    values = np.arange(256).reshape(16, 16)
    windows = [{"WindowCenter": center, "WindowWidth": "256"} for center in ("128", "40000")]

    image = draw(tmp_path, [make_slice(values, number, **window) for number, window in enumerate(windows)])

    assert image.window_source == "embedded"


def test_a_frame_of_one_value_is_not_taken_for_a_failure_of_its_window(tmp_path: Path) -> None:
    image = draw(tmp_path, [make_slice(5, WindowCenter="40000", WindowWidth="10")])

    assert image.window_source == "embedded"


def test_a_few_values_above_a_flat_ground_are_seen_in_their_full_range(tmp_path: Path) -> None:
    values = np.zeros((16, 16))
    values[4, 4:12] = [1, 2, 3, 1000, 2000, 3000, 3500, 4000]

    image = draw(tmp_path, [make_slice(values)])

    assert image.window is not None
    assert image.window_source == "auto"
    assert (image.window.center - image.window.width / 2, image.window.width) == (0, 4000)


def test_damage_is_an_error(tmp_path: Path) -> None:
    broken = make_slice(9)
    broken.PixelData = b""

    with pytest.raises(PixelError):
        draw(tmp_path, [broken])


def make_report(**attributes: object) -> Dataset:
    return make_dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
        SeriesDescription="Secret description",
        StudyDescription="Secret study",
        PatientName="Person^Secret",
        PatientID="Secret-7",
        OperatorsName="Operator^Secret",
        Manufacturer="Maker",
        **attributes,
    )


@pytest.mark.parametrize("suffix", [".webp", ".jpg"])
def test_a_series_without_pixels_is_a_card(tmp_path: Path, suffix: str) -> None:
    item = Dataset()
    item.SeriesInstanceUID = "1.2.3"
    objects = [Dataset(), Dataset(), Dataset()]
    for each, uid in zip(objects, ("1.2.4", "1.2.5", "1.2.5"), strict=True):
        each.ReferencedSOPInstanceUID = uid
    item.ReferencedSOPSequence = objects
    evidence = Dataset()
    evidence.ReferencedSeriesSequence = [item]

    report = make_report(CurrentRequestedProcedureEvidenceSequence=[evidence])
    image = draw(tmp_path, [report], PreviewOptions(), suffix)

    assert (image.drawn_as, image.width, image.height, image.n_tiles, image.grid) == ("card", 768, 768, 0, None)
    assert image.title == "SR · no content · Secret description"
    assert image.references == ("1.2.3",)
    assert image.summary is not None
    assert {"class: Comprehensive SR", "made by: Maker", "refers to: 2 objects of 1 series"} <= {*image.summary}
    assert "Person" not in repr(image.summary)
    assert "Operator" not in repr(image.summary)


def test_what_may_be_private_can_be_left_out(tmp_path: Path) -> None:
    described = draw(tmp_path / "with", [make_report()])
    image = draw(tmp_path / "without", [make_report()], replace(SMALL, describe=False))

    assert "Secret" not in repr((image.title, image.summary))
    assert image.data != described.data


def test_a_slide_that_is_only_a_label_is_a_card_that_says_so(tmp_path: Path) -> None:
    label = make_slice(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.6", ImageType=["ORIGINAL", "PRIMARY", "LABEL"])

    image = draw(tmp_path, [label])

    assert image.drawn_as == "card"
    assert image.summary is not None
    assert "never drawn" in " ".join(image.summary)


@pytest.mark.parametrize("size", [63, 4097])
def test_a_size_has_bounds(size: int) -> None:
    with pytest.raises(OptionsError, match="--size must lie between 64 and 4096"):
        PreviewOptions(size=size)


@pytest.mark.parametrize("name", FOLDERS)
def test_every_object_has_a_picture_that_names_no_person(name: str) -> None:
    image = preview(OBJECTS / name, SMALL)

    assert max(image.width, image.height) <= SMALL.size
    assert pixels_of(image).std() > 0
    dataset = dcmread(list_objects(OBJECTS / name)[0], stop_before_pixels=True, force=True)
    persons = {str(element.value) for element in dataset.iterall() if element.VR == "PN" and str(element.value)}
    told = " ".join([image.title or "", *(image.summary or ())])
    assert not [person for person in persons if len(person) > 3 and person in told]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_picture_is_drawn_at_any_size(name: str) -> None:
    for size in (64, 129):
        image = preview(OBJECTS / name, PreviewOptions(size=size))
        assert max(image.width, image.height) <= size


def test_what_is_no_dicom_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "x").write_bytes(b"no")

    with pytest.raises(DspBatchError):
        preview(tmp_path / "series")
