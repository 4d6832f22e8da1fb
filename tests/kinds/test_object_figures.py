"""Figures are what their objects hold: solids, recordings and spectra against other readers, and damaged ones."""

from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from data_folder import DATA, load_real_index, needs_data
from objects_without_pixels import OBJECTS, make_code, make_item

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.errors import PixelError
from dsp_batch.kinds.figures.recording import LEADS, read_recording
from dsp_batch.kinds.figures.solid import read_solid, read_triangles
from dsp_batch.kinds.figures.spectra import read_spectra
from dsp_batch.kinds.figures.thinning import MOST_TRIANGLES, thin_triangles
from dsp_batch.model.figure import Recording, Spectra

ECG = "c7e7bb35-f418-5ac4-924a-8c9e4db98eda"
CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
TRIANGLE = np.float32([[[0, 0, 0], [4, 0, 0], [0, 2, 0]]])


def write_stl(triangles: npt.NDArray[Any], claim: int | None = None) -> bytes:
    facets = b"".join(bytes(12) + np.float32(each).tobytes() + b"\0\0" for each in triangles)
    return b"solid of a binary file".ljust(80) + struct.pack("<I", len(triangles) if claim is None else claim) + facets


def write_ascii(triangles: npt.NDArray[Any]) -> bytes:
    lines = ["solid model"]
    for triangle in triangles:
        lines += ["facet normal 0 0 1", "outer loop"]
        lines += [f"  vertex {x:e} {y} {z}" for x, y, z in triangle.tolist()]
        lines += ["endloop", "endfacet"]
    return "\r\n".join([*lines, "endsolid model", ""]).encode()


def build_sphere(count: int) -> npt.NDArray[np.float32]:
    """About `count` triangles around a ball of 10 mm."""
    n = round((count / 4) ** 0.5)
    latitude, longitude = np.meshgrid(np.linspace(0, np.pi, n), np.linspace(0, 2 * np.pi, 2 * n), indexing="ij")
    x, y = np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude)
    points = 10 * np.stack([x, y, np.cos(latitude)], axis=-1).astype(np.float32)
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    return np.concatenate([np.stack(each, axis=2).reshape(-1, 3, 3) for each in ((a, b, c), (a, c, d))])


class TestSolids:
    @pytest.mark.parametrize("data", [write_stl(TRIANGLE), write_stl(TRIANGLE) + b"\0", write_ascii(TRIANGLE)])
    def test_both_forms_of_stl_hold_the_same(self, data: bytes) -> None:
        assert read_triangles(data, "model/stl")[0].tolist() == TRIANGLE.tolist()

    def test_faces_of_an_obj_become_triangles(self) -> None:
        data = b"# cube\nv 0 0 0\nv 4 0 0\nv 4 2 0\nv 0 2 0\nvt 0 0\nf 1/1 2/1/3 3//4 -1 # a square\r\nf 1 2 9\n"

        triangles, _ = read_triangles(data, "model/obj")

        assert triangles.tolist() == [[[0, 0, 0], [4, 0, 0], [4, 2, 0]], [[0, 0, 0], [4, 2, 0], [0, 2, 0]]]

    def test_a_claim_of_all_triangles_there_are_takes_no_memory(self) -> None:
        begin = time.process_time()
        triangles, notes = read_triangles(write_stl(TRIANGLE, claim=0xFFFFFFFF), "model/stl")

        assert len(triangles) == 1
        assert notes == ("the STL claims 4,294,967,295 triangles and holds 1",)
        assert time.process_time() - begin < 0.5

    def test_triangles_without_a_position_are_left_out(self) -> None:
        bad = np.concatenate([TRIANGLE, TRIANGLE * np.float32(np.nan), TRIANGLE + np.float32(1e30)])

        triangles, notes = read_triangles(write_stl(bad), "model/stl")

        assert len(triangles) == 1
        assert notes == ("2 triangles without a position are left out",)

    @pytest.mark.parametrize("mime_type", ["model/stl", "model/obj", ""])
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"solid",
            b"\xff" * 40,
            b"\0" * 84,
            b"solid x\nfacet\nvertex a b c\n",
            b"f 1 2 3\n",
            b"v 0 0 0\nf a b c\n",
        ],
    )
    def test_what_is_no_model_is_an_error(self, data: bytes, mime_type: str) -> None:
        with pytest.raises(PixelError):
            read_triangles(data, mime_type)

    def test_the_unit_is_that_of_the_object(self) -> None:
        def make(unit: str) -> Attributes:
            return make_item(
                EncapsulatedDocument=write_stl(TRIANGLE),
                MIMETypeOfEncapsulatedDocument="model/stl",
                MeasurementUnitsCodeSequence=make_code(unit, unit, "UCUM") if unit else None,
            )

        centimeters, unknown = read_solid({0: make("cm")}), read_solid({0: make("")})

        assert centimeters is not None
        assert unknown is not None
        assert (float(centimeters.triangles.max()), centimeters.in_mm) == (40.0, True)
        assert (float(unknown.triangles.max()), unknown.in_mm) == (4.0, False)

    def test_models_of_one_frame_of_reference_are_one_solid(self) -> None:
        instances = {
            row: make_item(
                EncapsulatedDocument=write_stl(TRIANGLE),
                FrameOfReferenceUID=frame,
                RecommendedDisplayCIELabValue=[20000 * (row + 1), 40000, 30000],
            )
            for row, frame in enumerate(("1.2", "1.2", "1.3"))
        }

        solid = read_solid(instances)

        assert solid is not None
        assert (len(solid.triangles), len(np.unique(solid.colors, axis=0))) == (2, 2)
        assert solid.notes == ("1 further model is left out",)

    def test_a_document_that_was_not_read_is_no_solid(self) -> None:
        assert read_solid({0: make_item(MIMETypeOfEncapsulatedDocument="model/stl")}) is None


class TestThinning:
    def test_few_triangles_stay(self) -> None:
        sphere = build_sphere(1000)

        kept, chosen = thin_triangles(sphere)

        assert kept is sphere
        assert chosen.tolist() == list(range(len(sphere)))

    def test_many_are_joined_without_holes(self) -> None:
        sphere = build_sphere(400_000)

        kept, chosen = thin_triangles(sphere)

        assert 10_000 < len(kept) == len(chosen) <= MOST_TRIANGLES
        area = np.linalg.norm(np.cross(kept[:, 1] - kept[:, 0], kept[:, 2] - kept[:, 0]), axis=1).sum() / 2
        assert area == pytest.approx(4 * np.pi * 100, rel=0.06)

    def test_triangles_of_one_point_are_one(self) -> None:
        assert len(thin_triangles(np.zeros((MOST_TRIANGLES + 1, 3, 3), np.float32))[0]) == 0


def make_group(data: bytes, bits: int = 16, form: str = "SS", **more: Any) -> Attributes:
    channel = make_item(ChannelLabel="one", ChannelSensitivity=2.0, ChannelSensitivityUnitsSequence=make_code("mV"))
    values = {"NumberOfWaveformChannels": 1, "SamplingFrequency": 100, "ChannelDefinitionSequence": [channel]} | more
    return make_item(WaveformData=data, WaveformBitsAllocated=bits, WaveformSampleInterpretation=form, **values)


def read_group(group: Attributes) -> Recording:
    recording = read_recording({0: make_item(WaveformSequence=[group])})
    assert recording is not None
    return recording


class TestRecordings:
    def test_values_have_sensitivity_correction_and_baseline(self) -> None:
        channel = make_item(
            ChannelSensitivity=2.0,
            ChannelSensitivityCorrectionFactor=1.5,
            ChannelBaseline=-1.0,
            ChannelSensitivityUnitsSequence=make_code("mV"),
            ChannelSampleSkew="50",
        )
        data = np.array([1, -2, 32767], "<i2").tobytes()

        (trace,) = read_group(
            make_group(data, ChannelDefinitionSequence=[channel], WaveformPaddingValue=b"\xff\x7f")
        ).traces

        assert np.array_equal(trace.values, [2, -7, np.nan], equal_nan=True)
        assert (trace.unit, trace.delay) == ("mV", 0.5)

    @pytest.mark.parametrize(("form", "code", "value"), [("MB", 0xFF, 0), ("MB", 0x80, 32124), ("MB", 0x00, -32124)])
    def test_sound_of_mu_law(self, form: str, code: int, value: int) -> None:
        assert read_group(make_group(bytes([code]), 8, form)).traces[0].values.tolist() == [2 * value]

    @pytest.mark.parametrize(("code", "value"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256)])
    def test_sound_of_a_law(self, code: int, value: int) -> None:
        assert read_group(make_group(bytes([code]), 8, "AB")).traces[0].values.tolist() == [2 * value]

    @pytest.mark.parametrize(
        "group",
        [
            make_group(b""),
            make_group(b"\0\0", 16, "XX"),
            make_group(b"\0\0", SamplingFrequency=0),
            make_group(b"\0\0", SamplingFrequency=float("nan")),
            make_group(b"\0\0", NumberOfWaveformChannels=1 << 40),
            make_item(SamplingFrequency=5),
        ],
    )
    def test_a_damaged_group_is_an_error(self, group: Attributes) -> None:
        with pytest.raises(PixelError):
            read_group(group)

    def test_more_samples_than_there_are_are_not_believed(self) -> None:
        assert len(read_group(make_group(b"\0\0", NumberOfWaveformSamples=1 << 60)).traces[0].values) == 1

    @needs_data
    def test_a_real_ecg_is_that_of_pydicom(self) -> None:
        (path,) = (DATA / "series" / ECG).iterdir()
        expected = pydicom.dcmread(path).waveform_array(0)

        recording = read_recording({0: load_real_index(ECG).attributes(0)})

        assert recording is not None
        assert (recording.form, recording.rate, recording.seconds) == ("ecg", 1000, 10)
        assert [trace.label for trace in recording.traces] == list(LEADS)
        assert np.allclose(np.stack([trace.values for trace in recording.traces], axis=1), expected, rtol=1e-5)


def make_spectrum(values: npt.NDArray[Any], **more: Any) -> Attributes:
    attributes = {
        "SpectroscopyData": values.tobytes(),
        "DataRepresentation": "COMPLEX",
        "SignalDomainColumns": "FREQUENCY",
        "Rows": 1,
        "Columns": 1,
        "DataPointColumns": values.shape[-1],
        "SpectralWidth": 2000.0,
        "TransmitterFrequency": 100.0,
        "ChemicalShiftReference": 4.7,
        "ResonantNucleus": "1H",
    }
    return make_item(**attributes | more)


def find_peak(spectra: Spectra) -> float:
    values = spectra.values[0, 0]
    step = (spectra.last_ppm - spectra.first_ppm) / (len(values) - 1)
    return spectra.first_ppm + step * int(values.argmax())


class TestSpectra:
    def test_a_decay_becomes_a_peak_at_its_shift(self) -> None:
        seconds = np.arange(1024) / 2000
        # Points go from high to low shift, so that what lies below the transmitter turns forward.
        decay = np.exp(2j * np.pi * (4.7 - 2.0) * 100 * seconds - 20 * seconds).astype("<c8")

        spectra = read_spectra({0: make_spectrum(decay, SignalDomainColumns="TIME")})

        assert spectra is not None
        assert find_peak(spectra) == pytest.approx(2.0, abs=0.02)

    @needs_data
    @pytest.mark.parametrize("folder", ["mrs-single-voxel-probe", "mrs-single-voxel-steam"])
    def test_water_of_a_real_brain_lies_where_water_does(self, folder: str) -> None:
        (path,) = (OBJECTS / folder).iterdir()
        dataset = pydicom.dcmread(path)
        keywords = ("DataPointColumns", "SpectralWidth", "TransmitterFrequency", "ChemicalShiftReference")
        values = np.frombuffer(dataset.SpectroscopyData, "<c8")

        spectra = read_spectra({0: make_spectrum(values, **{name: dataset[name].value for name in keywords})})

        assert spectra is not None
        assert find_peak(spectra) == pytest.approx(4.65, abs=0.08)

    @pytest.mark.parametrize(
        "more",
        [
            {"DataPointColumns": 0},
            {"DataRepresentation": "X"},
            {"Rows": 1 << 15, "Columns": 1 << 15},
            {"SpectralWidth": None},
            {"TransmitterFrequency": float("nan")},
        ],
    )
    def test_a_damaged_spectrum_is_an_error(self, more: dict[str, Any]) -> None:
        with pytest.raises(PixelError):
            read_spectra({0: make_spectrum(np.zeros(8, "<c8"), **more)})

    def test_values_that_are_no_numbers_are_nothing(self) -> None:
        spectra = read_spectra({0: make_spectrum(np.full(8, np.nan, "<c8"))})

        assert spectra is not None
        assert spectra.values.tolist() == [[[0.0] * 8]]
