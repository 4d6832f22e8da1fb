"""`dicom-series-preview`: what its commands write and print."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from outcomes import Run, run_process
from PIL import Image
from written_objects import make_dataset, write_dataset

import dsp_batch
from dsp_batch.phantom.objects import PhantomSeries
from dsp_batch.phantom.series import build_mr, build_report


def open_image(path: Path) -> Image.Image:
    """A written image, decoded from its bytes alone."""
    return Image.open(io.BytesIO(path.read_bytes()))


def index_path(cache: Path, series: PhantomSeries) -> Path:
    return cache / "indices" / f"{series.series_uuid}_index.parquet"


def test_a_mosaic_is_drawn_and_nothing_is_printed(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.webp"

    outcome = preview("mosaic", ct.series_uuid, output, "--root", collection)

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    assert (open_image(output).format, open_image(output).size) == ("WEBP", (6 * 128, 6 * 128))


def test_the_grid_and_the_width_of_its_tiles_are_options(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.webp"

    preview(
        "mosaic", ct.series_uuid, output, "--root", collection,
        "--tile-width", 3, "--tile-height", 2, "--image-width", 20,
    )  # fmt: skip

    assert open_image(output).size == (60, 40)


@pytest.mark.parametrize("output", ["a.jpg", "b.JPEG", "c.WebP"])
def test_the_suffix_decides_the_format_in_any_case(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, output: str
) -> None:
    outcome = preview("get-image", ct.series_uuid, tmp_path / output, "--root", collection, "--position", 0.5)

    assert outcome.status == 0
    assert open_image(tmp_path / output).format == ("WEBP" if output == "c.WebP" else "JPEG")


def test_an_existing_output_is_replaced(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.webp"
    output.write_bytes(b"older")

    preview("mosaic", ct.series_uuid, output, "--root", collection)

    assert open_image(output).format == "WEBP"
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.webp"]


def test_quality_decides_the_size_of_the_file(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    for quality in (0, 100):
        preview("mosaic", ct.series_uuid, tmp_path / f"{quality}.webp", "--root", collection, "-q", quality)

    assert (tmp_path / "0.webp").stat().st_size < (tmp_path / "100.webp").stat().st_size / 2


def test_a_slice_offset_walks_from_the_position(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    common = ("--root", collection, "--quality", 100)
    preview("get-image", ct.series_uuid, tmp_path / "walked.webp", *common, "--position", 1, "--slice-offset", -11)
    preview("get-image", ct.series_uuid, tmp_path / "first.webp", *common, "--position", 0)
    preview("get-image", ct.series_uuid, tmp_path / "last.webp", *common, "--position", 1)

    images = {name: (tmp_path / f"{name}.webp").read_bytes() for name in ("walked", "first", "last")}
    assert images["walked"] == images["first"] != images["last"]


def test_a_contrast_that_begins_with_a_sign_needs_no_quoting(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    for name, contrast in (("preset", "Lung"), ("slash", "1500/-500"), ("comma", "1500,-500"), ("brain", "ct_brain")):
        output = tmp_path / f"{name}.webp"
        outcome = preview("mosaic", ct.series_uuid, output, "--root", collection, "--contrast", contrast)
        assert outcome.status == 0

    images = [(tmp_path / f"{name}.webp").read_bytes() for name in ("preset", "slash", "comma", "brain")]
    assert images[0] == images[1] == images[2] != images[3]


def test_a_contrast_mosaic_has_a_column_for_each_contrast(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    common = ("--root", collection, "--image-width", 20, "--contrast", "lung", "--contrast", "80/40")
    at_position = preview("contrast-mosaic", ct.series_uuid, tmp_path / "row.webp", *common, "--position", 0.5)
    over_range = preview("contrast-mosaic", ct.series_uuid, tmp_path / "rows.webp", *common, "--start", 0.2)

    assert (at_position.status, over_range.status) == (0, 0)
    assert open_image(tmp_path / "row.webp").size == (40, 20)
    assert open_image(tmp_path / "rows.webp").size == (40, 40)


def test_a_prefix_takes_the_first_match_and_warns_of_others(preview: Run, ct: PhantomSeries, tmp_path: Path) -> None:
    for name in ("389aaaaa-0000-0000-0000-000000000000", "38900000-0000-0000-0000-000000000000"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / ct.objects[0].name).write_bytes(ct.objects[0].data)

    outcome = preview("get-index", "389*", "--root", tmp_path / "root")

    assert outcome.status == 0
    assert "38900000-0000-0000-0000-000000000000" in outcome.stdout
    assert len(outcome.warnings) == 1
    assert outcome.warnings[0].startswith("warning: 2 series begin with 389")


def test_a_path_of_the_series_wins_over_the_root(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    outcome = preview(
        "mosaic", f"{collection}/{ct.series_uuid}/", tmp_path / "out.webp", "--root", tmp_path / "nowhere"
    )

    assert outcome.status == 0


def test_an_index_is_kept_in_the_cache_and_used_again(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    common = ("mosaic", ct.series_uuid, tmp_path / "out.webp", "--root", collection, "--cache-dir", tmp_path / "cache")
    preview(*common)
    written = index_path(tmp_path / "cache", ct).stat().st_mtime_ns

    second = preview(*common, "--verbose")

    assert index_path(tmp_path / "cache", ct).stat().st_mtime_ns == written
    assert "index: " in second.stderr
    assert ", 2 requests, " in next(line for line in second.stderr.splitlines() if "index: " in line)


def test_no_cache_neither_reads_nor_writes(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    unreadable = index_path(tmp_path / "default-cache", ct)
    unreadable.parent.mkdir(parents=True)
    unreadable.write_bytes(b"no Parquet")
    common = ("mosaic", ct.series_uuid, tmp_path / "out.webp", "--root", collection)

    without = preview(*common, "--no-cache")
    assert (without.status, without.stderr, unreadable.read_bytes()) == (0, "", b"no Parquet")

    with_cache = preview(*common)
    assert (with_cache.status, len(with_cache.warnings)) == (0, 1)
    assert pq.read_metadata(unreadable).num_rows == 12


def test_get_index_prints_the_absolute_path_alone_and_builds_once(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    first = preview("get-index", ct.series_uuid, "--root", collection, "--cache-dir", "here")
    path = index_path(tmp_path / "here", ct)
    written = path.stat().st_mtime_ns
    second = preview("get-index", ct.series_uuid, "--root", collection, "--cache-dir", "here")

    assert (first.status, first.stdout, first.stderr) == (0, f"{path}\n", "")
    assert (second.stdout, path.stat().st_mtime_ns) == (first.stdout, written)


def test_an_index_of_a_series_without_pixels_is_built(preview: Run, collection: Path, tmp_path: Path) -> None:
    report = build_report()

    outcome = preview("build-index", report.series_uuid, "--root", collection, "--cache-dir", tmp_path)

    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "", "")
    assert pq.read_metadata(index_path(tmp_path, report)).num_rows == 1


def test_build_index_takes_several_series(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    mr = build_mr(count=5, rows=32, columns=64)

    outcome = preview("build-index", ct.series_uuid, mr.series_uuid, "--root", collection)

    assert outcome.status == 0
    assert [pq.read_metadata(index_path(tmp_path / "default-cache", each)).num_rows for each in (ct, mr)] == [12, 5]


def test_build_index_goes_on_after_a_series_that_fails(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    missing = "00000000-0000-0000-0000-000000000000"

    outcome = preview("build-index", missing, ct.series_uuid, "--root", collection)

    assert outcome.status == 1
    assert len(outcome.errors) == 1
    assert missing in outcome.errors[0]
    assert index_path(tmp_path / "default-cache", ct).exists()


def test_build_index_writes_to_a_folder_or_a_file_of_its_own(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    to_folder = preview("build-index", ct.series_uuid, "--root", collection, "-o", tmp_path / "folder")
    to_file = preview("build-index", ct.series_uuid, "--root", collection, "-o", tmp_path / "one.PARQUET", "--no-cache")

    assert (to_folder.status, to_file.status) == (0, 0)
    assert index_path(tmp_path / "folder", ct).read_bytes() == (tmp_path / "one.PARQUET").read_bytes()
    assert not (tmp_path / "default-cache").exists()


def test_a_partial_index_is_not_used_for_a_mosaic(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    preview("build-index", ct.series_uuid, "--root", collection, "--limit", 3)
    assert pq.read_metadata(index_path(tmp_path / "default-cache", ct)).num_rows == 3

    outcome = preview("mosaic", ct.series_uuid, tmp_path / "out.webp", "--root", collection)

    assert (outcome.status, len(outcome.warnings)) == (0, 1)
    assert pq.read_metadata(index_path(tmp_path / "default-cache", ct)).num_rows == 12


def test_verbose_tells_what_each_stage_took_and_no_patient(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    outcome = preview("mosaic", ct.series_uuid, tmp_path / "out.webp", "--root", collection, "-v")

    assert outcome.stdout == ""
    for stage in ("index", "render", "write"):
        line = next(line for line in outcome.stderr.splitlines() if f"] {stage}: " in line)
        assert all(word in line for word in (" s, ", "requests", "bytes read"))
    names = {value for value in patient_values(ct) if len(value) > 3}
    assert names
    assert not [name for name in names if name in outcome.stderr]


def patient_values(series: PhantomSeries) -> set[str]:
    """What the objects say of a patient, as text."""
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(series.objects[0].data), stop_before_pixels=True)
    return {str(element.value) for element in dataset.group_dataset(0x0010)}


def test_options_do_not_change_what_a_later_call_logs(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path
) -> None:
    common = ("mosaic", ct.series_uuid, tmp_path / "out.webp", "--root", collection)
    preview(*common, "-v")

    assert preview(*common).stderr == ""


def test_the_script_and_the_module_do_the_same(ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    arguments = ("mosaic", ct.series_uuid, "--root", collection, "--no-cache")

    script = run_process("dicom-series-preview", *arguments, "script.webp", cwd=tmp_path)
    module = run_process("dsp_batch", "preview", *arguments, "module.webp", cwd=tmp_path)

    assert (script.status, script.stdout, script.stderr) == (0, "", "")
    assert (module.status, module.stdout, module.stderr) == (0, "", "")
    assert (tmp_path / "script.webp").read_bytes() == (tmp_path / "module.webp").read_bytes()


@pytest.mark.parametrize("command", ["mosaic", "build-index", "get-index"])
def test_each_note_is_one_line_of_warning(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, command: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(collection / ct.series_uuid, root / ct.series_uuid)
    (root / ct.series_uuid / "readme").write_text("no object\n" * 20)
    output = [tmp_path / "out.webp"] if command == "mosaic" else []

    outcome = preview(command, ct.series_uuid, *output, "--root", root)

    assert outcome.status == 0
    (line,) = outcome.stderr.splitlines()
    assert line.startswith(f"warning: {root}/{ct.series_uuid}: 1 object is no instance: readme: it has no DICM prefix")


def test_a_preview_is_drawn_of_any_series(preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path) -> None:
    for uuid in (ct.series_uuid, build_report().series_uuid):
        outcome = preview("preview", uuid, tmp_path / "out.webp", "--root", collection, "--size", 200)

        assert (outcome.status, outcome.stderr) == (0, "")
        assert (tmp_path / "out.webp").read_bytes() == dsp_batch.preview(
            collection / uuid, dsp_batch.PreviewOptions(size=200)
        ).data


def test_a_description_can_be_left_out_of_a_preview(preview: Run, tmp_path: Path) -> None:
    raw = make_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.66", SeriesDescription="spiral of the knee")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.dcm").write_bytes(write_dataset(raw))

    for name, flag in (("with.webp", "--describe"), ("without.webp", "--no-describe")):
        assert preview("preview", tmp_path / "raw", tmp_path / name, flag).status == 0

    assert (tmp_path / "with.webp").read_bytes() != (tmp_path / "without.webp").read_bytes()


def test_a_series_may_be_a_folder_named_preview(
    preview: Run, ct: PhantomSeries, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(collection / ct.series_uuid, tmp_path / "preview")
    monkeypatch.chdir(tmp_path)

    drawn = preview("preview", "preview", "out.webp")
    lacking = preview("preview", "other.webp")

    assert (drawn.status, drawn.stderr) == (0, "")
    assert (tmp_path / "out.webp").exists()
    assert (lacking.status, lacking.warnings) == (1, [])
    assert not (tmp_path / "other.webp").exists()
