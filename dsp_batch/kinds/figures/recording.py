"""Read waveforms as values with units (PS3.3 C.10.9)."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.errors import PixelError
from dsp_batch.kinds.kind import Instances
from dsp_batch.model.figure import Recording, Trace
from dsp_batch.model.series import FloatArray

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads of a 12-lead ECG."""

MOST_TRACES = 64
"""Channels that are read. An EEG has 20 to 256 of them."""

_STORAGE = "1.2.840.10008.5.1.4.1.1.9"
_ECG = tuple(f"{_STORAGE}.1.{number}" for number in range(1, 5))
_AUDIO = tuple(f"{_STORAGE}.4.{number}" for number in (1, 2))
_LEAD = re.compile(r"(?:lead\s+)?(I{1,3}|aV[RLF]|V[1-6])\b", re.IGNORECASE)
_NAMES = {name.lower(): name for name in LEADS}

_SAMPLES = {
    (8, "SB"): "<i1",
    (8, "UB"): "<u1",
    (16, "SS"): "<i2",
    (16, "US"): "<u2",
    (32, "SL"): "<i4",
    (32, "UL"): "<u4",
    (64, "SV"): "<i8",
    (64, "UV"): "<u8",
}
"""Waveform Bits Allocated and Waveform Sample Interpretation → type of a sample."""

_TELEPHONE = {(8, "MB"): "mu", (8, "AB"): "A"}


def read_recording(instances: Instances) -> Recording | None:
    """Read a recording: the first multiplex group of the first object, medians of beats left aside.

    Returns:
        The recording; None where the object has no multiplex group.

    Raises:
        PixelError: Its samples are of no known form, or there are none.
    """
    header = next(iter(instances.values()))
    groups = header.items("WaveformSequence")
    if not groups:
        return None
    group = next((each for each in groups if each.text("WaveformOriginality") != "DERIVED"), groups[0])
    rate = group.number("SamplingFrequency")
    if rate is None or not 0 < rate < math.inf:
        raise PixelError("the waveform has no sampling frequency")
    samples = _read_samples(group)
    channels = group.items("ChannelDefinitionSequence")
    shown = [*zip(range(min(samples.shape[1], MOST_TRACES)), (*channels, *[None] * samples.shape[1]), strict=False)]
    notes = []
    if len(groups) > 1:
        notes.append(f"1 of {len(groups)} multiplex groups is drawn")
    if samples.shape[1] > MOST_TRACES:
        notes.append(f"{MOST_TRACES} of {samples.shape[1]} channels are drawn")
    sop_class = header.text("SOPClassUID") or ""
    return Recording(
        form="ecg" if sop_class in _ECG else "audio" if sop_class in _AUDIO else "traces",
        rate=rate,
        traces=tuple(_read_trace(samples[:, at], channel, at, rate) for at, channel in shown),
        name=group.text("MultiplexGroupLabel") or "",
        notes=tuple(notes),
    )


def _read_samples(group: Attributes) -> FloatArray:
    """Read the samples of a multiplex group, shape (samples, channels); NaN where they are padding."""
    data = group.binary("WaveformData") or b""
    channels = group.integer("NumberOfWaveformChannels") or len(group.items("ChannelDefinitionSequence"))
    form = group.integer("WaveformBitsAllocated") or 16, (group.text("WaveformSampleInterpretation") or "SS").upper()
    kind = np.dtype(_SAMPLES.get(form, "<u1"))
    if form not in _SAMPLES and form not in _TELEPHONE:
        raise PixelError(f"samples of {form[0]} bits of form {form[1]!r:.10} are unknown")
    if channels < 1 or len(data) < channels * kind.itemsize:
        raise PixelError("the waveform has no samples")
    told = group.integer("NumberOfWaveformSamples")
    count = len(data) // (channels * kind.itemsize)
    count = min(count, told) if told and told > 0 else count
    stored = np.frombuffer(data, kind, count * channels).reshape(count, channels)
    values = _expand(_TELEPHONE[form])[stored] if form in _TELEPHONE else stored.astype(np.float32)
    padding = group.binary("WaveformPaddingValue")
    if padding is not None and len(padding) >= kind.itemsize:
        values = np.where(stored == np.frombuffer(padding, kind, 1)[0], np.float32(np.nan), values)
    return values


@cache
def _expand(law: str) -> FloatArray:
    """List the values of the 256 codes of telephone sound (ITU-T G.711)."""
    codes = np.arange(256)
    bits = codes ^ (0xFF if law == "mu" else 0x55)
    exponent, mantissa = bits >> 4 & 7, bits & 15
    if law == "mu":
        size = ((mantissa << 3) + 132 << exponent) - 132
        is_negative = bits & 0x80 != 0
    else:
        size = np.where(exponent > 0, (mantissa << 4) + 264 << np.maximum(exponent - 1, 0), (mantissa << 4) + 8)
        is_negative = bits & 0x80 == 0
    return np.where(is_negative, -size, size).astype(np.float32)


def _read_trace(samples: FloatArray, channel: Attributes | None, number: int, rate: float) -> Trace:
    if channel is None:
        return Trace(label=f"channel {number + 1}", values=samples, unit="")
    sensitivity = channel.number("ChannelSensitivity")
    correction, baseline = channel.number("ChannelSensitivityCorrectionFactor"), channel.number("ChannelBaseline")
    values, unit = samples, ""
    if sensitivity is not None and math.isfinite(sensitivity):
        values = samples * np.float32(sensitivity * _finite(correction, 1.0)) + np.float32(_finite(baseline, 0.0))
        unit = read_code(channel, "ChannelSensitivityUnitsSequence").value
    skew = channel.number("ChannelTimeSkew")
    if skew is None:
        skew = _finite(channel.number("ChannelSampleSkew"), 0.0) / rate
    return Trace(label=_name(channel, number), values=values, unit=unit, delay=_finite(skew, 0.0))


def _finite(number: float | None, otherwise: float) -> float:
    return number if number is not None and math.isfinite(number) else otherwise


def _name(channel: Attributes, number: int) -> str:
    """Name a channel: a lead of an ECG by its short name, any other by its source, else by its label."""
    names = (str(read_code(channel, "ChannelSourceSequence")), channel.text("ChannelLabel") or "")
    leads = (match[1].lower() for name in names if (match := _LEAD.match(name)))
    return _NAMES.get(next(leads, ""), "") or names[0] or names[1] or f"channel {number + 1}"
