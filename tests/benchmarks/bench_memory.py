"""Peaks of memory: one object of 4 GB, of which only ranges may be read, and a worker over many series."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from bench_batch import bench_worker_memory
from bench_figures import COLD, Figure
from bench_places import Bench, BenchSeries
from bench_process import run_task
from bench_series import arguments_of
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

_FRAMES, _ROWS, _COLUMNS = 8000, 512, 512
"""4.19 GB of 16-bit pixels: a value may have 2**32 - 2 bytes (PS3.5 7.1.2)."""


def bench_memory(bench: Bench) -> Iterator[Figure]:
    """The large object, then the worker."""
    large = BenchSeries(name="4 GB", series_uuid="00000000-0000-4000-8000-000000000004", count=1)
    _write_large(bench.folder / "www" / "series" / large.series_uuid / "large.dcm")
    for source in bench.sources:
        if source.name != "radosgw":  # its store is in memory
            bench.say(f"4 GB from {source.name}")
            arguments = arguments_of(bench, large, source, COLD)
            values = run_task("walk_series", arguments, kind=source.name, runs=1, environment=source.environment)
            yield Figure(part="memory", case=large.name, source=source.name, operation=COLD, values=values)
    yield from bench_worker_memory(bench)


def _write_large(path: Path) -> None:
    """Write a multi-frame object whose pixels take no space: a hole in the file."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = (
        generate_uid(entropy_srcs=["a"]),
        generate_uid(entropy_srcs=["b"]),
    )
    dataset.Modality, dataset.InstanceNumber, dataset.NumberOfFrames = "OT", 1, _FRAMES
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = _ROWS, _COLUMNS, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    header = io.BytesIO()
    dataset.save_as(header, enforce_file_format=True)
    length = _FRAMES * _ROWS * _COLUMNS * 2
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(header.getvalue() + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))
        file.truncate(file.tell() + length)
