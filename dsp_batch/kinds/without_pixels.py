"""The kinds of objects without pixels of their own: who describes them, states what they hold, and draws them."""

from __future__ import annotations

from dataclasses import replace

from dsp_batch.kinds.figures.recording import read_recording
from dsp_batch.kinds.figures.spectra import read_spectra
from dsp_batch.kinds.kind import PLAIN, Kind
from dsp_batch.kinds.objects.annotations import describe_annotations, state_annotations
from dsp_batch.kinds.objects.document import describe_documents, draw_documents
from dsp_batch.kinds.objects.plan import describe_plan, state_plans
from dsp_batch.kinds.objects.real_world import describe_value_maps, state_value_maps
from dsp_batch.kinds.objects.registration import describe_registration, state_registrations
from dsp_batch.kinds.objects.report import describe_report, state_reports
from dsp_batch.kinds.objects.selections import describe_selection, describe_state, state_references
from dsp_batch.kinds.objects.spectroscopy import describe_spectra
from dsp_batch.kinds.objects.structures import describe_structures, state_structures
from dsp_batch.kinds.objects.waveform import describe_waveforms

_STORAGE = "1.2.840.10008.5.1.4.1.1"

REPORTS = (1, 2, 3, 4, 11, 22, 33, 34, 35, 40, 50, 65, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77)
"""Last numbers of the SOP classes of structured reports, retired ones among them (PS3.4 B.5)."""

_WAVEFORMS = (
    *("1.1", "1.2", "1.3", "1.4", "2.1", "3.1", "4.1", "4.2"),
    *("5.1", "6.1", "6.2", "7.1", "7.2", "7.3", "7.4", "8.1"),
)
"""Last numbers of the SOP classes of waveforms."""

KINDS: dict[str, Kind] = {
    f"{_STORAGE}.481.3": replace(PLAIN, describe=describe_structures, state=state_structures),
    f"{_STORAGE}.481.5": replace(PLAIN, describe=describe_plan, state=state_plans),
    f"{_STORAGE}.481.8": replace(PLAIN, describe=describe_plan, state=state_plans),  # ions
    f"{_STORAGE}.66.1": replace(PLAIN, describe=describe_registration, state=state_registrations),
    f"{_STORAGE}.66.3": replace(PLAIN, describe=describe_registration, state=state_registrations),  # deformable
    f"{_STORAGE}.67": replace(PLAIN, describe=describe_value_maps, state=state_value_maps),
    f"{_STORAGE}.4.2": replace(PLAIN, describe=describe_spectra, draw=read_spectra, reads=("SpectroscopyData",)),
    f"{_STORAGE}.91.1": replace(PLAIN, describe=describe_annotations, state=state_annotations),
    **dict.fromkeys(
        (f"{_STORAGE}.104.{number}" for number in range(1, 6)),
        replace(PLAIN, describe=describe_documents, draw=draw_documents, reads=("EncapsulatedDocument",)),
    ),
    **dict.fromkeys(
        (f"{_STORAGE}.9.{number}" for number in _WAVEFORMS),
        replace(PLAIN, describe=describe_waveforms, draw=read_recording),
    ),
    f"{_STORAGE}.88.59": replace(PLAIN, describe=describe_selection, state=state_references),
    **dict.fromkeys(
        (f"{_STORAGE}.11.{number}" for number in range(1, 13)),
        replace(PLAIN, describe=describe_state, state=state_references),
    ),
    **dict.fromkeys(
        (f"{_STORAGE}.88.{number}" for number in REPORTS),
        replace(PLAIN, describe=describe_report, state=state_reports),
    ),
}
"""The kind of each SOP class; objects of all others are described by their headers alone."""
