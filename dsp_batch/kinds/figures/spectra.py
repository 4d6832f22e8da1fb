"""Read the spectra of MR spectroscopy (PS3.3 A.36.3, C.8.14)."""

from __future__ import annotations

import math

import numpy as np

from dsp_batch.errors import PixelError
from dsp_batch.kinds.kind import Instances
from dsp_batch.model.figure import Spectra

_COMPONENTS = {"COMPLEX": 2, "REAL": 1, "IMAGINARY": 1, "MAGNITUDE": 1}
"""Data Representation (0018,9108) → numbers that are stored for a point."""


def read_spectra(instances: Instances) -> Spectra | None:
    """Read the spectra of the first frame of an object.

    Points follow each other from high to low chemical shift. The one in the middle has that of the transmitter,
    Chemical Shift Reference (0018,9053).

    Returns:
        The spectra; None where the data were not read.

    Raises:
        PixelError: The data are less than the header declares, or it does not say where the spectrum lies.
    """
    header = next(iter(instances.values()))
    data = header.binary("SpectroscopyData")
    if data is None:
        return None
    rows, columns = max(header.integer("Rows") or 1, 1), max(header.integer("Columns") or 1, 1)
    points = header.integer("DataPointColumns") or 0
    components = _COMPONENTS.get(header.text("DataRepresentation") or "", 0)
    if points < 2 or not components:
        raise PixelError("the object does not say how its spectra are stored")
    count = rows * columns * points * components
    if len(data) < 4 * count:
        raise PixelError(f"its spectra have {len(data):,} bytes of {4 * count:,}")
    stored = np.frombuffer(data, "<f4", count)
    values = np.nan_to_num(stored.view("<c8") if components == 2 else stored).reshape(rows, columns, points)
    if (header.text("SignalDomainColumns") or "FREQUENCY") == "TIME":
        values = np.fft.fftshift(np.fft.fft(values, axis=-1), axes=-1)
    values = np.abs(values) if np.iscomplexobj(values) else values
    width, frequency = header.number("SpectralWidth"), header.number("TransmitterFrequency")
    if not (width and frequency and math.isfinite(width) and math.isfinite(frequency)):
        raise PixelError("the object does not say where its spectra lie")
    reference = header.number("ChemicalShiftReference") or 0.0
    half = width / frequency / 2  # Hz over MHz: parts in a million
    return Spectra(
        values=values.astype(np.float32),
        first_ppm=reference + half,
        last_ppm=reference - half + 2 * half / points,
        nucleus=header.text("ResonantNucleus") or "",
    )
