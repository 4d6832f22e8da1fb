"""Describe MR spectroscopy: nucleus, voxels, points and width of its spectra (PS3.3 C.8.14)."""

from __future__ import annotations

from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_quantity
from dsp_batch.model.card import Card


def describe_spectra(instances: Instances) -> Card:
    """Describe spectroscopy by its header."""
    headers = list(instances.values())
    first = headers[0]
    rows, columns = max(first.integer("Rows") or 1, 1), max(first.integer("Columns") or 1, 1)
    frames = max(first.integer("NumberOfFrames") or 1, 1)
    voxels = rows * columns * frames
    width, frequency = first.number("SpectralWidth"), first.number("TransmitterFrequency")
    points = first.integer("DataPointColumns")
    facts = {
        "nucleus": first.text("ResonantNucleus"),
        "voxels": f"{columns} × {rows}" + (f" × {frames}" if frames > 1 else ""),
        "points": f"{points:,}" if points else None,
        "spectral width": format_quantity(width, "Hz") if width is not None else None,
        "transmitter": format_quantity(frequency, "MHz") if frequency is not None else None,
        "localization": first.text("VolumeLocalizationTechnique"),
    }
    nucleus = f" of {facts['nucleus']}" if facts["nucleus"] else ""
    spectrum = count_noun(voxels, "spectrum", "spectra")
    return Card(
        kind="MR spectroscopy",
        headline=f"{spectrum}{nucleus}",
        title=first.text("SeriesDescription") or "Spectra",
        rows=tuple((name, fact) for name, fact in facts.items() if fact),
        n_items=voxels,
    )
