"""Value maps, documents, waveforms and annotations: cards that say what the headers tell, and name nobody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from data_folder import load_real_index, needs_data
from objects_without_pixels import CANARY, list_texts, load_instances, make_item

from dsp_batch.kinds.kind import Instances
from dsp_batch.kinds.objects.annotations import describe_annotations, state_annotations
from dsp_batch.kinds.objects.document import describe_documents
from dsp_batch.kinds.objects.real_world import describe_value_maps, state_value_maps
from dsp_batch.kinds.objects.waveform import describe_waveforms
from dsp_batch.model.card import Card

ECG = "c7e7bb35-f418-5ac4-924a-8c9e4db98eda"
SUV_FACTORS = "3704bdee-3a09-5d23-98be-44d24703d830"


@pytest.mark.parametrize(
    "describe", [describe_annotations, describe_documents, describe_value_maps, describe_waveforms]
)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"WaveformSequence": b"damaged", "AnnotationGroupSequence": "damaged"},
        {"WaveformSequence": [make_item(SamplingFrequency=0, NumberOfWaveformSamples=5)]},
        {"WaveformSequence": [make_item(SamplingFrequency=float("nan"), NumberOfWaveformChannels=-1)]},
        {"AnnotationGroupSequence": [make_item(NumberOfAnnotations="x")]},
        {"ReferencedImageRealWorldValueMappingSequence": [make_item(RealWorldValueMappingSequence=[make_item()])]},
    ],
)
def test_a_damaged_object_is_a_card_that_names_nobody(
    describe: Callable[[Instances], Card], values: dict[str, object]
) -> None:
    card = describe({0: make_item(**values, ContentCreatorName=CANARY, PatientName=CANARY)})

    assert card.title
    assert not any("CANARY" in text for text in list_texts(card))


@needs_data
class TestRealObjects:
    def test_annotations_are_counted(self) -> None:
        instances = load_instances("made-ann-nuclei-30000-polygons-3d")
        card = describe_annotations(instances)

        assert card.headline == "30,000 annotations"
        assert card.rows[0][0] == "nuclei"
        assert [each.value for each in state_annotations(instances) if each.concept == "annotations"] == [30000]

    def test_documents_tell_their_type_and_size(self) -> None:
        card = describe_documents(load_instances("made-stl-lesion-ascii"))

        assert (card.kind, card.headline) == ("STL", "1 document · 209 kB")
        assert describe_documents(load_instances("pdf-encapsulated-ion")).title == "Test Encapsulated PDF"

    def test_waveforms_tell_their_channels(self) -> None:
        card = describe_waveforms({0: load_real_index(ECG).attributes(0)})

        assert card.kind == "ECG"
        assert card.rows[0][1] == "12"

    def test_value_maps_tell_their_units(self) -> None:
        instances = {0: load_real_index(SUV_FACTORS).attributes(0)}

        assert any("g/ml" in row[1] for row in describe_value_maps(instances).rows)
        assert any(each.concept == "slope" and each.value for each in state_value_maps(instances))
