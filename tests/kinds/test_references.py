"""A kind that draws upon another series: its index is looked up, and its frames are read where it lies."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from written_objects import write_dataset

from dsp_batch.batch.cluster.tasks import build_shard_indices, fetch_shard_headers, render_shard
from dsp_batch.batch.runs.job import Job
from dsp_batch.cache import Cache, open_cache
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Contents, Instances, Kind, Picture, StoredFrames
from dsp_batch.kinds.without_pixels import KINDS
from dsp_batch.model.frame import EncodedImage, GrayscaleTransform, StoredFrame
from dsp_batch.model.series import FrameRef, SeriesRef
from dsp_batch.options import ImageOptions
from dsp_batch.phantom.series import build_ct
from dsp_batch.pipeline import draw_series, load_index, preview
from dsp_batch.storage.store import Store

REPORT = "1.2.840.10008.5.1.4.1.1.88.33"
OPTIONS = ImageOptions(position=0.5, image_width=32, quality=100)


def name_evidence(instances: Instances) -> tuple[str, ...]:
    """The series that reports name as their evidence (PS3.3 C.17.2)."""
    return tuple(
        uid
        for attributes in instances.values()
        for study in attributes.items("CurrentRequestedProcedureEvidenceSequence")
        for series in study.items("ReferencedSeriesSequence")
        if (uid := series.text("SeriesInstanceUID"))
    )


def list_middle_slice(contents: Contents) -> list[Picture]:
    """The middle slice of the evidence, where that is at hand."""
    row = next(iter(contents.instances))
    frames = tuple(FrameRef(len(index) // 2, 0, number) for number, index in enumerate(contents.references, 1))
    return [Picture(frames=frames, subject=FrameRef(row, 0))]


def compose_evidence(picture: Picture, attributes: Attributes, frames: StoredFrames) -> StoredFrame:
    """The slice itself; without it a checked plane."""
    assert attributes.text("Modality") == "SR"
    if not picture.frames:
        values = np.indices((32, 32), np.int16).sum(0) % 2
        return StoredFrame(values=values, transform=GrayscaleTransform(), aspect=1.0)
    return frames[picture.frames[0]]


@pytest.fixture
def _reports_show_their_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind(
        list_pictures=list_middle_slice,
        compose=compose_evidence,
        name_references=name_evidence,
        needs_pixels=False,
    )
    monkeypatch.setitem(KINDS, REPORT, kind)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A CT in a folder named by its SeriesInstanceUID, and a report about it."""
    folder = tmp_path / "series"
    ct = build_ct(count=9, size=32)
    uid = _read_uid(ct.objects[0].data)
    for each in ct.objects:
        path = folder / uid / each.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.data)
    (folder / "report").mkdir()
    (folder / "report" / "a.dcm").write_bytes(write_dataset(_make_report(uid)))
    return folder


def _read_uid(data: bytes) -> str:
    import pydicom

    return str(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).SeriesInstanceUID)


def _make_report(uid: str) -> Dataset:
    series, study, report = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = []
    study.StudyInstanceUID = "1.2.3"
    study.ReferencedSeriesSequence = [series]
    report.SOPClassUID, report.SOPInstanceUID, report.SeriesInstanceUID = REPORT, "1.2.3.4", "1.2.3.5"
    report.Modality = "SR"
    report.CurrentRequestedProcedureEvidenceSequence = [study]
    return report


def draw(root: Path, name: str, cache: Cache | None) -> EncodedImage:
    return draw_series(SeriesRef(root=str(root), series_uuid=name), Store(str(root)), cache, OPTIONS, ".webp")


def pixels_of(data: bytes) -> list[list[int]]:
    values: list[list[int]] = np.asarray(Image.open(io.BytesIO(data)).convert("L")).tolist()
    return values


def find_ct(root: Path) -> str:
    return next(path.name for path in root.iterdir() if path.name != "report")


@pytest.mark.usefixtures("_reports_show_their_evidence")
class TestReferences:
    def test_a_picture_is_made_of_frames_of_the_series_drawn_upon(self, root: Path, tmp_path: Path) -> None:
        cache = open_cache(str(tmp_path / "cache"))
        uid = find_ct(root)
        load_index(str(root), series_uid=uid, cache=cache)

        image = preview(str(root), OPTIONS, series_uid=uid, cache=cache)
        assert pixels_of(draw(root, "report", cache).data) == pixels_of(image.data)

    def test_a_series_whose_index_is_not_at_hand_is_done_without(self, root: Path, tmp_path: Path) -> None:
        without_index = draw(root, "report", open_cache(str(tmp_path / "cache")))

        assert without_index.n_tiles == 1
        assert pixels_of(without_index.data) == pixels_of(draw(root, "report", None).data)

    def test_the_stages_of_a_batch_pass_the_indices_on(self, root: Path, tmp_path: Path) -> None:
        cache = open_cache(str(tmp_path / "cache"))
        job = Job(verb="get-image", options=OPTIONS, cache=cache, name="evidence")
        names = (find_ct(root), "report")

        rows = [
            row
            for name in names
            for row in render_shard(
                build_shard_indices(fetch_shard_headers((SeriesRef(root=str(root), series_uuid=name),), job, 1), job),
                job,
            )
        ]

        assert [row.status for row in rows] == ["done", "done"]
        previews = [cache.read(row.preview or "") or b"" for row in rows]
        assert pixels_of(previews[0]) == pixels_of(previews[1])
