"""Generate objects that show something without pixels: an ECG, a model, a spectrum, and documents."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid

from dsp_batch.phantom.modules import code, common
from dsp_batch.phantom.objects import PhantomSeries, build_single
from dsp_batch.phantom.shapes import Image, noise

_RATE, _SECONDS, _BEAT = 500, 10, 0.8
_WAVES = ((0.16, 0.05, 0.12), (0.245, 0.012, -0.1), (0.26, 0.018, 1.0), (0.28, 0.014, -0.22), (0.47, 0.09, 0.28))
"""The waves of a beat, P to T: their middle and half width in seconds, and their height in mV."""

_LEADS = (
    ("I", "2:1", 0.62),
    ("II", "2:2", 1.0),
    ("III", "2:61", 0.42),
    ("aVR", "2:62", -0.8),
    ("aVL", "2:63", 0.14),
    ("aVF", "2:64", 0.7),
    ("V1", "2:3", -0.55),
    ("V2", "2:4", -0.85),
    ("V3", "2:5", 0.5),
    ("V4", "2:6", 1.35),
    ("V5", "2:7", 1.2),
    ("V6", "2:8", 0.85),
)
"""Leads, their codes of ISO 11073-10101, and how high they see a beat."""

_MICROVOLTS = 2.5
_PEAKS = (
    (4.66, 0.04, 1.6),
    (3.91, 0.03, 0.5),
    (3.55, 0.03, 0.42),
    (3.2, 0.025, 0.6),
    (3.02, 0.025, 0.75),
    (2.01, 0.03, 1.0),
)
"""Peaks of a spectrum of the brain: chemical shift and half width in ppm, and height."""


def build_ecg(name: str = "ecg") -> PhantomSeries:
    """Build a 12-lead ECG of ten seconds (PS3.3 A.34.3)."""
    time = np.arange(_RATE * _SECONDS) / np.float64(_RATE) % _BEAT
    beat = sum((height * _bump((time - middle) / width) for middle, width, height in _WAVES), np.zeros(len(time)))
    grain = 0.012 * noise(21, (len(_LEADS), len(time)), 1).astype(np.float64)
    samples = [np.rint((share * beat + grain[at]) * 1000 / _MICROVOLTS) for at, (_, _, share) in enumerate(_LEADS)]
    channels = [
        {
            "ChannelSourceSequence": code(value, "MDC", f"Lead {lead}"),
            "ChannelSensitivity": f"{_MICROVOLTS}",
            "ChannelSensitivityUnitsSequence": code("uV", "UCUM", "microvolt"),
            "ChannelSensitivityCorrectionFactor": "1",
            "ChannelBaseline": "0",
            "ChannelSampleSkew": "0",
            "WaveformBitsStored": 16,
        }
        for lead, value, _ in _LEADS
    ]
    group = {
        "WaveformOriginality": "ORIGINAL",
        "NumberOfWaveformChannels": len(_LEADS),
        "NumberOfWaveformSamples": len(time),
        "SamplingFrequency": f"{_RATE}",
        "MultiplexGroupLabel": "RHYTHM",
        "ChannelDefinitionSequence": channels,
        "WaveformBitsAllocated": 16,
        "WaveformSampleInterpretation": "SS",
        "WaveformData": np.stack(samples, axis=1).astype("<i2").tobytes(),
    }
    attributes = {
        **common(name, "ECG at rest", "ECG", uid.TwelveLeadECGWaveformStorage),
        "AcquisitionDateTime": "20240229103000",
        "AcquisitionContextSequence": [],
        "WaveformSequence": [group],
    }
    return build_single(name, attributes, None)


def build_model(name: str = "model") -> PhantomSeries:
    """Build a model of a surface (PS3.3 A.85.1): a kidney-like body of 5,120 triangles, as binary STL."""
    triangles = _build_ball(4)
    x, y, z = np.moveaxis(triangles, -1, 0)
    bend = np.float32(0.35) * (1 - z * z)
    grain = 1 + np.float32(0.06) * x * y * z * 8
    body = np.stack(
        [(x * np.float32(26) + bend * 40 - 8) * grain, y * np.float32(22) * grain, z * np.float32(52)], axis=-1
    )
    facets = np.zeros((len(body), 50), np.uint8)
    facets[:, 12:48] = np.ascontiguousarray(body, "<f4").view(np.uint8).reshape(-1, 36)
    attributes = {
        **common(name, "STL kidney", "M3D", uid.EncapsulatedSTLStorage),
        "DocumentTitle": "Kidney",
        "MIMETypeOfEncapsulatedDocument": "model/stl",
        "MeasurementUnitsCodeSequence": code("mm", "UCUM", "mm"),
        "RecommendedDisplayCIELabValue": [38000, 42500, 38500],
        "EncapsulatedDocument": bytes(80) + struct.pack("<I", len(body)) + facets.tobytes(),
    }
    return build_single(name, attributes, None)


def build_spectrum(name: str = "spectrum", *, points: int = 2048) -> PhantomSeries:
    """Build the proton spectrum of one voxel of a brain (PS3.3 A.36.3)."""
    width, frequency, reference = 2000.0, 123.2, 4.7
    ppm = reference + (points / 2 - np.arange(points)) * (width / frequency / points)
    lines = sum((height / (1 + ((ppm - at) / half) ** 2) for at, half, height in _PEAKS), np.zeros(points))
    grain = 0.015 * noise(22, (2, points), 1).astype(np.float64)
    values = np.stack([lines + grain[0], grain[1]], axis=1).astype("<f4")
    attributes = {
        **common(name, "MRS brain", "MR", uid.MRSpectroscopyStorage),
        "ResonantNucleus": "1H",
        "SpectralWidth": width,
        "TransmitterFrequency": frequency,
        "ChemicalShiftReference": reference,
        "VolumeLocalizationTechnique": "PRESS",
        "NumberOfFrames": 1,
        "Rows": 1,
        "Columns": 1,
        "DataPointRows": 1,
        "DataPointColumns": points,
        "DataRepresentation": "COMPLEX",
        "SignalDomainColumns": "FREQUENCY",
        "SpectroscopyData": values.tobytes(),
    }
    return build_single(name, attributes, None)


def build_page(name: str = "pdf") -> PhantomSeries:
    """Build a document of one page (PS3.3 A.45.1): a chart, and lines without letters, which would depend on fonts."""
    widths = (240, 0, 470, 455, 462, 300, 0, 468, 440, 180)
    lines = "\n".join(f"60 {770 - 26 * at} {width} {18 if at == 0 else 8} re f" for at, width in enumerate(widths))
    bars = "\n".join(f"{90 + 70 * at} 150 44 {height} re f" for at, height in enumerate((90, 150, 210, 120, 60, 180)))
    drawing = f"0.11 0.24 0.36 rg\n{lines}\n0.85 0.6 0.3 rg\n{bars}\n0.4 g 70 148 440 2 re f\n"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
        f"<< /Length {len(drawing)} >>\nstream\n{drawing}endstream",
    )
    body = "%PDF-1.4\n" + "".join(f"{number} 0 obj\n{each}\nendobj\n" for number, each in enumerate(objects, 1))
    data = f"{body}trailer << /Root 1 0 R /Size {len(objects) + 1} >>\n%%EOF\n".encode("ascii")
    return _build_document(name, "PDF report", uid.EncapsulatedPDFStorage, ("application/pdf", data))


def build_clinical_document(name: str = "cda") -> PhantomSeries:
    """Build a clinical document of three sections (PS3.3 A.45.2)."""
    sections = {
        "Reason for examination": "Routine examination of a phantom.",
        "Findings": "A bright sphere of 40 mm in the left lung. A metal rod from the neck to the left hip.",
        "Impression": "A phantom without further findings.",
    }
    body = "".join(
        f"<component><section><title>{title}</title><text><paragraph>{text}</paragraph></text></section></component>"
        for title, text in sections.items()
    )
    data = (
        '<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>Radiology report</title>'
        f"<component><structuredBody>{body}</structuredBody></component></ClinicalDocument>"
    ).encode("ascii")
    return _build_document(name, "CDA report", uid.EncapsulatedCDAStorage, ("text/xml", data))


def _build_document(name: str, title: str, sop_class: str, document: tuple[str, bytes]) -> PhantomSeries:
    mime_type, data = document
    attributes: dict[str, Any] = {
        **common(name, title, "DOC", sop_class),
        "DocumentTitle": title,
        "MIMETypeOfEncapsulatedDocument": mime_type,
        "EncapsulatedDocument": data + b"\0" * (len(data) % 2),
        "EncapsulatedDocumentLength": len(data),
    }
    return build_single(name, attributes, None)


def _bump(offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute a smooth bump of height 1 between -1 and 1."""
    rest = (1 - offset * offset).clip(0)
    bump: npt.NDArray[np.float64] = rest * rest
    return bump


def _build_ball(times: int) -> Image:
    """Build the unit ball of triangles: an octahedron whose triangles are split into four, several times."""
    ends = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    corners = np.array(ends, np.float32)
    faces = [(x, y, z) if (x + y + z) % 2 else (x, z, y) for x in (0, 1) for y in (2, 3) for z in (4, 5)]
    triangles: Image = corners[np.array(faces)]
    for _ in range(times + 1):
        a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
        ab, bc, ca = (_normalize(p + q) for p, q in ((a, b), (b, c), (c, a)))
        parts = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
        triangles = np.concatenate([np.stack(part, axis=1) for part in parts])
    return triangles


def _normalize(points: Image) -> Image:
    normal: Image = points / np.sqrt((points * points).sum(axis=1, keepdims=True))
    return normal
