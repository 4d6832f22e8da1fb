"""Describe plans of radiotherapy: intent, prescription, fractions, beams or channels (PS3.3 C.8.8.9 to C.8.8.15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.quantities import count_noun, format_number
from dsp_batch.model.card import Card
from dsp_batch.model.statement import Statement

MAX_PRESCRIPTIONS = 6
"""Prescribed doses that a card has room for."""

_SETUP = "SETUP"
"""Treatment Delivery Type (300A,00CE) of a beam that only positions the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value of a beam or a channel."""

    concept: str
    """What it is: `gantry`."""

    text: str
    """The value as people read it: `0 – 180`."""

    value: float | None = None
    """The number, where it is one number."""

    unit: str = ""
    """Unit of the number as a code of UCUM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beam:
    """A beam of a plan, or a channel of a brachytherapy plan."""

    name: str
    """Beam Name (300A,00C2), else its number."""

    facts: tuple[Fact, ...]
    """What is told of it, in the order of the columns of a table."""

    angles: tuple[float, ...] = ()
    """Gantry Angle (300A,011E) of its control points that tell it, in degrees."""


def describe_plan(instances: Instances) -> Card:
    """Describe plans: intent, prescription and fractions in lines, each beam or channel in a row."""
    headers = list(instances.values())
    beams = [beam for header in headers for beam in list_beams(header)]
    channels = [] if beams else [channel for header in headers for channel in list_channels(header)]
    rows = beams or channels
    concepts = list(dict.fromkeys(fact.concept for beam in rows for fact in beam.facts))
    heads = {fact.concept: _head(fact) for beam in reversed(rows) for fact in beam.facts}
    first = headers[0]
    fractions = [fraction for header in headers for fraction in _list_fractions(header)]
    noun = "channel" if channels else "beam"
    headline = [count_noun(len(rows), noun)]
    if fractions:
        headline.append(
            " + ".join(f"{each:,}" for each in fractions) + (" fraction" if fractions == [1] else " fractions")
        )
    return Card(
        kind="RTPLAN",
        headline=" · ".join(headline),
        title=first.text("RTPlanLabel") or first.text("RTPlanName") or first.text("SeriesDescription") or "Plan",
        columns=(noun, *(heads[concept] for concept in concepts)) if rows else (),
        rows=tuple((beam.name, *(_find_text(beam, concept) for concept in concepts)) for beam in rows),
        lines=tuple(line for header in headers for line in _list_lines(header)),
        angles=tuple(beam.angles for beam in beams if beam.angles),
        n_items=len(rows),
    )


def state_plans(instances: Instances) -> tuple[Statement, ...]:
    """List what the tables of plans show as data, each beam or channel as a group."""
    found: list[Statement] = []
    rows = [beam for header in instances.values() for beam in list_beams(header)]
    rows = rows or [channel for header in instances.values() for channel in list_channels(header)]
    for number, beam in enumerate(rows, 1):
        common = Statement(group=number, group_name=beam.name)
        for fact in beam.facts:
            text = fact.text if fact.value is None else ""
            found.append(replace(common, concept=fact.concept, value=fact.value, text=text, unit=fact.unit))
    return tuple(found)


def list_beams(header: Attributes) -> Iterator[Beam]:
    """List the beams of a plan or ion plan in its order, without those that only position the patient."""
    metersets = {
        item.integer("ReferencedBeamNumber"): item.number("BeamMeterset")
        for group in header.items("FractionGroupSequence")
        for item in group.items("ReferencedBeamSequence")
    }
    for ion, sequence in ((False, "BeamSequence"), (True, "IonBeamSequence")):
        for item in header.items(sequence):
            if item.text("TreatmentDeliveryType") != _SETUP:
                number = item.integer("BeamNumber")
                points = item.items("IonControlPointSequence" if ion else "ControlPointSequence")
                facts = (
                    *_describe_angles(points),
                    *_describe_energy(item, points),
                    *_describe_meterset(metersets.get(number)),
                )
                yield Beam(
                    name=item.text("BeamName") or f"Beam {number}",
                    facts=(*facts, *_describe_technique(item)),
                    angles=tuple(_list_angles(points, "GantryAngle")),
                )


def list_channels(header: Attributes) -> Iterator[Beam]:
    """List the channels of a brachytherapy plan in its order."""
    for setup in header.items("ApplicationSetupSequence"):
        for item in setup.items("ChannelSequence"):
            seconds, positions = item.number("ChannelTotalTime"), item.integer("NumberOfControlPoints")
            facts = (
                Fact(concept="applicator", text=(item.text("SourceApplicatorType") or "").lower()),
                Fact(concept="control points", text=f"{positions or 0:,}", value=float(positions or 0), unit="1"),
                Fact(concept="time", text=format_number(seconds), value=seconds, unit="s"),
            )
            yield Beam(
                name=item.text("SourceApplicatorName") or f"Channel {item.integer('ChannelNumber')}", facts=facts
            )


def _describe_angles(points: tuple[Attributes, ...]) -> Iterator[Fact]:
    angles = {"gantry": "GantryAngle", "collimator": "BeamLimitingDeviceAngle", "couch": "PatientSupportAngle"}
    for concept, keyword in angles.items():
        values = list(_list_angles(points, keyword))
        if values:
            first, last = values[0], values[-1]
            turns = any(value != first for value in values)
            text = f"{format_number(first)} – {format_number(last)}" if turns else format_number(first)
            yield Fact(concept=concept, text=text, value=None if turns else first, unit="deg")


def _list_angles(points: tuple[Attributes, ...], keyword: str) -> Iterator[float]:
    for point in points:
        angle = point.number(keyword)
        if angle is not None and isfinite(angle):
            yield angle


def _describe_energy(beam: Attributes, points: tuple[Attributes, ...]) -> Iterator[Fact]:
    energies = [value for point in points if (value := point.number("NominalBeamEnergy")) is not None]
    if not energies:
        return
    least, most = min(energies), max(energies)
    unit = "MV" if (beam.text("RadiationType") or "PHOTON") == "PHOTON" else "MeV"
    text = format_number(least) if least == most else f"{format_number(least)} – {format_number(most)}"
    yield Fact(concept="energy", text=f"{text} {unit}", value=least if least == most else None, unit=unit)


def _describe_meterset(meterset: float | None) -> Iterator[Fact]:
    if meterset is not None:
        yield Fact(concept="meterset", text=format_number(meterset), value=meterset, unit="MU")


def _describe_technique(beam: Attributes) -> Iterator[Fact]:
    words = (beam.text("BeamType"), beam.text("ScanMode"), beam.text("RadiationType"))
    if text := " ".join(word.lower() for word in words if word and word != "NONE"):
        yield Fact(concept="technique", text=text)


def _list_lines(header: Attributes) -> Iterator[str]:
    if intent := header.text("PlanIntent"):
        yield f"intent: {intent.lower()}"
    technique = [header.text(name) for name in ("BrachyTreatmentTechnique", "BrachyTreatmentType")]
    if brachy := [word for word in technique if word]:
        isotopes = dict.fromkeys(source.text("SourceIsotopeName") for source in header.items("SourceSequence"))
        yield "brachytherapy: " + ", ".join([brachy[0].lower(), *brachy[1:], *filter(None, isotopes)])
    doses = dict.fromkeys(_list_prescriptions(header))
    yield from list(doses)[:MAX_PRESCRIPTIONS]
    if len(doses) > MAX_PRESCRIPTIONS:
        yield f"and {count_noun(len(doses) - MAX_PRESCRIPTIONS, 'further prescription')}"
    beams = (*header.items("BeamSequence"), *header.items("IonBeamSequence"), *header.items("TreatmentMachineSequence"))
    if machines := ", ".join(dict.fromkeys(name for beam in beams if (name := beam.text("TreatmentMachineName")))):
        yield f"machine: {machines}"


def _list_prescriptions(header: Attributes) -> Iterator[str]:
    for item in header.items("DoseReferenceSequence"):
        dose = item.number("TargetPrescriptionDose")
        if dose is not None:
            target = item.text("DoseReferenceDescription") or (item.text("DoseReferenceType") or "target").lower()
            yield f"prescription: {target} {format_number(dose)} Gy"


def _list_fractions(header: Attributes) -> Iterator[int]:
    for group in header.items("FractionGroupSequence"):
        if (planned := group.integer("NumberOfFractionsPlanned")) is not None:
            yield planned


def _head(fact: Fact) -> str:
    return {"deg": f"{fact.concept}, °", "s": f"{fact.concept}, s", "MU": f"{fact.concept}, MU"}.get(
        fact.unit, fact.concept
    )


def _find_text(beam: Beam, concept: str) -> str:
    return next((fact.text for fact in beam.facts if fact.concept == concept), "")
