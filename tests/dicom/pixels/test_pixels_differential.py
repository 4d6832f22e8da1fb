"""Every image series of the data pack against two independent pipelines: pydicom for values, DCMTK for pictures.

Frames are compared before they are resized, at positions 0, 0.5 and 1: stored values (or colors) with pydicom's
decoders, display values with pydicom's LUT functions and with `dcm2pnm`, which is given the same window.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from data_folder import DATA, load_real_index, needs_data, open_store, read_catalog
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, get_decoder

from dsp_batch.core.selection import select_position
from dsp_batch.core.windowing import choose_voi, display_values, percentile_window
from dsp_batch.dicom.grids import crop_slice
from dsp_batch.dicom.syntaxes import JPEG_2000, JPEG_LOSSLESS, JPEG_LOSSY, JPEG_LS
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.model.contrast import EMBEDDED
from dsp_batch.model.frame import LookupTable, StoredFrame
from dsp_batch.model.series import ByteArray, FrameRef, ObjectInfo
from dsp_batch.model.window import Window
from dsp_batch.render.choose import list_pictures
from dsp_batch.render.read import EncodedFrames, read_pictures

pytestmark = needs_data
needs_dcmtk = pytest.mark.skipif(not shutil.which("dcm2pnm"), reason="DCMTK is not installed")

POSITIONS = (0.0, 0.5, 1.0)
MOST_FRAMES = 4
"""Frames compared of a picture that is made of many."""

IMAGES = [row["series_uuid"] for row in read_catalog() if int(row["n_frames"] or 0)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One frame as the package decodes it, and where it comes from."""

    index: SeriesIndex
    ref: FrameRef
    frame: StoredFrame

    @property
    def path(self) -> Path:
        return DATA / "series" / self.index.series_uuid / self.index.values("FileName")[self.ref.instance]

    @property
    def title(self) -> str:
        return f"{self.path.parent.name[:8]}/{self.path.name[:8]} frame {self.ref.frame}"

    @property
    def number(self) -> int:
        """Frame of the file: the slices of a grid image lie all in its only one."""
        return 0 if self.index.grid(self.ref.instance) else self.ref.frame

    def crop(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The part of the file's frame that is the case's: a slice of a grid image, else all of it."""
        grid = self.index.grid(self.ref.instance)
        return crop_slice(image, grid, self.ref.frame) if grid else image

    @property
    def voi(self) -> Window | LookupTable:
        return choose_voi(EMBEDDED, self.frame, percentile_window([self.frame]))


@cache
def draw_cases(series_uuid: str) -> list[Case]:
    """The frames at the three positions, read through the package's whole path."""
    index = load_real_index(series_uuid)
    drawables = list_pictures(index)
    ranks = dict.fromkeys(select_position(drawables.order, position) for position in POSITIONS)
    refs = list(dict.fromkeys(ref for rank in ranks for ref in drawables.pictures[rank].frames[:MOST_FRAMES]))
    wanted: dict[int, list[int]] = {}
    for ref in refs:
        wanted.setdefault(ref.instance, []).append(ref.frame)
    names, sizes = index.values("FileName"), index.values("ObjectSize")
    readers = {
        ObjectInfo(name=names[row], size=sizes[row]): read_pictures(index, row, frames)
        for row, frames in wanted.items()
    }
    found = open_store().read(series_uuid, readers)
    cases = []
    for ref in refs:
        of_object = found[names[ref.instance]]
        assert isinstance(of_object, EncodedFrames), of_object
        frame = of_object.decode(ref.frame)
        assert isinstance(frame, StoredFrame), frame
        cases.append(Case(index=index, ref=ref, frame=frame))
    return cases


NO_SECOND_DECODER = {
    "1.2.840.10008.1.2.4.111": "JPEG XL: neither pydicom nor DCMTK decodes it, so its first picture was looked at",
    "1.2.840.10008.1.2.8.1": "deflated frames: newer than pydicom 3.0; test_codecs compares them with other syntaxes",
    "736289dd": "RLE of one bit: pydicom and DCMTK refuse it; test_codecs compares it with other syntaxes",
    "28d85b87": "likewise",
}
"""Transfer syntax, or series → why no other program says what it holds."""

HTJ2K = "1.2.840.10008.1.2.4.201"


def find_exception(case: Case, reasons: dict[str, str]) -> str | None:
    """Why a case cannot be compared: by the beginning of its series, or its transfer syntax."""
    syntax = case.index.values("TransferSyntaxUID")[case.ref.instance]
    return reasons.get(case.index.series_uuid[:8]) or reasons.get(syntax)


def read_dataset(path: Path) -> Dataset:
    """The object as pydicom reads it; DCMTK decompresses lossless JPEG, for which there is no plugin here."""
    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", Dataset()):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    return dataset


def decompress(path: Path, folder: Path) -> Dataset:
    """A lossless JPEG object, decompressed by DCMTK."""
    native = folder / f"{path.stem}.native"
    if not native.exists():
        subprocess.run(["dcmdjpeg", str(path), str(native)], check=True, capture_output=True, timeout=60)
    return pydicom.dcmread(native)


def decode_independently(case: Case, folder: Path) -> npt.NDArray[Any]:
    """Stored values, or RGB of 8 bit."""
    dataset = read_dataset(case.path)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in JPEG_LOSSLESS:
        dataset = decompress(case.path, folder)
        syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == HTJ2K:  # OpenJPH; the package decodes with OpenJPEG
        return np.asarray(imagecodecs.htj2k_decode(next(generate_frames(dataset.PixelData, number_of_frames=1))))
    values, _ = get_decoder(syntax).as_array(dataset, index=case.number, raw=False, as_rgb=True)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colors = apply_color_lut(values, dataset)
        values = colors >> 8 if colors.dtype.itemsize == 2 else colors
    return case.crop(values)


@needs_dcmtk
@pytest.mark.parametrize("series_uuid", IMAGES)
def test_stored_values_and_colors_are_those_of_pydicom(series_uuid: str, tmp_path: Path) -> None:
    for case in draw_cases(series_uuid):
        if find_exception(case, NO_SECOND_DECODER):
            continue
        expected = decode_independently(case, tmp_path)

        assert case.frame.values.shape == expected.shape, case.title
        np.testing.assert_array_equal(case.frame.values, expected, err_msg=case.title)


def frame_item(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The functional group of a frame, its own before the shared one."""
    groups = [*dataset.get("PerFrameFunctionalGroupsSequence", [])[frame : frame + 1]]
    groups += dataset.get("SharedFunctionalGroupsSequence", [])
    return next((group[keyword].value[0] for group in groups if group.get(keyword)), None)


def modality_values(dataset: Dataset, frame: int, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What PS3.3 C.11.1 makes of stored values, as pydicom applies it; a dose grid has a scaling of its own."""
    if "DoseGridScaling" in dataset:
        return stored * float(dataset.DoseGridScaling)
    transformation = frame_item(dataset, frame, "PixelValueTransformationSequence") or dataset
    return np.asarray(apply_modality_lut(stored, transformation), np.float64)


def window_item(dataset: Dataset, frame: int) -> Dataset | None:
    """The first item that has a window or a VOI LUT."""
    items = (frame_item(dataset, frame, "FrameVOILUTSequence"), dataset)
    return next((item for item in items if item and ("WindowWidth" in item or item.get("VOILUTSequence"))), None)


def expected_display(case: Case, dataset: Dataset) -> npt.NDArray[np.float64]:
    """Fractions of white by pydicom: the object's own VOI, else the automatic window of the package."""
    values = modality_values(dataset, case.number, case.frame.values)
    item = window_item(dataset, case.number)
    voi = Dataset()
    # pydicom takes the range of the output from these; 16 bit without sign are 0 … 65535.
    voi.BitsStored, voi.PixelRepresentation, voi.PhotometricInterpretation = 16, 0, "MONOCHROME2"
    for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"):
        if item and keyword in item:
            voi[keyword] = item[keyword]
    if item is None:
        assert isinstance(case.voi, Window)
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = case.voi.center, case.voi.width, "LINEAR_EXACT"
    top = 65535
    if item and item.get("VOILUTSequence"):
        values, top = values.astype(np.int64), 2 ** item.VOILUTSequence[0].LUTDescriptor[2] - 1
    fraction = np.asarray(apply_voi_lut(values, voi), np.float64) / top
    shape = (
        dataset.get("PresentationLUTShape")
        or ("IDENTITY", "INVERSE")[dataset.PhotometricInterpretation == "MONOCHROME1"]
    )
    fraction = 1 - fraction if shape == "INVERSE" else fraction
    if "PixelPaddingValue" in dataset:
        limits = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)]
        fraction[(case.frame.values >= min(limits)) & (case.frame.values <= max(limits))] = 0
    return fraction


NO_WINDOW_BY_PYDICOM = {
    "cfdc02e1": "LINEAR of width 1 on fractions: a step to pydicom; the package reads it as LINEAR_EXACT",
}


@pytest.mark.parametrize("series_uuid", IMAGES)
def test_display_values_are_those_of_pydicoms_lookup_functions(series_uuid: str) -> None:
    for case in draw_cases(series_uuid):
        if case.frame.is_color or find_exception(case, NO_WINDOW_BY_PYDICOM):
            continue
        expected = expected_display(case, read_dataset(case.path)) * 255

        difference = np.abs(display_values(case.frame, case.voi) - expected).max()
        assert difference <= 1, (case.title, difference)


NO_PICTURE_BY_DCMTK = {
    **dict.fromkeys(JPEG_2000 | {HTJ2K}, "DCMTK has no JPEG 2000 decoder"),
    **NO_SECOND_DECODER,
    "7cc3682e": "one of its two objects lacks the lengths of file meta elements: DCMTK cannot parse it, pydicom can",
    "200d8e8c": "a segmented palette: not yet supported by DCMTK 3.6",
    "71504087": "JPEG-LS of 8 bit under a header of 7 bit: DCMTK refuses it",
    "cfdc02e1": "Float Pixel Data: DCMTK draws none",
    "1c172b28": "its header says RGB, its JPEG holds YCbCr: DCMTK believes the header and draws chrominance as green",
    "50a112c7": "YBR_FULL: DCMTK rounds the terms of the conversion one by one and is off by 2 in 0.1 % of the samples",
}
"""Transfer syntax or series → why DCMTK draws no picture of it, or another one."""


def dcmtk_window(case: Case) -> list[str]:
    """Options of dcm2pnm that mean the window of the package, in stored values.

    DCMTK rounds modality values to integers and looks for the slope at the top of the dataset alone, so it is told to
    leave the modality transform out (-M) and given the window that means the same before it. Its windows are LINEAR or
    SIGMOID: LINEAR_EXACT of c and w is LINEAR of c + 0.5 and w + 1 (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2).
    """
    voi, transform = case.voi, case.frame.transform
    if isinstance(voi, LookupTable):
        return ["+Wl", "1"]
    center, width, function = voi.center, voi.width, "+Wfs" if voi.function == "SIGMOID" else "+Wfl"
    options = []
    if transform.modality_lut is None:
        shift = 0.5 if voi.function == "LINEAR" else 0.0
        center = (center - shift - transform.intercept) / transform.slope
        width = (width - 2 * shift) / transform.slope
        options = ["-M"]
    elif voi.function == "LINEAR":
        center, width = center - 0.5, width - 1
    if voi.function != "SIGMOID":
        center, width = center + 0.5, width + 1
    return [*options, "+Ww", repr(center), repr(width), function]


def draw_by_dcmtk(case: Case, folder: Path) -> ByteArray:
    """The frame as dcm2pnm draws it, without overlays and scaling."""
    syntax = case.index.values("TransferSyntaxUID")[case.ref.instance]
    is_jpeg = syntax in JPEG_LOSSY | JPEG_LOSSLESS
    program = "dcmj2pnm" if is_jpeg else "dcml2pnm" if syntax in JPEG_LS else "dcm2pnm"
    window = [] if case.frame.is_color else dcmtk_window(case)
    command = [program, "-S", "-O", "+F", str(case.number + 1), *window, str(case.path), str(folder / "frame.pnm")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return case.crop(np.asarray(Image.open(folder / "frame.pnm")))


@needs_dcmtk
@pytest.mark.parametrize("series_uuid", IMAGES)
def test_pictures_are_those_of_dcmtk(series_uuid: str, tmp_path: Path) -> None:
    for case in draw_cases(series_uuid):
        if find_exception(case, NO_PICTURE_BY_DCMTK):
            continue
        expected = draw_by_dcmtk(case, tmp_path).astype(int)

        difference = np.abs(display_values(case.frame, case.voi) - expected).max()
        assert difference <= 1, (case.title, difference)
