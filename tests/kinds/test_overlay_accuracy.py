"""What is drawn over images, against independent readers: pydicom and own filling, DCMTK, and all points of a slide."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from data_folder import DATA, IS_EXPECTED
from image_caches import OBJECTS, fill_cache
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from dsp_batch import PreviewOptions, preview
from dsp_batch.cache import Cache
from dsp_batch.dicom.annotations import PointGroup, read_annotations
from dsp_batch.dicom.headers.read import read_header
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.overlays.by_class import find_overlay
from dsp_batch.kinds.overlays.images import list_images
from dsp_batch.kinds.overlays.scene import Scene
from dsp_batch.model.ranges import Reader, Reply, T
from dsp_batch.pipeline import build_search, find_series, index_series, open_frames
from dsp_batch.render.compose import read_frames_of
from dsp_batch.render.overlays.scene import lay_scene_over
from dsp_batch.render.overlays.states import display_state
from dsp_batch.render.overlays.work import OverlayWork
from dsp_batch.storage.store import build_store

pytestmark = pytest.mark.skipif(not OBJECTS.is_dir() and not IS_EXPECTED, reason="the pack of objects is not here")

CT = "ed96988a-3a9a-566c-9a25-227a18d9c04c"
FINE = PreviewOptions(size=1024, quality=100)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    """A cache that knows the CT."""
    return fill_cache(tmp_path_factory.mktemp("ct"), [DATA / "series" / CT])


def read_object(folder: str) -> Dataset:
    return dcmread(next((OBJECTS / folder).iterdir()))


def find_slice(uid: str) -> Path:
    paths = (DATA / "series" / CT).iterdir()
    return next(path for path in paths if dcmread(path, stop_before_pixels=True).SOPInstanceUID == uid)


def fill_polygon(corners: np.ndarray, side: int) -> np.ndarray:
    """Fill a polygon by the rule of even and odd, at the centers of pixels."""
    inside = np.zeros((side, side), bool)
    y, x = np.mgrid[0:side, 0:side] + 0.5
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y0 != y1:
            crosses = (y >= min(y0, y1)) & (y < max(y0, y1))
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def grow(mask: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        mask = mask | np.roll(mask, 1, 0) | np.roll(mask, -1, 0) | np.roll(mask, 1, 1) | np.roll(mask, -1, 1)
    return mask


def measure_distances(mask: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Measure how far the center of each pixel of a mask lies from the nearest edge of a polygon."""
    centers = np.argwhere(mask)[:, ::-1] + 0.5
    begin, along = corners, np.roll(corners, -1, 0) - corners
    offset = centers[:, np.newaxis] - begin
    share = ((offset * along).sum(2) / (along**2).sum(1)).clip(0, 1)
    distances: np.ndarray = np.linalg.norm(offset - share[..., np.newaxis] * along, axis=2).min(1)
    return distances


def test_an_outline_is_the_edge_of_the_filled_contour_within_a_pixel(images: Cache) -> None:
    structures = read_object("made-rtstruct-tumor-7-slices")
    contours = structures.ROIContourSequence[0].ContourSequence
    points = [np.array(each.ContourData, float).reshape(-1, 3) for each in contours]
    largest = max(range(len(points)), key=lambda at: np.ptp(points[at][:, 0]))
    ct = dcmread(find_slice(contours[largest].ContourImageSequence[0].ReferencedSOPInstanceUID))
    spacing, origin = [float(each) for each in ct.PixelSpacing], np.array(ct.ImagePositionPatient, float)
    pixels = (points[largest][:, :2] - origin[:2]) / spacing[::-1] + 0.5
    inside = fill_polygon(pixels, 512)

    scene, _ = lay_out("made-rtstruct-tumor-7-slices", images)
    drawn = lay_scene_over(replace(scene, legend=()), np.zeros((512, 512, 3), np.uint8)).max(2) > 170

    edge = grow(inside, 1) & grow(~inside, 1)
    assert drawn.sum() > 100
    assert measure_distances(drawn, pixels).max() <= 1
    assert not (edge & ~grow(drawn, 1)).any()


def test_a_seed_is_marked_at_its_pixel(images: Cache) -> None:
    drawn = preview(OBJECTS / "made-rtstruct-seed-point", FINE, cache=images).to_numpy().astype(int)
    red = (drawn[..., 0] > 150) & (drawn[..., 1] < 90) & (drawn[..., 2] < 90)
    rows, columns = np.nonzero(red[480:530, 370:430])

    # Column 200 and row 250, counted from 0, of 512.
    assert abs(columns.mean() + 370 - 401) <= 2
    assert abs(rows.mean() + 480 - 501) <= 2


def lay_out(folder: str, images: Cache) -> tuple[Scene, OverlayWork]:
    ref = find_series(OBJECTS / folder)
    store = build_store(ref.root)
    index = index_series(ref, store, images)
    source = open_frames(index, store, images, build_search(index, images, PreviewOptions(), ()))
    found = find_overlay(index)
    assert found is not None
    scene = found[0].lay_out(found[1], list_images(index, [each.index for each in source.references]))
    assert scene is not None
    return scene, OverlayWork(index=index, source=source, options=PreviewOptions(), suffix=".webp")


@pytest.mark.skipif(shutil.which("dcmp2pgm") is None, reason="DCMTK is not here")
@pytest.mark.parametrize("folder", ["made-pr-gsps-lung-circle-text", "made-pr-gsps-rotate-flip-inverse-zoom"])
def test_a_presentation_state_is_displayed_as_dcmtk_does(folder: str, images: Cache, tmp_path: Path) -> None:
    scene, work = lay_out(folder, images)
    state = scene.states[0]
    assert state.backdrop is not None
    frames = next(read_frames_of(work.open_pictures(state.backdrop)))
    own = display_state(state, next(iter(frames.values())))[..., 0].astype(int)
    path = next((OBJECTS / folder).iterdir())
    uid = dcmread(path).ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
    command = ["dcmp2pgm", "-p", str(path), str(find_slice(uid)), str(tmp_path / "their.pgm")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    their = np.asarray(Image.open(tmp_path / "their.pgm")).astype(int)

    if folder.endswith("zoom"):
        # DCMTK turns the whole image, and leaves it to viewers to cut the area out: rows and columns have changed.
        their = their[100:400, 150:450]
    else:
        rows, columns = np.mgrid[1:513, 1:513]
        their[(rows - 256) ** 2 + (columns - 256) ** 2 > 230**2] = 0  # the shutter too
    assert own.shape == their.shape
    assert np.abs(own - their).max() <= 1


class CountingReader:
    """Answers a reader from bytes, and counts requests as storage would send them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.requests = 0
        self.bytes_read = 0

    def run(self, reader: Reader[T]) -> T:
        try:
            ranges = next(reader)
            while True:
                parts = [self.data[each.start : each.stop] for each in ranges]
                self.requests += len(parts)
                self.bytes_read += sum(map(len, parts))
                ranges = reader.send(Reply(list(parts), len(self.data)))
        except StopIteration as stop:
            value: T = stop.value
            return value


def correlate(sampled: np.ndarray, every: np.ndarray) -> float:
    """Correlate two densities on 12 × 8 places of the frame that all points take."""
    edges = [np.linspace(every[:, axis].min(), every[:, axis].max(), count + 1) for axis, count in ((0, 12), (1, 8))]
    counts = [np.histogram2d(points[:, 0], points[:, 1], edges)[0].ravel() for points in (sampled, every)]
    return float(np.corrcoef(*counts)[0, 1])


def build_annotations(order: str) -> tuple[bytes, np.ndarray]:
    """The nuclei of the pack, with their polygons in the order given: as they are, or tile by tile."""
    dataset = read_object("made-ann-nuclei-30000-polygons-3d")
    group = dataset.AnnotationGroupSequence[0]
    points = np.frombuffer(group.DoublePointCoordinatesData, "<f8").reshape(-1, 2)
    if order == "tiles":
        starts = (np.frombuffer(group.LongPrimitivePointIndexList, "<u4").astype(int) - 1) // 2
        polygons = np.split(points, starts[1:])
        first = np.array([each[0] for each in polygons])
        low, high = first.min(0), first.max(0)
        tiles = np.floor((first - low) / (high - low + 1e-9) * 16)
        ranks = np.lexsort((tiles[:, 0], tiles[:, 1]))
        points = np.concatenate([polygons[at] for at in ranks])
        lengths = np.array([len(polygons[at]) for at in ranks])
        group.DoublePointCoordinatesData = points.tobytes()
        indices = np.concatenate([[0], np.cumsum(lengths)[:-1]]) * 2 + 1
        group.LongPrimitivePointIndexList = indices.astype("<u4").tobytes()
    dataset["AnnotationGroupSequence"].is_undefined_length = True
    group.is_undefined_length_sequence_item = True
    file = BytesIO()
    dataset.save_as(file)
    return file.getvalue(), points


@pytest.mark.parametrize("order", ["as they are", "tiles"])
def test_a_density_is_that_of_all_points_from_a_megabyte_of_them(order: str) -> None:
    data, points = build_annotations(order)
    reader = CountingReader(data)

    (group,) = reader.run(read_annotations("a.dcm", len(data)))

    assert (group.count, group.graphic, group.starts) == (30_000, "POLYGON", None)
    assert len(group.points) < len(points) / 4
    assert correlate(group.points, points) >= 0.85
    assert reader.requests <= 310
    assert reader.bytes_read <= 1_250_000


def test_facts_of_annotations_take_few_requests() -> None:
    data, _ = build_annotations("as they are")
    reader = CountingReader(data)

    header = reader.run(read_header("a.dcm", len(data)))

    assert reader.requests <= 6
    assert reader.bytes_read < 100_000
    assert [(each.item, each.vr) for each in header.nested] == [(0, "OD"), (0, "OL"), (0, "OF")]


def test_a_sparse_object_of_250_megabytes_is_drawn_within_its_requests_and_bytes() -> None:
    data, _ = build_annotations("as they are")
    header = CountingReader(data).run(read_header("a.dcm", len(data)))
    coordinates = header.nested[0]
    length = 250_000_000 // 16 * 16
    grown = length - coordinates.length
    begin = data[: coordinates.start - 4] + length.to_bytes(4, "little")
    pieces = {0: begin, coordinates.start + length: data[coordinates.start + coordinates.length :]}
    sparse = _SparseObject(pieces, len(data) + grown)

    (group,) = sparse.run(read_annotations("a.dcm", sparse.size))

    assert group.count == 30_000
    assert sparse.requests <= 310
    assert sparse.bytes_read <= 1_250_000


class _SparseObject:
    """An object that is zeros but for a few pieces."""

    def __init__(self, pieces: dict[int, bytes], size: int) -> None:
        self.pieces, self.size = pieces, size
        self.requests = self.bytes_read = 0

    def run(self, reader: Reader[tuple[PointGroup, ...]]) -> tuple[PointGroup, ...]:
        try:
            ranges = next(reader)
            while True:
                parts = [self._cut(each.start, min(each.stop, self.size)) for each in ranges]
                self.requests += len(parts)
                self.bytes_read += sum(map(len, parts))
                ranges = reader.send(Reply(list(parts), self.size))
        except StopIteration as stop:
            value: tuple[PointGroup, ...] = stop.value
            return value

    def _cut(self, start: int, stop: int) -> bytes:
        found = bytearray(stop - start)
        for at, piece in self.pieces.items():
            low, high = max(start, at), min(stop, at + len(piece))
            if low < high:
                found[low - start : high - start] = piece[low - at : high - at]
        return bytes(found)


def test_an_index_of_annotations_is_small_and_tells_the_facts(tmp_path: Path) -> None:
    ref = find_series(OBJECTS / "made-ann-nuclei-30000-polygons-3d")
    index: SeriesIndex = index_series(ref, build_store(ref.root), fill_cache(tmp_path, []))
    group = index.attributes(0).item("AnnotationGroupSequence")

    assert (group.text("AnnotationGroupLabel"), group.integer("NumberOfAnnotations")) == ("nuclei", 30_000)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*_index.parquet")) < 100_000
