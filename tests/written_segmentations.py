"""Segmentations written by highdicom, of images that hold nothing but their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import highdicom
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

RGB = tuple[int, int, int]


def segment_planes(
    masks: npt.NDArray[np.generic], colors: Sequence[RGB], kind: str = "BINARY", **more: Any
) -> highdicom.seg.Segmentation:
    """Write a segmentation.

    Args:
        masks: (planes, rows, columns, segments), or (planes, rows, columns) of segment numbers; the first plane is the
            highest.
        colors: Of each segment.
        kind: Segmentation Type (0062,0001).
        more: Further arguments of highdicom.
    """
    planes, rows, columns = masks.shape[:3]
    return highdicom.seg.Segmentation(
        source_images=[_write_source(number, rows, columns) for number in range(planes)],
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=[_describe_segment(number, color) for number, color in enumerate(colors, 1)],
        series_instance_uid="1.2.3",
        series_number=1,
        sop_instance_uid="1.2.3.4",
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        **more,
    )


def _write_source(number: int, rows: int, columns: int) -> pydicom.Dataset:
    """One of the images that a segmentation is of, 2 mm apart."""
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.826.0.1.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.1", "1.2.2", "1.2.4"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"):
        setattr(dataset, keyword, "")
    dataset.StudyDate = dataset.StudyTime = dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.Rows, dataset.Columns = "CT", rows, columns
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, -number * 2]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
    return dataset


def _describe_segment(number: int, color: RGB) -> highdicom.seg.SegmentDescription:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=str(number),
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type="MANUAL",
        display_color=highdicom.color.CIELabColor.from_rgb(*color),
    )
