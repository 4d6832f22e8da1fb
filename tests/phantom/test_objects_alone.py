"""Generated objects without pixels are what other readers take them for."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pydicom
import pytest

from dsp_batch.phantom.figures import build_clinical_document, build_ecg, build_model, build_page, build_spectrum
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.radiotherapy import build_plan, build_registration


def read_only(series: PhantomSeries) -> pydicom.FileDataset:
    (item,) = series.objects
    return pydicom.dcmread(io.BytesIO(item.data))


def test_the_ecg_is_one_of_twelve_leads_of_ten_seconds() -> None:
    values = read_only(build_ecg()).waveform_array(0)

    assert values.shape == (5000, 12)
    assert values[:, 1].max() == pytest.approx(1000, abs=60)  # µV


def test_the_model_is_a_closed_surface_of_the_size_that_it_is_made_of() -> None:
    data = read_only(build_model()).EncapsulatedDocument
    facets = np.frombuffer(data, np.uint8, offset=84)[: int.from_bytes(data[80:84], "little") * 50].reshape(-1, 50)
    corners = np.ascontiguousarray(facets[:, 12:48]).view("<f4").reshape(-1, 3, 3)
    points, numbers = np.unique(np.round(corners.reshape(-1, 3), 3), axis=0, return_inverse=True)

    assert len(corners) == 8192
    assert np.ptp(points, axis=0)[2] == pytest.approx(104, abs=1)
    edges = numbers.reshape(-1, 3)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, counts = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert set(counts.tolist()) == {2}


@pytest.mark.parametrize(
    ("build", "word"),
    [(build_page, b"%PDF"), (build_clinical_document, b"<?xml"), (build_model, bytes(5)), (build_spectrum, b"")],
)
def test_documents_begin_as_such_do(build: Callable[[], PhantomSeries], word: bytes) -> None:
    assert read_only(build()).get("EncapsulatedDocument", b"").startswith(word)


def test_the_plan_and_the_registration_are_read() -> None:
    assert [float(beam.ControlPointSequence[0].GantryAngle) for beam in read_only(build_plan()).BeamSequence] == [
        *range(0, 360, 72)
    ]
    registration = read_only(build_registration()).RegistrationSequence[0].MatrixRegistrationSequence[0]
    matrix = np.array(registration.MatrixSequence[0].FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
