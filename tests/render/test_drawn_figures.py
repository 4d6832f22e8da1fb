"""Figures are drawn to scale, in bounded time, and what cannot be drawn is a card that says why."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_folder import DATA, needs_data
from pydicom.uid import EncapsulatedPDFStorage, EncapsulatedSTLStorage

from dsp_batch import PreviewOptions, preview
from dsp_batch.model.figure import Recording, Solid, Spectra, Trace
from dsp_batch.phantom.modules import code, common
from dsp_batch.phantom.objects import build_single
from dsp_batch.phantom.series import write_collection
from dsp_batch.render.figures.ecg import draw_ecg
from dsp_batch.render.figures.ink import Sheet
from dsp_batch.render.figures.rasterize import rasterize
from dsp_batch.render.figures.solid import draw_solid
from dsp_batch.render.figures.spectra import draw_spectra
from dsp_batch.render.figures.traces import draw_traces

OBJECTS = DATA / "objects"
PAPER = np.zeros((40, 60, 3), np.uint8)
RED, GREEN = (200, 0, 0), (0, 200, 0)
SIZE = 768


def make_page(*objects: str) -> bytes:
    """A PDF of one page of A4, all red."""
    stream = "1 0 0 rg 0 0 595 842 re f"
    numbered = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        *objects,
    ]
    body = "%PDF-1.4\n" + "".join(f"{n} 0 obj\n{each}\nendobj\n" for n, each in enumerate(numbered, 1))
    return f"{body}trailer << /Root 1 0 R /Size {len(numbered) + 1} >>\n%%EOF\n".encode()


def write_document(folder: Path, sop_class: str, mime_type: str, data: bytes) -> Path:
    attributes = {
        **common("document", "Document", "DOC", sop_class),
        "DocumentTitle": "A document",
        "MIMETypeOfEncapsulatedDocument": mime_type,
        "EncapsulatedDocument": data + b"\0" * (len(data) % 2),
        "EncapsulatedDocumentLength": len(data),
        "MeasurementUnitsCodeSequence": code("mm", "UCUM", "mm"),
    }
    series = build_single("document", attributes, None)
    write_collection(folder, [series])
    return folder / series.series_uuid


class TestTriangles:
    def test_a_triangle_covers_the_pixels_whose_centers_lie_in_it(self) -> None:
        corners = np.array([[[10, 5, 0], [30, 5, 0], [10, 25, 0]]], np.float64)

        picture = rasterize(corners, np.array([RED]), PAPER).pixels

        rows, columns = np.mgrid[0:40, 0:60]
        inside = (rows >= 5) & (columns >= 10) & (columns - 10 + rows - 5 <= 20)
        assert np.array_equal(picture[..., 0] == 200, inside)

    def test_the_nearest_is_in_front_even_where_two_cross(self) -> None:
        flat = [[[0, 0, 5], [60, 0, 5], [0, 60, 5]]]
        slanted = [[[0, 0, 0], [60, 0, 20], [0, 60, 0]]]  # as near as its column, divided by 3

        for order in (1, -1):
            corners, colors = np.array([*flat, *slanted], np.float64)[::order], np.array([RED, GREEN])[::order]
            picture = rasterize(corners, colors, PAPER).pixels
            assert picture[3, 10].tolist() == list(RED)
            assert picture[3, 20].tolist() == list(GREEN)

    def test_triangles_without_area_or_outside_draw_nothing(self) -> None:
        corners = np.array([[[5, 5, 0]] * 3, [[-9, -9, 0], [-5, -9, 0], [-9, -5, 0]], [[99, 9, 0]] * 3], np.float64)

        assert not rasterize(corners, np.zeros((3, 3)) + 200, PAPER).pixels.any()

    def test_more_surface_than_can_be_drawn_ends_in_time(self) -> None:
        paper = np.zeros((1500, 1500, 3), np.uint8)
        corners = np.tile(np.array([[[0, 0, 0], [3000, 0, 0], [0, 3000, 0]]], np.float64), (10_000, 1, 1))
        begin = time.process_time()

        assert not rasterize(corners, np.zeros((10_000, 3)), paper).is_whole
        assert time.process_time() - begin < 12  # takes 1.5 s on a machine at rest

    def test_a_ball_is_a_disc(self) -> None:
        n = 60
        latitude, longitude = np.meshgrid(np.linspace(0, np.pi, n), np.linspace(0, 2 * np.pi, 2 * n), indexing="ij")
        x, y = np.sin(latitude) * np.cos(longitude), np.sin(latitude) * np.sin(longitude)
        points = np.stack([x, y, np.cos(latitude)], axis=-1)
        a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
        parts = [np.stack(each, axis=2).reshape(-1, 3, 3) for each in ((a, b, c), (a, c, d))]
        ball = np.concatenate(parts).astype(np.float32)
        solid = Solid(triangles=ball, colors=np.tile(RED, (len(ball), 1)), in_mm=True, count=len(ball))

        pixels, notes = draw_solid(solid, (400, 400))

        covered = (pixels[..., 0].astype(int) - pixels[..., 1] > 30).sum()
        assert covered == pytest.approx(np.pi * (400 * 0.44) ** 2, rel=0.02)
        assert notes == ()


class TestCurves:
    def test_a_curve_reaches_as_high_as_its_values(self) -> None:
        sheet = Sheet((100, 200), pen=1)
        heights = np.full(5000, 80.0)
        heights[2500] = 20  # one value of many in a column

        sheet.draw(heights, 10, 180)

        rows, columns = np.nonzero(sheet.coverage())
        assert (rows.min(), rows.max()) == (pytest.approx(20, abs=1), pytest.approx(80, abs=1))
        assert (columns.min(), columns.max()) == (pytest.approx(10, abs=1), pytest.approx(190, abs=1))

    def test_a_gap_is_left_free(self) -> None:
        sheet = Sheet((10, 100), pen=1)
        heights = np.full(101, 5.0)
        heights[40:60] = np.nan

        sheet.draw(heights, 0, 100)

        inked = sheet.coverage().max(axis=0) > 0
        assert inked[5:35].all()
        assert not inked[45:55].any()

    @pytest.mark.parametrize("heights", [[], [1.0], [np.nan] * 9, [np.inf, -np.inf, 1e300]])
    def test_curves_of_nothing_are_nothing_to_fear(self, heights: list[float]) -> None:
        sheet = Sheet((10, 10), pen=2)

        sheet.draw(np.array(heights), -5, 30)

        assert np.isfinite(sheet.coverage()).all()


class TestPaper:
    def test_a_millivolt_is_10_mm_high_and_a_second_25_mm_wide(self) -> None:
        values = np.zeros(10_001, np.float32)
        values[2000:3000] = 1000  # µV, from the second to the third second
        recording = Recording(form="ecg", rate=1000, traces=(Trace(label="A", values=values, unit="uV"),))
        scale = 1040 / 260  # pixels of a millimeter

        picture = draw_ecg(recording, 1040)

        dark = picture.max(axis=2) < 90
        columns = np.arange(round(50 * scale), round(100 * scale))
        plateau = np.flatnonzero(dark[:, round(72 * scale)])
        base = np.flatnonzero(dark[:, round(120 * scale)])
        assert base.mean() - plateau.mean() == pytest.approx(10 * scale, abs=1)
        edges = columns[dark[round((base.mean() + plateau.mean()) / 2)][columns]]
        assert edges.max() - edges.min() == pytest.approx(25 * scale, abs=4)

    def test_twelve_leads_are_in_three_rows_and_a_strip(self) -> None:
        names = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
        traces = tuple(Trace(label=name, values=np.zeros(5001, np.float32), unit="mV") for name in names)

        twelve = draw_ecg(Recording(form="ecg", rate=500, traces=traces), SIZE)
        two = draw_ecg(Recording(form="ecg", rate=500, traces=traces[:2]), SIZE)

        assert twelve.shape[0] / two.shape[0] == pytest.approx(4.4 / 2.4, rel=0.01)

    @pytest.mark.parametrize("seconds", [0.01, 3, 7200])
    def test_a_recording_of_any_length_is_drawn(self, seconds: float) -> None:
        values = np.sin(np.arange(max(round(seconds * 50), 2))).astype(np.float32)
        recording = Recording(form="traces", rate=50, traces=(Trace(label="A", values=values, unit=""),) * 40)

        assert draw_traces(recording, (200, 300)).shape == (200, 300, 3)

    @pytest.mark.parametrize("value", [0.0, np.nan])
    def test_a_flat_channel_is_a_line(self, value: float) -> None:
        values = np.full(100, value, np.float32)
        recording = Recording(form="audio", rate=50, traces=(Trace(label="A", values=values, unit=""),))

        assert draw_traces(recording, (100, 300)).shape == (100, 300, 3)


class TestSpectraOnPaper:
    def test_a_grid_of_any_size_is_drawn_by_its_middle(self) -> None:
        spectra = Spectra(values=np.zeros((40, 50, 16), np.float32), first_ppm=5, last_ppm=0, nucleus="31P")

        assert draw_spectra(spectra, (100, 120)).shape == (100, 120, 3)

    def test_a_peak_stands_at_its_shift(self) -> None:
        values = np.zeros((1, 1, 101), np.float32)
        values[0, 0, 30] = 1  # of 10 … 0 ppm

        picture = draw_spectra(Spectra(values=values, first_ppm=10, last_ppm=0, nucleus="31P"), (400, 1000))

        column = int((picture[100].max(axis=1) < 120).argmax())
        margin = 1000 // 48
        inner = 1000 - 2 * margin
        assert column == pytest.approx(margin + inner * (0.03 + 0.94 * 0.3), abs=3)


class TestDocuments:
    def test_a_page_is_drawn_whole(self, tmp_path: Path) -> None:
        image = preview(write_document(tmp_path, EncapsulatedPDFStorage, "application/pdf", make_page()))

        assert (image.drawn_as, image.height, image.n_items) == ("picture", SIZE, 1)
        page = image.to_numpy()[150:]
        assert page.shape[1] == pytest.approx(SIZE * 0.88 / 842 * 595, abs=2)
        assert (page[..., 0] > 200).all()
        assert (page[..., 1:] < 60).all()
        assert image.title == "PDF · 1 page · A document"

    @pytest.mark.parametrize("data", [b"", b"no PDF", b"%PDF-1.4\n", make_page()[:200], b"\0" * 50_000])
    def test_what_is_no_pdf_is_a_card_that_says_so(self, tmp_path: Path, data: bytes) -> None:
        image = preview(write_document(tmp_path, EncapsulatedPDFStorage, "application/pdf", data))

        assert image.drawn_as == "card"
        assert any("PDF cannot be read" in note for note in image.notes) or not data

    def test_without_the_library_it_is_a_card_that_names_the_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pypdfium2", None)

        image = preview(write_document(tmp_path, EncapsulatedPDFStorage, "application/pdf", make_page()))

        assert image.drawn_as == "card"
        assert image.notes == ("the page is not drawn: pip install 'dsp-batch[pdf]'",)

    def test_no_description_shows_no_page_and_no_title(self, tmp_path: Path) -> None:
        folder = write_document(tmp_path, EncapsulatedPDFStorage, "application/pdf", make_page())

        image = preview(folder, PreviewOptions(describe=False))

        assert image.drawn_as == "card"
        assert "A document" not in f"{image.title}{image.summary}"

    def test_a_model_of_noise_is_a_card(self, tmp_path: Path) -> None:
        image = preview(write_document(tmp_path, EncapsulatedSTLStorage, "model/stl", b"no model at all"))

        assert (image.drawn_as, image.notes) == ("card", ("the STL holds no triangle",))

    def test_a_model_that_is_too_large_is_a_card(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dsp_batch.render.figures.contents.MOST_BYTES", 20_000)

        image = preview(write_document(tmp_path, EncapsulatedSTLStorage, "model/stl", bytes(40_000)))

        assert (image.drawn_as, image.notes) == ("card", ("1 object is too large to read",))


@needs_data
class TestRealObjects:
    @pytest.mark.parametrize(
        ("folder", "headline", "count"),
        [
            ("made-stl-prostate-binary", "STL · 49 × 34 × 40 mm · STL surface of prostate", 1248),
            ("made-stl-lesion-ascii", "STL · 15 × 10 × 12 mm · STL surface of lesion 1", 1248),
            ("made-obj-prostate", "OBJ · 49 × 34 × 40 mm · OBJ surface", 1248),
            ("pdf-encapsulated-ion", "PDF · 1 page · Test Encapsulated PDF", 1),
            ("mrs-single-voxel-probe", "MR spectroscopy · 1 spectrum of 1H", 1),
            ("mrs-brain-tumor-csi", "MR spectroscopy · 256 spectra of 1H", 256),
        ],
    )
    def test_an_object_that_shows_something_is_a_picture(self, folder: str, headline: str, count: int) -> None:
        image = preview(OBJECTS / folder)

        assert (image.drawn_as, image.n_items, image.notes) == ("picture", count, ())
        assert image.title is not None
        assert image.title.startswith(headline)
        assert max(image.width, image.height) == SIZE

    def test_a_clinical_document_is_a_card_of_its_sections(self) -> None:
        image = preview(OBJECTS / "made-cda-discharge")

        assert (image.drawn_as, image.title) == ("card", "CDA · 1 section · Discharge summary")
        assert image.summary == ("Findings: No acute finding.",)

    @pytest.mark.parametrize("size", [64, 128, 1500])
    def test_pictures_of_any_size_fit_it(self, size: int) -> None:
        for folder in ("made-stl-prostate-binary", "pdf-encapsulated-ion", "mrs-brain-tumor-csi"):
            image = preview(OBJECTS / folder, PreviewOptions(size=size))
            assert max(image.width, image.height) == size
