"""Selections, presentation states and registrations: they say what they point at and what they order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from data_folder import needs_data
from objects_without_pixels import CANARY, list_texts, load_instances, make_item

from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.registration import describe_registration, state_registrations
from dsp_batch.kinds.objects.selections import describe_selection, describe_state, state_references
from dsp_batch.model.card import Card


@pytest.mark.parametrize("describe", [describe_selection, describe_state, describe_registration])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ReferencedSeriesSequence": [make_item()], "CurrentRequestedProcedureEvidenceSequence": b"damaged"},
        {"SoftcopyVOILUTSequence": [make_item(WindowCenter=float("nan"), WindowWidth="x")]},
        {"RegistrationSequence": [make_item(MatrixRegistrationSequence=[make_item()])]},
        {"DeformableRegistrationSequence": [make_item()]},
    ],
)
def test_a_damaged_object_is_a_card_that_names_nobody(
    describe: Callable[[Instances], Card], values: dict[str, object]
) -> None:
    header = make_item(**values, ContentCreatorName=CANARY, PatientName=CANARY)

    card = describe({0: header})

    assert card.title
    assert not any("CANARY" in text for text in list_texts(card))


def test_a_registration_is_the_product_of_its_matrices() -> None:
    turn = make_item(FrameOfReferenceTransformationMatrix=[0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])
    shift = make_item(FrameOfReferenceTransformationMatrix=[1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])
    registration = make_item(MatrixRegistrationSequence=[make_item(MatrixSequence=[shift, turn])])

    card = describe_registration({0: make_item(RegistrationSequence=[registration])})

    assert card.headline == "shift 0, 5, 0 mm, turn 90°"


@needs_data
class TestRealObjects:
    @pytest.mark.parametrize(
        ("folder", "headline"),
        [
            ("ko-pet-10", "10 references in 1 series"),
            ("ko-mr-36-two-series-absent", "36 references in 2 series"),
            ("ko-xa-1", "1 reference in 1 series"),
        ],
    )
    def test_references_of_a_selection_are_counted(self, folder: str, headline: str) -> None:
        instances = load_instances(folder)

        assert describe_selection(instances).headline == headline
        assert sum(each.value or 0 for each in state_references(instances)) == int(headline.partition(" ")[0])

    def test_a_state_says_what_it_orders(self) -> None:
        assert "window: center 40, width 400" in describe_state(load_instances("made-pr-pseudocolor-hot")).lines
        lines = describe_state(load_instances("made-pr-gsps-rotate-flip-inverse-zoom")).lines
        assert {"inverted", "turned by 90° clockwise", "mirrored"} <= set(lines)

    def test_a_registration_says_how_far_it_moves(self) -> None:
        instances = load_instances("made-reg-rigid")

        assert describe_registration(instances).headline == "shift 12.5, -3, 40 mm, turn 5°"
        assert [round(each.value or 0, 3) for each in state_registrations(instances)][-4:] == [12.5, -3, 40, 5]
