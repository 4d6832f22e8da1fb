"""Plans: beams, channels, fractions and prescriptions are those that pydicom reads."""

from __future__ import annotations

import pydicom
import pytest
from data_folder import needs_data
from objects_without_pixels import CANARY, OBJECTS, list_texts, load_instances, make_item

from dsp_batch.kinds.objects.plan import describe_plan, state_plans

PLANS = (
    "rtplan-imrt-three-fraction-groups",
    "rtplan-imrt-water-10-beams",
    "rtplan-ion-head-phantom",
    "rtplan-ion-prostate",
    "rtplan-ion-sobp",
    "rtplan-srs-brainlab",
    "rtplan-vmat",
)


def test_a_beam_that_turns_shows_where_it_begins_and_ends() -> None:
    points = [make_item(GantryAngle=angle, NominalBeamEnergy=6) for angle in (181, 0, 179)]
    beams = [make_item(BeamNumber=1, BeamType="DYNAMIC", ControlPointSequence=points)]
    setup = make_item(BeamNumber=2, TreatmentDeliveryType="SETUP")

    card = describe_plan({0: make_item(BeamSequence=[*beams, setup], RTPlanLabel="A", ReviewerName=CANARY)})

    assert card.columns == ("beam", "gantry, °", "energy", "technique")
    assert card.rows == (("Beam 1", "181 – 179", "6 MV", "dynamic"),)
    assert (card.headline, card.n_items) == ("1 beam", 1)
    assert not any("CANARY" in text for text in list_texts(card))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"BeamSequence": b"damaged", "FractionGroupSequence": [make_item()]},
        {"BeamSequence": [make_item(ControlPointSequence=[make_item(GantryAngle=float("nan"))])]},
        {"IonBeamSequence": [make_item()], "DoseReferenceSequence": [make_item(TargetPrescriptionDose="x")]},
        {"ApplicationSetupSequence": [make_item(ChannelSequence=[make_item()])]},
    ],
)
def test_a_damaged_plan_is_a_card(values: dict[str, object]) -> None:
    header = make_item(**values)

    assert describe_plan({0: header}).kind == "RTPLAN"
    assert state_plans({0: header}) is not None


@needs_data
class TestRealPlans:
    @pytest.mark.parametrize("folder", PLANS)
    def test_beams_are_those_of_pydicom(self, folder: str) -> None:
        (path,) = (OBJECTS / folder).glob("*.dcm")
        dataset = pydicom.dcmread(path, force=True)
        beams = [
            beam
            for beam in dataset.get("BeamSequence", dataset.get("IonBeamSequence"))
            if beam.get("TreatmentDeliveryType") != "SETUP"
        ]
        metersets = {
            item.ReferencedBeamNumber: item.get("BeamMeterset")
            for group in dataset.FractionGroupSequence
            for item in group.ReferencedBeamSequence
        }
        fractions = [group.NumberOfFractionsPlanned for group in dataset.FractionGroupSequence]

        card = describe_plan(load_instances(folder))
        stated = state_plans(load_instances(folder))

        assert card.n_items == len(beams)
        assert [row[0] for row in card.rows] == [beam.get("BeamName") or f"Beam {beam.BeamNumber}" for beam in beams]
        expected = [float(dose) for beam in beams if (dose := metersets.get(beam.BeamNumber)) is not None]
        assert [each.value for each in stated if each.concept == "meterset"] == expected
        assert " + ".join(map(str, fractions)) in card.headline

    def test_channels_of_brachytherapy_are_told(self) -> None:
        card = describe_plan(load_instances("rtplan-brachy-hdr"))

        assert card.headline == "2 channels · 1 fraction"
        assert "brachytherapy: intracavitary, HDR, Ir-192" in card.lines
        assert "prescription: A1 7.158 Gy" in card.lines
        assert card.rows[0] == ("Channel 1", "flexible", "12", "202.3")
