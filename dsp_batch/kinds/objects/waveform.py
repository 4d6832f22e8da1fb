"""Describe waveforms: channels, sampling rate and duration of each multiplex group (PS3.3 C.10.9)."""

from __future__ import annotations

from dsp_batch.dicom.codes import read_code
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card

MAX_NAMES = 24
"""Channels that a row names."""


def describe_waveforms(instances: Instances) -> Card:
    """Describe waveforms: each multiplex group in a row, with the names of its channels."""
    headers = list(instances.values())
    groups = [group for header in headers for group in header.items("WaveformSequence")]
    channels = sum(_count_channels(group) for group in groups)
    rows = []
    for number, group in enumerate(groups, 1):
        rate, samples = group.number("SamplingFrequency"), group.number("NumberOfWaveformSamples")
        seconds = samples / rate if rate and samples is not None else None
        names = [_name_channel(each) for each in group.items("ChannelDefinitionSequence")[:MAX_NAMES]]
        name = group.text("MultiplexGroupLabel") or f"Group {number}"
        cells = (f"{_count_channels(group):,}", format_number(rate), format_number(seconds))
        rows.append((name, *cells, ", ".join(filter(None, names))))
    first = headers[0]
    return Card(
        kind=first.text("Modality") or "Waveform",
        headline=count_noun(channels, "channel"),
        title=first.text("SeriesDescription") or "Waveforms",
        columns=("group", "channels", "rate, Hz", "duration, s", "names") if rows else (),
        rows=tuple(rows),
        n_items=channels,
    )


def _count_channels(group: Attributes) -> int:
    told = group.integer("NumberOfWaveformChannels")
    return max(told, 0) if told is not None else len(group.items("ChannelDefinitionSequence"))


def _name_channel(channel: Attributes) -> str:
    return str(read_code(channel, "ChannelSourceSequence")) or channel.text("ChannelLabel") or ""
