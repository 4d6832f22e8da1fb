from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.pixels
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.dataset import Dataset

from dsp_batch.core.windowing import choose_voi, display_values, needs_percentiles, percentile_window
from dsp_batch.model.contrast import AUTO, EMBEDDED, Contrast, parse_contrast
from dsp_batch.model.frame import GrayscaleTransform, LookupTable, StoredFrame
from dsp_batch.model.series import FloatArray, StoredArray
from dsp_batch.model.window import PRESETS, Window

DATA = Path(os.environ.get("DSP_DATA", Path(__file__).parents[3] / "shared" / "data"))
BRAIN = PRESETS["ct-brain"]
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def make_frame(values: Any, dtype: Any = np.int16, **transform: Any) -> StoredFrame:
    array = np.asarray(values, dtype)
    return StoredFrame(values=array, transform=GrayscaleTransform(**transform), aspect=1.0)


def make_table(values: Any, first_value: int = 0, bits: int = 16) -> LookupTable:
    return LookupTable(first_value=first_value, values=np.asarray(values, np.float64), bits=bits)


def make_dataset(stored: StoredArray, slope: float = 1.0, intercept: float = 0.0) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.RescaleSlope = str(slope)
    dataset.RescaleIntercept = str(intercept)
    return dataset


def make_lut_item(table: LookupTable) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(table.values), table.first_value, table.bits]
    item.add_new("LUTData", "US", [int(value) for value in table.values])
    return item


def fraction_by_pydicom(stored: StoredArray, dataset: Dataset) -> FloatArray:
    """What pydicom shows, as a fraction of the output range that it derives from the pixel format."""
    modality = pydicom.pixels.apply_modality_lut(stored.astype(np.int32), dataset)
    with np.errstate(over="ignore"):
        shown = pydicom.pixels.apply_windowing(modality, dataset)
    if "ModalityLUTSequence" in dataset:
        low, high = 0.0, 2.0 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        signed, bits = dataset.PixelRepresentation, dataset.BitsStored
        limits = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
        low, high = limits * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    return (shown - low) / (high - low)


def assert_rounded(display: Any, fraction: FloatArray) -> None:
    assert display.dtype == np.uint8
    assert np.abs(display - 255 * fraction).max() <= 0.5 + 1e-6


stored_frames = st.one_of(
    # A narrow range on many pixels is mapped through a table, a wide one on few pixels directly.
    hnp.arrays(np.int16, (12, 15), elements=st.integers(-90, 80)),
    hnp.arrays(np.uint16, (16, 16), elements=st.integers(1000, 1200)),
    hnp.arrays(np.uint8, (20, 30)),
    hnp.arrays(np.int8, (20, 30)),
    hnp.arrays(np.int16, (5, 4)),
    hnp.arrays(np.uint16, (3, 7)),
)
slopes = st.sampled_from([1.0, 0.25, 2.0, 46.2619, 1.29035409035409, -1.0])
intercepts = st.sampled_from([0.0, -1024.0, 200.0, 0.5])


@given(
    stored=stored_frames,
    slope=slopes,
    intercept=intercepts,
    center=st.floats(-2000, 2000),
    width=st.one_of(st.just(1.0), st.floats(1, 4000)),
    function=st.sampled_from(FUNCTIONS),
)
def test_windowed_values_are_those_of_pydicom_rounded(
    *, stored: StoredArray, slope: float, intercept: float, center: float, width: float, function: Any
) -> None:
    dataset = make_dataset(stored, slope, intercept)
    dataset.VOILUTFunction = function
    dataset["WindowCenter"] = pydicom.DataElement("WindowCenter", "FD", center)
    dataset["WindowWidth"] = pydicom.DataElement("WindowWidth", "FD", width)
    window = Window(center=center, width=width, function=function)

    display = display_values(make_frame(stored, stored.dtype, slope=slope, intercept=intercept), window)

    assert_rounded(display, fraction_by_pydicom(stored, dataset))


@given(
    stored=stored_frames,
    entries=hnp.arrays(np.uint16, st.integers(2, 300)),
    first_value=st.integers(-200, 1300),
    center=st.integers(0, 65535),
    width=st.integers(2, 65535),
)
def test_modality_lut_values_are_those_of_pydicom(
    stored: StoredArray, entries: Any, first_value: int, center: int, width: int
) -> None:
    table = make_table(entries, first_value)
    dataset = make_dataset(stored)
    dataset.ModalityLUTSequence = [make_lut_item(table)]
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.WindowCenter, dataset.WindowWidth = center, width
    window = Window(center=center, width=width, function="LINEAR")

    display = display_values(make_frame(stored, stored.dtype, modality_lut=table, slope=9.0, intercept=9.0), window)

    assert_rounded(display, fraction_by_pydicom(stored, dataset))


@given(
    stored=stored_frames, bits=st.sampled_from([10, 12, 14, 16]), first_value=st.integers(-200, 1300), data=st.data()
)
def test_voi_lut_values_are_those_of_pydicom(stored: StoredArray, bits: int, first_value: int, data: Any) -> None:
    entries = data.draw(hnp.arrays(np.uint16, st.integers(2, 300), elements=st.integers(0, 2**bits - 1)))
    table = make_table(entries, first_value, bits)
    dataset = make_dataset(stored)
    dataset.VOILUTSequence = [make_lut_item(table)]
    # pydicom keeps indices in 16 bits, where larger ones wrap around; all of these take the last entry.
    values = np.minimum(stored.astype(np.int32), first_value + 65535)
    expected = pydicom.pixels.apply_voi_lut(values, dataset) / (2**bits - 1)

    display = display_values(make_frame(stored, stored.dtype), table)

    assert_rounded(display, expected)


def test_a_voi_lut_of_8_bits_gives_its_entries() -> None:
    table = make_table(np.arange(255, -1, -1), bits=8)

    assert display_values(make_frame(np.arange(256)[np.newaxis]), table).tolist() == [list(range(255, -1, -1))]


def test_modality_values_between_two_entries_of_a_voi_lut_take_the_nearer() -> None:
    table = make_table([0, 100, 200], bits=8)

    assert display_values(make_frame([[2, 3, 5, 6, 7]], slope=0.25), table).tolist() == [[100, 100, 100, 200, 200]]


@pytest.mark.parametrize("series", ["ed96988a", "83499b0a", "7e258512", "35552dfe", "8b7d4a3d", "73dbf31f"])
@pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not here")
def test_real_frames_are_displayed_as_by_pydicom(series: str) -> None:
    path = next(next((DATA / "series").glob(f"{series}*")).iterdir())
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array
    if "VOILUTSequence" in dataset:
        count, first_value, bits = dataset.VOILUTSequence[0].LUTDescriptor
        table = make_table(dataset.VOILUTSequence[0].LUTData, first_value, bits)
        assert len(table.values) == count
        expected = pydicom.pixels.apply_voi(stored, dataset) / (2.0**bits - 1)
        assert_rounded(display_values(make_frame(stored, stored.dtype), table), expected)
        return
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    center, width = (np.atleast_1d(dataset[name].value)[0] for name in ("WindowCenter", "WindowWidth"))
    window = Window(center=float(center), width=float(width), function="LINEAR")

    display = display_values(make_frame(stored, stored.dtype, slope=slope, intercept=intercept), window)

    assert_rounded(display, fraction_by_pydicom(stored, dataset))
    assert len(np.unique(display)) > 20


@pytest.mark.parametrize("dtype", [np.int16, ">i2", np.int32, np.int64, np.float32, np.float64])
def test_every_type_of_stored_values_gives_the_same_display(dtype: Any) -> None:
    values = np.arange(-60, 60).reshape(10, 12)
    expected = display_values(make_frame(values, slope=1.5, intercept=-7, padding=(-55, -50)), BRAIN)

    display = display_values(make_frame(values, dtype, slope=1.5, intercept=-7, padding=(-55, -50)), BRAIN)

    assert display.tolist() == expected.tolist()


def test_presets_clip_hard() -> None:
    display = display_values(make_frame([[-1, 0, 40, 80, 81]]), BRAIN)

    assert display.tolist() == [[0, 0, 128, 255, 255]]


@given(stored=stored_frames, function=st.sampled_from(FUNCTIONS))
def test_inversion_is_the_negative(stored: StoredArray, function: Any) -> None:
    window = Window(center=30, width=400, function=function)

    plain = display_values(make_frame(stored, stored.dtype), window).astype(int)
    inverted = display_values(make_frame(stored, stored.dtype, inverted=True), window).astype(int)

    assert np.isin(plain + inverted, [255, 256]).all()  # halves are rounded up on both sides


def test_inversion_applies_to_a_voi_lut_too() -> None:
    table = make_table([0, 1023], first_value=5, bits=10)

    assert display_values(make_frame([[4, 5, 6, 7]], inverted=True), table).tolist() == [[255, 255, 0, 0]]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("center", [-5000, 0, 5000])
@pytest.mark.parametrize("width", [10, 50])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32])
def test_padding_is_black_whatever_the_window_and_the_polarity(
    *, inverted: bool, center: float, width: int, dtype: Any
) -> None:
    values = np.full((10, width), 7)
    values[:, :3] = [-2001, -2000, -1999]
    frame = make_frame(values, dtype, slope=2.0, padding=(-2000.0, -1999.0), inverted=inverted)

    display = display_values(frame, Window(center=center, width=100))

    assert not display[:, 1:3].any()
    assert (
        display[:, 0] == display_values(make_frame([[-4002]], inverted=inverted), Window(center=center, width=100))
    ).all()


@pytest.mark.parametrize("inverted", [False, True])
def test_values_that_are_not_finite_are_black(*, inverted: bool) -> None:
    frame = make_frame([[np.nan, np.inf, -np.inf, 40.0]], np.float32, inverted=inverted)

    for voi in (BRAIN, Window(center=40, width=80, function="SIGMOID"), make_table([100, 100], bits=8)):
        display = display_values(frame, voi)
        assert display[0, :3].tolist() == [0, 0, 0]
        assert display[0, 3] > 0

    frame = make_frame(frame.values, np.float32, inverted=inverted, modality_lut=make_table([40, 40]))
    assert display_values(frame, BRAIN).tolist() == [[0, 0, 0, 128]]


@given(
    stored=hnp.arrays(st.sampled_from([np.float32, np.float64]), (3, 4)),
    window=st.builds(
        Window,
        center=st.floats(allow_nan=False, allow_infinity=False),
        width=st.floats(min_value=1, allow_infinity=False),
        function=st.sampled_from(FUNCTIONS),
    ),
)
def test_absurd_floats_rise_from_black_to_white(stored: StoredArray, window: Window) -> None:
    display = display_values(make_frame(stored, stored.dtype), window)

    finite = np.isfinite(stored)
    in_order = display[finite][np.argsort(stored[finite], kind="stable")].astype(int)
    assert (np.diff(in_order) >= 0).all()
    assert not display[~finite].any()


def test_color_is_never_windowed() -> None:
    colors = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    frame = make_frame(colors, np.uint8, slope=3.0, inverted=True, padding=(0, 9))

    assert display_values(frame, BRAIN).tolist() == colors.tolist()


def test_frames_are_not_modified() -> None:
    for dtype in (np.int16, np.float64):
        frame = make_frame([[-5, 40], [60, 900]], dtype, padding=(60, 60))
        before = frame.values.copy()
        display_values(frame, BRAIN)
        percentile_window([frame])
        assert (frame.values == before).all()


frames = st.builds(
    lambda values, slope, intercept, padding: make_frame(
        values, values.dtype, slope=slope, intercept=intercept, padding=padding
    ),
    st.one_of(
        stored_frames,
        hnp.arrays(np.float32, (6, 6), elements=st.floats(-1000, 1000, width=32)),
        hnp.arrays(np.int32, (6, 6)),
    ),
    slopes,
    intercepts,
    st.sampled_from([None, (-90.0, -80.0), (1000.0, 1000.0), (0.0, 0.0)]),
)


def modality_values(frame: StoredFrame) -> FloatArray:
    transform = frame.transform
    low, high = transform.padding or (np.inf, np.inf)
    kept = frame.values[(frame.values < low) | (frame.values > high)].astype(np.float64)
    return kept * transform.slope + transform.intercept


@given(st.lists(frames, min_size=1, max_size=4))
def test_automatic_window_spans_numpys_percentiles_of_all_values(several: list[StoredFrame]) -> None:
    values = np.concatenate([modality_values(frame) for frame in several])
    assume(values.size)
    low, high = np.percentile(values, (2, 98))
    assume(low < high)

    window = percentile_window(iter(several))

    assert window is not None
    assert window.function == "LINEAR_EXACT"
    assert window.width == pytest.approx(high - low, rel=1e-12)
    assert window.center == pytest.approx((low + high) / 2, rel=1e-12, abs=1e-9 * window.width)


def test_each_frame_counts_with_its_own_slope() -> None:
    pet = [make_frame(np.arange(100).reshape(10, 10), slope=slope) for slope in (1.0, 3.0)]
    low, high = np.percentile(np.concatenate([np.arange(100), 3 * np.arange(100)]), (2, 98))

    window = percentile_window(pet)

    assert window is not None
    assert (window.width, window.center) == pytest.approx((high - low, (low + high) / 2))


def test_modality_luts_count_for_the_automatic_window() -> None:
    table = make_table(np.arange(50, 250, 2), first_value=-10)
    window = percentile_window([make_frame(np.arange(-10, 90).reshape(10, 10), modality_lut=table)])
    low, high = np.percentile(table.values, (2, 98))

    assert window == Window(center=(low + high) / 2, width=high - low)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_constant_image_is_mid_gray(*, dtype: Any, inverted: bool) -> None:
    frame = make_frame(np.full((5, 5), 1234), dtype, slope=46.2619, intercept=-0.1, inverted=inverted)

    window = percentile_window([frame])

    assert window is not None
    assert (display_values(frame, window) == 128).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_a_small_object_on_an_even_background_is_still_seen(dtype: Any) -> None:
    values = np.zeros((20, 20))
    values[3, 4] = 9
    frame = make_frame(values, dtype)

    window = percentile_window([frame])

    assert window == Window(center=4.5, width=9)
    assert np.unique(display_values(frame, window)).tolist() == [0, 255]


def test_only_padding_and_no_numbers_give_no_window() -> None:
    padded = make_frame(np.full((4, 4), -2000), padding=(-2000.0, -2000.0))
    nothing = make_frame(np.full((4, 4), np.nan), np.float32)

    assert percentile_window([padded, nothing]) is None
    assert percentile_window([]) is None
    assert not display_values(padded, choose_voi(AUTO, padded, None)).any()


def test_padding_and_color_do_not_move_the_automatic_window() -> None:
    image = make_frame(np.arange(100).reshape(10, 10), padding=(-2000.0, -1000.0))
    values = np.append(image.values, np.full((5, 10), -1500, np.int16), axis=0)
    padded = make_frame(values, padding=(-2000.0, -1000.0))
    color = make_frame(np.full((50, 50, 3), 255), np.uint8)

    assert percentile_window([padded]) == percentile_window([image]) == percentile_window([image, color])


@given(stored=hnp.arrays(st.sampled_from([np.float32, np.float64]), (3, 4)))
def test_no_float_image_breaks_the_automatic_window(stored: StoredArray) -> None:
    frame = make_frame(stored, stored.dtype)

    window = percentile_window([frame])

    assert (window is None) == (not (np.abs(stored.astype(np.float64)) <= 1e300).any())
    if window is not None:
        display = display_values(frame, window)
        assert display.shape == stored.shape


def test_contrast_decides_what_a_frame_is_displayed_with() -> None:
    own, automatic = Window(center=1, width=2), Window(center=3, width=4)
    table = make_table([1, 2])
    lung = parse_contrast("lung")
    plain, windowed, tabled = make_frame([[1]]), make_frame([[1]], voi=own), make_frame([[1]], voi=table)

    assert choose_voi(EMBEDDED, windowed, automatic) is own
    assert choose_voi(EMBEDDED, tabled, automatic) is table
    assert choose_voi(EMBEDDED, plain, automatic) is automatic
    assert choose_voi(AUTO, windowed, automatic) is automatic
    assert [choose_voi(lung, frame, None) for frame in (plain, windowed, tabled)] == [PRESETS["ct-lung"]] * 3


@pytest.mark.parametrize("contrast", [AUTO, EMBEDDED, parse_contrast("400/40")])
@pytest.mark.parametrize("voi", [None, Window(center=1, width=2)])
def test_percentiles_are_needed_exactly_where_they_are_chosen(contrast: Contrast, voi: Window | None) -> None:
    frame, automatic = make_frame([[1]], voi=voi), Window(center=3, width=4)

    assert needs_percentiles(contrast, frame.transform) == (choose_voi(contrast, frame, automatic) is automatic)
