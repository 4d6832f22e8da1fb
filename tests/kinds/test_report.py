"""Reports: their tables hold what other readers find, they name nobody, and bad ones give a card."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
from data_folder import needs_data
from objects_without_pixels import CANARY, OBJECTS, list_texts, load_instances, make_code, make_item

from dsp_batch.dicom import content
from dsp_batch.dicom.content import read_content
from dsp_batch.dicom.headers.attributes import Attributes
from dsp_batch.kinds.objects.report import describe_report, state_reports
from dsp_batch.model.card import Card

NUMBER = re.compile(r'NUM:\(.*?"(?P<concept>[^"]*)"\)="(?P<value>[^"]*)" \((?P<unit>.*?),UCUM')


def make_content(kind: str, meaning: str, code: str = "", *below: Attributes, **more: Any) -> Attributes:
    return make_item(
        ValueType=kind,
        RelationshipType="CONTAINS",
        ConceptNameCodeSequence=make_code(meaning, code),
        ContentSequence=list(below) or None,
        **more,
    )


def make_number(meaning: str, value: Any, unit: str = "mm", **more: Any) -> Attributes:
    measured = make_item(NumericValue=value, MeasurementUnitsCodeSequence=make_code(unit, unit, "UCUM"))
    return make_content("NUM", meaning, MeasuredValueSequence=[measured], **more)


def make_group(*below: Attributes) -> Attributes:
    return make_content("CONTAINER", "Measurement Group", "125007", *below)


def make_report(*below: Attributes) -> Attributes:
    return make_content("CONTAINER", "Imaging Measurement Report", "126000", *below)


def describe(*below: Attributes) -> Card:
    return describe_report({0: make_report(*below)})


class TestGroups:
    def test_a_row_is_named_by_its_site_and_side(self) -> None:
        side = make_content("CODE", "Laterality", "272741003", ConceptCodeSequence=make_code("Right"))
        site = make_content("CODE", "Finding Site", "363698007", side, ConceptCodeSequence=make_code("Kidney"))
        finding = make_content("CODE", "Finding", "121071", ConceptCodeSequence=make_code("Cyst"))
        length = make_number("Length", 12.4)

        card = describe(make_group(finding, site, length), make_group(finding, length))

        assert card.columns == ("", "Length, mm")
        assert card.rows == (("Kidney right", "12.4"), ("Cyst", "12.4"))
        assert (card.headline, card.n_items) == ("2 measurement groups", 2)

    def test_a_row_without_finding_is_named_by_its_region(self) -> None:
        tool = make_content("TEXT", "Tracking Identifier", "112039", TextValue="tool@4")
        region = make_content("SCOORD", "", "", GraphicType="ELLIPSE")
        area = make_content("NUM", "Area", "", region, **_measured(7, "mm2"))

        assert describe(make_group(tool, area)).rows[0][0] == "Ellipse"
        assert describe(make_group(tool, make_number("Area", 7))).rows[0][0] == "tool@4"

    def test_a_single_value_is_the_headline(self) -> None:
        assert describe(make_group(make_number("Length", 12.4))).headline == "12.4 mm"

    def test_units_that_differ_stand_beside_the_values(self) -> None:
        card = describe(make_group(make_number("Size", 1, "mm")), make_group(make_number("Size", 2, "cm")))

        assert card.columns == ("", "Size")
        assert [row[1] for row in card.rows] == ["1 mm", "2 cm"]

    def test_values_that_are_no_numbers_are_dashes(self) -> None:
        numbers = [make_number("Size", value) for value in (float("nan"), "x", None, float("inf"))]

        card = describe(*(make_group(number) for number in numbers))

        assert [row[1] for row in card.rows] == ["—"] * 4

    def test_a_coded_answer_stands_beside_the_numbers(self) -> None:
        answer = make_content("CODE", "Malignancy", "", ConceptCodeSequence=make_code("Benign"))

        assert describe(make_group(answer, make_number("Size", 1))).rows[0][1:] == ("1", "Benign")


def _measured(value: float, unit: str) -> dict[str, Any]:
    return {
        "MeasuredValueSequence": [
            make_item(NumericValue=value, MeasurementUnitsCodeSequence=make_code(unit, unit, "UCUM"))
        ]
    }


class TestDose:
    def test_totals_stand_above_events(self) -> None:
        total = make_number("Dose Length Product Total", 349.7, "mGy.cm")
        accumulated = make_content("CONTAINER", "CT Accumulated Dose Data", "113811", total)
        region = make_content("CODE", "Target Region", "123014", ConceptCodeSequence=make_code("Chest"))
        event = make_content("CONTAINER", "CT Acquisition", "113819", region, make_number("DLP", 3, "mGy.cm"))

        card = describe(accumulated, *[event] * 20)

        assert card.lines[0] == "Dose Length Product Total: 349.7 mGy·cm"
        assert card.columns == ("", "DLP, mGy·cm")
        assert card.rows == (("Chest", "3"),) * 15
        assert card.headline == "20 irradiation events"


class TestBadContent:
    @pytest.mark.parametrize(
        "header",
        [
            make_item(Modality="SR"),
            make_report(),
            make_item(ContentSequence=b"damaged"),
            make_item(ContentSequence=[make_item()]),
            make_item(ValueType="NUM", MeasuredValueSequence=[make_item()]),
            make_item(ContentSequence=[make_item(ReferencedContentItemIdentifier=[1, 2])]),
        ],
    )
    def test_a_report_without_content_is_a_card(self, header: Attributes) -> None:
        card = describe_report({0: header})

        assert card.kind == "SR"
        assert card.title
        assert state_reports({0: header}) is not None

    def test_items_without_value_type_are_told_by_what_they_hold(self) -> None:
        item = make_item(ConceptNameCodeSequence=make_code("Answer"), ConceptCodeSequence=make_code("Yes"))

        assert describe(item).rows == (("Answer", "Yes"),)

    def test_a_tree_of_any_depth_is_read_as_far_as_it_goes(self) -> None:
        item = make_content("TEXT", "Deep", TextValue="too deep")
        for _ in range(10_000):
            item = make_content("CONTAINER", "Level", "", item)

        card = describe(make_content("TEXT", "First", TextValue="seen"), item)

        assert card.rows == (("First", "seen"),)
        assert "nested too deeply" in card.notes[0]

    def test_a_loop_is_read_once(self) -> None:
        below: list[Attributes] = [make_content("TEXT", "First", TextValue="seen")]
        header = make_item(ValueType="CONTAINER", ContentSequence=below)
        below.append(header)

        assert describe_report({0: header}).rows == (("First", "seen"),)

    def test_items_beyond_the_bound_are_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(content, "MAX_ITEMS", 10)

        root, notes = read_content(make_report(*(make_content("TEXT", "a", TextValue="b") for _ in range(30))))

        assert len(root.children) == 10
        assert notes == ("only the first 10 content items were read",)


class TestPrivacy:
    def test_nobody_is_named(self) -> None:
        items = [
            make_content("PNAME", "Person Observer Name", "121008", PersonName=CANARY),
            make_content("TEXT", "Subject ID", "121030", TextValue=CANARY),
            make_content("DATE", "Subject Birth Date", "121031", Date="CANARY19000101"),
            make_content("TEXT", "Observer", "121008", TextValue=CANARY),
            make_content("TEXT", "Finding", TextValue="a line\n" + CANARY),
        ]

        card = describe(*items)

        assert card.rows == (("Finding", "a line"),)
        assert not any("CANARY" in text for text in list_texts(card))


@needs_data
class TestRealReports:
    @pytest.mark.parametrize(
        "folder",
        [
            "made-sr-totalseg-shape",
            "made-sr-totalseg-firstorder",
            "made-sr-deflated",
            "sr-tid1500-highdicom-groups",
            "sr-tid1500-cornerstone-enhanced",
        ],
    )
    @pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not here")
    def test_values_are_those_of_dcmtk(self, folder: str) -> None:
        (path,) = (OBJECTS / folder).glob("*.dcm")
        command = ["dsrdump", "-Er", "-Ev", "-Ec", "-Ei", str(path)]
        dumped = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode("utf-8", "replace")
        groups = dumped[dumped.index("Measurement Group") :]
        expected = [(m["concept"], float(m["value"]), m["unit"]) for m in NUMBER.finditer(groups)]

        stated = [each for each in state_reports(load_instances(folder)) if each.value is not None]

        assert expected
        # A Floating Point Value has more digits than the Numeric Value beside it, which is what DCMTK prints.
        wanted = [(concept, pytest.approx(value, rel=1e-12), unit) for concept, value, unit in expected]
        assert [(each.concept, each.value, each.unit) for each in stated] == wanted

    def test_every_organ_has_a_row(self) -> None:
        card = describe_report(load_instances("made-sr-totalseg-firstorder"))

        assert card.n_items == len(card.rows) == 104
        assert card.columns == ("", "Mean, HU", "Variance, HU²", "P10, HU", "P90, HU")
        assert [row[0] for row in card.rows[:3]] == ["Spleen", "Kidney right", "Kidney left"]

    def test_segments_and_regions_are_told(self) -> None:
        first = state_reports(load_instances("made-sr-totalseg-shape"))[0]

        assert (first.group, first.site, first.segment, first.code) == (1, "Spleen", 1, "IBSI:Q3CK")
        assert first.tracking_uid.startswith("1.3.6.1.4.1.43046")

    @pytest.mark.parametrize(
        ("folder", "line"),
        [
            ("sr-rdsr-ct-toshiba", "CT Dose Length Product Total: 349.7 mGy·cm"),
            ("sr-rdsr-mammography-hologic", "Accumulated Average Glandular Dose (Right breast): 1.28 mGy"),
            ("sr-enhanced-ge-ct-dose", "CT Dose Length Product Total: 2,002 mGy·cm"),
        ],
    )
    def test_totals_of_dose_are_told(self, folder: str, line: str) -> None:
        assert line in describe_report(load_instances(folder)).lines

    @pytest.mark.parametrize("folder", ["sr-detail-trial-retired", "sr-tid5100-vascular-ultrasound"])
    def test_any_template_gives_a_card(self, folder: str) -> None:
        assert describe_report(load_instances(folder)).title
