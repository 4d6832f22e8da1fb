"""Phantoms say what they are made of, the same way every time, and readers that are not ours agree."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__
from phantom_bulk import CT300, GE151, MR63, MR1008, BulkLayout, build_bulk, build_many
from phantom_enhanced import build_enhanced_mr
from pydicom import uid
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

from dsp_batch.phantom import series as phantom
from dsp_batch.phantom.bodies import ROD, SPHERE
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.shapes import Ellipsoid, Rod, noise

SMALL: dict[str, Callable[[], PhantomSeries]] = {
    "ct": lambda: phantom.build_ct(count=3, size=32),
    "ct-oblique": lambda: phantom.build_ct(plane="oblique", count=3, size=32),
    "mr": lambda: phantom.build_mr(count=3, rows=20, columns=32),
    "bolus": lambda: phantom.build_bolus(positions=2, times=3, size=32),
    "localizer": lambda: phantom.build_localizer(per_plane=1, size=32),
    "enhanced": lambda: build_enhanced_mr(count=4, size=32),
    "pet": lambda: phantom.build_pet(count=3, size=32),
    "cine": lambda: phantom.build_ultrasound(count=3, rows=48, columns=64),
    "palette": lambda: phantom.build_palette_ultrasound(rows=48, columns=64),
    "radiograph": lambda: phantom.build_radiograph(rows=60, columns=48),
    "many": lambda: next(build_many(1)),
}


def read_series(series: PhantomSeries) -> list[pydicom.FileDataset]:
    """Instances by InstanceNumber."""
    instances = [pydicom.dcmread(io.BytesIO(item.data)) for item in series.objects]
    return sorted(instances, key=lambda instance: int(instance.InstanceNumber))


def hounsfield(instance: pydicom.FileDataset) -> npt.NDArray[np.float64]:
    return np.asarray(apply_modality_lut(instance.pixel_array, instance), np.float64)


def pixel_at(instance: pydicom.FileDataset, x: float, y: float) -> tuple[int, int]:
    """Row and column of a point of an axial plane."""
    left, top, _ = (float(value) for value in instance.ImagePositionPatient)
    row_spacing, column_spacing = (float(value) for value in instance.PixelSpacing)
    return round((y - top) / row_spacing), round((x - left) / column_spacing)


@pytest.fixture(scope="module")
def torso() -> list[pydicom.FileDataset]:
    return read_series(phantom.build_ct())


@pytest.fixture(scope="module")
def demo() -> list[PhantomSeries]:
    return list(phantom.demo_collection())


def test_a_process_on_a_plainer_processor_builds_the_same_bytes() -> None:
    program = (
        "import hashlib; from dsp_batch.phantom import series as phantom\n"
        "for s in (phantom.build_ct(count=3, size=64), phantom.build_pet(count=3, size=64), phantom.build_corrupt(),"
        " phantom.build_mr(count=3), phantom.build_ultrasound(count=2), phantom.build_radiograph()):\n"
        "    print(s.series_uuid, *(o.name + hashlib.sha256(o.data).hexdigest() for o in s.objects))\n"
    )
    environments: tuple[dict[str, str], ...] = (
        {"PYTHONHASHSEED": "1", "TZ": "UTC"},
        {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)},
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **extra},
            timeout=60,
        ).stdout
        for extra in environments
    ]

    assert runs[0] == runs[1]
    assert runs[0].count("\n") == 6


def test_noise_is_the_same_with_every_version_of_numpy() -> None:
    assert np.rint(noise(11, (2, 3)) * 1000).tolist() == [[1627, 2078, -781], [428, -484, 477]]


def test_noise_has_mean_zero_and_deviation_one() -> None:
    for smooth in range(5):
        grain = noise(5, (128, 128), smooth)
        assert abs(float(grain.mean())) < 0.1
        assert float(grain.std()) == pytest.approx(1, abs=0.12)


def test_the_demo_is_built_within_seconds() -> None:
    started = time.process_time()
    list(phantom.demo_collection())

    assert time.process_time() - started < 6  # takes 1.5 s on a machine at rest


def test_names_and_uids_are_unique_and_legal(demo: list[PhantomSeries]) -> None:
    names = [item.name for series in demo for item in series.objects]
    instances = [pydicom.dcmread(io.BytesIO(i.data)) for s in demo if s.title != "Corrupt objects" for i in s.objects]
    uids = [instance.SOPInstanceUID for instance in instances]

    assert len(set(names)) == len(names)
    assert len(set(uids)) == len(uids)
    assert all(value.is_valid and len(value) <= 64 for value in uids)
    assert len({instance.SeriesInstanceUID for instance in instances}) == len(demo) - 1
    assert len({series.series_uuid for series in demo}) == len(demo)


def test_patients_are_plainly_fictitious(demo: list[PhantomSeries]) -> None:
    first = (pydicom.dcmread(io.BytesIO(s.objects[0].data)) for s in demo if s.title != "Corrupt objects")

    assert all(str(instance.PatientName).startswith("Phantom^") for instance in first)


def test_objects_are_listed_in_another_order_than_they_were_taken() -> None:
    listed = [pydicom.dcmread(io.BytesIO(item.data)) for item in phantom.build_ct(count=20, size=16).objects]
    numbers = [int(instance.InstanceNumber) for instance in listed]

    assert sorted(numbers) == list(range(1, 21))
    assert numbers not in (sorted(numbers), sorted(numbers, reverse=True))


@pytest.mark.parametrize(
    ("plane", "axis", "display_direction"),
    [("axial", 2, -1), ("coronal", 1, -1), ("sagittal", 0, 1), ("oblique", 2, -1)],
)
def test_instance_numbers_run_against_the_display_order(
    plane: phantom.Plane, axis: int, display_direction: int
) -> None:
    instances = read_series(phantom.build_ct(plane=plane, count=5, size=16))
    coordinates = [float(instance.ImagePositionPatient[axis]) for instance in instances]

    assert (np.diff(coordinates) * display_direction < 0).all()


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "oblique"])
def test_planes_are_orthonormal_and_evenly_spaced(plane: phantom.Plane) -> None:
    instances = read_series(phantom.build_ct(plane=plane, count=4, size=16))
    row, column = np.reshape(np.float64(instances[0].ImageOrientationPatient), (2, 3))
    positions = np.float64([instance.ImagePositionPatient for instance in instances])
    along = positions @ np.cross(row, column)

    assert (row @ row, column @ column, row @ column) == pytest.approx((1, 1, 0), abs=1e-9)
    assert np.diff(along) == pytest.approx(float(instances[0].SliceThickness), abs=1e-4)


def test_the_sphere_is_where_and_as_bright_as_it_says(torso: list[pydicom.FileDataset]) -> None:
    assert isinstance(SPHERE.shape, Ellipsoid)
    x, y, z = SPHERE.shape.center
    (instance,) = (i for i in torso if float(i.ImagePositionPatient[2]) == z)
    row, column = pixel_at(instance, x, y)
    around = hounsfield(instance)[row - 4 : row + 5, column - 4 : column + 5]

    assert around.mean() == pytest.approx(SPHERE.value, abs=4)
    assert 2 < around.std() < 15


def test_the_sphere_lies_in_the_upper_half(torso: list[pydicom.FileDataset]) -> None:
    heights = np.float64([instance.ImagePositionPatient[2] for instance in torso])

    assert SPHERE.shape.box()[0][2] > np.median(heights)


def test_the_rod_moves_steadily_to_the_left_toward_the_feet(torso: list[pydicom.FileDataset]) -> None:
    assert isinstance(ROD.shape, Rod)
    columns = []
    for instance in reversed(torso):  # head first
        bright = np.argwhere(hounsfield(instance) > 900)
        columns.append(float(bright[:, 1].mean()))

    steps = np.diff(columns)
    assert (steps > 1).all()
    assert (steps < 4).all()


def test_the_body_tapers_toward_the_head(torso: list[pydicom.FileDataset]) -> None:
    areas = [int((hounsfield(instance) > -200).sum()) for instance in torso]

    assert areas[-1] < 0.6 * areas[0]


def test_ct_values_are_signed_with_padding_outside_the_field_of_view(torso: list[pydicom.FileDataset]) -> None:
    stored = torso[0].pixel_array

    assert stored.dtype == np.int16
    assert stored[0, 0] == torso[0].PixelPaddingValue == -2000
    assert hounsfield(torso[0])[128, 4] == pytest.approx(-1000, abs=40)


def test_axial_coronal_and_sagittal_planes_cut_the_same_sphere() -> None:
    assert isinstance(SPHERE.shape, Ellipsoid)
    for plane in ("axial", "coronal", "sagittal", "oblique"):
        instances = read_series(phantom.build_ct(plane=plane, count=20, size=64))
        values = []
        for instance in instances:
            row, column = np.reshape(np.float64(instance.ImageOrientationPatient), (2, 3))
            offset = np.float64(SPHERE.shape.center) - np.float64(instance.ImagePositionPatient)
            if abs(offset @ np.cross(row, column)) <= 10:
                r, c = offset @ column / instance.PixelSpacing[0], offset @ row / instance.PixelSpacing[1]
                values.append(hounsfield(instance)[round(r), round(c)])

        assert values, plane
        assert values == pytest.approx([SPHERE.value] * len(values), abs=40), plane


def test_the_mr_has_twelve_bits_and_pixels_that_are_not_square() -> None:
    instance = read_series(phantom.build_mr(count=3))[1]
    row_spacing, column_spacing = instance.PixelSpacing

    assert (instance.BitsAllocated, instance.BitsStored, instance.HighBit) == (16, 12, 11)
    assert 2000 < instance.pixel_array.max() <= 4095
    assert row_spacing / column_spacing == pytest.approx(1.6, abs=1e-4)


def test_contrast_agent_brightens_and_fades_at_unmoved_positions() -> None:
    instances = read_series(phantom.build_bolus(positions=3, times=6, size=64))
    positions = {tuple(instance.ImagePositionPatient) for instance in instances}
    means = [
        np.mean([i.pixel_array.mean() for i in instances if i.TemporalPositionIdentifier == moment])
        for moment in range(1, 7)
    ]

    assert len(positions) == 3
    assert int(np.argmax(means)) == 3
    assert (np.diff(means[:4]) > 0).all()
    assert (np.diff(means[3:]) < 0).all()
    assert len({instance.AcquisitionTime for instance in instances}) == 6


def test_each_pet_slice_has_a_slope_of_its_own() -> None:
    instances = read_series(phantom.build_pet(count=6, size=32))
    brightest = [float(apply_modality_lut(i.pixel_array, i).max()) for i in instances]

    assert len({float(instance.RescaleSlope) for instance in instances}) == 6
    assert all(instance.pixel_array.max() > 30000 for instance in instances)
    assert max(brightest) > 2 * min(brightest)


def test_the_radiograph_shows_air_as_its_highest_values() -> None:
    (instance,) = read_series(phantom.build_radiograph())
    values = instance.pixel_array

    assert instance.PhotometricInterpretation == "MONOCHROME1"
    assert values[:20, :20].mean() > 3800
    assert np.percentile(values, 2) < 1200


def test_the_cine_is_in_color_and_moves() -> None:
    (instance,) = read_series(phantom.build_ultrasound(count=4, rows=120, columns=160))
    frames = instance.pixel_array.astype(int)
    red_minus_blue = frames[:, :, :140, 0] - frames[:, :, :140, 2]

    assert instance.PhotometricInterpretation == "YBR_FULL_422"
    assert frames.shape == (4, 120, 160, 3)
    assert red_minus_blue.max() > 150
    assert red_minus_blue.min() < -150
    assert (np.abs(np.diff(frames, axis=0)).max(axis=(1, 2, 3)) > 100).all()


def test_the_palette_turns_gray_into_amber() -> None:
    (instance,) = read_series(phantom.build_palette_ultrasound())
    colors = apply_color_lut(instance.pixel_array, instance)
    middle = instance.pixel_array == 100

    assert colors.shape == (240, 320, 3)
    assert middle.any()
    red, green, blue = colors[middle][0]
    assert red > green > blue


def test_frames_of_the_enhanced_object_lie_in_another_order_than_in_the_body() -> None:
    (instance,) = read_series(build_enhanced_mr(count=6, size=32))
    groups = instance.PerFrameFunctionalGroupsSequence
    heights = [float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in groups]

    assert instance.NumberOfFrames == len(heights) == 6
    assert heights != sorted(heights)
    assert heights != sorted(heights, reverse=True)
    assert len(set(heights)) == 6


def test_the_report_has_text_and_no_pixels() -> None:
    (report,) = read_series(phantom.build_report())

    assert report.SOPClassUID == uid.BasicTextSRStorage
    assert "sphere" in report.ContentSequence[0].TextValue
    assert "PixelData" not in report


def test_corrupt_objects_do_not_decode() -> None:
    for item in phantom.build_corrupt().objects:
        with pytest.raises((pydicom.errors.InvalidDicomError, AttributeError)):
            pixel_array(pydicom.dcmread(io.BytesIO(item.data)))


@pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)
def test_every_object_decodes_with_pydicom(build: Callable[[], PhantomSeries]) -> None:
    for instance in read_series(build()):
        values = instance.pixel_array
        assert values.shape[-3 if instance.SamplesPerPixel == 3 else -2 :][:2] == (instance.Rows, instance.Columns)
        assert values.min() < values.max()


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEG2000Lossless,
    ],
)
def test_lossless_variants_hold_the_same_values(transfer_syntax: uid.UID) -> None:
    builders: tuple[Callable[[str], PhantomSeries], ...] = (
        lambda syntax: phantom.build_mr(count=1, rows=32, columns=40, transfer_syntax=syntax),
        lambda syntax: phantom.build_ultrasound(count=2, rows=48, columns=64, transfer_syntax=syntax),
    )
    for build in builders:
        (expected,), (actual,) = read_series(build(uid.ExplicitVRLittleEndian)), read_series(build(transfer_syntax))
        assert actual.file_meta.TransferSyntaxUID == transfer_syntax
        assert actual.pixel_array.tolist() == expected.pixel_array.tolist()


@pytest.mark.parametrize(
    ("tool", "transfer_syntax", "tolerance"),
    [
        ("dcmdjpls", uid.JPEGLSLossless, 0),
        ("dcmdjpeg", uid.JPEGLosslessSV1, 0),
        ("dcmdjpeg", uid.JPEGExtended12Bit, 100),
    ],
)
def test_jpeg_variants_hold_the_same_values_for_dcmtk(
    tool: str, transfer_syntax: uid.UID, tolerance: int, tmp_path: Path
) -> None:
    if not shutil.which(tool):
        pytest.skip(f"{tool} of DCMTK is not installed")
    (expected,) = phantom.build_mr(count=1, rows=32, columns=40).objects
    (item,) = phantom.build_mr(count=1, rows=32, columns=40, transfer_syntax=transfer_syntax).objects
    (tmp_path / "in.dcm").write_bytes(item.data)
    subprocess.run([tool, tmp_path / "in.dcm", tmp_path / "out.dcm"], check=True, timeout=60)

    actual = pydicom.dcmread(tmp_path / "out.dcm").pixel_array.astype(int)
    wanted = pydicom.dcmread(io.BytesIO(expected.data)).pixel_array.astype(int)
    assert np.abs(actual - wanted).max() <= tolerance


def test_signed_values_keep_their_bits_in_jpeg_ls(tmp_path: Path) -> None:
    if not shutil.which("dcmdjpls"):
        pytest.skip("dcmdjpls of DCMTK is not installed")
    (item,) = phantom.build_ct(count=1, size=32, transfer_syntax=uid.JPEGLSLossless).objects
    (tmp_path / "in.dcm").write_bytes(item.data)
    subprocess.run(["dcmdjpls", tmp_path / "in.dcm", tmp_path / "out.dcm"], check=True, timeout=60)
    (expected,) = read_series(phantom.build_ct(count=1, size=32))

    assert pydicom.dcmread(tmp_path / "out.dcm").pixel_array.tolist() == expected.pixel_array.tolist()


def test_lossy_jpeg_of_values_it_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="8 bit only"):
        phantom.build_mr(count=1, rows=8, columns=8, transfer_syntax=uid.JPEGBaseline8Bit)


def test_dcmtk_finds_nothing_wrong(tmp_path: Path, demo: list[PhantomSeries]) -> None:
    if not shutil.which("dcmdump"):
        pytest.skip("dcmdump of DCMTK is not installed")
    sound = [series for series in demo if series.title != "Corrupt objects"]
    paths = []
    for number, series in enumerate([*sound, *(build() for build in SMALL.values())]):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(series.objects[0].data)
    finished = subprocess.run(["dcmdump", *paths], capture_output=True, text=True, check=True, timeout=60)

    assert finished.stderr == ""


def test_collections_are_written_as_folders_of_objects(tmp_path: Path) -> None:
    series = phantom.build_ct(count=2, size=16)

    phantom.write_collection(tmp_path, [series, phantom.build_report()])

    written = {path.name: path.read_bytes() for path in (tmp_path / series.series_uuid).iterdir()}
    assert written == {item.name: item.data for item in series.objects}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("layout", [CT300, MR1008, MR63, GE151], ids=lambda layout: layout.title)
def test_bulk_objects_are_laid_out_as_asked(layout: BulkLayout) -> None:
    instances = read_series(build_bulk(layout, count=3))

    for number, instance in enumerate(instances):
        pixel_data = instance.get_item("PixelData")
        assert pixel_data is not None
        assert pixel_data.value_tell - 12 == layout.header_bytes
        assert len(instance) == layout.elements
        assert instance.InstanceNumber == number + 1
        assert instance.file_meta.MediaStorageSOPInstanceUID == instance.SOPInstanceUID
        assert float(instance.SliceLocation) == float(instance.ImagePositionPatient[2]) == 1.25 * (number - 1)
        assert instance.pixel_array.shape == (layout.rows, layout.columns)
    assert len({instance.SOPInstanceUID for instance in instances}) == 3
    assert len({instance.SeriesInstanceUID for instance in instances}) == 1
    assert len({instance.AcquisitionTime for instance in instances}) == 3


@pytest.mark.parametrize(("layout", "before_group_0028"), [(MR63, True), (MR1008, False)])
def test_the_private_block_lies_where_it_hurts(layout: BulkLayout, before_group_0028: bool) -> None:  # noqa: FBT001  # a table's column
    (instance,) = read_series(build_bulk(layout, count=1))
    assert layout.block_tag is not None
    tags = [element.tag for element in instance]

    assert len(instance[layout.block_tag].value) == layout.block_bytes
    assert (tags.index(layout.block_tag) < tags.index(0x00280010)) == before_group_0028


def test_many_series_have_one_to_three_objects_and_uids_of_their_own() -> None:
    collection = list(build_many(30))
    instances = [instance for series in collection for instance in read_series(series)]

    assert [len(series.objects) for series in collection[:4]] == [1, 2, 3, 1]
    assert len({series.series_uuid for series in collection}) == 30
    assert len({instance.SeriesInstanceUID for instance in instances}) == 30
    assert len({instance.SOPInstanceUID for instance in instances}) == len(instances) == 60
