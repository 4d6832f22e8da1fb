"""Display shutters of presentation states (PS3.3 C.7.6.11, C.7.6.15): planes and shapes hide pixels of the image."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch import PreviewOptions, load_index, preview
from dsp_batch.cache import open_cache
from dsp_batch.kinds.overlays import states

SIDE = 512
IMAGE = {"SOPInstanceUID": "1.2.77.1", "SeriesInstanceUID": "1.2.77", "StudyInstanceUID": "1.2.7"}
LEFT = np.arange(SIDE) < SIDE // 2


def make_state(hidden: np.ndarray, **more: Any) -> Dataset:
    named = make_dataset(
        ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=IMAGE["SOPInstanceUID"]
    )
    fields = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1",
        "SOPInstanceUID": "1.2.78.1",
        "SeriesInstanceUID": "1.2.78",
        "StudyInstanceUID": IMAGE["StudyInstanceUID"],
        "Modality": "PR",
        "ReferencedSeriesSequence": [
            make_dataset(SeriesInstanceUID=IMAGE["SeriesInstanceUID"], ReferencedImageSequence=[named])
        ],
        "SoftcopyVOILUTSequence": [make_dataset(WindowCenter=128, WindowWidth=256)],
        "PresentationLUTShape": "IDENTITY",
        "ShutterShape": "BITMAP",
        "ShutterOverlayGroup": 0x6002,
        "ShutterPresentationValue": 0x4040,
    }
    state = make_dataset(**(fields | more))
    state.add_new(0x60020010, "US", SIDE)
    state.add_new(0x60020011, "US", SIDE)
    state.add_new(0x60020040, "CS", "G")
    state.add_new(0x60020050, "SS", [1, 1])
    state.add_new(0x60020100, "US", 1)
    state.add_new(0x60020102, "US", 0)
    state.add_new(0x60023000, "OW", np.packbits(hidden, axis=None, bitorder="little").tobytes())
    return state


def draw(folder: Path, state: Dataset) -> np.ndarray:
    """Draw a state over an image of one gray, as large as the image is."""
    image = add_pixels(make_dataset(**IMAGE, Modality="CT"), size=SIDE)
    image.PixelData = np.full((SIDE, SIDE), 200, "<u2").tobytes()
    for name, dataset in (("1.2.77", image), ("1.2.78", state)):
        (folder / name).mkdir()
        (folder / name / "a.dcm").write_bytes(write_dataset(dataset))
    cache = open_cache(folder / "cache")
    load_index(folder / "1.2.77", cache=cache)
    drawn = preview(folder / "1.2.78", PreviewOptions(size=SIDE, quality=100), cache=cache)
    assert (drawn.drawn_as, drawn.context) == ("overlay", "drawn")
    return np.asarray(Image.open(io.BytesIO(drawn.data)).convert("L")).astype(int)


def test_ones_of_the_plane_take_the_value_of_the_shutter(tmp_path: Path) -> None:
    pixels = draw(tmp_path, make_state(np.broadcast_to(LEFT, (SIDE, SIDE))))

    assert np.abs(pixels[:, : SIDE // 2 - 8] - 0x40).max() <= 2
    assert np.abs(pixels[:, SIDE // 2 + 8 :] - 200).max() <= 2


def test_the_plane_hides_pixels_of_the_image_before_it_is_turned(tmp_path: Path) -> None:
    pixels = draw(tmp_path, make_state(np.broadcast_to(LEFT, (SIDE, SIDE)), ImageRotation=90, ImageHorizontalFlip="N"))

    assert np.abs(pixels[: SIDE // 2 - 8] - 0x40).max() <= 2
    assert np.abs(pixels[SIDE // 2 + 8 :] - 200).max() <= 2


@pytest.mark.parametrize("more", [{"ShutterOverlayGroup": 0x6004}, {"ShutterOverlayGroup": 7}, {"ShutterShape": ""}])
def test_a_shutter_without_its_plane_hides_nothing(tmp_path: Path, more: dict[str, Any]) -> None:
    pixels = draw(tmp_path, make_state(np.ones((SIDE, SIDE), bool), **more))

    assert np.abs(pixels - 200).max() <= 2


NOWHERE = np.zeros((SIDE, SIDE), np.bool_)


def test_a_polygon_of_very_many_vertices_hides_what_is_outside(tmp_path: Path) -> None:
    corners = [(100, 100), (100, 400), (400, 400), (400, 100)]
    # Each side goes to and fro, so that an odd number of edges lies in one place.
    sides = [(*begin, *end) for begin, end in zip(corners, corners[1:] + corners[:1], strict=True)]
    vertices = [place for side in sides for place in side * 2501]
    pixels = draw(tmp_path, make_state(NOWHERE, ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=vertices))

    assert np.abs(pixels[110:390, 110:390] - 200).max() <= 3
    assert np.abs(pixels[:90] - 0x40).max() <= 3
    assert np.abs(pixels[:, 410:] - 0x40).max() <= 3


def test_a_circle_hides_what_is_outside(tmp_path: Path) -> None:
    circle = {"CenterOfCircularShutter": [200, 300], "RadiusOfCircularShutter": 50}
    pixels = draw(tmp_path, make_state(NOWHERE, ShutterShape="CIRCULAR", **circle))

    assert abs(pixels[200 - 45, 300] - 200) <= 3
    assert abs(pixels[200, 300 + 45] - 200) <= 3
    assert abs(pixels[200, 300 + 55] - 0x40) <= 3
    assert abs(pixels[300, 200] - 0x40) <= 3


@pytest.mark.filterwarnings("error:::dsp_batch")
@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, 1e200])
@pytest.mark.parametrize(
    "names",
    [
        {"CenterOfCircularShutter": 2},
        {"RadiusOfCircularShutter": 1},
        {"VerticesOfThePolygonalShutter": 6},
        {"ShutterLeftVerticalEdge": 1},
        {"ShutterPresentationColorCIELabValue": 3},
        {"ShutterPresentationValue": 1},
        {"DisplayedAreaTopLeftHandCorner": 2, "DisplayedAreaBottomRightHandCorner": 2},
    ],
    ids=lambda names: next(iter(names)),
)
def test_numbers_that_no_picture_has_leave_the_image(tmp_path: Path, names: dict[str, int], number: float) -> None:
    told = {"CenterOfCircularShutter": [200, 300], "RadiusOfCircularShutter": 50}
    told |= {f"Shutter{side}Edge": place for side, place in SIDES.items()}
    state = make_state(NOWHERE, ShutterShape=["CIRCULAR", "RECTANGULAR", "POLYGONAL"], **told)
    state.DisplayedAreaSelectionSequence = [Dataset()]
    for name, count in names.items():
        owner = state.DisplayedAreaSelectionSequence[0] if name.startswith("Displayed") else state
        owner[name] = DataElement(tag_for_keyword(name) or 0, "FD", [number] * count)

    draw(tmp_path, state)


SIDES = {"LeftVertical": 1, "RightVertical": 500, "UpperHorizontal": 1, "LowerHorizontal": 500}


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_a_text_that_stands_nowhere_is_left_out(tmp_path: Path, number: float) -> None:
    text = make_dataset(
        AnchorPointAnnotationUnits="PIXEL", AnchorPoint=[number, number], UnformattedTextValue="nowhere"
    )
    state = make_state(NOWHERE, GraphicAnnotationSequence=[make_dataset(TextObjectSequence=[text])])

    assert np.abs(draw(tmp_path, state) - 200).max() <= 2


def test_an_image_that_claims_to_be_gigantic_takes_no_memory_for_its_shutter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "_MOST_PIXELS", SIDE * SIDE - 1)
    with pytest.raises(AssertionError, match="card"):
        draw(tmp_path, make_state(NOWHERE))
