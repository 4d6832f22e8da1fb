"""Generate series for the demo, the tests and the benchmarks: no patient, no download, the same bytes every time.

Example:
    >>> from dsp_batch.phantom.series import build_ct
    >>> series = build_ct(count=3, size=32)
    >>> series.series_uuid, len(series.objects)
    ('fab43f47-d595-57c7-9ed5-b9ecd3d19919', 3)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from pydicom import uid

from dsp_batch.phantom.bodies import head_signal, head_uptake, torso_hounsfield, torso_uptake
from dsp_batch.phantom.modules import (
    clock,
    ct_attributes,
    mr_attributes,
    pet_attributes,
    radiograph_attributes,
    report_attributes,
    ultrasound_attributes,
)
from dsp_batch.phantom.objects import (
    FrameArray,
    PhantomSeries,
    build_series,
    build_single,
    encode_header,
    instance_numbers,
    write_object,
)
from dsp_batch.phantom.pictures import hand_radiograph, heart_ultrasound
from dsp_batch.phantom.shapes import Image, Plane, cut_stack, decimals, noise
from dsp_batch.phantom.statements import (
    build_measurements,
    build_presentation_state,
    build_segmentation,
    build_structure_set,
)

_TORSO_MM = 371.2
_TORSO_STACK_MM = {"axial": 400.0, "coronal": 200.0, "sagittal": 320.0, "oblique": 300.0}
_HEAD_MM = 244.0
_WASH = (0.0, 0.1, 0.6, 1.0, 0.7, 0.5, 0.4, 0.34, 0.3, 0.28)
"""Amount of contrast agent at each time point, as a fraction of the peak."""


def build_ct(
    name: str = "ct-axial",
    *,
    plane: Plane = "axial",
    count: int = 40,
    size: int = 256,
    transfer_syntax: str = uid.ExplicitVRLittleEndian,
) -> PhantomSeries:
    """Build a CT of a torso: signed 16 bit, HU = stored value - 1024, padding -2000 outside the round field of view.

    Args:
        name: Text that decides UUIDs and UIDs.
        plane: Plane of the slices. InstanceNumber runs against the display order.
        count: Number of slices.
        size: Rows and columns.
        transfer_syntax: UID of a native or lossless transfer syntax.
    """
    stack = cut_stack(plane, (size, size), count, (_TORSO_MM, _TORSO_STACK_MM[plane]))
    title = f"CT torso {plane}"
    header = encode_header(ct_attributes(name, title, plane), transfer_syntax)
    grain = np.float32(8) * noise(11, (size, size), 1)
    across = np.arange(size) - (size - 1) / 2
    outside = across[None, :] ** 2 + across[:, None] ** 2 > (size / 2) ** 2

    def write(number: int) -> bytes:
        hounsfield = torso_hounsfield(stack.points(number)) + np.roll(grain, number * 37, (0, 1))
        stored = np.rint(hounsfield).astype(np.int16) + np.int16(1024)
        stored[outside] = -2000
        own = stack.plane_attributes(number) | instance_numbers(name, number)
        return write_object(header, own, stored[None])

    return build_series(name, title, map(write, range(count)))


def build_mr(
    name: str = "mr-sagittal",
    *,
    count: int = 24,
    rows: int = 160,
    columns: int = 256,
    transfer_syntax: str = uid.ExplicitVRLittleEndian,
) -> PhantomSeries:
    """Build a sagittal MR of a head: unsigned 12 bit, pixels higher than wide unless rows equal columns."""
    stack = cut_stack("sagittal", (rows, columns), count, (_HEAD_MM, 150))
    title = "MR head sagittal"
    window = {"WindowCenter": "1700", "WindowWidth": "3400"}
    header = encode_header(mr_attributes(name, title) | window, transfer_syntax)
    grain = noise(12, (rows, columns), 2)

    def write(number: int) -> bytes:
        stored = _head_values(head_signal(stack.points(number)), grain, number)
        own = stack.plane_attributes(number) | instance_numbers(name, number)
        return write_object(header, own, stored[None])

    return build_series(name, title, map(write, range(count)))


def build_bolus(name: str = "mr-bolus", *, positions: int = 6, times: int = 6, size: int = 128) -> PhantomSeries:
    """Build an axial MR of a head at several times: contrast agent lights up vessels and a lesion, then washes out.

    InstanceNumber counts positions first and times second, as a scanner does.
    """
    stack = cut_stack("axial", (size, size), positions, (_HEAD_MM, 120), (0.0, 3.0, 30.0))
    title = "MR head perfusion"
    header = encode_header(mr_attributes(name, title) | {"WindowCenter": "2200", "WindowWidth": "4400"})
    anatomy = [head_signal(stack.points(number)) for number in range(positions)]
    uptake = [head_uptake(stack.points(number)) for number in range(positions)]
    grain = noise(13, (size, size), 1)

    def write(time: int, number: int) -> bytes:
        signal = anatomy[number] + np.float32(_WASH[min(time, len(_WASH) - 1)]) * uptake[number]
        stored = _head_values(signal, grain, time * positions + number)
        moment = {
            "AcquisitionTime": clock(90 + 2.5 * time),
            "TemporalPositionIdentifier": time + 1,
            "NumberOfTemporalPositions": times,
        }
        numbers = instance_numbers(name, time * positions + number)
        return write_object(header, stack.plane_attributes(number) | moment | numbers, stored[None])

    return build_series(name, title, itertools.starmap(write, itertools.product(range(times), range(positions))))


def build_localizer(name: str = "mr-localizer", *, per_plane: int = 3, size: int = 128) -> PhantomSeries:
    """Build one series of axial, coronal and sagittal planes of a head."""
    title = "MR head localizer"
    header = encode_header(mr_attributes(name, title) | {"WindowCenter": "1700", "WindowWidth": "3400"})
    grain = noise(14, (size, size), 1)
    planes: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
    stacks = [cut_stack(plane, (size, size), per_plane, (_HEAD_MM, 20.0 * per_plane)) for plane in planes]

    def write(number: int) -> bytes:
        stack, slice_number = stacks[number // per_plane], number % per_plane
        stored = _head_values(head_signal(stack.points(slice_number)), grain, number)
        own = stack.plane_attributes(slice_number) | instance_numbers(name, number)
        return write_object(header, own, stored[None])

    return build_series(name, title, map(write, range(3 * per_plane)))


def build_pet(name: str = "pet", *, count: int = 30, size: int = 96) -> PhantomSeries:
    """Build a PET of the torso, in which each slice has a Rescale Slope of its own."""
    stack = cut_stack("axial", (size, size), count, (_TORSO_MM, _TORSO_STACK_MM["axial"]))
    header = encode_header(pet_attributes(name, "PET torso", count))
    grain = 1 + np.float32(0.12) * noise(16, (size, size), 2)

    def write(number: int) -> bytes:
        activity = 1500 * torso_uptake(stack.points(number)) * np.roll(grain, number * 37, (0, 1))
        slope = float(decimals(max(float(activity.max()), 1.0) / 32767 + 1e-5)[0])
        stored = np.rint(activity.clip(0) / np.float32(slope)).astype(np.uint16)
        own = {"RescaleSlope": f"{slope:.9g}", "ImageIndex": count - number} | stack.plane_attributes(number)
        return write_object(header, own | instance_numbers(name, number), stored[None])

    return build_series(name, "PET torso", map(write, range(count)))


def build_ultrasound(
    name: str = "us-cine",
    *,
    count: int = 20,
    rows: int = 240,
    columns: int = 320,
    transfer_syntax: str = uid.JPEGBaseline8Bit,
) -> PhantomSeries:
    """Build a color cine of a beating heart in one multi-frame object."""
    title = "US heart color flow"
    frame_time = {"FrameTime": "50", "FrameIncrementPointer": 0x00181063, "UltrasoundColorDataPresent": 1}
    attributes = ultrasound_attributes(name, title, uid.UltrasoundMultiFrameImageStorage) | frame_time
    if transfer_syntax == uid.JPEGBaseline8Bit:
        attributes |= {"LossyImageCompression": "01", "LossyImageCompressionMethod": "ISO_10918_1"}
    return build_single(name, attributes, heart_ultrasound(count, rows, columns), transfer_syntax)


def build_palette_ultrasound(name: str = "us-palette", *, rows: int = 240, columns: int = 320) -> PhantomSeries:
    """Build an ultrasound image whose 8-bit values are shown through a palette from black over amber to white."""
    title = "US heart palette"
    gray = heart_ultrasound(1, rows, columns)[..., 1]
    steps = np.arange(256, dtype=np.int64) * 257
    ramps = {"Red": steps * 2, "Green": steps * 4 // 3 - 10000, "Blue": steps * 3 - 131070}
    attributes = ultrasound_attributes(name, title, uid.UltrasoundImageStorage)
    attributes["PhotometricInterpretation"] = "PALETTE COLOR"
    for color, ramp in ramps.items():
        attributes[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        attributes[f"{color}PaletteColorLookupTableData"] = ramp.clip(0, 65535).astype("<u2").tobytes()
    return build_single(name, attributes, gray)


def build_radiograph(name: str = "cr-hand", *, rows: int = 480, columns: int = 384) -> PhantomSeries:
    """Build a radiograph of a hand: 12 bit, MONOCHROME1."""
    attributes = radiograph_attributes(name, "CR hand", decimals(240 / rows)[0])
    return build_single(name, attributes, hand_radiograph(rows, columns, 240 / rows)[None])


def build_report(name: str = "sr-report") -> PhantomSeries:
    """Build a structured report: a valid object without pixels."""
    return build_single(name, report_attributes(name, "SR report"), None)


def build_corrupt(name: str = "corrupt") -> PhantomSeries:
    """Build two objects that are no DICOM instances: one cut off within an element of its header, one of noise."""
    whole = build_ct(f"{name}/whole", count=1, size=16).objects[0].data
    garbage = np.asarray(np.random.PCG64(17).random_raw(512)).astype("<u8").tobytes()
    return build_series(name, "Corrupt objects", [whole[:700], garbage])


def demo_collection() -> Iterator[PhantomSeries]:
    """Build the series of `dsp-batch demo`, as they are asked for: one of each kind, and what others say of the CT."""
    builders: tuple[Callable[[], PhantomSeries], ...] = (
        build_ct,
        build_mr,
        build_bolus,
        build_ultrasound,
        build_radiograph,
        build_pet,
        build_localizer,
        build_report,
        build_measurements,
        build_structure_set,
        build_presentation_state,
        build_segmentation,
        build_corrupt,
    )
    return (build() for build in builders)


def write_collection(root: Path, collection: Iterable[PhantomSeries]) -> None:
    """Write series below a folder, as `{root}/{series_uuid}/{name}`."""
    for series in collection:
        folder = root / series.series_uuid
        folder.mkdir(parents=True, exist_ok=True)
        for item in series.objects:
            (folder / item.name).write_bytes(item.data)


def _head_values(signal: Image, grain: Image, number: int) -> FrameArray:
    """Add noise to an MR signal and turn it into 12-bit stored values."""
    values = np.float32(3.3) * signal + np.float32(45) * np.abs(np.roll(grain, number * 37, (0, 1)))
    stored: FrameArray = np.rint(values.clip(0, 4095)).astype(np.uint16)
    return stored
