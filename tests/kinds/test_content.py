"""The content of objects as a column of the index: one type for all kinds, and the values of other readers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from data_folder import needs_data
from objects_without_pixels import OBJECTS

from dsp_batch.cache import open_cache
from dsp_batch.dicom.content import IMAGE_LIBRARY
from dsp_batch.errors import SeriesError
from dsp_batch.index.content import CONTENT_TYPE, add_content
from dsp_batch.index.parquet import parse_index, serialize_index
from dsp_batch.index.series_index import SeriesIndex
from dsp_batch.kinds.registry import add_statements
from dsp_batch.model.statement import Statement
from dsp_batch.phantom.series import build_ct, build_report, write_collection
from dsp_batch.pipeline import load_index


def load_content(folder: str, cache: Path) -> list[dict[str, Any]]:
    """The statements of a real series, as another program reads them from the file of its index."""
    load_index(OBJECTS / folder, cache=cache)
    (path,) = (cache / "indices").glob("*.parquet")
    return [statement for row in pq.read_table(path).column("Content").to_pylist() for statement in row]


def read_dataset(folder: str) -> pydicom.Dataset:
    (path,) = (OBJECTS / folder).glob("*.dcm")
    return pydicom.dcmread(path, force=True)


def walk_content(item: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        if not (names := child.get("ConceptNameCodeSequence")) or names[0].CodeValue != IMAGE_LIBRARY:
            yield from walk_content(child)


def code_of(sequence: Any) -> str:
    return f"{sequence[0].CodingSchemeDesignator}:{sequence[0].CodeValue}"


def build_phantom(folder: Path) -> SeriesIndex:
    series = build_report()
    write_collection(folder, [series])
    return load_index(folder / series.series_uuid)


def without_content(index: SeriesIndex) -> SeriesIndex:
    return replace(index, columns=index.table.drop_columns(["Content"]))


class TestColumn:
    def test_a_number_that_does_not_fit_is_null(self, tmp_path: Path) -> None:
        index = build_phantom(tmp_path)
        statement = Statement(group=1, concept="size", value=2.5, segment=1 << 40)

        (row,) = add_content(without_content(index), [(statement,)]).table.column("Content").to_pylist()[0]

        assert (row["segment"], row["value"], row["concept"], row["unit"]) == (None, 2.5, "size", None)

    def test_images_have_none(self, tmp_path: Path) -> None:
        series = build_ct(count=2, size=16)
        write_collection(tmp_path, [series])

        assert not load_index(tmp_path / series.series_uuid).has("Content")

    def test_a_file_keeps_it(self, tmp_path: Path) -> None:
        index = build_phantom(tmp_path)

        kept = parse_index(serialize_index(index, "test"))

        assert kept.table.equals(index.table)
        assert kept.table.schema.field("Content").type == CONTENT_TYPE

    def test_an_index_of_an_earlier_version_has_none_and_holds(self, tmp_path: Path) -> None:
        index = build_phantom(tmp_path)

        kept = parse_index(serialize_index(without_content(index), "test"))

        assert not kept.has("Content")
        assert add_statements(kept).table.column("Content").equals(index.table.column("Content"))

    def test_a_column_of_another_type_makes_no_index(self, tmp_path: Path) -> None:
        index = build_phantom(tmp_path)
        kind = pa.list_(pa.struct([("group", pa.string())]))
        bad = without_content(index).table.append_column("Content", pa.array([[{"group": "1"}]], kind))
        data = serialize_index(replace(index, columns=bad), "test")

        with pytest.raises(SeriesError, match="another type"):
            parse_index(data)

    def test_many_indices_make_one_table(self, tmp_path: Path) -> None:
        collection = [build_ct(count=2, size=16), build_report()]
        write_collection(tmp_path, collection)
        cache = open_cache(tmp_path / "cache")
        for series in collection:
            load_index(tmp_path / series.series_uuid, cache=cache)

        found = duckdb.sql(
            f"""SELECT SeriesUID, content.* FROM (
                SELECT SeriesUID, unnest(Content) AS content
                FROM read_parquet('{tmp_path}/cache/indices/*_index.parquet', union_by_name = true))"""
        )

        assert found.columns == ["SeriesUID", *(field.name for field in CONTENT_TYPE.value_type)]


@needs_data
class TestRealObjects:
    @pytest.mark.parametrize(
        "folder",
        [
            "made-sr-totalseg-shape",
            "sr-tid1500-highdicom-groups",
            "sr-rdsr-ct-toshiba",
            "sr-tid5100-vascular-ultrasound",
        ],
    )
    def test_numbers_of_reports_are_those_of_pydicom(self, folder: str, tmp_path: Path) -> None:
        numbers = [
            (
                code_of(item.ConceptNameCodeSequence),
                float(
                    item.MeasuredValueSequence[0].get("FloatingPointValue", item.MeasuredValueSequence[0].NumericValue)
                ),
                item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
            )
            for item in walk_content(read_dataset(folder))
            if item.get("ValueType") == "NUM" and item.get("MeasuredValueSequence")
        ]

        found = [
            (each["code"], each["value"], each["unit"])
            for each in load_content(folder, tmp_path)
            if each["value"] is not None
        ]

        assert found
        assert set(found) <= set(numbers)
        if "rdsr" not in folder:  # of a dose report, what stands beside events and totals is left out
            assert sorted(found) == sorted(numbers)

    def test_groups_of_reports_are_those_of_highdicom(self, tmp_path: Path) -> None:
        from highdicom.sr import srread

        (path,) = (OBJECTS / "sr-tid1500-highdicom-groups").glob("*.dcm")
        content: Any = srread(path).content
        groups = [
            *content.get_image_measurement_groups(),
            *content.get_planar_roi_measurement_groups(),
            *content.get_volumetric_roi_measurement_groups(),
        ]
        wanted = {
            (group.tracking_uid, each.name.meaning, each.value) for group in groups for each in group.get_measurements()
        }

        found = load_content("sr-tid1500-highdicom-groups", tmp_path)

        numbers = [each for each in found if each["value"] is not None]
        assert {(each["tracking_uid"], each["concept"].partition(" (")[0], each["value"]) for each in numbers} == wanted

    @pytest.mark.parametrize("folder", ["rtstruct-breast-10-rois", "made-rtstruct-seed-point"])
    def test_regions_of_structure_sets_are_those_of_pydicom(self, folder: str, tmp_path: Path) -> None:
        dataset = read_dataset(folder)
        contours = {item.ReferencedROINumber: item.get("ContourSequence", ()) for item in dataset.ROIContourSequence}
        wanted = {
            item.ROIName: sum(len(contour.ContourData) // 3 for contour in contours[item.ROINumber])
            for item in dataset.StructureSetROISequence
        }

        found = load_content(folder, tmp_path)

        assert {each["group_name"]: each["value"] for each in found if each["concept"] == "points"} == wanted

    def test_groups_of_annotations_are_those_of_highdicom(self, tmp_path: Path) -> None:
        from highdicom.ann import annread

        (path,) = (OBJECTS / "made-ann-cell-boxes-2d").glob("*.dcm")
        wanted = {
            (group.label, group.graphic_type.value, group.number_of_annotations)
            for group in annread(path).get_annotation_groups()
        }

        found = load_content("made-ann-cell-boxes-2d", tmp_path)

        graphics = {each["group_name"]: each["text"] for each in found if each["concept"] == "graphic"}
        counts = {each["group_name"]: each["value"] for each in found if each["concept"] == "annotations"}
        assert {(name, graphics[name], count) for name, count in counts.items()} == wanted

    def test_beams_of_plans_are_those_of_pydicom(self, tmp_path: Path) -> None:
        dataset = read_dataset("rtplan-imrt-water-10-beams")
        angles = [float(beam.ControlPointSequence[0].GantryAngle) for beam in dataset.BeamSequence]
        metersets = [float(item.BeamMeterset) for item in dataset.FractionGroupSequence[0].ReferencedBeamSequence]

        found = load_content("rtplan-imrt-water-10-beams", tmp_path)

        assert [each["value"] for each in found if each["concept"] == "gantry"] == angles
        assert [each["value"] for each in found if each["concept"] == "meterset"] == metersets

    def test_references_of_selections_are_those_of_pydicom(self, tmp_path: Path) -> None:
        evidence = read_dataset("ko-mr-36-two-series-absent").CurrentRequestedProcedureEvidenceSequence
        wanted = {
            series.SeriesInstanceUID: float(
                len({item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence})
            )
            for study in evidence
            for series in study.ReferencedSeriesSequence
        }

        found = load_content("ko-mr-36-two-series-absent", tmp_path)

        assert {each["series"]: each["value"] for each in found} == wanted
