"""Advanced blending presentation states: the blend of the images that they name, as PS3.4 N.2.6 says."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from written_objects import add_pixels, make_dataset, write_dataset

from dsp_batch import PreviewOptions, load_index, preview
from dsp_batch.cache import Cache, open_cache
from dsp_batch.core.blending import BlendedImage, blend_equally, blend_over
from dsp_batch.model.frame import EncodedImage
from dsp_batch.render.overlays import blending

CT, SLIDE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.77.1.6"
STATE = "1.2.840.10008.5.1.4.1.1.11.8"
STUDY = "1.2.826.0.1.3680043.8.498.1"
SIDE = 64
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def quarters(*values: int, side: int = SIDE) -> np.ndarray:
    """An image of four even quarters: upper left, upper right, lower left, lower right."""
    return np.kron(np.array(values).reshape(2, 2), np.ones((side // 2, side // 2), int)).astype("<u2")


def write_series(root: Path, number: int, objects: list[Dataset]) -> str:
    uid = f"{STUDY}.{number}"
    folder = root / uid
    folder.mkdir(parents=True)
    for place, dataset in enumerate(objects):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, uid
        (folder / f"{place}.dcm").write_bytes(write_dataset(dataset))
    return uid


def make_image(values: np.ndarray, uid: str, **more: Any) -> Dataset:
    fields = {"SOPClassUID": CT, "SOPInstanceUID": uid, "Modality": "CT"}
    image = add_pixels(make_dataset(**(fields | more)), size=values.shape[-1])
    image.PixelData = values.astype("<u2").tobytes()
    return image


def make_palette(color: tuple[int, int, int]) -> Dataset:
    """A palette from black to a color."""
    item = Dataset()
    for channel, most in zip(("Red", "Green", "Blue"), color, strict=True):
        ramp = np.rint(np.linspace(0, most, 256)).astype("<u2") * 257
        setattr(item, f"{channel}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(item, f"{channel}PaletteColorLookupTableData", ramp.astype("<u2").tobytes())
    return item


def make_input(number: int, series: str, color: tuple[int, int, int] | None, **more: Any) -> Dataset:
    """An input whose values from 0 to 256 are shown from black to its color."""
    item = make_dataset(
        BlendingInputNumber=number,
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=series,
        SoftcopyVOILUTSequence=[make_dataset(WindowCenter=128, WindowWidth=256)],
        **more,
    )
    if color:
        item.PaletteColorLookupTableSequence = [make_palette(color)]
    return item


def make_step(inputs: list[int], opacity: float | None = None, number: int | None = None) -> Dataset:
    step = make_dataset(
        BlendingDisplayInputSequence=[make_dataset(BlendingInputNumber=each) for each in inputs],
        BlendingMode="EQUAL" if opacity is None else "FOREGROUND",
    )
    if opacity is not None:
        step.RelativeOpacity = opacity
    if number is not None:
        step.BlendingInputNumber = number
    return step


def make_state(inputs: list[Dataset], steps: list[Dataset], **more: Any) -> Dataset:
    series = dict.fromkeys(each.SeriesInstanceUID for each in inputs)
    fields = {
        "SOPClassUID": STATE,
        "SOPInstanceUID": f"{STUDY}.9.1",
        "Modality": "PR",
        "ContentLabel": "BLEND",
        "AdvancedBlendingSequence": inputs,
        "BlendingDisplaySequence": steps,
        "PixelPresentation": "TRUE_COLOR",
        "ReferencedSeriesSequence": [make_dataset(SeriesInstanceUID=uid) for uid in series],
    }
    return make_dataset(**(fields | more))


def draw(root: Path, state: Dataset, cache: Cache, **options: Any) -> EncodedImage:
    uid = write_series(root, 9, [state])
    return preview(root / uid, PreviewOptions(size=SIDE, quality=100, **options), cache=cache)


def read_quarters(image: EncodedImage) -> list[tuple[int, ...]]:
    """The color in the middle of each quarter of a picture."""
    pixels = np.asarray(Image.open(io.BytesIO(image.data)).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    places = [(row, column) for row in (height // 4, 3 * height // 4) for column in (width // 4, 3 * width // 4)]
    return [tuple(pixels[place].tolist()) for place in places]


def assert_colors(image: EncodedImage, *expected: tuple[int, int, int]) -> None:
    assert (image.drawn_as, image.context) == ("overlay", "drawn")
    for found, wanted in zip(read_quarters(image), expected, strict=True):
        assert np.abs(np.subtract(found, wanted)).max() <= 5, (found, wanted)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return open_cache(tmp_path / "cache")


def write_images(root: Path, cache: Cache, *images: np.ndarray, **more: Any) -> list[str]:
    found = []
    for number, values in enumerate(images, 1):
        found.append(write_series(root, number, [make_image(values, f"{STUDY}.{number}.1", **more)]))
        load_index(root / found[-1], cache=cache)
    return found


def test_inputs_that_count_alike_are_the_mean_of_their_colors(tmp_path: Path, cache: Cache) -> None:
    first, second = write_images(tmp_path, cache, quarters(0, 256, 0, 256), quarters(0, 0, 256, 256))
    state = make_state([make_input(1, first, RED), make_input(2, second, GREEN)], [make_step([1, 2])])

    image = draw(tmp_path, state, cache)

    assert_colors(image, (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert image.references == (first, second)
    assert "blends 2 inputs" in (image.summary or ())


def test_an_input_in_the_foreground_counts_by_its_opacity(tmp_path: Path, cache: Cache) -> None:
    first, second = write_images(tmp_path, cache, quarters(0, 256, 0, 256), quarters(0, 0, 256, 256))
    state = make_state([make_input(1, first, RED), make_input(2, second, None)], [make_step([1, 2], 0.25)])

    assert_colors(draw(tmp_path, state, cache), (0, 0, 0), (64, 0, 0), (191, 191, 191), (255, 191, 191))


def test_padding_of_an_input_hides_nothing(tmp_path: Path, cache: Cache) -> None:
    first, second = write_images(
        tmp_path, cache, quarters(999, 256, 999, 256), quarters(256, 256, 999, 999), PixelPaddingValue=999
    )
    state = make_state([make_input(1, first, RED), make_input(2, second, GREEN)], [make_step([1, 2], 0.5)])

    assert_colors(draw(tmp_path, state, cache), GREEN, (128, 128, 0), (0, 0, 0), RED)


@pytest.mark.parametrize(
    ("kind", "values", "is_shown"),
    [
        ("GREATER_OR_EQUAL", [128], (False, True, True, True)),
        ("GREATER_THAN", [128], (False, False, True, True)),
        ("LESS_OR_EQUAL", [128], (True, True, False, False)),
        ("LESS_THAN", [128], (True, False, False, False)),
        ("RANGE_INCL", [128, 192], (False, True, True, False)),
        ("RANGE_EXCL", [128, 192], (True, False, False, True)),
    ],
)
def test_values_outside_of_a_threshold_are_not_shown(
    tmp_path: Path, cache: Cache, kind: str, values: list[float], is_shown: tuple[bool, ...]
) -> None:
    first, second = write_images(tmp_path, cache, quarters(64, 128, 192, 256), quarters(256, 256, 256, 256))
    threshold = make_dataset(
        ThresholdType=kind, ThresholdValueSequence=[make_dataset(ThresholdValue=each) for each in values]
    )
    inputs = [make_input(1, first, RED, ThresholdSequence=[threshold]), make_input(2, second, BLUE)]

    image = draw(tmp_path, make_state(inputs, [make_step([1, 2], 1.0)]), cache)

    shown = [(value, 0, 0) for value in (64, 128, 191, 255)]
    assert_colors(image, *(red if each else BLUE for red, each in zip(shown, is_shown, strict=True)))


def test_results_of_steps_are_inputs_of_others_in_any_order(tmp_path: Path, cache: Cache) -> None:
    full = quarters(256, 256, 256, 256)
    uids = write_images(tmp_path, cache, full, full, full)
    inputs = [make_input(n, uid, color) for n, uid, color in zip((1, 2, 3), uids, (RED, GREEN, BLUE), strict=True)]

    image = draw(tmp_path, make_state(inputs, [make_step([4, 3], 0.5), make_step([1, 2], None, 4)]), cache)

    assert_colors(image, *[(64, 64, 128)] * 4)


@pytest.mark.parametrize(
    "steps", [[], [make_step([7])], [make_step([4], None, 5), make_step([5], None, 4), make_step([5])]]
)
def test_steps_that_lead_nowhere_leave_all_inputs_alike(tmp_path: Path, cache: Cache, steps: list[Dataset]) -> None:
    first, second = write_images(tmp_path, cache, quarters(256, 256, 0, 0), quarters(256, 0, 256, 0))
    state = make_state([make_input(1, first, RED), make_input(2, second, GREEN)], steps)

    assert_colors(draw(tmp_path, state, cache), (128, 128, 0), (128, 0, 0), (0, 128, 0), (0, 0, 0))


def test_steps_that_use_images_without_end_are_drawn_as_far_as_they_go(tmp_path: Path, cache: Cache) -> None:
    (first,) = write_images(tmp_path, cache, quarters(256, 256, 256, 256))
    chain = [make_step([number - 1] * 2, number=number) for number in range(2, 12)]
    fan = [make_step([1], number=number) for number in range(12, 3000)]
    endless = [make_step([11, *range(12, 3000), *range(3000, 60_000, 7)]), *chain, *fan]

    image = draw(tmp_path, make_state([make_input(1, first, RED)], endless), cache)

    assert_colors(image, *[RED] * 4)
    assert "the blending uses images more than 256 times: the others are left out" in image.notes


def test_thresholds_and_opacities_that_are_no_numbers_are_passed_over(tmp_path: Path, cache: Cache) -> None:
    first, second = write_images(tmp_path, cache, quarters(*[256] * 4), quarters(*[256] * 4))
    nowhere = make_dataset(ThresholdType="LESS_THAN", ThresholdValueSequence=[make_dataset(ThresholdValue=math.nan)])
    inputs = [make_input(1, first, RED, ThresholdSequence=[nowhere] * 65), make_input(2, second, GREEN)]

    image = draw(tmp_path, make_state(inputs, [make_step([1, 2], opacity=math.nan)]), cache)

    assert_colors(image, *[RED] * 4)
    assert "only the first 64 thresholds of an input are applied" in image.notes


def test_an_input_of_too_many_pixels_is_not_blended(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = write_images(tmp_path, cache, quarters(256, 256, 256, 256))
    monkeypatch.setattr(blending, "_MOST_PIXELS", SIDE * SIDE - 1)

    image = draw(tmp_path, make_state([make_input(1, first, RED)], []), cache)

    assert image.drawn_as == "card"
    assert image.notes[-1] == (
        "drawn without images of other series: input 1 of a blending is too large: 64 x 64 pixels"
    )


def test_the_blend_is_turned_and_mirrored(tmp_path: Path, cache: Cache) -> None:
    (first,) = write_images(tmp_path, cache, quarters(256, 0, 0, 0))
    state = make_state([make_input(1, first, RED)], [make_step([1])], ImageRotation=90, ImageHorizontalFlip="N")

    assert_colors(draw(tmp_path, state, cache), (0, 0, 0), RED, (0, 0, 0), (0, 0, 0))


def test_images_of_another_grid_are_placed_by_their_planes(tmp_path: Path, cache: Cache) -> None:
    plane = {"FrameOfReferenceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    coarse = quarters(256, 0, 0, 0, side=16)
    base = make_image(quarters(0, 0, 0, 0), f"{STUDY}.1.1", **plane, PixelSpacing=[1, 1],
                      ImagePositionPatient=[0, 0, 5])  # fmt: skip
    # Its upper left quarter, of 32 mm, lies over the lower right one.
    over = [
        make_image(coarse, f"{STUDY}.2.{n}", **plane, PixelSpacing=[4, 4], ImagePositionPatient=[33.5, 33.5, z])
        for n, z in enumerate((-40, 5, 50), 1)
    ]
    first, second = write_series(tmp_path, 1, [base]), write_series(tmp_path, 2, over)
    for uid in (first, second):
        load_index(tmp_path / uid, cache=cache)
    state = make_state([make_input(1, first, None), make_input(2, second, RED)], [make_step([2, 1], 1.0)])

    assert_colors(draw(tmp_path, state, cache), (0, 0, 0), (0, 0, 0), (0, 0, 0), RED)


def make_level(values: np.ndarray, channel: str, uid: str) -> Dataset:
    """One level of one channel of a fluorescence slide, in four tiles."""
    half = len(values) // 2
    tiles = np.stack([values[top : top + half, left : left + half] for top in (0, half) for left in (0, half)])
    return make_image(
        tiles,
        uid,
        SOPClassUID=SLIDE,
        Modality="SM",
        ImageType=["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"],
        NumberOfFrames=4,
        TotalPixelMatrixRows=len(values),
        TotalPixelMatrixColumns=len(values),
        DimensionOrganizationType="TILED_FULL",
        OpticalPathSequence=[make_dataset(OpticalPathIdentifier=channel, OpticalPathDescription=f"dye {channel}")],
    )


def refer_to_level(uid: str, **path: str) -> Dataset:
    return make_dataset(ReferencedSOPClassUID=SLIDE, ReferencedSOPInstanceUID=uid, **path)


def test_channels_of_one_slide_are_told_apart_by_their_optical_paths(tmp_path: Path, cache: Cache) -> None:
    objects = [
        make_level(quarters(*values, side=side), channel, f"{STUDY}.1.{channel}{side}")
        for channel, values in (("1", (256, 0, 256, 0)), ("2", (256, 256, 0, 0)))
        for side in (256, 64)
    ]
    slide = write_series(tmp_path, 1, objects)
    load_index(tmp_path / slide, cache=cache)
    inputs = [
        make_input(
            number,
            slide,
            color,
            ReferencedImageSequence=[refer_to_level(f"{STUDY}.1.{number}256")],
        )
        for number, color in ((1, RED), (2, GREEN))
    ]

    image = draw(tmp_path, make_state(inputs, [make_step([1, 2])]), cache)

    assert_colors(image, (128, 128, 0), (0, 128, 0), (128, 0, 0), (0, 0, 0))


@pytest.mark.parametrize("path", ["2", None])
def test_an_optical_path_that_shares_an_object_and_is_not_its_first_is_left_out(
    tmp_path: Path, cache: Cache, path: str | None
) -> None:
    both = make_level(quarters(256, 256, 256, 256), "1", f"{STUDY}.1.1")
    both.OpticalPathSequence.append(make_dataset(OpticalPathIdentifier="2"))
    slide = write_series(tmp_path, 1, [both])
    load_index(tmp_path / slide, cache=cache)
    names = [{"ReferencedOpticalPathIdentifier": each} if each else {} for each in ("1", path)]
    inputs = [
        make_input(number, slide, color, ReferencedImageSequence=[refer_to_level(f"{STUDY}.1.1", **name)])
        for number, color, name in zip((1, 2), (RED, GREEN), names, strict=True)
    ]

    image = draw(tmp_path, make_state(inputs, [make_step([1, 2])]), cache)

    assert_colors(image, *[RED] * 4)
    assert "1 of 2 images that are blended are left out" in image.notes


def test_an_input_that_is_not_at_hand_is_told(tmp_path: Path, cache: Cache) -> None:
    (first,) = write_images(tmp_path, cache, quarters(256, 256, 256, 256))
    inputs = [make_input(1, first, RED), make_input(2, f"{STUDY}.77", GREEN)]

    image = draw(tmp_path, make_state(inputs, [make_step([1, 2])]), cache)

    assert_colors(image, *[RED] * 4)
    assert "1 of 2 images that are blended are left out" in image.notes


@pytest.mark.parametrize(("context", "told"), [("cached", "absent"), ("off", "not-looked-for")])
def test_without_its_images_a_state_is_a_card_with_its_inputs(
    tmp_path: Path, cache: Cache, context: Any, told: str
) -> None:
    image = draw(tmp_path, make_state([make_input(1, f"{STUDY}.5", RED)], [make_step([1])]), cache, context=context)

    assert (image.drawn_as, image.context) == ("card", told)
    assert "input 1: series …43.8.498.1.5, center 128, width 256, color #ff0000" in (image.summary or ())


def test_blending_is_the_formula_of_the_standard() -> None:
    chance = np.random.default_rng(3)
    first, second, third = (
        BlendedImage(chance.uniform(0, 255, (5, 7, 3)), chance.integers(0, 2, (5, 7)).astype(float)) for _ in range(3)
    )

    over, equal = blend_over(first, second, 0.3), blend_equally([first, second, third])

    assert equal is not None
    for place in np.ndindex(5, 7):
        some = [each.colors[place] for each in (first, second, third) if each.shown[place]]
        assert np.allclose(equal.colors[place], np.mean(some, axis=0) if some else 0)
        shown = first.shown[place], second.shown[place]
        expected = {
            (1, 1): 0.3 * first.colors[place] + 0.7 * second.colors[place],
            (1, 0): first.colors[place],
            (0, 1): second.colors[place],
        }.get(shown)
        assert over.shown[place] == (expected is not None)
        assert expected is None or np.allclose(over.colors[place], expected)
